//! What a reporter tried from a pod by hand: `resolv.conf`, `dig`, `nslookup`, `ping`.
//!
//! It becomes the evidence of a probe pod that is named after its file. Only what was tried in a pod
//! counts: on a laptop or a node the same words mean something else.

use std::net::{IpAddr, SocketAddr};

use eksnet_model::{ProbePod, Standpoint};
use eksnet_probe::{
    Answer, DnsOutcome, DnsTry, LookupOutcome, Outcome, ProbeKind, ProbeResult, ProbeSpec,
    QueryType, Resolv, Transport,
};

/// Most questions that are kept of one text.
const MAX_QUESTIONS: usize = 1000;

/// What the text shows so far.
#[derive(Default)]
pub(crate) struct Network {
    resolv: Resolv,
    /// Whether anything says that it was tried in a pod.
    in_pod: bool,
    /// Name that is asked for.
    question: String,
    server: Option<IpAddr>,
    /// Answers of the question so far.
    addresses: Vec<IpAddr>,
    status: Option<DnsOutcome>,
    /// Whether nslookup's answer is being read.
    named: bool,
    asked: Vec<Asked>,
}

struct Asked {
    name: String,
    server: Option<IpAddr>,
    outcome: DnsOutcome,
    addresses: Vec<IpAddr>,
}

impl Network {
    pub(crate) fn new(file: &str) -> Self {
        let file = file.rsplit('/').next().unwrap_or(file).to_ascii_lowercase();
        Self {
            in_pod: file
                .split(|c: char| !c.is_ascii_alphanumeric())
                .any(|word| word == "pod"),
            ..Self::default()
        }
    }

    /// Sees a command that was typed.
    pub(crate) fn command(&mut self, command: &str) {
        self.answered();
        self.question.clear();
        self.server = None;
        if [
            "kubectl exec",
            "kubectl run",
            "kubectl debug",
            "k exec",
            "kc exec",
        ]
        .iter()
        .any(|start| command.starts_with(start))
        {
            self.in_pod = true;
            if let Some((_, inner)) = command.split_once(" -- ") {
                self.command(inner.trim());
            }
            return;
        }
        let mut words = command.split_whitespace();
        let program = words.next().unwrap_or_default();
        if !matches!(program, "dig" | "nslookup" | "host" | "ping") {
            return;
        }
        for word in words {
            if let Some(server) = word.strip_prefix('@') {
                self.server = server.parse().ok();
            } else if word.starts_with(['-', '+']) {
            } else if self.question.is_empty() {
                self.question = word.to_owned();
            } else if program != "dig" && program != "ping" {
                self.server = word.parse().ok();
            }
        }
    }

    /// Reads a line; whether it is one of these programs'.
    pub(crate) fn line(&mut self, text: &str) -> bool {
        let bare = text.trim();
        self.resolv_line(bare)
            || self.dig_line(bare)
            || self.nslookup_line(bare)
            || self.ping_line(bare)
    }

    fn resolv_line(&mut self, text: &str) -> bool {
        let mut words = text.split_whitespace();
        let key = words.next();
        let rest = || words.clone().map(str::to_owned);
        match key {
            Some("nameserver") => match words.next() {
                Some(server) if server.parse::<IpAddr>().is_ok() => {
                    self.resolv.nameservers.push(server.to_owned());
                }
                _ => return false,
            },
            Some("search") if text.contains('.') && !text.contains(": ") => {
                self.resolv.search = rest().collect();
                self.in_pod |= self
                    .resolv
                    .search
                    .iter()
                    .any(|domain| domain.starts_with("svc."));
            }
            Some("options") if text.contains(':') && text.len() < 200 => {
                self.resolv.options = rest().collect();
            }
            _ => return false,
        }
        true
    }

    fn dig_line(&mut self, text: &str) -> bool {
        if text.starts_with("; <<>> DiG ") {
            let command = text.rsplit("<<>>").next().unwrap_or_default();
            self.command(&format!("dig {command}"));
        } else if text.contains("no servers could be reached") {
            self.ask(DnsOutcome::Timeout);
        } else if let Some(rest) = text.strip_prefix(";; communications error to ") {
            self.server = rest.split('#').next().and_then(|ip| ip.parse().ok());
        } else if let Some((_, rest)) = text.split_once("HEADER<<- opcode: QUERY, status: ") {
            self.status = rest.split(',').next().and_then(status);
        } else if let Some(rest) = text.strip_prefix(";; SERVER: ") {
            self.server = rest.split('#').next().and_then(|ip| ip.parse().ok());
            self.answered();
        } else if self.status.is_some() && text.contains("\tIN\tA\t") {
            self.addresses.extend(
                text.rsplit('\t')
                    .next()
                    .and_then(|ip| ip.parse::<IpAddr>().ok()),
            );
        } else {
            return false;
        }
        true
    }

    fn nslookup_line(&mut self, text: &str) -> bool {
        let value = |key: &str| text.strip_prefix(key).map(str::trim);
        if let Some(server) = value("Server:") {
            self.answered();
            let Ok(server) = server.parse() else {
                return false;
            };
            self.server = Some(server);
        } else if let Some(name) = value("Name:") {
            if self.server.is_none() || name.contains(' ') {
                return false;
            }
            self.named = true;
            if self.question.is_empty() {
                self.question = name.to_owned();
            }
        } else if let Some(address) = value("Address:").or_else(|| value("Address 1:")) {
            if !self.named {
                return address.contains("#53");
            }
            let address = address.split_whitespace().next().unwrap_or_default();
            self.addresses.extend(address.parse::<IpAddr>().ok());
        } else if let Some(rest) = value("** server can't find ") {
            let Some((name, code)) = rest.rsplit_once(": ") else {
                return false;
            };
            if self.question.is_empty() {
                self.question = name.to_owned();
            }
            if let Some(outcome) = status(code) {
                self.ask(outcome);
            }
        } else {
            return false;
        }
        true
    }

    /// `PING name (address) ..`: the name resolved, whatever came back.
    fn ping_line(&mut self, text: &str) -> bool {
        let Some(rest) = text.strip_prefix("PING ") else {
            return text.contains("packets transmitted") || text.contains("bytes from ");
        };
        let Some((name, rest)) = rest.split_once(" (") else {
            return false;
        };
        let address = rest.split(')').next().and_then(|ip| ip.parse().ok());
        if let Some(address) = address
            && name.parse::<IpAddr>().is_err()
        {
            self.question = name.to_owned();
            self.server = None;
            self.addresses.push(address);
            self.ask(DnsOutcome::Ok);
        }
        true
    }

    /// Ends the question that is open, where an answer was seen.
    fn answered(&mut self) {
        let status = self.status.take();
        let outcome = match (status, self.addresses.is_empty()) {
            (Some(DnsOutcome::Ok), true) => DnsOutcome::Nodata,
            (Some(outcome), _) => outcome,
            (None, false) if self.named => DnsOutcome::Ok,
            _ => return,
        };
        self.ask(outcome);
    }

    fn ask(&mut self, outcome: DnsOutcome) {
        self.named = false;
        let addresses = std::mem::take(&mut self.addresses);
        if self.question.is_empty() || self.asked.len() == MAX_QUESTIONS {
            return;
        }
        self.asked.push(Asked {
            name: self.question.clone(),
            server: self.server,
            outcome,
            addresses,
        });
    }

    /// The pod in which it was tried; `None` when nothing was, or not in a pod.
    pub(crate) fn finish(mut self, file: &str) -> Option<ProbePod> {
        self.answered();
        if !self.in_pod || (self.resolv.nameservers.is_empty() && self.asked.is_empty()) {
            return None;
        }
        let mut pod = ProbePod {
            name: file.into(),
            at: Standpoint {
                // Where it stood is not known; readers and checks tell it by its file.
                node: file.into(),
                ..Standpoint::default()
            },
            complete: true,
            ..ProbePod::default()
        };
        let default = self
            .resolv
            .nameservers
            .first()
            .and_then(|server| server.parse().ok());
        let mut add = |kind, outcome| {
            let id = u32::try_from(pod.plan.len()).unwrap_or(u32::MAX);
            pod.plan.push(ProbeSpec { id, kind });
            pod.results.push(ProbeResult { id, outcome });
        };
        if !self.resolv.nameservers.is_empty() {
            add(ProbeKind::Resolv, Outcome::Resolv(self.resolv));
        }
        for asked in self.asked {
            match asked.server.or(default) {
                Some(server) => add(
                    ProbeKind::Dns {
                        server: SocketAddr::new(server, 53),
                        transport: Transport::Udp,
                        name: asked.name,
                        query: QueryType::A,
                        tries: 1,
                        gap_ms: 0,
                        timeout_ms: 5000,
                    },
                    Outcome::Dns {
                        tries: vec![DnsTry {
                            outcome: asked.outcome,
                            elapsed_ms: 0.0,
                            answers: asked.addresses.into_iter().map(Answer::Address).collect(),
                        }],
                    },
                ),
                None => add(
                    ProbeKind::Lookup {
                        name: asked.name,
                        timeout_ms: 5000,
                    },
                    Outcome::Lookup(LookupOutcome {
                        error: (asked.outcome != DnsOutcome::Ok).then_some(asked.outcome),
                        addresses: asked.addresses,
                        elapsed_ms: 0.0,
                    }),
                ),
            }
        }
        Some(pod)
    }
}

fn status(word: &str) -> Option<DnsOutcome> {
    Some(match word.trim() {
        "NOERROR" => DnsOutcome::Ok,
        "NXDOMAIN" => DnsOutcome::Nxdomain,
        "SERVFAIL" => DnsOutcome::Servfail,
        "REFUSED" => DnsOutcome::Refused,
        _ => return None,
    })
}
