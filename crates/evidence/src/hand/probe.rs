//! What was asked in a pod, as a probe pod would have told it.

use std::net::SocketAddr;

use eksnet_model::observed::{Ground, Observations};
use eksnet_model::{ProbePod, Standpoint, Text};
use eksnet_probe::{
    Answer, DnsTry, LookupOutcome, Outcome, ProbeKind, ProbeResult, ProbeSpec, QueryType, Resolv,
    Transport,
};

/// The pod in which names were asked for; `None` when none was, or not in a pod: on a laptop or a node the
/// same words mean something else.
pub(super) fn pod(found: &Observations, file: &Text) -> Option<ProbePod> {
    let resolver = found
        .resolvers
        .iter()
        .find(|one| one.from.ground == Ground::Pod);
    let lookups: Vec<_> = found
        .lookups
        .iter()
        .filter(|one| one.from.ground == Ground::Pod && !one.name.is_empty())
        .filter_map(|one| Some((one, one.outcome?)))
        .collect();
    if resolver.is_none() && lookups.is_empty() {
        return None;
    }
    let mut pod = ProbePod {
        name: file.clone(),
        at: Standpoint {
            // Where it stood is not known; readers and checks tell it by its file.
            node: file.clone(),
            ..Standpoint::default()
        },
        complete: true,
        ..ProbePod::default()
    };
    let mut add = |kind, outcome| {
        let id = u32::try_from(pod.plan.len()).unwrap_or(u32::MAX);
        pod.plan.push(ProbeSpec { id, kind });
        pod.results.push(ProbeResult { id, outcome });
    };
    if let Some(resolver) = resolver {
        add(
            ProbeKind::Resolv,
            Outcome::Resolv(Resolv {
                nameservers: resolver
                    .nameservers
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                search: resolver.search.iter().map(ToString::to_string).collect(),
                options: resolver.options.iter().map(ToString::to_string).collect(),
                error: None,
            }),
        );
    }
    let default = resolver.and_then(|one| one.nameservers.first().copied());
    for (lookup, outcome) in lookups {
        let elapsed_ms = lookup.elapsed_ms.unwrap_or(0) as f64;
        match lookup.server.or(default) {
            Some(server) => add(
                ProbeKind::Dns {
                    server: SocketAddr::new(server, 53),
                    transport: if lookup.tcp {
                        Transport::Tcp
                    } else {
                        Transport::Udp
                    },
                    name: lookup.name.to_string(),
                    query: QueryType::A,
                    tries: 1,
                    gap_ms: 0,
                    timeout_ms: 5000,
                },
                Outcome::Dns {
                    tries: vec![DnsTry {
                        outcome,
                        elapsed_ms,
                        answers: lookup
                            .addresses
                            .iter()
                            .copied()
                            .map(Answer::Address)
                            .collect(),
                    }],
                },
            ),
            None => add(
                ProbeKind::Lookup {
                    name: lookup.name.to_string(),
                    timeout_ms: 5000,
                },
                Outcome::Lookup(LookupOutcome {
                    error: (!lookup.is_ok()).then_some(outcome),
                    addresses: lookup.addresses.clone(),
                    elapsed_ms,
                }),
            ),
        }
    }
    Some(pod)
}
