//! Where credentials of a pod come from, in the order of the AWS SDKs
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>, read 2026-11):
//! variables, web identity (IRSA), container (Pod Identity), the node's role. Profiles are left
//! out: the image has no home folder to hold one.

use std::io;
use std::path::Path;
use std::sync::Arc;

use aws_credential_types::Credentials;
use serde::Deserialize;
use tokio::time::Instant;

use super::client::Sts;
use super::{Failure, container, node_role};
use crate::surroundings::{Environment, Surroundings};

/// Longest token that is read, in bytes. Those of service accounts have about a thousand.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;

/// Credentials and the provider that gave them.
pub(super) struct Found {
    pub(super) credentials: Credentials,
    pub(super) by_provider: &'static str,
}

/// Asks the first provider that the environment configures. As in the SDKs its failure is final;
/// `provider` names it from the moment that it is asked. What must never be repeated is put into
/// `secrets`.
pub(super) async fn find(
    sts: &Sts,
    deadline: Instant,
    surroundings: &Arc<Surroundings>,
    provider: &mut Option<&'static str>,
    secrets: &mut Vec<String>,
) -> Result<Found, Failure> {
    let environment = &surroundings.environment;
    let (by_provider, credentials) = if let Some(fixed) = from_variables(environment) {
        ("environment", fixed)
    } else if let Some(identity) = WebIdentity::of(environment) {
        *provider = Some("web-identity");
        let token = read_token(identity.token_file)?;
        secrets.push(token.clone());
        let credentials = sts.assume_role(identity.role, identity.session, &token);
        ("web-identity", credentials.await?)
    } else if let Some(source) = container::Source::of(environment)? {
        *provider = Some("container");
        (
            "container",
            source.fetch(deadline, surroundings, secrets).await?,
        )
    } else {
        ("imds", node_role::fetch(deadline, surroundings).await?)
    };
    secrets.push(credentials.secret_access_key().to_owned());
    secrets.extend(credentials.session_token().map(str::to_owned));
    Ok(Found {
        credentials,
        by_provider,
    })
}

fn from_variables(environment: &Environment) -> Option<Credentials> {
    Some(Credentials::new(
        environment.get("AWS_ACCESS_KEY_ID")?,
        environment.get("AWS_SECRET_ACCESS_KEY")?,
        environment.get("AWS_SESSION_TOKEN").map(str::to_owned),
        None,
        "environment",
    ))
}

/// What the pod identity webhook writes into a pod whose service account has a role (IRSA).
struct WebIdentity<'a> {
    role: &'a str,
    token_file: &'a Path,
    session: &'a str,
}

impl<'a> WebIdentity<'a> {
    fn of(environment: &'a Environment) -> Option<Self> {
        Some(Self {
            role: environment.get("AWS_ROLE_ARN")?,
            token_file: Path::new(environment.get("AWS_WEB_IDENTITY_TOKEN_FILE")?),
            session: environment
                .get("AWS_ROLE_SESSION_NAME")
                .unwrap_or("eksnet-agent"),
        })
    }
}

/// The token in a file that kubelet projects into the pod.
pub(super) fn read_token(path: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let mut token = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MAX_TOKEN_BYTES).read_to_string(&mut token));
    let unreadable = |error: io::Error| {
        let message = format!("reading the token from {} failed: {error}", path.display());
        Failure::code("token-unreadable", message)
    };
    match read.map(|_| token.trim()) {
        Err(error) => Err(unreadable(error)),
        Ok("") => Err(unreadable(io::ErrorKind::UnexpectedEof.into())),
        Ok(token) => Ok(token.to_owned()),
    }
}

/// Credentials as the container endpoint and the metadata service write them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    code: Option<String>,
    message: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    token: Option<String>,
}

/// Reads that document. A code other than `Success` is the failure that it names.
pub(super) fn read_document(json: &[u8], by: &'static str) -> Result<Credentials, Failure> {
    // What the parser says of a document that it cannot read could quote a secret.
    let malformed = || {
        let message = format!("the answer of {by} is no document with credentials");
        Failure::code("malformed", message)
    };
    let document: Document = serde_json::from_slice(json).map_err(|_| malformed())?;
    match (document.access_key_id, document.secret_access_key) {
        (Some(id), Some(secret)) => Ok(Credentials::new(id, secret, document.token, None, by)),
        _ => match document.code {
            Some(code) => Err(Failure::code(&code, document.message)),
            None => Err(malformed()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_with_credentials_is_read_and_one_that_names_a_failure_is_that_failure() {
        let given = br#"{"Code":"Success","AccessKeyId":"A","SecretAccessKey":"S","Token":"T"}"#;
        let credentials = read_document(given, "imds").unwrap();
        assert_eq!(credentials.session_token(), Some("T"));
        let refused = br#"{"Code":"AssumeRoleUnauthorizedAccess","Message":"no trust"}"#;
        assert_eq!(
            read_document(refused, "imds").unwrap_err(),
            Failure::code("AssumeRoleUnauthorizedAccess", "no trust".to_owned())
        );
    }

    #[test]
    fn a_document_that_cannot_be_read_is_not_quoted() {
        let secret = br#"{"AccessKeyId":"A","SecretAccessKey":12345}"#;
        let failure = format!("{:?}", read_document(secret, "container").unwrap_err());
        assert!(failure.contains("malformed"), "{failure}");
        assert!(!failure.contains("12345"), "{failure}");
    }

    #[test]
    fn an_absent_and_an_empty_token_are_unreadable() {
        let path = std::env::temp_dir().join(format!("eksnet-token-{}", std::process::id()));
        let code = |path: &Path| match read_token(path).unwrap_err() {
            Failure::Code { error, .. } => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(code(&path), "token-unreadable");
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(code(&path), "token-unreadable");
        std::fs::write(&path, "t0ken\n").unwrap();
        assert_eq!(read_token(&path).unwrap(), "t0ken");
        std::fs::remove_file(&path).unwrap();
    }
}
