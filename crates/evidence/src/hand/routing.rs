//! `ip rule` and `ip route`, and the table of `route -n`.

use eksnet_model::observed::{PolicyRule, RouteEntry, Vantage};

use super::{MAX, address};

/// The rules and routes of a text.
#[derive(Default)]
pub(super) struct Routing {
    pub(super) rules: Vec<PolicyRule>,
    pub(super) routes: Vec<RouteEntry>,
    /// Table that the command names.
    table: Option<String>,
    /// Whether rows of `route -n` follow.
    in_kernel_table: bool,
}

impl Routing {
    pub(super) fn command(&mut self, command: &str) {
        let mut words = command.split_whitespace();
        self.in_kernel_table = false;
        self.table = words
            .find(|word| matches!(*word, "table" | "t"))
            .and_then(|_| words.next())
            .map(str::to_owned);
    }

    pub(super) fn line(&mut self, text: &str, from: &Vantage) -> bool {
        self.rule(text, from) || self.route(text, from) || self.kernel_row(text, from)
    }

    /// `512: from all to 10.0.1.5 lookup main`.
    fn rule(&mut self, text: &str, from: &Vantage) -> bool {
        let Some((priority, rest)) = text.split_once(':') else {
            return false;
        };
        let Ok(priority) = priority.trim().parse() else {
            return false;
        };
        let rest = rest.trim_start();
        let rest = rest.strip_prefix("not ").unwrap_or(rest);
        if !rest.starts_with("from ") {
            return false;
        }
        let mut rule = PolicyRule {
            from: from.clone(),
            priority,
            ..PolicyRule::default()
        };
        let mut words = rest.split_whitespace();
        while let Some(key) = words.next() {
            let mut value = || words.next().unwrap_or_default();
            match key {
                "from" => rule.source = Some(value().into()).filter(|prefix| *prefix != "all"),
                "to" => rule.destination = Some(value().into()),
                "fwmark" => rule.mark = Some(value().into()),
                "iif" => rule.incoming = Some(value().into()),
                "lookup" | "table" => rule.table = value().into(),
                _ => {}
            }
        }
        if rule.table.is_empty() {
            return false;
        }
        if self.rules.len() < MAX {
            self.rules.push(rule);
        }
        true
    }

    /// `192.168.94.0/26 via 10.80.10.13 dev eth0 proto 80 onlink`.
    fn route(&mut self, text: &str, from: &Vantage) -> bool {
        let mut words = text.split_whitespace().peekable();
        let kind = match words.peek().copied() {
            Some(
                kind @ ("unicast" | "unreachable" | "blackhole" | "prohibit" | "local"
                | "broadcast" | "anycast" | "multicast"),
            ) => {
                words.next();
                kind
            }
            _ => "unicast",
        };
        let Some(destination) = words.next().filter(|word| is_prefix(word)) else {
            return false;
        };
        let mut route = RouteEntry {
            from: from.clone(),
            table: self.table.as_deref().map(Into::into),
            kind: kind.into(),
            destination: destination.into(),
            ..RouteEntry::default()
        };
        let mut is_route = matches!(kind, "unreachable" | "blackhole" | "prohibit");
        while let Some(key) = words.next() {
            let mut value = || words.next().unwrap_or_default();
            match key {
                "via" => {
                    let mut gateway = value();
                    if matches!(gateway, "inet" | "inet6") {
                        gateway = value();
                    }
                    route.via = address(gateway);
                    is_route |= route.via.is_some();
                }
                "dev" => {
                    route.device = value().into();
                    is_route = true;
                }
                "proto" => route.protocol = value().into(),
                "scope" => route.scope = value().into(),
                "src" => route.source = address(value()),
                "metric" => route.metric = value().parse().ok(),
                "table" => route.table = Some(value().into()),
                "onlink" | "linkdown" | "dead" | "pref" | "mtu" | "cache" | "error" | "expires"
                | "uid" | "from" => {}
                _ if is_route => {}
                // A sentence that begins with an address.
                _ => return false,
            }
        }
        if is_route && self.routes.len() < MAX {
            self.routes.push(route);
        }
        is_route
    }

    /// `10.0.0.0  0.0.0.0  255.255.255.0  U  0  0  0 eth0` below the head of `route -n`.
    fn kernel_row(&mut self, text: &str, from: &Vantage) -> bool {
        if text == "Kernel IP routing table"
            || (text.starts_with("Destination ") && text.contains("Genmask"))
        {
            self.in_kernel_table = true;
            return true;
        }
        if !self.in_kernel_table {
            return false;
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let [destination, gateway, mask, _flags, metric, _, _, device] = words.as_slice() else {
            self.in_kernel_table = false;
            return false;
        };
        let Some(std::net::IpAddr::V4(mask)) = address(mask) else {
            return false;
        };
        let length = mask.to_bits().count_ones();
        self.routes.push(RouteEntry {
            from: from.clone(),
            kind: "unicast".into(),
            destination: match (*destination, length) {
                ("0.0.0.0" | "default", 0) => "default".into(),
                (destination, length) => format!("{destination}/{length}").into(),
            },
            via: address(gateway).filter(|gateway| !gateway.is_unspecified()),
            device: (*device).into(),
            metric: metric.parse().ok(),
            ..RouteEntry::default()
        });
        true
    }
}

/// `default`, an address, or a prefix.
fn is_prefix(word: &str) -> bool {
    let (host, length) = word.split_once('/').unwrap_or((word, "0"));
    word == "default" || (host.parse::<std::net::IpAddr>().is_ok() && length.parse::<u8>().is_ok())
}
