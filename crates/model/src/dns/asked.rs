//! What DNS servers gave to those who asked them by hand: one path per client and server.

use std::collections::BTreeMap;
use std::net::IpAddr;

use eksnet_probe::DnsOutcome;

use super::{NODE_LOCAL, in_domain};
use crate::observed::{Ground, Lookup, Vantage};
use crate::{Cx, DnsPath, Observations, Text};

/// What one client got from one server.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Where it was asked.
    pub from: Vantage,
    /// The server; `None`: that of the system, which nothing tells.
    pub server: Option<IpAddr>,
    /// Names of the cluster, which CoreDNS answers by itself.
    pub own: DnsPath,
    /// Other names, which a server may have to ask others for.
    pub outside: DnsPath,
    /// Names of the cluster that failed in a way that the program does not tell.
    pub own_failed: usize,
    /// The first name that got no answer.
    pub lost_name: Text,
}

impl Asked {
    /// Everything that was asked by hand.
    #[must_use]
    pub fn all(cx: &Cx<'_>) -> Vec<Self> {
        let Some(seen) = cx.observations().optional() else {
            return Vec::new();
        };
        let domain = cx.cluster().dns_domain();
        let mut found: BTreeMap<(String, Option<IpAddr>), Self> = BTreeMap::new();
        for lookup in &seen.lookups {
            let server = seen.server_of(lookup);
            let one = found
                .entry((lookup.from.standpoint(), server))
                .or_insert_with(|| Self {
                    from: lookup.from.clone(),
                    server,
                    own: DnsPath::default(),
                    outside: DnsPath::default(),
                    own_failed: 0,
                    lost_name: Text::default(),
                });
            one.count(lookup, domain);
        }
        found.into_values().collect()
    }

    fn count(&mut self, lookup: &Lookup, domain: &str) {
        let own = is_own(&lookup.name, domain);
        let path = if own {
            &mut self.own
        } else {
            &mut self.outside
        };
        match lookup.outcome {
            None => self.own_failed += usize::from(own),
            Some(DnsOutcome::Timeout | DnsOutcome::NoRoute) => {
                path.lost += 1;
                if self.lost_name.is_empty() {
                    self.lost_name = lookup.name.clone();
                }
            }
            Some(DnsOutcome::ConnRefused) => path.refused += 1,
            // It came from elsewhere: a fault of another kind.
            Some(DnsOutcome::Malformed) => {}
            Some(_) => path.answered += 1,
        }
    }

    /// Both kinds of names together.
    #[must_use]
    pub fn total(&self) -> DnsPath {
        DnsPath {
            answered: self.own.answered + self.outside.answered,
            refused: self.own.refused + self.outside.refused,
            lost: self.own.lost + self.outside.lost,
        }
    }

    /// Whether nothing ever came back from that server.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.total().is_dead()
    }

    /// Whether this is a pod, or somebody unnamed, that gets nothing at all from cluster DNS: silence for a
    /// name of the cluster. Nobody asks a cache of the node, the VPC's resolver or a public server here.
    #[must_use]
    pub fn is_cut_off_cluster_dns(&self) -> bool {
        self.is_silent()
            && (self.own.lost > 0 || self.own_failed > 0)
            && match self.server {
                Some(IpAddr::V4(v4)) => {
                    v4.is_private() && !v4.is_link_local() || is_shared(IpAddr::V4(v4))
                }
                Some(other) => other != NODE_LOCAL && !other.is_loopback(),
                None => self.from.ground == Ground::Pod,
            }
    }

    /// Name of the node on which it was asked, as far as the prompt tells.
    #[must_use]
    pub fn node(&self) -> Option<&Text> {
        (self.from.ground == Ground::Node && !self.from.name.is_empty()).then_some(&self.from.name)
    }
}

/// Addresses of 100.64.0.0/10, which VPCs use for pods.
fn is_shared(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.octets()[0] == 100 && (64..128).contains(&v4.octets()[1]))
}

/// Whether CoreDNS answers a name by itself, as it was typed: with the domain, or short.
fn is_own(name: &str, domain: &str) -> bool {
    let bare = super::bare(name);
    in_domain(&bare, domain)
        || bare.ends_with(".svc")
        || bare == "kubernetes.default"
        || (!bare.is_empty() && !bare.contains('.') && bare != "localhost")
}

impl Observations {
    /// The server that a lookup went to: the one that was named, else that of the `resolv.conf` that was
    /// pasted in the same place.
    #[must_use]
    pub fn server_of(&self, lookup: &Lookup) -> Option<IpAddr> {
        lookup.server.or_else(|| {
            let mut files = self.resolvers.iter();
            let own = files.find(|file| file.from.file == lookup.from.file)?;
            own.nameservers.first().copied()
        })
    }
}

impl Vantage {
    /// Who it was, in a few words: a pod or node by its name, else the file.
    #[must_use]
    pub fn standpoint(&self) -> String {
        match (self.name.as_str(), self.ground) {
            ("", _) => self.file.to_string(),
            (name, Ground::Pod) => format!("pod {name}"),
            (name, _) => name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn short_names_are_of_the_cluster() {
        for name in [
            "kubernetes",
            "kubernetes.default",
            "api.shop.svc",
            "api.shop.svc.cluster.local.",
        ] {
            assert!(is_own(name, "cluster.local"), "{name}");
        }
        for name in ["amazon.com", "localhost", "", "svc.example.org"] {
            assert!(!is_own(name, "cluster.local"), "{name}");
        }
    }
}
