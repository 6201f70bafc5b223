//! Why a call to AWS failed, in the words of a gap.

use std::error::Error;
use std::fmt::Write as _;

use aws_credential_types::provider::error::CredentialsError;
use aws_runtime::retries::classifiers::THROTTLING_ERRORS;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use eksnet_model::{Gap, Source, Why};

/// Codes for "you may not": the caller is known, the action is refused. Source: common errors of the
/// Query APIs and of EKS, read November 2026.
const DENIED: [&str; 6] = [
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "UnauthorizedAccess",
    "NotAuthorized",
    "OptInRequired",
];

/// Codes for "who are you": the signature, the key or the session token is not accepted.
const UNAUTHENTICATED: [&str; 14] = [
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
    "InvalidIdentityToken",
];

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What was called, such as `ec2:DescribeSubnets`.
    pub(crate) action: String,
    /// Why it failed.
    pub(crate) why: Why,
    /// The code that AWS gave.
    pub(crate) code: Option<String>,
    /// What came back.
    pub(crate) detail: String,
}

impl Failure {
    pub(crate) fn new(action: impl Into<String>, why: Why, detail: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            why,
            code: None,
            detail: detail.into(),
        }
    }

    /// No answer before the deadline of the source.
    pub(crate) fn timeout(action: impl Into<String>) -> Self {
        Self::new(action, Why::Timeout, "no answer before the deadline")
    }

    /// What an error of the SDK's runtime means.
    pub(crate) fn of_sdk<E, R>(action: &str, error: &SdkError<E, R>) -> Self
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        if let SdkError::ServiceError(service) = error {
            let meta = service.err().meta();
            return Self::of_code(action, meta.code(), meta.message());
        }
        let said = chain(error);
        if not_loaded(error) {
            let said = "no credentials in the environment, the profile or the metadata service";
            return Self::new(action, Why::Unauthenticated, said);
        }
        if credentials(error) {
            return Self::new(action, Why::Unauthenticated, said);
        }
        let why = match error {
            SdkError::TimeoutError(_) => Why::Timeout,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Why::Timeout,
            SdkError::DispatchFailure(_) => Why::Unreachable,
            SdkError::ResponseError(_) if cut_off(error) => Why::Truncated,
            SdkError::ResponseError(_) => Why::Malformed,
            _ => Why::Failed,
        };
        Self::new(action, why, said)
    }

    /// What an error that AWS answered with means.
    pub(crate) fn of_code(action: &str, code: Option<&str>, message: Option<&str>) -> Self {
        let message = message.unwrap_or("");
        let why = match code {
            Some(code) if DENIED.contains(&code) => {
                Why::Denied(refused_action(message).unwrap_or(action).into())
            }
            Some(code) if UNAUTHENTICATED.contains(&code) => Why::Unauthenticated,
            Some(code) if THROTTLING_ERRORS.contains(&code) => Why::Throttled,
            _ => Why::Failed,
        };
        let detail = match (code, message) {
            (Some(code), "") => code.to_owned(),
            (Some(code), message) => format!("{code}: {message}"),
            (None, "") => "an error without code and message".to_owned(),
            (None, message) => message.to_owned(),
        };
        Self {
            action: action.to_owned(),
            why,
            code: code.map(str::to_owned),
            detail,
        }
    }

    /// Whether what was asked for does not exist.
    pub(crate) fn not_found(&self) -> bool {
        self.code
            .as_deref()
            .is_some_and(|code| code.contains("NotFound") || code == "NoSuchEntity")
    }

    /// The gap that it leaves in `source`. A refused action closes it once granted.
    pub(crate) fn gap(&self, source: Source) -> Gap {
        let gap = Gap::new(
            source,
            self.why.clone(),
            format!("{}: {}", self.action, shortened(&self.detail)),
        );
        match &self.why {
            Why::Denied(action) => gap.closed_by(action.clone()),
            Why::Timeout => gap.closed_by("--timeout"),
            _ => gap,
        }
    }
}

/// The action that AWS says is missing. One call can need several, so it is not always the one that
/// was called: "User: .. is not authorized to perform: eks:DescribeCluster on resource: ..".
fn refused_action(message: &str) -> Option<&str> {
    let after = message
        .split_once("not authorized to perform: ")?
        .1
        .split([' ', ',', '\n'])
        .next()?
        .trim_end_matches('.');
    let (service, operation) = after.split_once(':')?;
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (plain(service) && plain(operation)).then_some(after)
}

/// Without the encoded part of an authorization failure, which is kilobytes that only
/// `sts:DecodeAuthorizationMessage` can read.
fn shortened(detail: &str) -> String {
    let plain = detail
        .split_once("Encoded authorization failure message:")
        .map_or(detail, |(before, _)| before)
        .trim_end();
    let mut end = plain.len().min(600);
    while !plain.is_char_boundary(end) {
        end -= 1;
    }
    plain[..end].to_owned()
}

/// An error with all its sources, each said once.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if !said.contains(&text) {
            let _ = write!(said, ": {text}");
        }
        source = error.source();
    }
    said
}

fn any_source(
    error: &(dyn Error + 'static),
    matches: impl Fn(&(dyn Error + 'static)) -> bool,
) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if matches(error) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Whether no provider had credentials, as opposed to one that failed.
fn not_loaded<E, R>(error: &SdkError<E, R>) -> bool
where
    E: Error + 'static,
    R: std::fmt::Debug + 'static,
{
    any_source(error, |source| {
        matches!(
            source.downcast_ref(),
            Some(CredentialsError::CredentialsNotLoaded(_))
        )
    })
}

fn credentials<E, R>(error: &SdkError<E, R>) -> bool
where
    E: Error + 'static,
    R: std::fmt::Debug + 'static,
{
    any_source(error, |source| source.is::<CredentialsError>())
}

/// Whether the body of an answer ended too early.
fn cut_off<E, R>(error: &SdkError<E, R>) -> bool
where
    E: Error + 'static,
    R: std::fmt::Debug + 'static,
{
    any_source(error, |source| {
        let text = source.to_string();
        text.contains("end of file before message length reached")
            || text.contains("unexpected end of file")
            || text.contains("unexpected EOF")
            || text.contains("connection reset")
            || text.contains("connection closed")
            || text.contains("error reading a body from connection")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(code: &str, message: &str) -> Why {
        Failure::of_code("ec2:DescribeSubnets", Some(code), Some(message)).why
    }

    #[test]
    fn a_refusal_names_the_action_that_aws_names_not_the_one_that_was_called() {
        let message = "User: arn:aws:iam::123456789012:user/u is not authorized to perform: \
                       ec2:GetManagedPrefixListEntries on resource: x";
        let denied = why("UnauthorizedOperation", message);
        assert_eq!(
            denied,
            Why::Denied("ec2:GetManagedPrefixListEntries".into())
        );
        let denied = why("AccessDenied", "no");
        assert_eq!(denied, Why::Denied("ec2:DescribeSubnets".into()));
        let hostile = why("AccessDenied", "not authorized to perform: \u{1b}[31m:x");
        assert_eq!(hostile, Why::Denied("ec2:DescribeSubnets".into()));
    }

    #[test]
    fn a_refusal_is_closed_by_its_action() {
        let failure = Failure::of_code("eks:DescribeCluster", Some("AccessDeniedException"), None);
        let gap = failure.gap(Source::Cluster);
        assert_eq!(gap.closes, Some("eks:DescribeCluster".into()));
        assert_eq!(gap.source, Source::Cluster);
    }

    #[test]
    fn who_you_are_what_you_may_and_how_often_are_told_apart() {
        assert_eq!(why("ExpiredToken", ""), Why::Unauthenticated);
        assert_eq!(why("AuthFailure", ""), Why::Unauthenticated);
        assert_eq!(why("RequestLimitExceeded", ""), Why::Throttled);
        assert_eq!(why("InternalError", ""), Why::Failed);
    }

    #[test]
    fn the_encoded_part_of_a_refusal_is_left_out() {
        let message = format!(
            "You are not authorized. Encoded authorization failure message: {}",
            "x".repeat(9000)
        );
        let failure = Failure::of_code(
            "ec2:DescribeSubnets",
            Some("UnauthorizedOperation"),
            Some(&message),
        );
        let detail = failure.gap(Source::Subnets).detail;
        assert!(detail.ends_with("You are not authorized."), "{detail}");
    }
}
