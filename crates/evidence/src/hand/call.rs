//! `curl`, `wget`, `nc`, `telnet` and `openssl s_client`: connections, and how they ended.

use eksnet_model::observed::{Call, CallEnd, Vantage};
use eksnet_probe::DnsOutcome;

use super::dns::Dns;
use super::{MAX, address};

/// The connections of a text.
#[derive(Default)]
pub(super) struct Calls {
    done: Vec<Call>,
    /// The program that was typed last, and what it connects to.
    program: String,
    host: String,
    port: Option<u16>,
    /// Address that is being tried.
    address: Option<std::net::IpAddr>,
    /// Whether the command's end was seen.
    ended: bool,
}

impl Calls {
    pub(super) fn command(&mut self, command: &str, _from: &Vantage) {
        let done = std::mem::take(&mut self.done);
        *self = Self {
            done,
            ..Self::default()
        };
        let command = command.split(['|', '#']).next().unwrap_or(command);
        let mut words = command.split_whitespace().skip_while(|word| {
            matches!(*word, "sudo" | "time" | "timeout") || word.bytes().all(|b| b.is_ascii_digit())
        });
        let program = words.next().unwrap_or_default();
        if !matches!(
            program,
            "curl" | "wget" | "nc" | "ncat" | "netcat" | "telnet" | "openssl"
        ) {
            return;
        }
        self.program = program.to_owned();
        let mut is_value = false;
        for word in words {
            let word = word.trim_matches(['"', '\'']);
            if std::mem::take(&mut is_value) {
                continue;
            }
            if word.starts_with('-') {
                is_value = program == "curl"
                    && matches!(
                        word,
                        "-m" | "-o"
                            | "-H"
                            | "-X"
                            | "-w"
                            | "-d"
                            | "--max-time"
                            | "--connect-timeout"
                            | "--resolve"
                            | "--retry"
                            | "--header"
                            | "--request"
                            | "--cacert"
                            | "--data"
                    )
                    || program != "curl"
                        && matches!(word, "-w" | "-T" | "-t" | "-servername" | "-O");
            } else if word.contains("://") || (self.host.is_empty() && word != "s_client") {
                let (host, port) = target(word);
                self.host = host;
                self.port = port;
            } else if self.port.is_none() && !self.host.is_empty() && program != "curl" {
                self.port = word.parse().ok();
            }
        }
    }

    pub(super) fn line(&mut self, text: &str, from: &Vantage, dns: &mut Dns) -> bool {
        self.curl(text, from, dns) || self.verbose(text, from) || self.others(text, from, dns)
    }

    /// `curl: (28) Connection timed out after 5001 milliseconds`.
    fn curl(&mut self, text: &str, from: &Vantage, dns: &mut Dns) -> bool {
        let Some((code, said)) = text
            .strip_prefix("curl: (")
            .and_then(|rest| rest.split_once(") "))
        else {
            return false;
        };
        let host = said
            .split_once("resolve host: ")
            .map(|(_, host)| host.trim())
            .or_else(|| {
                said.strip_prefix("Failed to connect to ")
                    .and_then(|rest| rest.split_whitespace().next())
            });
        if let Some(host) = host {
            self.host = host.trim_end_matches(';').to_owned();
        }
        if let Some((_, rest)) = said.split_once(" port ") {
            self.port = rest
                .split(|c: char| !c.is_ascii_digit())
                .next()
                .and_then(|port| port.parse().ok())
                .or(self.port);
        }
        let end = match code {
            "6" => CallEnd::Unresolved,
            "28" if said.starts_with("Resolving timed out") => CallEnd::Unresolved,
            "28" => CallEnd::TimedOut,
            "52" | "56" => CallEnd::Reset,
            "35" | "51" | "58" | "60" | "77" | "83" => CallEnd::Tls,
            _ => end_of(said),
        };
        if end == CallEnd::Unresolved {
            let outcome = said.contains("timed out").then_some(DnsOutcome::Timeout);
            let host = self.host.clone();
            dns.failed(&host, outcome, from);
        }
        self.push(end, None, said, from);
        true
    }

    /// What `curl -v` and `-i` print.
    fn verbose(&mut self, text: &str, from: &Vantage) -> bool {
        if let Some(rest) = text
            .strip_prefix("*   Trying ")
            .or_else(|| text.strip_prefix("* Trying "))
        {
            let place = rest.trim_end_matches('.');
            let (host, port) = place.rsplit_once(':').unwrap_or((place, ""));
            self.address = address(host).or_else(|| address(place));
            self.port = port.parse().ok().or(self.port);
            return true;
        }
        if text.starts_with("* connect to ") || text.starts_with("* Immediate connect fail") {
            let end = end_of(text);
            self.push(end, None, text.trim_start_matches("* "), from);
            return true;
        }
        let is_open = ["* Connected to ", "Ncat: Connected to "]
            .iter()
            .find_map(|start| text.strip_prefix(start));
        if let Some(rest) = is_open {
            let host = rest.split([' ', ':']).next().unwrap_or_default();
            self.host = host.to_owned();
            if let Some(found) = rest.split(['(', ')']).nth(1).and_then(address) {
                self.address = Some(found);
            }
            self.push(CallEnd::Answered, None, "connected", from);
            return true;
        }
        let status = text.strip_prefix("< HTTP/").or_else(|| {
            text.strip_prefix("HTTP/")
                .filter(|_| matches!(self.program.as_str(), "curl" | "wget"))
        });
        if let Some(rest) = status {
            let status = rest
                .split_whitespace()
                .nth(1)
                .and_then(|word| word.parse().ok());
            let opened = self.done.last_mut().filter(|last| {
                last.status.is_none()
                    && last.end == CallEnd::Answered
                    && last.from.command == from.command
            });
            match opened {
                Some(last) => last.status = status,
                None => self.push(
                    CallEnd::Answered,
                    status,
                    text.trim_start_matches("< "),
                    from,
                ),
            }
            return status.is_some();
        }
        text.starts_with("> ") && self.program == "curl"
    }

    fn others(&mut self, text: &str, from: &Vantage, dns: &mut Dns) -> bool {
        if let Some(rest) = text
            .strip_prefix("wget: bad address ")
            .or_else(|| text.strip_prefix("wget: unable to resolve host address "))
        {
            let host = rest
                .trim_matches(['\'', '"', '‘', '’'])
                .split(':')
                .next()
                .unwrap_or_default()
                .to_owned();
            dns.failed(&host, None, from);
            self.host = host;
            self.push(CallEnd::Unresolved, None, text, from);
            return true;
        }
        if let Some(rest) = text
            .strip_prefix("nc: ")
            .or_else(|| text.strip_prefix("Ncat: "))
            .or_else(|| text.strip_prefix("wget: "))
        {
            if let Some(at) = rest.find(" port ") {
                self.port = rest[at + 6..]
                    .split_whitespace()
                    .next()
                    .and_then(|port| port.parse().ok());
                self.host = rest[..at].rsplit(' ').next().unwrap_or_default().to_owned();
            }
            if let Some(found) = rest.split(['(', ')']).nth(1) {
                let (found, port) = found.rsplit_once(':').unwrap_or((found, ""));
                self.address = address(found).or(self.address);
                self.port = port.parse().ok().or(self.port);
            }
            let end = end_of(rest);
            if end == CallEnd::Unresolved {
                let host = self.host.clone();
                dns.failed(&host, None, from);
            }
            self.push(end, None, text, from);
            return true;
        }
        if let Some(rest) = text.strip_prefix("Connection to ") {
            if rest.contains("succeeded!") {
                let mut words = rest.split_whitespace();
                self.host = words.next().unwrap_or_default().to_owned();
                self.port = words.find_map(|word| word.parse().ok());
                self.push(CallEnd::Answered, None, text, from);
                return true;
            }
            return false;
        }
        if self.program == "telnet" {
            if let Some(rest) = text.strip_prefix("Trying ") {
                self.address = address(rest.trim_end_matches('.'));
                return true;
            }
            if text.starts_with("Connected to ") {
                self.push(CallEnd::Answered, None, text, from);
                return true;
            }
        }
        if text.starts_with("telnet: ") {
            self.push(end_of(text), None, text, from);
            return true;
        }
        if self.program == "openssl"
            && (text.starts_with("CONNECTED(") || text.starts_with("connect:errno="))
        {
            let end = match text {
                _ if text.starts_with("CONNECTED") => CallEnd::Answered,
                "connect:errno=110" => CallEnd::TimedOut,
                "connect:errno=111" => CallEnd::Refused,
                "connect:errno=113" => CallEnd::NoRoute,
                _ => CallEnd::Failed,
            };
            self.push(end, None, text, from);
            return true;
        }
        self.wget(text, from, dns)
    }

    /// `Connecting to HOST (ADDRESS:PORT)... failed: Connection timed out.`
    fn wget(&mut self, text: &str, from: &Vantage, dns: &mut Dns) -> bool {
        if let Some(rest) = text.strip_prefix("Connecting to ") {
            let Some((place, said)) = rest.split_once("... ").or(Some((rest, ""))) else {
                return false;
            };
            let (host, port) = target(place.split(['|', ' ']).next().unwrap_or(place));
            if self.host.is_empty() {
                self.host = host;
            }
            let inside = place.split(['|', '(']).nth(1).unwrap_or_default();
            let (found, inner) = inside
                .trim_end_matches([')', '|'])
                .rsplit_once(':')
                .unwrap_or((inside, ""));
            self.address = address(found).or_else(|| address(inside)).or(self.address);
            self.port = port.or_else(|| inner.parse().ok()).or(self.port);
            if said.starts_with("connected") {
                self.push(CallEnd::Answered, None, "connected", from);
            } else if said.starts_with("failed") {
                self.push(end_of(said), None, said, from);
            }
            return true;
        }
        if let Some(rest) = text.strip_prefix("Resolving ")
            && let Some((host, said)) = rest.split_once("... ")
        {
            if said.starts_with("failed") {
                dns.failed(host.split(' ').next().unwrap_or(host), None, from);
            }
            return true;
        }
        if let Some(rest) = text.strip_prefix("HTTP request sent, awaiting response... ") {
            let status = rest.split(' ').next().and_then(|word| word.parse().ok());
            if let Some(last) = self.done.last_mut() {
                last.status = status;
            }
            return true;
        }
        false
    }

    fn push(&mut self, end: CallEnd, status: Option<u16>, said: &str, from: &Vantage) {
        self.ended = true;
        let call = Call {
            from: from.clone(),
            host: self.host.as_str().into(),
            port: self.port,
            address: self.address.or_else(|| address(&self.host)),
            end,
            status,
            said: said.chars().take(300).collect::<String>().into(),
        };
        if self.done.len() < MAX && self.done.last() != Some(&call) {
            self.done.push(call);
        }
    }

    pub(super) fn finish(self) -> Vec<Call> {
        self.done
    }
}

/// Host and port of a URL, of `HOST:PORT` or of a host.
fn target(word: &str) -> (String, Option<u16>) {
    let (scheme, rest) = word.split_once("://").unwrap_or(("", word));
    let place = rest.split(['/', '?']).next().unwrap_or(rest);
    let place = place.rsplit('@').next().unwrap_or(place);
    let known = match scheme {
        "https" => Some(443),
        "http" => Some(80),
        "telnet" => Some(23),
        _ => None,
    };
    match place.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            (host.trim_matches(['[', ']']).to_owned(), port.parse().ok())
        }
        _ => (place.trim_matches(['[', ']']).to_owned(), known),
    }
}

/// How a connection ended, by the words of the C library.
fn end_of(said: &str) -> CallEnd {
    let lower = said.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&[
        "could not resolve",
        "name or service not known",
        "bad address",
        "name resolution",
        "getaddrinfo",
        "unable to resolve",
    ]) {
        CallEnd::Unresolved
    } else if has(&["timed out", "timeout"]) {
        CallEnd::TimedOut
    } else if has(&["refused"]) {
        CallEnd::Refused
    } else if has(&["no route to host", "unreachable"]) {
        CallEnd::NoRoute
    } else if has(&["reset by peer", "empty reply", "closed by foreign host"]) {
        CallEnd::Reset
    } else if has(&["ssl", "tls", "certificate"]) {
        CallEnd::Tls
    } else if has(&["succeeded", "open"]) {
        CallEnd::Answered
    } else {
        CallEnd::Failed
    }
}
