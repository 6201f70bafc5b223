//! The format of a case file.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use serde::Deserialize;

/// A network, what is asked in it, and what must come back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Case {
    /// What the case shows, in a sentence.
    pub(crate) situation: String,
    /// Namespaces on one switch, by name.
    pub(crate) nodes: BTreeMap<String, Node>,
    /// DNS servers.
    #[serde(default)]
    pub(crate) dns: Vec<DnsServer>,
    /// HTTP servers.
    #[serde(default)]
    pub(crate) http: Vec<HttpServer>,
    /// Probes; those of one node run as one plan.
    pub(crate) probe: Vec<Probe>,
}

/// One namespace.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Node {
    /// Addresses with their prefix lengths.
    pub(crate) addresses: Vec<String>,
    /// Arguments of `ip route add`.
    #[serde(default)]
    pub(crate) routes: Vec<String>,
    /// nftables rules for what comes in.
    #[serde(default)]
    pub(crate) input: Vec<String>,
    /// nftables rules for what goes out.
    #[serde(default)]
    pub(crate) output: Vec<String>,
    /// Lines of `/etc/resolv.conf`.
    #[serde(default)]
    pub(crate) resolv_conf: Vec<String>,
    /// Lines of `/etc/hosts`.
    #[serde(default)]
    pub(crate) hosts: Vec<String>,
    /// Variables of the agent on this node.
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
}

/// A DNS server on port 53 of all addresses of a node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DnsServer {
    pub(crate) on: String,
    /// Answers by name, without the last dot. Other names do not exist.
    pub(crate) names: BTreeMap<String, Answer>,
}

/// What is answered for one name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Answer {
    pub(crate) a: Vec<Ipv4Addr>,
    pub(crate) aaaa: Vec<Ipv6Addr>,
    pub(crate) alias: Option<String>,
    /// Records of 60 characters each, asked for as TXT.
    pub(crate) texts: u8,
    /// Response code, as a number.
    pub(crate) code: u16,
    /// TC over UDP, whole over TCP.
    pub(crate) truncated: bool,
    pub(crate) delay_ms: u64,
    pub(crate) quirk: Option<Quirk>,
}

/// Ways of not answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Quirk {
    /// No answer.
    Silent,
    /// Bytes that are no DNS message.
    Garbage,
    /// The answer of another query.
    WrongId,
    /// The answer of another query, then the right one.
    WrongIdThenRight,
    /// The answer to another name.
    OtherName,
    /// Over TCP: the connection is closed without an answer.
    Close,
}

/// A server that speaks just enough HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct HttpServer {
    pub(crate) on: String,
    pub(crate) port: u16,
    /// Answers by method and path, such as `PUT /latest/api/token`; others are 404.
    #[serde(default)]
    pub(crate) answers: BTreeMap<String, HttpAnswer>,
}

/// One HTTP answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct HttpAnswer {
    #[serde(default = "ok")]
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) body: String,
    /// Header lines that the request must have; without them the answer is 401.
    #[serde(default)]
    pub(crate) wants: Vec<String>,
    /// The request is read and never answered.
    #[serde(default)]
    pub(crate) silent: bool,
}

fn ok() -> u16 {
    200
}

/// A question for the agent and what it must report.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Probe {
    /// Node in which the agent runs.
    pub(crate) from: String,
    /// The probe, in the words of the protocol; what is left out has a default.
    pub(crate) ask: toml::Table,
    /// How often it is asked, as so many probes.
    #[serde(default = "once")]
    pub(crate) times: u32,
    /// Parts of the outcome. `counts` stands for tries by how they ended, `addresses` for those
    /// that an answer gave, `slowest-at-least-ms` for the slowest try.
    pub(crate) expect: toml::Table,
}

fn once() -> u32 {
    1
}

impl Case {
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}
