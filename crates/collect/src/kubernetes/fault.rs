//! What can go wrong with one request, and what of it becomes evidence.

use std::error::Error as StdError;
use std::time::Duration;

use eksnet_model::{Gap, Source, Text, Why};
use http::StatusCode;
use serde::Deserialize;

/// How a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No answer, or not the whole of it, in time.
    Timeout(Duration),
    /// No connection, or one that broke before an answer.
    Unreachable(String),
    /// A TLS handshake that failed.
    Tls(String),
    /// A body that ended early.
    Cut(String),
    /// An answer that could not be understood.
    Malformed(String),
    /// A refusal by the server.
    Refused(Refusal),
}

/// What the server said instead of doing what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// `reason` of the `Status` object, such as `AlreadyExists`; empty where there is none.
    pub(crate) reason: String,
    /// `message` of the `Status` object, or the start of the body.
    pub(crate) message: String,
    /// `Retry-After`, in seconds.
    pub(crate) retry_after: Option<u64>,
}

impl Refusal {
    /// Reads the `Status` object of an answer that is no success.
    pub(crate) fn read(status: StatusCode, retry_after: Option<u64>, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Said {
            #[serde(default)]
            kind: String,
            #[serde(default)]
            message: Option<String>,
            #[serde(default)]
            reason: Option<String>,
        }
        let said = serde_json::from_slice::<Said>(body)
            .ok()
            .filter(|said| said.kind == "Status");
        let (reason, message) = match said {
            Some(said) => (
                said.reason.unwrap_or_default(),
                said.message.unwrap_or_default(),
            ),
            None => (String::new(), excerpt(body)),
        };
        Self {
            status,
            reason,
            message,
            retry_after,
        }
    }
}

/// The start of a body that was not expected, in one line.
pub(crate) fn excerpt(body: &[u8]) -> String {
    const SHOWN: usize = 160;
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN * 4)]);
    let mut line: String = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(SHOWN)
        .collect();
    if body.len() > line.len() && !line.is_empty() {
        line.push('…');
    }
    line
}

impl Fault {
    /// What an error of the HTTP client means.
    pub(crate) fn of_client(error: &(dyn StdError + 'static)) -> Self {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        let mut last = error.to_string();
        let mut is_cut = false;
        while let Some(error) = cause {
            if let Some(tls) = error.downcast_ref::<rustls::Error>() {
                return Self::Tls(tls.to_string());
            }
            if let Some(io) = error.downcast_ref::<std::io::Error>() {
                if let Some(tls) = io
                    .get_ref()
                    .and_then(|inner| inner.downcast_ref::<rustls::Error>())
                {
                    return Self::Tls(tls.to_string());
                }
                is_cut |= io.kind() == std::io::ErrorKind::UnexpectedEof;
                // An error inside of an `io::Error` is not in its `source()` chain.
                if let Some(inner) = io.get_ref() {
                    last = inner.to_string();
                    cause = Some(inner);
                    if inner.source().is_none() && inner.downcast_ref::<std::io::Error>().is_none()
                    {
                        break;
                    }
                    continue;
                }
            }
            last = error.to_string();
            cause = error.source();
        }
        if is_cut {
            Self::Cut(last)
        } else {
            Self::Unreachable(last)
        }
    }

    /// Whether the same request may succeed a moment later: the server said so, or is overloaded.
    pub(crate) fn may_pass(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal)
                if matches!(
                    refusal.status,
                    StatusCode::TOO_MANY_REQUESTS
                        | StatusCode::SERVICE_UNAVAILABLE
                        | StatusCode::GATEWAY_TIMEOUT
                ) =>
            {
                Some(Duration::from_secs(refusal.retry_after.unwrap_or(1)))
            }
            _ => None,
        }
    }

    /// The status of a refusal.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    /// Whether the object or the resource does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }

    /// Whether the request was not allowed.
    pub(crate) fn is_denied(&self) -> bool {
        self.status() == Some(StatusCode::FORBIDDEN)
    }

    /// The fault in words: what came back.
    pub(crate) fn says(&self) -> String {
        match self {
            Self::Timeout(after) => format!("no answer within {:.1} s", after.as_secs_f64()),
            Self::Unreachable(why) => format!("no connection: {why}"),
            Self::Tls(why) => format!("TLS handshake failed: {why}"),
            Self::Cut(why) => format!("the answer was cut off: {why}"),
            Self::Malformed(why) => format!("the answer was not understood: {why}"),
            Self::Refused(refusal) if refusal.message.is_empty() => {
                format!("status {}", refusal.status.as_u16())
            }
            Self::Refused(refusal) => {
                format!("status {}: {}", refusal.status.as_u16(), refusal.message)
            }
        }
    }

    /// The gap that the fault leaves in `source`. `tried` is what was asked, such as
    /// `GET /api/v1/nodes`; `permission` what it takes, such as `list nodes`.
    pub(crate) fn gap(&self, source: Source, tried: &str, permission: &str) -> Gap {
        let why = match self {
            Self::Timeout(_) => Why::Timeout,
            Self::Unreachable(_) | Self::Tls(_) => Why::Unreachable,
            Self::Cut(_) => Why::Truncated,
            Self::Malformed(_) => Why::Malformed,
            Self::Refused(refusal) => match refusal.status {
                StatusCode::UNAUTHORIZED => Why::Unauthenticated,
                StatusCode::FORBIDDEN => Why::Denied(permission.into()),
                StatusCode::NOT_FOUND => Why::NotInstalled,
                StatusCode::GONE => Why::Truncated,
                StatusCode::TOO_MANY_REQUESTS => Why::Throttled,
                StatusCode::GATEWAY_TIMEOUT => Why::Timeout,
                _ => Why::Failed,
            },
        };
        let closes = closes(&why, source);
        let gap = Gap::new(source, why, format!("{tried}: {}", self.says()));
        match closes {
            Some(closes) => gap.closed_by(closes),
            None => gap,
        }
    }
}

/// The permission or flag that closes a gap.
pub(crate) fn closes(why: &Why, source: Source) -> Option<Text> {
    Some(match why {
        Why::Denied(_) | Why::OnlyNamespaces(_) => {
            let rules: Vec<String> = source
                .permission()
                .rbac
                .iter()
                .map(|rule| {
                    format!(
                        "{{apiGroups: [{:?}], resources: [{}], verbs: [{}]}}",
                        rule.group,
                        rule.resource,
                        rule.verbs.join(", ")
                    )
                })
                .collect();
            if rules.is_empty() {
                return None;
            }
            format!(
                "a ClusterRole with {}; `kubectl eksnet permissions -o yaml` prints it",
                rules.join(", ")
            )
            .into()
        }
        Why::Timeout | Why::Truncated => "--timeout with a longer limit".into(),
        Why::Throttled => "--qps with a lower number, or another run later".into(),
        Why::Unauthenticated => "credentials that the API server accepts: sign in again".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_quotes_the_servers_own_words() {
        let body = br#"{"kind":"Status","reason":"Forbidden","message":"nodes is forbidden: User \"u\" cannot list"}"#;
        let refusal = Refusal::read(StatusCode::FORBIDDEN, None, body);
        assert_eq!(refusal.reason, "Forbidden");
        let gap = Fault::Refused(refusal).gap(Source::Nodes, "GET /api/v1/nodes", "list nodes");
        assert_eq!(gap.why, Why::Denied("list nodes".into()));
        assert!(gap.detail.contains("cannot list"), "{}", gap.detail);
        assert!(gap.closes.unwrap().contains("resources: [nodes]"));
    }

    #[test]
    fn a_page_of_something_else_is_cut_to_a_line() {
        let body = format!("<html>\n\n<body>{}", "x".repeat(5000));
        let refusal = Refusal::read(StatusCode::BAD_GATEWAY, None, body.as_bytes());
        assert!(refusal.message.starts_with("<html> <body>x"));
        assert!(refusal.message.chars().count() <= 161);
        assert_eq!(refusal.message.lines().count(), 1);
    }

    #[test]
    fn the_cause_of_a_connection_that_failed_is_found_at_its_root() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let outer = std::io::Error::other(refused);
        assert!(
            matches!(Fault::of_client(&outer), Fault::Unreachable(why) if why.contains("refused"))
        );
        let tls = std::io::Error::other(rustls::Error::HandshakeNotComplete);
        assert!(matches!(Fault::of_client(&tls), Fault::Tls(_)));
        let cut = std::io::Error::other(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        assert!(matches!(Fault::of_client(&cut), Fault::Cut(_)));
    }
}
