//! `tcpdump`: packets that were seen.

use std::net::IpAddr;

use eksnet_model::observed::{PacketFlow, Vantage};

use super::{MAX, address};

/// The packets of a text.
#[derive(Default)]
pub(super) struct Packets {
    pub(super) flows: Vec<PacketFlow>,
    device: String,
}

impl Packets {
    pub(super) fn command(&mut self, command: &str) {
        let mut words = command.split_whitespace();
        self.device = words
            .find(|word| matches!(*word, "-i" | "--interface" | "-ni" | "-nni"))
            .and_then(|_| words.next())
            .unwrap_or_default()
            .to_owned();
    }

    /// `14:21:16.293671 eth0  In  IP 10.0.1.5.41234 > 10.100.0.10.53: 1234+ A? example.com. (28)`.
    pub(super) fn line(&mut self, text: &str, from: &Vantage) -> bool {
        if let Some(rest) = text
            .strip_prefix("listening on ")
            .or_else(|| text.strip_prefix("tcpdump: listening on "))
        {
            self.device = rest.split(',').next().unwrap_or_default().to_owned();
            return true;
        }
        let Some((head, rest)) = text.split_once(" IP ").or_else(|| text.split_once(" IP6 "))
        else {
            return text.ends_with(" packets captured")
                || text.ends_with(" packets received by filter");
        };
        let mut words = head.split_whitespace();
        let first = words.next().unwrap_or_default();
        let clock = if first.len() == 10 && first.as_bytes()[4] == b'-' {
            words.next().unwrap_or_default()
        } else {
            first
        };
        if clock.len() < 8
            || clock.as_bytes().get(2) != Some(&b':')
            || clock.as_bytes().get(5) != Some(&b':')
        {
            return false;
        }
        let Some((ends, what)) = rest.split_once(": ") else {
            return false;
        };
        let Some((source, destination)) = ends.split_once(" > ") else {
            return false;
        };
        let ((source, source_port), (destination, destination_port)) =
            (end(source), end(destination));
        let (mut device, mut direction) = (self.device.clone(), "");
        for word in words {
            match word {
                "In" | "Out" => direction = word,
                "B" | "M" | "P" => {}
                name if !name.contains(':') => name.clone_into(&mut device),
                _ => {}
            }
        }
        let flow = PacketFlow {
            from: from.clone(),
            device: device.into(),
            direction: direction.into(),
            source,
            source_port,
            destination,
            destination_port,
            what: kind(what).into(),
            count: 1,
        };
        let has_room = self.flows.len() < MAX;
        let known = self.flows.iter_mut().rev().take(64).find(|known| {
            known.source == flow.source
                && known.destination == flow.destination
                && known.source_port == flow.source_port
                && known.destination_port == flow.destination_port
                && known.what == flow.what
                && known.device == flow.device
                && known.direction == flow.direction
        });
        match known {
            Some(known) => known.count += 1,
            None if has_room => self.flows.push(flow),
            None => {}
        }
        true
    }
}

/// Address and port of `10.0.1.5.41234`; names of ports as tcpdump writes them.
fn end(text: &str) -> (Option<IpAddr>, Option<u16>) {
    if let Some(whole) = address(text) {
        return (Some(whole), None);
    }
    let Some((host, port)) = text.rsplit_once('.') else {
        return (None, None);
    };
    let number = match port {
        "domain" => Some(53),
        "http" => Some(80),
        "https" => Some(443),
        port => port.parse().ok(),
    };
    (address(host), number)
}

/// What a packet was, without its numbers: `ICMP echo request`, `Flags [S]`, `A? example.com.`.
fn kind(what: &str) -> String {
    let mut parts = what.split(", ");
    let first = parts.next().unwrap_or_default();
    if first.starts_with("ICMP ") || first.starts_with("Flags ") {
        return first.to_owned();
    }
    // DNS: the id first, then flags, then question or answer.
    let words: Vec<&str> = what.split_whitespace().collect();
    let is_id = words.first().is_some_and(|id| {
        id.trim_end_matches(['+', '*', '-', '%', '|'])
            .bytes()
            .all(|b| b.is_ascii_digit())
            && !id.is_empty()
    });
    if !is_id {
        return first.chars().take(80).collect();
    }
    let end = words
        .iter()
        .position(|word| word.starts_with('('))
        .unwrap_or(words.len());
    words[1..end].join(" ").chars().take(120).collect()
}
