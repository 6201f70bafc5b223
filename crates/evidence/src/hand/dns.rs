//! `dig`, `nslookup`, `host`, `getent` and `resolv.conf`.

mod words;

use std::net::IpAddr;

use eksnet_model::observed::{Ground, Lookup, ResolvFile, Vantage};
use eksnet_probe::DnsOutcome;

use super::{MAX, address};
use words::{is_options, is_record, is_tcp, is_type, over_tcp, status};

/// The questions of a text.
#[derive(Default)]
pub(super) struct Dns {
    pub(super) lookups: Vec<Lookup>,
    pub(super) resolvers: Vec<ResolvFile>,
    /// Program and name of the command that was typed last.
    program: String,
    name: String,
    server: Option<IpAddr>,
    addresses: Vec<IpAddr>,
    status: Option<DnsOutcome>,
    elapsed_ms: Option<u64>,
    /// Whether it is asked over TCP.
    tcp: bool,
    /// Whether the answer over UDP did not fit, and TCP is tried.
    truncated: bool,
    /// Whether nslookup has named what it found.
    named: bool,
    /// Whether the question ended already: what still comes belongs to it.
    ended: bool,
    in_pod: bool,
}

impl Dns {
    pub(super) fn command(&mut self, command: &str, from: &Vantage) {
        self.end(from);
        *self = Self {
            lookups: std::mem::take(&mut self.lookups),
            resolvers: std::mem::take(&mut self.resolvers),
            in_pod: self.in_pod,
            ..Self::default()
        };
        // What follows a pipe or a comment is no argument.
        let command = command.split(['|', ';', '#']).next().unwrap_or(command);
        let mut words = command.split_whitespace().skip_while(|word| {
            matches!(*word, "sudo" | "time" | "watch" | "timeout")
                || word.bytes().all(|b| b.is_ascii_digit())
        });
        let program = words.next().unwrap_or_default();
        if !matches!(
            program,
            "dig" | "nslookup" | "host" | "getent" | "drill" | "kdig" | "ping" | "ping6"
        ) {
            return;
        }
        self.program = program.to_owned();
        for word in words {
            if is_tcp(program, word) {
                self.tcp = true;
            } else if let Some(server) = word.strip_prefix('@') {
                self.server = address(server);
            } else if word.starts_with(['-', '+'])
                || is_type(word)
                || (program == "getent" && matches!(word, "hosts" | "ahosts" | "ahostsv4"))
            {
                // An option, a type of record or a database: neither name nor server.
            } else if self.name.is_empty() {
                self.name = word.trim_matches(['"', '\'']).to_owned();
            } else if !matches!(program, "dig" | "ping" | "ping6" | "getent") {
                self.server = address(word);
            }
        }
    }

    /// Whether a search list of Kubernetes was seen.
    pub(super) fn is_in_pod(&self) -> bool {
        self.in_pod
    }

    pub(super) fn line(&mut self, text: &str, from: &Vantage) -> bool {
        self.resolv(text, from)
            || self.dig(text, from)
            || self.nslookup(text, from)
            || self.host(text, from)
            || self.short(text)
    }

    /// A name that a program could not resolve.
    pub(super) fn failed(&mut self, name: &str, outcome: Option<DnsOutcome>, from: &Vantage) {
        self.push(name, None, outcome, Vec::new(), from);
    }

    /// A name that a program resolved.
    pub(super) fn resolved(&mut self, name: &str, address: IpAddr, from: &Vantage) {
        self.push(name, None, Some(DnsOutcome::Ok), vec![address], from);
    }

    fn push(
        &mut self,
        name: &str,
        server: Option<IpAddr>,
        outcome: Option<DnsOutcome>,
        addresses: Vec<IpAddr>,
        from: &Vantage,
    ) {
        let lookup = Lookup {
            from: from.clone(),
            name: name.trim_end_matches('.').into(),
            server,
            tcp: self.tcp,
            outcome,
            addresses,
            elapsed_ms: self.elapsed_ms.take(),
        };
        if self.lookups.len() < MAX && self.lookups.last() != Some(&lookup) {
            self.lookups.push(lookup);
        }
    }

    fn resolv(&mut self, text: &str, from: &Vantage) -> bool {
        let mut words = text.split_whitespace();
        let key = words.next();
        let mut file = |fill: &mut dyn FnMut(&mut ResolvFile)| {
            let is_new = self.resolvers.last().is_none_or(|last| {
                last.from.command != from.command || last.from.name != from.name
            });
            if is_new && self.resolvers.len() < MAX {
                self.resolvers.push(ResolvFile {
                    from: from.clone(),
                    ..ResolvFile::default()
                });
            }
            if let Some(last) = self.resolvers.last_mut() {
                fill(last);
            }
        };
        let rest = || words.clone().map(Into::into).collect::<Vec<_>>();
        match key {
            Some("nameserver") => {
                let Some(server) = words.clone().next().and_then(|word| word.parse().ok()) else {
                    return false;
                };
                file(&mut |into| {
                    if !into.nameservers.contains(&server) {
                        into.nameservers.push(server);
                    }
                });
            }
            Some("search") if text.contains('.') && !text.contains(": ") => {
                let is_pods = words.clone().any(|domain| domain.starts_with("svc."));
                file(&mut |into| {
                    into.search = rest();
                    if is_pods && into.from.ground == Ground::Unknown {
                        into.from.ground = Ground::Pod;
                    }
                });
                self.in_pod |= is_pods;
            }
            Some("options") if text.len() < 200 && is_options(text) => {
                file(&mut |into| into.options = rest());
            }
            _ => return false,
        }
        true
    }

    fn dig(&mut self, text: &str, from: &Vantage) -> bool {
        let is_dig = matches!(self.program.as_str(), "dig" | "drill" | "kdig");
        if text.starts_with("; <<>> DiG ") {
            let command = text.rsplit("<<>>").next().unwrap_or_default();
            if is_dig && self.status.is_none() && !self.name.is_empty() {
                return true;
            }
            self.command(&format!("dig {command}"), from);
        } else if text.starts_with(";; Truncated, retrying in TCP") {
            (self.truncated, self.tcp) = (true, true);
        } else if let Some((place, why)) = over_tcp(text) {
            self.tcp = true;
            self.server = place.split('#').next().and_then(address).or(self.server);
            if let Some((_, name)) = place.split_once(" for ")
                && self.name.is_empty()
            {
                self.name = name.to_owned();
            }
            self.ask(Some(why), from);
        } else if text.contains("no servers could be reached") {
            self.ask(Some(DnsOutcome::Timeout), from);
        } else if let Some(rest) = text
            .strip_prefix(";; communications error to ")
            .or_else(|| text.strip_prefix(";; connection timed out; "))
        {
            self.server = rest.split('#').next().and_then(address).or(self.server);
            if rest.contains("refused") {
                self.ask(Some(DnsOutcome::ConnRefused), from);
            }
        } else if let Some((_, rest)) = text.split_once("reply from unexpected source: ") {
            // The answer of a pod came back without its Service's address: the name was asked in vain.
            self.server = rest
                .split("expected ")
                .nth(1)
                .and_then(|to| to.split('#').next())
                .and_then(address);
            self.ask(Some(DnsOutcome::Malformed), from);
        } else if let Some(rest) = text
            .split_once("HEADER<<- opcode: QUERY, status: ")
            .map(|(_, rest)| rest)
            .or_else(|| {
                text.split_once("HEADER<<- opcode: QUERY, rcode: ")
                    .map(|(_, rest)| rest)
            })
        {
            self.end(from);
            self.ended = false;
            self.status = rest.split(',').next().and_then(status);
        } else if let Some(rest) = text.strip_prefix(";; Query time: ") {
            self.elapsed_ms = rest
                .split_whitespace()
                .next()
                .and_then(|ms| ms.parse().ok());
        } else if let Some(rest) = text.strip_prefix(";; SERVER: ") {
            self.server = rest.split('#').next().and_then(address);
            self.tcp |= rest.ends_with("(TCP)");
            self.end(from);
        } else if self.status.is_some() && text.starts_with(';') && text.contains("IN\t") {
            let name = text.trim_start_matches(';').split_whitespace().next();
            if self.name.is_empty() {
                self.name = name.unwrap_or_default().trim_end_matches('.').to_owned();
            }
        } else if self.status.is_some() && is_record(text) {
            self.addresses
                .extend(text.split_whitespace().next_back().and_then(address));
        } else {
            return text.starts_with(";; ") && (is_dig || self.status.is_some());
        }
        true
    }

    fn nslookup(&mut self, text: &str, from: &Vantage) -> bool {
        let value = |key: &str| text.strip_prefix(key).map(str::trim);
        if let Some(server) = value("Server:") {
            self.end(from);
            self.ended = false;
            let Some(server) = address(server) else {
                return false;
            };
            self.server = Some(server);
        } else if let Some(name) = value("Name:") {
            if self.server.is_none() || name.contains(' ') {
                return false;
            }
            self.named = true;
            if self.name.is_empty() {
                self.name = name.to_owned();
            }
        } else if let Some(found) = ["Address:", "Address 1:", "Address 2:"]
            .iter()
            .find_map(|key| value(key))
        {
            if !self.named {
                return found.contains("#53") || found.contains(":53") || self.server.is_some();
            }
            let found = found.split_whitespace().next().unwrap_or_default();
            self.addresses.extend(address(found));
        } else if let Some(rest) =
            value("** server can't find ").or_else(|| value("*** Can't find "))
        {
            let (name, code) = rest.rsplit_once(": ").unwrap_or((rest, ""));
            if self.name.is_empty() {
                self.name = name.trim_end_matches(':').to_owned();
            }
            let outcome = if code.eq_ignore_ascii_case("no answer") {
                Some(DnsOutcome::Nodata)
            } else {
                status(code)
            };
            self.ask(outcome, from);
        } else if let Some(rest) =
            value("nslookup: can't resolve ").or_else(|| value("nslookup: can't find "))
        {
            let name = rest
                .split(':')
                .next()
                .unwrap_or(rest)
                .trim_matches(['\'', '"']);
            if name != "(null)" {
                self.name = name.to_owned();
                self.ask(None, from);
            }
        } else if let Some(rest) = value("nslookup: write to ") {
            let (server, why) = rest.split_once(": ").unwrap_or((rest, ""));
            self.server = address(server);
            self.ask(
                Some(if why.contains("refused") {
                    DnsOutcome::ConnRefused
                } else {
                    DnsOutcome::NoRoute
                }),
                from,
            );
        } else if let Some(rest) = value(";; Got ") {
            let (code, rest) = rest.split_once(" reply from ").unwrap_or((rest, ""));
            self.server = rest.split(',').next().and_then(address).or(self.server);
            self.status = status(code);
        } else {
            return false;
        }
        true
    }

    fn host(&mut self, text: &str, from: &Vantage) -> bool {
        if let Some((name, found)) = text.split_once(" has address ") {
            if name.contains(' ') {
                return false;
            }
            let Some(found) = address(found) else {
                return false;
            };
            match self.lookups.last_mut() {
                Some(last) if *last.name == *name && last.is_ok() => last.addresses.push(found),
                _ => self.resolved(name, found, from),
            }
            self.ended = true;
            return true;
        }
        if let Some(rest) = text.strip_prefix("Host ")
            && let Some((name, code)) = rest.split_once(" not found: ")
        {
            let code = code
                .trim_end_matches(')')
                .rsplit('(')
                .next()
                .unwrap_or(code);
            self.failed(name, status(code), from);
            self.ended = true;
            return true;
        }
        false
    }

    /// What `dig +short` and `getent hosts` print: addresses alone.
    fn short(&mut self, text: &str) -> bool {
        if self.ended || self.name.is_empty() || !matches!(self.program.as_str(), "dig" | "getent")
        {
            return false;
        }
        let first = text.split_whitespace().next().unwrap_or_default();
        let Some(found) = address(first) else {
            return false;
        };
        self.addresses.push(found);
        self.named = true;
        true
    }

    /// Ends the question that is open, where an answer was seen.
    pub(super) fn end(&mut self, from: &Vantage) {
        let outcome = match (self.status.take(), self.addresses.is_empty()) {
            (Some(DnsOutcome::Ok), true) => DnsOutcome::Nodata,
            (Some(outcome), _) => outcome,
            (None, false) if self.named => DnsOutcome::Ok,
            _ => return,
        };
        self.ask(Some(outcome), from);
    }

    fn ask(&mut self, outcome: Option<DnsOutcome>, from: &Vantage) {
        self.named = false;
        self.status = None;
        let addresses = std::mem::take(&mut self.addresses);
        if self.ended
            && self
                .lookups
                .last()
                .is_some_and(|last| *last.name == *self.name)
        {
            return;
        }
        let name = self.name.clone();
        if std::mem::take(&mut self.truncated) && !outcome.is_some_and(DnsOutcome::is_answer) {
            // UDP did answer.
            self.tcp = false;
            self.push(
                &name,
                self.server,
                Some(DnsOutcome::Truncated),
                Vec::new(),
                from,
            );
            self.tcp = true;
        }
        self.push(&name, self.server, outcome, addresses, from);
        self.ended = true;
    }
}
