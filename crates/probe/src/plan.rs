//! What the agent is asked to do.

use serde::{Deserialize, Serialize};

/// Version of the protocol. An agent refuses a plan of another version.
pub const PROTOCOL: u32 = 1;

/// Longest plan, encoded, that fits one container argument. Linux holds 128 KiB per argument
/// (`MAX_ARG_STRLEN`); plans above this travel in a ConfigMap.
pub const MAX_ARGUMENT_BYTES: usize = 100 * 1024;

/// All probes that one pod runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// [`PROTOCOL`] of the plugin that wrote the plan.
    pub protocol: u32,
    /// Random text that every line of the answer repeats.
    pub nonce: String,
    /// Time after which the agent reports what it has and exits, in milliseconds from its start.
    pub deadline_ms: u64,
    /// The probes; they run concurrently.
    pub probes: Vec<ProbeSpec>,
}

/// One probe of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeSpec {
    /// Unique within the plan.
    pub id: u32,
    /// What is asked, and of whom.
    #[serde(flatten)]
    pub kind: ProbeKind,
}

/// Transport of a DNS query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// One connected UDP socket, and so a fresh source port, per try.
    Udp,
    /// One TCP connection per try.
    Tcp,
}

/// Record type of a DNS query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum QueryType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Text.
    Txt,
}

/// What a probe asks. The names `P.*` of the check catalogue map one to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum ProbeKind {
    /// `P.dns`: a raw query to a chosen server, without search list, cache or hidden retries.
    Dns {
        /// Address and port of the server, such as `10.100.0.10:53`.
        server: std::net::SocketAddr,
        /// UDP or TCP.
        transport: Transport,
        /// Fully qualified name; a trailing dot is added where it lacks one.
        name: String,
        /// Record type.
        query: QueryType,
        /// Number of tries.
        tries: u32,
        /// Pause between the starts of two tries, in milliseconds.
        gap_ms: u64,
        /// Limit of one try, in milliseconds.
        timeout_ms: u64,
    },
    /// `P.resolv`: the pod's `/etc/resolv.conf`.
    Resolv,
    /// `P.getaddrinfo`: a name as a program in the pod would resolve it: resolv.conf, search list
    /// and ndots honoured.
    Lookup {
        /// The name, as a program would write it.
        name: String,
        /// Limit, in milliseconds.
        timeout_ms: u64,
    },
    /// `P.tcp`: opens a connection to every address of the host.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// Number of tries per address.
        tries: u32,
        /// Limit of one try, in milliseconds.
        timeout_ms: u64,
    },
    /// `P.tls`: a TLS handshake, verified against public roots and, where given, `ca_pem`.
    Tls {
        /// Name or address; also the server name that is asked for.
        host: String,
        /// Port.
        port: u16,
        /// Further trusted roots, PEM.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca_pem: Option<String>,
        /// Limit, in milliseconds.
        timeout_ms: u64,
    },
    /// `P.http`: one GET over HTTPS, without redirects.
    Http {
        /// Host name.
        host: String,
        /// Port.
        port: u16,
        /// Path, such as `/`.
        path: String,
        /// Limit, in milliseconds.
        timeout_ms: u64,
    },
    /// `P.imds`: a token by PUT, then the instance id, from the instance metadata service.
    Imds {
        /// Address of the service, `169.254.169.254:80` on EC2.
        server: std::net::SocketAddr,
        /// Limit of each of the two requests, in milliseconds.
        timeout_ms: u64,
    },
    /// `P.sts`: `GetCallerIdentity` through the pod's own credential chain. Neither token nor
    /// credentials ever leave the pod.
    Sts {
        /// Region whose STS is asked.
        region: String,
        /// Endpoint other than the region's own, for tests and private endpoints.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
        /// Limit, in milliseconds.
        timeout_ms: u64,
    },
}

/// Why a plan could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Not lower-case hexadecimal text of a JSON plan; the text says where.
    Malformed(String),
    /// A plan of another version of the protocol.
    Protocol(u32),
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "the plan is malformed: {why}"),
            Self::Protocol(found) => write!(
                f,
                "the plan speaks protocol {found}, this agent speaks {PROTOCOL}: use the agent image of the plugin's version"
            ),
        }
    }
}

impl std::error::Error for DecodeError {}

impl Plan {
    /// Text of the plan for a container argument: hexadecimal, because kubelet expands `$(VAR)` in
    /// arguments and a plan may carry any name.
    ///
    /// # Panics
    /// Never: a plan has no map with keys that JSON lacks.
    #[must_use]
    pub fn encode(&self) -> String {
        use std::fmt::Write as _;
        let json = serde_json::to_string(self).expect("a plan is plain data");
        json.bytes()
            .fold(String::with_capacity(json.len() * 2), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
    }

    /// Reads what [`Plan::encode`] wrote.
    ///
    /// # Errors
    /// [`DecodeError`] when the text is not a plan, or one of another protocol.
    pub fn decode(text: &str) -> Result<Self, DecodeError> {
        let text = text.trim();
        let malformed = |why: &str| DecodeError::Malformed(why.to_owned());
        if !text.len().is_multiple_of(2) {
            return Err(malformed("an odd number of hexadecimal digits"));
        }
        let bytes = text
            .as_bytes()
            .chunks_exact(2)
            .map(|pair| {
                let digit = |c: u8| (c as char).to_digit(16);
                match (digit(pair[0]), digit(pair[1])) {
                    (Some(high), Some(low)) => Ok((high * 16 + low) as u8),
                    _ => Err(malformed("a character that is no hexadecimal digit")),
                }
            })
            .collect::<Result<Vec<u8>, _>>()?;
        let plan: Self = serde_json::from_slice(&bytes)
            .map_err(|error| DecodeError::Malformed(error.to_string()))?;
        if plan.protocol == PROTOCOL {
            Ok(plan)
        } else {
            Err(DecodeError::Protocol(plan.protocol))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_its_encoding_and_holds_nothing_that_kubelet_expands() {
        let plan = Plan {
            protocol: PROTOCOL,
            nonce: "$(HOME) \"x\"".to_owned(),
            deadline_ms: 8000,
            probes: vec![ProbeSpec {
                id: 1,
                kind: ProbeKind::Resolv,
            }],
        };
        let text = plan.encode();
        assert!(text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(Plan::decode(&text), Ok(plan));
    }

    #[test]
    fn text_that_is_no_plan_is_refused_with_its_reason() {
        assert!(matches!(
            Plan::decode("7b7"),
            Err(DecodeError::Malformed(_))
        ));
        assert!(matches!(Plan::decode("zz"), Err(DecodeError::Malformed(_))));
        assert!(matches!(
            Plan::decode("7b7d"),
            Err(DecodeError::Malformed(_))
        ));
    }
}
