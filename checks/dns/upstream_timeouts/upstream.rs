//! What the lines tell of one upstream.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use eksnet_model::corefile::upstream_ip;
use eksnet_model::{Corefile, Fact, Heard, Text};

/// Most logs that are spelt out for one upstream.
const MAX_FACTS: usize = 4;

/// Whose server an upstream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    VpcResolver,
    Other,
    NotKnown,
}

/// One upstream, with the lines that name it.
pub(super) struct Upstream<'a> {
    /// Address and port; `None` of lines that name none.
    server: Option<&'a Text>,
    pub(super) count: u64,
    pub(super) lines: Vec<&'a Heard<'a>>,
}

impl<'a> Upstream<'a> {
    /// Every upstream that lines name, by address; lines without address are one more.
    pub(super) fn all(lines: &'a [Heard<'a>]) -> Vec<Self> {
        let mut found: BTreeMap<Option<&Text>, Self> = BTreeMap::new();
        for one in lines {
            let mut servers: Vec<(Option<&Text>, u64)> = one
                .counted("server")
                .map(|(server, count)| (Some(server), count))
                .collect();
            if servers.is_empty() {
                servers.push((None, one.hits.count));
            }
            for (server, count) in servers {
                let entry = found.entry(server).or_insert_with(|| Self {
                    server,
                    count: 0,
                    lines: Vec::new(),
                });
                entry.count += count;
                entry.lines.push(one);
            }
        }
        // Lines without an address are about the same servers where others name them.
        if found.len() > 1
            && let Some(nameless) = found.remove(&None)
            && let Some(other) = found.values_mut().next()
        {
            other.lines.extend(nameless.lines);
        }
        found.into_values().collect()
    }

    pub(super) fn name(&self) -> String {
        self.server
            .map_or_else(|| "its upstreams".to_owned(), |server| server.to_string())
    }

    /// The address without its port.
    pub(super) fn address(&self) -> Option<&'a str> {
        let server = self.server?.as_str();
        let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
        Some(host.trim_matches(['[', ']']))
    }

    fn ip(&self) -> Option<IpAddr> {
        self.address()?.parse().ok()
    }

    /// Whose server it is. Where the VPC is not known, an IPv4 address that ends in .2 counts as its
    /// resolver: the third address of a block is AWS's own in every VPC.
    pub(super) fn kind(&self, resolvers: &[IpAddr]) -> Kind {
        let Some(ip) = self.ip() else {
            return Kind::NotKnown;
        };
        let guessed = match ip {
            IpAddr::V4(v4) => resolvers.len() < 3 && v4.is_private() && v4.octets()[3] == 2,
            IpAddr::V6(_) => false,
        };
        if resolvers.contains(&ip) || guessed {
            Kind::VpcResolver
        } else {
            Kind::Other
        }
    }

    fn distinct(&self, field: &str) -> BTreeSet<&'a str> {
        self.lines
            .iter()
            .flat_map(|one| one.counted(field))
            .map(|(value, _)| value.as_str())
            .collect()
    }

    /// Whether every line is the loop plugin's own probe: HINFO of two random numbers.
    pub(super) fn loop_probe_alone(&self) -> bool {
        let types = self.distinct("type");
        types.len() == 1 && types.contains("HINFO")
    }

    /// Whether only AAAA queries of one zone fail, which is no zone of AWS.
    pub(super) fn one_broken_zone(&self) -> bool {
        let types = self.distinct("type");
        let zones: BTreeSet<String> = self.distinct("name").into_iter().map(zone).collect();
        types.len() == 1
            && types.contains("AAAA")
            && zones.len() == 1
            && !zones.iter().any(|zone| zone.ends_with("amazonaws.com"))
    }

    /// Ends the title.
    pub(super) fn how(&self) -> String {
        let faults: Vec<&str> = self.distinct("fault").into_iter().collect();
        let fault = if faults.is_empty() {
            "no healthy proxies".to_owned()
        } else {
            faults.join(", ")
        };
        match self.count {
            1 => format!("{fault}, once"),
            count => format!("{fault}, {count} times"),
        }
    }

    pub(super) fn facts(&self) -> Vec<Fact> {
        self.lines
            .iter()
            .take(MAX_FACTS)
            .map(|one| one.fact("lines"))
            .collect()
    }

    /// The line of the Corefile that names the upstream.
    pub(super) fn written_in(&self, file: &Corefile) -> Option<String> {
        let ip = self.ip()?;
        let mut plugins = file.plugins("forward").chain(file.plugins("proxy"));
        plugins
            .find(|plugin| plugin.args.iter().any(|to| upstream_ip(to) == Some(ip)))
            .map(|plugin| format!("{} {}", plugin.name, plugin.args.join(" ")))
    }
}

/// The last two labels of a name, in which its zone lies.
fn zone(name: &str) -> String {
    let labels: Vec<&str> = name.trim_end_matches('.').rsplit('.').take(2).collect();
    labels.into_iter().rev().collect::<Vec<_>>().join(".")
}
