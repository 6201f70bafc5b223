//! `iptables-save`, `iptables -S` and `iptables -L`.

use eksnet_model::observed::{FilterRule, Vantage};

use super::MAX;

/// The rules of a text.
#[derive(Default)]
pub(super) struct Filters {
    pub(super) rules: Vec<FilterRule>,
    table: String,
    /// Chain whose rows follow, of `iptables -L`.
    chain: String,
    /// Whether rows begin with counters.
    counted: bool,
}

impl Filters {
    pub(super) fn line(&mut self, text: &str, from: &Vantage) -> bool {
        if let Some(table) = text.strip_prefix('*')
            && matches!(table, "nat" | "filter" | "mangle" | "raw" | "security")
        {
            self.table = table.to_owned();
            return true;
        }
        if text == "COMMIT" && !self.table.is_empty() {
            self.table.clear();
            return true;
        }
        self.policy(text, from) || self.appended(text, from) || self.listed(text, from)
    }

    /// `:PREROUTING ACCEPT [0:0]` or `-P INPUT ACCEPT`.
    fn policy(&mut self, text: &str, from: &Vantage) -> bool {
        let saved = text.strip_prefix(':').filter(|_| !self.table.is_empty());
        let Some(rest) = saved.or_else(|| text.strip_prefix("-P ")) else {
            return !self.table.is_empty() && text.starts_with("-N ");
        };
        let mut words = rest.split_whitespace();
        let (Some(chain), Some(policy)) = (words.next(), words.next()) else {
            return false;
        };
        if policy != "-" {
            self.push(FilterRule {
                from: from.clone(),
                table: self.table.as_str().into(),
                chain: chain.into(),
                target: policy.into(),
                is_policy: true,
                packets: words.next().and_then(counted),
                ..FilterRule::default()
            });
        }
        true
    }

    /// `[12:345] -A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE`.
    fn appended(&mut self, text: &str, from: &Vantage) -> bool {
        let (packets, rest) = match text
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("] "))
        {
            Some((counters, rest)) => (counted(counters), rest),
            None => (None, text),
        };
        let Some(rest) = rest.strip_prefix("-A ") else {
            return false;
        };
        let (chain, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let (matching, target) = rest
            .split_once("-j ")
            .or_else(|| rest.split_once("-g "))
            .unwrap_or((rest, ""));
        self.push(FilterRule {
            from: from.clone(),
            table: self.table.as_str().into(),
            chain: chain.into(),
            matching: matching.trim().into(),
            target: target.into(),
            packets,
            ..FilterRule::default()
        });
        true
    }

    /// `Chain INPUT (policy DROP 0 packets, 0 bytes)` and the rows below it.
    fn listed(&mut self, text: &str, from: &Vantage) -> bool {
        if let Some(rest) = text.strip_prefix("Chain ")
            && let Some((chain, inside)) = rest.split_once(" (")
        {
            chain.clone_into(&mut self.chain);
            if let Some(policy) = inside.strip_prefix("policy ") {
                let mut words = policy.split([' ', ')']);
                self.push(FilterRule {
                    from: from.clone(),
                    table: self.table.as_str().into(),
                    chain: chain.into(),
                    target: words.next().unwrap_or_default().into(),
                    is_policy: true,
                    packets: words.next().and_then(number),
                    ..FilterRule::default()
                });
            }
            return true;
        }
        if self.chain.is_empty() {
            return false;
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        if matches!(words.first(), Some(&"pkts" | &"target" | &"num"))
            && words.contains(&"destination")
        {
            self.counted = words.first() == Some(&"pkts");
            return true;
        }
        let (packets, rest) = match words.as_slice() {
            [packets, _bytes, rest @ ..] if self.counted => (number(packets), rest),
            rest if !self.counted => (None, rest),
            _ => (None, &[][..]),
        };
        let [target, protocol, _opt, matching @ ..] = rest else {
            self.chain.clear();
            return false;
        };
        if !matches!(
            *protocol,
            "all" | "tcp" | "udp" | "icmp" | "0" | "6" | "17" | "1"
        ) {
            self.chain.clear();
            return false;
        }
        self.push(FilterRule {
            from: from.clone(),
            table: self.table.as_str().into(),
            chain: self.chain.as_str().into(),
            matching: format!("{protocol} {}", matching.join(" ")).into(),
            target: (*target).into(),
            packets,
            ..FilterRule::default()
        });
        true
    }

    fn push(&mut self, rule: FilterRule) {
        if self.rules.len() < MAX {
            self.rules.push(rule);
        }
    }
}

/// Packets of `[12:345]`.
fn counted(text: &str) -> Option<u64> {
    text.trim_matches(['[', ']'])
        .split(':')
        .next()?
        .parse()
        .ok()
}

/// `12`, `12K`, `3M`.
fn number(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    let unit = match text.as_bytes().last()? {
        b'K' => 1_000,
        b'M' => 1_000_000,
        b'G' => 1_000_000_000,
        _ => 1,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}
