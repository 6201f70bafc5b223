//! What `resolv.conf` asks of a resolver.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use eksnet_probe::Resolv;
use hickory_proto::rr::Name;

/// Servers that libc uses; it ignores the rest (`MAXNS`).
const MAX_SERVERS: usize = 3;

/// Servers, search list and options with the defaults and limits of resolv.conf(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) servers: Vec<IpAddr>,
    pub(super) search: Vec<Name>,
    pub(super) ndots: usize,
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
    pub(super) tcp_only: bool,
    pub(super) ipv4_only: bool,
}

/// A fully qualified name to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) name: Name,
    /// Whether a search suffix was added.
    pub(super) searched: bool,
}

impl Settings {
    pub(super) fn new(resolv: &Resolv) -> Self {
        let option = |key: &str| {
            resolv.options.iter().rev().find_map(|option| {
                let (name, value) = option.split_once(':')?;
                (name == key).then(|| value.parse::<u32>().ok())?
            })
        };
        let set = |key: &str| resolv.options.iter().any(|option| option == key);
        let mut servers: Vec<IpAddr> = resolv
            .nameservers
            .iter()
            .filter_map(|server| server.parse().ok())
            .take(MAX_SERVERS)
            .collect();
        if servers.is_empty() {
            servers.push(Ipv4Addr::LOCALHOST.into());
        }
        Self {
            servers,
            search: resolv
                .search
                .iter()
                .filter_map(|suffix| Name::from_ascii(suffix).ok())
                .collect(),
            ndots: option("ndots").map_or(1, |ndots| ndots.min(15) as usize),
            timeout: Duration::from_secs(option("timeout").unwrap_or(5).clamp(1, 30).into()),
            attempts: option("attempts").unwrap_or(2).clamp(1, 5),
            tcp_only: set("use-vc"),
            ipv4_only: set("no-aaaa"),
        }
    }

    /// The names to ask for, in order.
    pub(super) fn candidates(&self, name: &Name) -> Vec<Candidate> {
        let mut bare = name.clone();
        bare.set_fqdn(true);
        let bare = Candidate {
            name: bare,
            searched: false,
        };
        if name.is_fqdn() {
            return vec![bare];
        }
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        let searched = self.search.iter().filter_map(|suffix| {
            let mut name = name.clone().append_domain(suffix).ok()?;
            name.set_fqdn(true);
            Some(Candidate {
                name,
                searched: true,
            })
        });
        if dots >= self.ndots {
            std::iter::once(bare).chain(searched).collect()
        } else {
            searched.chain(std::iter::once(bare)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolv::parse_resolv;

    const KUBELET: &str = "search web.svc.cluster.local svc.cluster.local cluster.local\n\
                           nameserver 10.100.0.10\noptions ndots:5\n";

    fn names(conf: &str, name: &str) -> Vec<String> {
        let settings = Settings::new(&parse_resolv(conf));
        settings
            .candidates(&Name::from_ascii(name).unwrap())
            .iter()
            .map(|candidate| candidate.name.to_ascii())
            .collect()
    }

    #[test]
    fn with_five_ndots_the_search_list_goes_before_the_bare_name() {
        assert_eq!(
            names(KUBELET, "sts.us-west-2.amazonaws.com"),
            [
                "sts.us-west-2.amazonaws.com.web.svc.cluster.local.",
                "sts.us-west-2.amazonaws.com.svc.cluster.local.",
                "sts.us-west-2.amazonaws.com.cluster.local.",
                "sts.us-west-2.amazonaws.com.",
            ]
        );
    }

    #[test]
    fn with_dots_enough_the_bare_name_goes_first() {
        let conf = KUBELET.replace("ndots:5", "ndots:1");
        assert_eq!(names(&conf, "a.example")[0], "a.example.");
        assert_eq!(names(&conf, "a.example").len(), 4);
        assert_eq!(names(&conf, "a")[0], "a.web.svc.cluster.local.");
    }

    #[test]
    fn a_trailing_dot_switches_the_search_list_off() {
        assert_eq!(names(KUBELET, "amazon.com."), ["amazon.com."]);
    }

    #[test]
    fn options_are_bounded_as_in_glibc_and_the_last_wins() {
        let of = |options: &str| Settings::new(&parse_resolv(&format!("options {options}\n")));
        assert_eq!(of("ndots:99").ndots, 15);
        assert_eq!(of("ndots:2 ndots:3").ndots, 3);
        assert_eq!(of("timeout:0").timeout, Duration::from_secs(1));
        assert_eq!(of("attempts:9").attempts, 5);
        let plain = of("");
        assert_eq!((plain.ndots, plain.attempts), (1, 2));
        assert_eq!(plain.timeout, Duration::from_secs(5));
        assert_eq!(plain.servers, [IpAddr::from([127, 0, 0, 1])]);
    }

    #[test]
    fn servers_past_the_third_are_not_asked() {
        let conf = "nameserver 10.0.0.1\nnameserver nonsense\nnameserver 10.0.0.2\n\
                    nameserver fd00:ec2::253\nnameserver 10.0.0.4\n";
        let servers = Settings::new(&parse_resolv(conf)).servers;
        assert_eq!(servers.len(), 3);
        assert_eq!(servers[2], "fd00:ec2::253".parse::<IpAddr>().unwrap());
    }
}
