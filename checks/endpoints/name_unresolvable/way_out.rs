//! What was seen by hand from a pod beside the name: which server it asks, and whether addresses answer.

use eksnet_model::observed::{Ground, Lookup, Ping, ResolvFile};
use eksnet_model::{Cx, Fact, Source};

/// What pods showed when somebody tried.
#[derive(Default)]
pub(super) struct WayOut<'a> {
    resolver: Option<&'a ResolvFile>,
    /// An address outside of private networks that answered.
    answers: Option<&'a Ping>,
    /// The name, asked for in vain.
    lookup: Option<&'a Lookup>,
}

impl<'a> WayOut<'a> {
    pub(super) fn of(cx: &'a Cx<'_>, host: &str) -> Self {
        let Some(seen) = cx.observations().optional() else {
            return Self::default();
        };
        Self {
            resolver: seen
                .resolvers
                .iter()
                .find(|file| file.from.ground == Ground::Pod && !file.nameservers.is_empty()),
            answers: seen.pings.iter().find(|ping| {
                let is_outside = |ip| !cx.topology().is_private(ip);
                ping.from.ground == Ground::Pod
                    && ping.received > 0
                    && ping.address.is_some_and(is_outside)
            }),
            lookup: seen.lookups.iter().find(|lookup| {
                lookup.from.ground == Ground::Pod && lookup.name == host && !lookup.is_answered()
            }),
        }
    }

    pub(super) fn facts(&self) -> Vec<Fact> {
        let resolver = self.resolver.map(|file| {
            let servers: Vec<String> = file.nameservers.iter().map(ToString::to_string).collect();
            Fact::new(
                Source::Observations,
                file.from.file.clone(),
                "nameserver of the pod",
                servers.join(", "),
            )
        });
        let answers = self.answers.map(|ping| {
            Fact::new(
                Source::Observations,
                ping.from.file.clone(),
                format!("ping {}", ping.target),
                format!("{} answers", ping.received),
            )
        });
        let lookup = self.lookup.map(|lookup| {
            Fact::new(
                Source::Observations,
                lookup.from.file.clone(),
                lookup.from.command.clone(),
                "no answer for the name",
            )
        });
        [resolver, lookup, answers].into_iter().flatten().collect()
    }

    /// What an answer by address leaves as the fault of a look-up that got none, as a sentence.
    pub(super) fn leaves(&self) -> Option<String> {
        let target = &self.answers?.target;
        let server = self
            .resolver
            .and_then(|file| file.nameservers.first())
            .map_or_else(
                || "its DNS server".to_owned(),
                |server| format!("the DNS server {server}"),
            );
        Some(format!(
            "The way out works by address: {target} answers from a pod. What is broken is the way to {server}, or that server."
        ))
    }
}
