//! What came back.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Result of one [`crate::ProbeSpec`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeResult {
    /// Id of the probe in the plan.
    pub id: u32,
    /// What came back.
    pub outcome: Outcome,
}

/// What came back, by kind of probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Outcome {
    /// Of `P.dns`.
    Dns {
        /// Every try, in the order in which they were sent.
        tries: Vec<DnsTry>,
    },
    /// Of `P.resolv`.
    Resolv(Resolv),
    /// Of `P.getaddrinfo`.
    Lookup(LookupOutcome),
    /// Of `P.tcp`.
    Tcp(TcpOutcome),
    /// Of `P.tls`.
    Tls(TlsOutcome),
    /// Of `P.http`.
    Http(HttpOutcome),
    /// Of `P.imds`.
    Imds(ImdsOutcome),
    /// Of `P.sts`.
    Sts(StsOutcome),
    /// The agent could not run the probe (not: the probe failed).
    NotRun {
        /// Why.
        why: String,
    },
}

/// One DNS query and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsTry {
    /// How it ended.
    pub outcome: DnsOutcome,
    /// Milliseconds from sending to the end.
    pub elapsed_ms: f64,
    /// Answer records, where there were any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answer>,
}

/// One answer record, in the parts that checks compare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// A or AAAA.
    Address(IpAddr),
    /// CNAME.
    Alias(String),
    /// Any other type, by its name.
    Other(String),
}

/// How a DNS query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnsOutcome {
    /// NOERROR with at least one answer.
    Ok,
    /// NOERROR without an answer of the type.
    Nodata,
    /// The name does not exist.
    Nxdomain,
    /// The server could not answer.
    Servfail,
    /// The server would not answer.
    Refused,
    /// TC was set on a UDP answer.
    Truncated,
    /// Nothing came back in time.
    Timeout,
    /// ICMP port unreachable, or a TCP reset.
    ConnRefused,
    /// No route to the server.
    NoRoute,
    /// An answer that is no DNS message, or answers another question.
    Malformed,
    /// Another response code, FORMERR and NOTIMP among them.
    OtherRcode,
}

/// `/etc/resolv.conf` of the pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resolv {
    /// Servers, in order.
    pub nameservers: Vec<String>,
    /// Search list, in order.
    pub search: Vec<String>,
    /// Options, as written, such as `ndots:5`.
    pub options: Vec<String>,
    /// Why the file could not be read, where it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A name resolved as a program would.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LookupOutcome {
    /// Addresses; empty when it failed.
    pub addresses: Vec<IpAddr>,
    /// Milliseconds until the end.
    pub elapsed_ms: f64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<DnsOutcome>,
}

/// A TCP connection to every address of a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TcpOutcome {
    /// Addresses of the host; empty when the name did not resolve.
    pub addresses: Vec<IpAddr>,
    /// How the name failed to resolve, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup_error: Option<DnsOutcome>,
    /// Every try.
    pub tries: Vec<TcpTry>,
}

/// One attempt to connect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TcpTry {
    /// To which address.
    pub address: IpAddr,
    /// `open`, `refused`, `timeout` or `no-route`.
    pub state: TcpState,
    /// Milliseconds until the end.
    pub elapsed_ms: f64,
}

/// How an attempt to connect ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TcpState {
    /// The handshake completed.
    Open,
    /// A reset: something answers, but not on that port.
    Refused,
    /// Nothing came back.
    Timeout,
    /// No route.
    NoRoute,
}

/// A TLS handshake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsOutcome {
    /// `ok`, `not-connected`, `expired`, `not-yet-valid`, `name-mismatch`, `unknown-ca`,
    /// `handshake-timeout` or `failed`.
    pub state: String,
    /// Issuer of the server's own certificate, where one was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Detail of a failure; of `not-connected` it is `dns OUTCOME` or `connect STATE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Milliseconds until the end.
    pub elapsed_ms: f64,
}

/// One HTTP answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpOutcome {
    /// Status code; `None` when no answer came.
    pub status: Option<u16>,
    /// The `Date` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Seconds by which the pod's clock is ahead of `Date`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skew_s: Option<i64>,
    /// Whether the answer has a header `x-amzn-RequestId`.
    pub aws_request_id: bool,
    /// Why no answer came: `dns OUTCOME`, `connect STATE`, `tls STATE, certificate issued by ..`,
    /// `timeout` or `no http: ..`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Milliseconds until the end.
    pub elapsed_ms: f64,
}

/// The instance metadata service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImdsOutcome {
    /// `ok`; `token-timeout` (connected, but no answer to the token request: a hop limit of 1 looks
    /// like this), `timeout` (a token, but no answer with it), `connect-timeout` (nothing comes
    /// back: blocked), `refused`, `no-route`, `status-401`, `status-403`, `status-404`, ...,
    /// `malformed`.
    pub state: String,
    /// The instance id, when all went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Milliseconds until the end.
    pub elapsed_ms: f64,
}

/// `GetCallerIdentity` with the pod's own credentials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StsOutcome {
    /// ARN of the caller, when it worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Which provider gave the credentials, or failed to: `environment`, `web-identity`,
    /// `container` or `imds`; `None` when none was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// AWS error code, such as `InvalidIdentityToken`, or `no-credentials`, `token-unreadable`,
    /// `bad-credentials-uri`, `status-403` and the like (of the container endpoint, or of what
    /// stands before STS), `dns`, `connect`, `tls`, `timeout`, `malformed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Message that came with the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Milliseconds until the end.
    pub elapsed_ms: f64,
}

impl DnsOutcome {
    /// Whether the server answered at all: request and reply passed, whatever the answer says.
    #[must_use]
    pub fn is_answer(self) -> bool {
        !matches!(
            self,
            Self::Timeout | Self::ConnRefused | Self::NoRoute | Self::Malformed
        )
    }

    /// The word that reports use, such as `timeout`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Nodata => "nodata",
            Self::Nxdomain => "nxdomain",
            Self::Servfail => "servfail",
            Self::Refused => "refused",
            Self::Truncated => "truncated",
            Self::Timeout => "timeout",
            Self::ConnRefused => "conn-refused",
            Self::NoRoute => "no-route",
            Self::Malformed => "malformed",
            Self::OtherRcode => "other-rcode",
        }
    }
}
