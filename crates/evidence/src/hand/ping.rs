//! `ping`: packets that were sent and that came back.

use std::net::IpAddr;

use eksnet_model::observed::{Ping, Vantage};
use eksnet_probe::DnsOutcome;

use super::dns::Dns;
use super::{MAX, address};

/// The pings of a text.
#[derive(Default)]
pub(super) struct Pings {
    done: Vec<Ping>,
    open: Option<Ping>,
    /// Host of the command.
    target: String,
    /// Whether nothing was printed yet: ping prints its first line once it has an address.
    is_mute: bool,
}

impl Pings {
    pub(super) fn command(&mut self, command: &str) {
        self.close();
        self.target.clear();
        self.is_mute = false;
        let mut words = command
            .split_whitespace()
            .skip_while(|word| *word == "sudo");
        if !matches!(words.next(), Some("ping" | "ping6" | "fping")) {
            return;
        }
        let mut is_value = false;
        for word in words {
            if is_value {
                is_value = false;
            } else if word.starts_with('-') {
                is_value = matches!(word, "-c" | "-W" | "-w" | "-i" | "-I" | "-s" | "-M" | "-t");
            } else {
                self.target = word.trim_matches(['"', '\'']).to_owned();
                self.is_mute = true;
                break;
            }
        }
    }

    pub(super) fn line(&mut self, text: &str, from: &Vantage, dns: &mut Dns) -> bool {
        let was_mute = std::mem::take(&mut self.is_mute);
        if text == "^C" && was_mute && address(&self.target).is_none() {
            // Broken off while it waited for the name.
            dns.failed(&self.target, None, from);
            return true;
        }
        if let Some(rest) = text.strip_prefix("PING ") {
            return self.begin(rest, from, dns);
        }
        if let Some(rest) = text
            .strip_prefix("ping: ")
            .or_else(|| text.strip_prefix("ping6: "))
        {
            return self.refused(rest, from, dns);
        }
        if text.contains(" packets transmitted, ") {
            return self.summary(text, from);
        }
        if let Some(open) = &mut self.open {
            if text.contains(" bytes from ") && text.contains("seq=") {
                open.received += u32::from(open.sent == 0);
                return true;
            }
            if let Some(why) = text.strip_prefix("From ").and_then(|rest| {
                rest.split_once("icmp_seq=")
                    .and_then(|(_, rest)| rest.split_once(' '))
            }) {
                let why = why.1.into();
                if open.errors.len() < 8 && !open.errors.contains(&why) {
                    open.errors.push(why);
                }
                return true;
            }
            return (text.starts_with("--- ") && text.ends_with("ping statistics ---"))
                || text.starts_with("rtt min/avg")
                || text.starts_with("round-trip min/avg")
                || text.starts_with("no answer yet for icmp_seq=")
                || text.starts_with("Request timeout for icmp_seq");
        }
        if let Some(rest) = text.strip_prefix("--- ")
            && let Some(target) = rest.strip_suffix(" ping statistics ---")
        {
            self.target = target.to_owned();
            return true;
        }
        false
    }

    /// `name (address) 56(84) bytes of data.`
    fn begin(&mut self, rest: &str, from: &Vantage, dns: &mut Dns) -> bool {
        let Some((name, rest)) = rest.split_once([' ', '(']) else {
            return false;
        };
        let found = rest
            .trim_start_matches('(')
            .split(')')
            .next()
            .and_then(address);
        if found.is_none() && !rest.contains("bytes") {
            return false;
        }
        self.close();
        if let Some(found) = found
            && name.parse::<IpAddr>().is_err()
        {
            dns.resolved(name, found, from);
        }
        self.open = Some(Ping {
            from: from.clone(),
            target: name.into(),
            address: found.or_else(|| address(name)),
            ..Ping::default()
        });
        true
    }

    /// What ping says before it sends anything.
    fn refused(&mut self, rest: &str, from: &Vantage, dns: &mut Dns) -> bool {
        if let Some(name) = rest
            .strip_prefix("bad address ")
            .or_else(|| rest.strip_prefix("unknown host "))
        {
            dns.failed(name.trim_matches(['\'', '"']), None, from);
            return true;
        }
        if let Some((name, why)) = rest.split_once(": ") {
            let outcome = match why {
                "Name or service not known" | "Unknown host" | "cannot resolve" => {
                    Some(DnsOutcome::Nxdomain)
                }
                // EAI_AGAIN: no server answered, or one answered SERVFAIL.
                "Temporary failure in name resolution" => None,
                _ => {
                    let target = if matches!(name, "connect" | "sendmsg" | "sendto") {
                        self.target.clone()
                    } else {
                        name.to_owned()
                    };
                    match &mut self.open {
                        Some(open) => open.errors.push(why.into()),
                        None => self.done.push(Ping {
                            from: from.clone(),
                            address: address(&target),
                            target: target.into(),
                            errors: vec![why.into()],
                            ..Ping::default()
                        }),
                    }
                    return true;
                }
            };
            dns.failed(name, outcome, from);
            return true;
        }
        false
    }

    /// `5 packets transmitted, 0 received, 100% packet loss`, `.., 0 packets received, ..`.
    fn summary(&mut self, text: &str, from: &Vantage) -> bool {
        let mut numbers = text
            .split(", ")
            .map(|part| part.split_whitespace().next().unwrap_or_default());
        let number = |word: Option<&str>| word.and_then(|word| word.parse::<u32>().ok());
        let (Some(sent), Some(received)) = (number(numbers.next()), number(numbers.next())) else {
            return false;
        };
        let mut ping = self.open.take().unwrap_or_else(|| Ping {
            from: from.clone(),
            address: address(&self.target),
            target: self.target.as_str().into(),
            ..Ping::default()
        });
        (ping.sent, ping.received) = (sent, received);
        if self.done.len() < MAX {
            self.done.push(ping);
        }
        true
    }

    fn close(&mut self) {
        self.done.extend(
            self.open
                .take()
                .filter(|ping| ping.received > 0 || !ping.errors.is_empty()),
        );
    }

    pub(super) fn finish(mut self) -> Vec<Ping> {
        self.close();
        self.done
    }
}
