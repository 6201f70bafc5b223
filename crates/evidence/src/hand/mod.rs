//! What a reporter tried by hand: names that were asked for, hosts that were pinged, routes that were listed.
//!
//! Every piece says where it was made, as far as a prompt, a command or the name of its file tells. What
//! was asked in a pod becomes the evidence of a probe pod too.

mod call;
mod counters;
mod dns;
mod filters;
mod links;
mod packets;
mod ping;
mod probe;
mod routing;

use eksnet_model::observed::{Ground, Observations, Vantage};
use eksnet_model::{ProbePod, Text};

use crate::prompt;

/// Most pieces of one kind that are kept of all files.
const MAX: usize = 20_000;

/// What one text shows.
pub(crate) struct Hand {
    vantage: Vantage,
    /// Where commands run that no prompt places elsewhere.
    base: (Ground, Text),
    dns: dns::Dns,
    ping: ping::Pings,
    call: call::Calls,
    routing: routing::Routing,
    filters: filters::Filters,
    packets: packets::Packets,
    links: links::Links,
    counters: counters::Counters,
}

impl Hand {
    pub(crate) fn new(file: &str) -> Self {
        let ground = ground_of_file(file);
        Self {
            vantage: Vantage {
                ground,
                file: file.into(),
                ..Vantage::default()
            },
            base: (ground, Text::default()),
            dns: dns::Dns::default(),
            ping: ping::Pings::default(),
            call: call::Calls::default(),
            routing: routing::Routing::default(),
            filters: filters::Filters::default(),
            packets: packets::Packets::default(),
            links: links::Links::default(),
            counters: counters::Counters::default(),
        }
    }

    /// Sees a command that was typed; `line` is all of its line, with the prompt.
    pub(crate) fn command(&mut self, line: &str, command: &str) {
        self.stand(prompt::host(line), command);
        let inner = self.enter(command);
        let inner = inner.unwrap_or(command);
        self.vantage.command = inner.into();
        self.dns.command(inner, &self.vantage);
        self.ping.command(inner);
        self.call.command(inner, &self.vantage);
        self.routing.command(inner);
        self.packets.command(inner);
        self.counters.command(inner);
    }

    /// Takes the place that the prompt names.
    fn stand(&mut self, host: Option<&str>, command: &str) {
        let (mut ground, mut name) = self.base.clone();
        if let Some(host) = host {
            name = host.into();
            ground = if host.starts_with("ip-") || host.ends_with(".internal") {
                Ground::Node
            } else if ground == Ground::Unknown && prompt::is_in_container(host) {
                Ground::Pod
            } else {
                ground
            };
        }
        if matches!(command, "exit" | "logout") {
            self.base = (ground_of_file(&self.vantage.file), Text::default());
            (ground, name) = self.base.clone();
        }
        self.vantage.ground = ground;
        self.vantage.name = name;
    }

    /// Takes the place that `kubectl exec`, `run` or `debug` leads to; the command that runs there.
    fn enter<'c>(&mut self, command: &'c str) -> Option<&'c str> {
        let mut words = command.split_whitespace();
        if !matches!(
            words.next(),
            Some("kubectl" | "k" | "kc" | "oc" | "docker" | "crictl" | "nerdctl")
        ) {
            return None;
        }
        let (outer, inner) = command.split_once(" -- ").unwrap_or((command, ""));
        let mut words = outer.split_whitespace().skip(1);
        let verb = words.find(|word| matches!(*word, "exec" | "run" | "debug" | "attach"))?;
        let mut name = "";
        let mut is_value = false;
        for word in words.by_ref() {
            let was_value = std::mem::replace(&mut is_value, false);
            if word.starts_with('-') {
                is_value = matches!(
                    word,
                    "-n" | "--namespace" | "-c" | "--container" | "--image" | "--context"
                );
            } else if !was_value && name.is_empty() {
                name = word;
            }
        }
        let ground = if verb == "debug" && name.starts_with("node/") {
            Ground::Node
        } else {
            Ground::Pod
        };
        let name: Text = name.rsplit('/').next().unwrap_or(name).into();
        self.vantage.ground = ground;
        self.vantage.name = name.clone();
        let inner = inner.trim();
        // `kubectl exec POD dig a`, as old kubectl took it.
        let rest = if inner.is_empty() {
            outer
                .split_once(&format!(" {name} "))
                .map_or("", |(_, rest)| rest.trim())
        } else {
            inner
        };
        let shell = rest.split_whitespace().next().unwrap_or_default();
        let shell = shell.rsplit('/').next().unwrap_or(shell);
        if let Some((_, script)) = rest.split_once(" -c ") {
            return Some(script.trim().trim_matches(['"', '\'']));
        }
        if matches!(shell, "" | "sh" | "bash" | "ash") || rest.starts_with('-') {
            // What follows is typed there.
            self.base = (ground, name);
            return None;
        }
        Some(rest)
    }

    /// Reads a line; whether it is one of these programs'.
    pub(crate) fn line(&mut self, text: &str) -> bool {
        let bare = text.trim();
        let from = &mut self.vantage;
        if self.dns.line(bare, from) {
            // A search list of Kubernetes stands in pods alone.
            if self.dns.is_in_pod() && self.base.0 == Ground::Unknown {
                from.ground = Ground::Pod;
                self.base.0 = Ground::Pod;
            }
            return true;
        }
        self.ping.line(bare, from, &mut self.dns)
            || self.call.line(bare, from, &mut self.dns)
            || self.routing.line(bare, from)
            || self.packets.line(bare, from)
            || self.links.line(bare, from)
            || self.filters.line(bare, from)
            || self.counters.line(bare, from)
    }

    /// What came of the text: everything, and the pod in which names were asked for, if one was.
    pub(crate) fn finish(mut self) -> (Observations, Option<ProbePod>) {
        let vantage = self.vantage.clone();
        self.dns.end(&vantage);
        let file = self.vantage.file.clone();
        let mut found = Observations {
            lookups: self.dns.lookups,
            resolvers: self.dns.resolvers,
            pings: self.ping.finish(),
            calls: self.call.finish(),
            rules: self.routing.rules,
            routes: self.routing.routes,
            filters: self.filters.rules,
            packets: self.packets.flows,
            links: self.links.links,
            counters: self.counters.counters,
        };
        // A search list further down tells of the questions above it.
        if self.base.0 == Ground::Pod {
            let settle = |from: &mut Vantage| {
                if from.ground == Ground::Unknown {
                    from.ground = Ground::Pod;
                }
            };
            found
                .lookups
                .iter_mut()
                .for_each(|one| settle(&mut one.from));
            found
                .resolvers
                .iter_mut()
                .for_each(|one| settle(&mut one.from));
            found.pings.iter_mut().for_each(|one| settle(&mut one.from));
            found.calls.iter_mut().for_each(|one| settle(&mut one.from));
        }
        let pod = probe::pod(&found, &file);
        (found, pod)
    }
}

/// Adds what one text shows to that of all.
pub(crate) fn add(all: &mut Observations, one: Observations) {
    fn take<T>(into: &mut Vec<T>, from: Vec<T>) {
        let room = MAX.saturating_sub(into.len());
        into.extend(from.into_iter().take(room));
    }
    take(&mut all.lookups, one.lookups);
    take(&mut all.resolvers, one.resolvers);
    take(&mut all.pings, one.pings);
    take(&mut all.calls, one.calls);
    take(&mut all.rules, one.rules);
    take(&mut all.routes, one.routes);
    take(&mut all.filters, one.filters);
    take(&mut all.packets, one.packets);
    take(&mut all.links, one.links);
    take(&mut all.counters, one.counters);
}

/// What the words of a file's name say of the place.
fn ground_of_file(file: &str) -> Ground {
    let name = file.rsplit('/').next().unwrap_or(file).to_ascii_lowercase();
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    match words.find(|word| matches!(*word, "pod" | "container" | "node" | "host" | "instance")) {
        Some("pod" | "container") => Ground::Pod,
        Some(_) => Ground::Node,
        None => Ground::Unknown,
    }
}

/// An address, with or without what programs put around it.
fn address(text: &str) -> Option<std::net::IpAddr> {
    text.trim_matches(['(', ')', '[', ']', ',', ';', ':', '\''])
        .parse()
        .ok()
}
