//! What people tried by hand on a node, in a pod or on a laptop, and pasted: who looked, where, and what
//! came back.
//!
//! Saved evidence alone gives these ([`crate::Source::Observations`], `cx.observations()`): `dig`, `nslookup`,
//! `host` and `getent` as [`Lookup`]s, `resolv.conf` as [`ResolvFile`]s, `ping` as [`Ping`]s, `curl`, `wget`,
//! `nc` and `telnet` as [`Call`]s, `ip rule` and `ip route` as [`PolicyRule`]s and [`RouteEntry`]s,
//! `iptables-save`, `-S` and `-L` as [`FilterRule`]s, `tcpdump` as [`PacketFlow`]s, `ip addr` and `ip link` as
//! [`Link`](LinkState)s, and `ethtool -S`, `conntrack -S`, `nstat`, `sysctl` and Prometheus samples as
//! [`Counter`]s. Each says by its [`Vantage`] where it was made, as far as the text tells.
//!
//! What was tried in a pod stands among [`crate::Snapshot::probes`] too, as far as a probe could have
//! told it.

use std::net::IpAddr;

use eksnet_probe::DnsOutcome;
use serde::{Deserialize, Serialize};

use crate::{Text, Time};

/// Everything that was tried by hand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Observations {
    /// Names that were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lookups: Vec<Lookup>,
    /// `resolv.conf` files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolvers: Vec<ResolvFile>,
    /// Hosts that were pinged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pings: Vec<Ping>,
    /// Connections and requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Call>,
    /// Policy routing rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<PolicyRule>,
    /// Routes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteEntry>,
    /// Rules of iptables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<FilterRule>,
    /// Packets that were seen, those with the same ends together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packets: Vec<PacketFlow>,
    /// Network interfaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkState>,
    /// Counters and settings of kernels, drivers and programs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<Counter>,
}

impl Observations {
    /// Whether nothing was tried.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// On what kind of machine something was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ground {
    /// In a pod.
    Pod,
    /// On a node.
    Node,
    /// Nothing tells.
    #[default]
    Unknown,
}

/// Where something was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Vantage {
    /// On what.
    pub ground: Ground,
    /// Name of the pod or node, as a prompt or a command names it; empty where nothing does.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub name: Text,
    /// The file in which it stands.
    pub file: Text,
    /// What was typed; empty where it was not pasted.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub command: Text,
}

fn str_is_empty(text: &str) -> bool {
    text.is_empty()
}

/// One name that was asked for, and the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lookup {
    /// Where.
    #[serde(default)]
    pub from: Vantage,
    /// The name as it was typed; empty where it was not pasted.
    pub name: Text,
    /// The server that was asked; `None`: that of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<IpAddr>,
    /// Whether it was asked over TCP.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tcp: bool,
    /// How it ended; `None`: it failed, and the program does not say how (`curl: (6)`, `ping: bad address`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<DnsOutcome>,
    /// Addresses that came back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// Milliseconds that it took, where the program says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<u64>,
}

impl Lookup {
    /// Whether a server answered, whatever the answer.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.outcome.is_some_and(DnsOutcome::is_answer)
    }

    /// Whether an address came back.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.outcome == Some(DnsOutcome::Ok)
    }
}

/// A `resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResolvFile {
    /// Where.
    pub from: Vantage,
    /// Servers, in order.
    pub nameservers: Vec<IpAddr>,
    /// Search list, in order.
    pub search: Vec<Text>,
    /// Options as written, such as `ndots:5`.
    pub options: Vec<Text>,
}

/// What `ping` counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ping {
    /// From where.
    pub from: Vantage,
    /// The host as it was typed.
    pub target: Text,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Packets that were sent; 0 where the summary is cut off.
    pub sent: u32,
    /// Packets that came back.
    pub received: u32,
    /// What routers or the own kernel said, such as `Destination Host Unreachable`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Text>,
}

impl Ping {
    /// Whether packets were sent and none came back.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.received == 0 && (self.sent > 0 || !self.errors.is_empty())
    }
}

/// How a connection or request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallEnd {
    /// The other side answered, or the connection opened.
    Answered,
    /// The name did not resolve.
    Unresolved,
    /// Nothing came back in time.
    TimedOut,
    /// The other side refused the connection.
    Refused,
    /// There is no route to it.
    NoRoute,
    /// The connection opened and was reset or closed without an answer.
    Reset,
    /// TLS failed, as on a certificate.
    Tls,
    /// It failed in another way.
    #[default]
    Failed,
}

/// One connection or request: `curl`, `wget`, `nc`, `telnet`, `openssl s_client`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Call {
    /// From where.
    pub from: Vantage,
    /// Host: a name or an address; empty where neither the command nor the answer names it.
    pub host: Text,
    /// Port, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Address that was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// How it ended.
    pub end: CallEnd,
    /// Status of HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What the program said, as it stands.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub said: Text,
}

/// One rule of `ip rule`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyRule {
    /// On which machine.
    pub from: Vantage,
    /// Priority.
    pub priority: u32,
    /// Source prefix; `all` is `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Text>,
    /// Destination prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<Text>,
    /// Mark, such as `0x80/0x80`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<Text>,
    /// Interface on which packets came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incoming: Option<Text>,
    /// Table: `main`, `local`, or a number.
    pub table: Text,
}

/// One route of `ip route`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteEntry {
    /// On which machine.
    pub from: Vantage,
    /// Table, where the command or the line names one; else the main table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<Text>,
    /// `unicast`, `unreachable`, `blackhole`, `local`, `broadcast`.
    pub kind: Text,
    /// Prefix, address or `default`.
    pub destination: Text,
    /// Gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<IpAddr>,
    /// Interface.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub device: Text,
    /// Who made it: `kernel`, `dhcp`, `bird`, `80`, ..
    #[serde(skip_serializing_if = "str_is_empty")]
    pub protocol: Text,
    /// Scope, such as `link`.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub scope: Text,
    /// Address from which packets are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// Metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
}

/// One rule, or one policy, of iptables.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FilterRule {
    /// On which machine.
    pub from: Vantage,
    /// `nat`, `filter`, `mangle`; empty where nothing says it.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub table: Text,
    /// Chain.
    pub chain: Text,
    /// Match: the words between the chain and the target.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub matching: Text,
    /// Target, such as `DROP` or `AWS-SNAT-CHAIN-1`; of a chain's policy, the policy.
    pub target: Text,
    /// Whether it is the policy of the chain.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_policy: bool,
    /// Packets that it saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
}

/// Packets between two ends, as `tcpdump` saw them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PacketFlow {
    /// Where it listened.
    pub from: Vantage,
    /// Interface, where `tcpdump -i any` or its head says it.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub device: Text,
    /// `In`, `Out` or empty.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub direction: Text,
    /// Sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// Its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    /// Receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<IpAddr>,
    /// Its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_port: Option<u16>,
    /// What it was: `ICMP echo request`, `Flags [S]`, `A? example.com.`, ..
    pub what: Text,
    /// How many.
    pub count: u32,
}

/// One interface of `ip addr` or `ip link`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LinkState {
    /// On which machine.
    pub from: Vantage,
    /// Name, such as `eth0`.
    pub name: Text,
    /// Flags, such as `NO-CARRIER`.
    pub flags: Vec<Text>,
    /// `UP`, `DOWN`, `UNKNOWN`.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub state: Text,
    /// MTU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// MAC address.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub mac: Text,
    /// Addresses with their prefix, such as `10.0.1.5/24`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Text>,
}

/// One counter, sample or setting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counter {
    /// On which machine.
    pub from: Vantage,
    /// What printed it: `ethtool`, `conntrack`, `nstat`, `sysctl`, `prometheus`.
    pub of: Text,
    /// Name, such as `conntrack_allowance_exceeded`, `net.ipv4.ip_forward` or
    /// `coredns_dns_responses_total`.
    pub name: Text,
    /// Labels of a Prometheus sample, as written, or the CPU of conntrack.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub labels: Text,
    /// Value.
    pub value: f64,
    /// When, where the sample says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixture_needs_to_name_little() {
        let seen: Observations = serde_json::from_value(serde_json::json!({
            "lookups": [{"name": "a.example", "outcome": "timeout"}, {"name": "b.example"}],
            "pings": [{"target": "10.0.0.1", "sent": 5}],
            "calls": [{"host": "a", "end": "unresolved"}],
        }))
        .expect("observations");
        assert!(!seen.is_empty() && seen.pings[0].is_lost());
        assert!(!seen.lookups[0].is_answered() && !seen.lookups[1].is_ok());
        assert!(Observations::default().is_empty());
    }
}
