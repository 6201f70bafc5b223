//! What probes in debug pods met.

use std::collections::BTreeSet;
use std::net::IpAddr;

use eksnet_probe::{
    DnsOutcome, DnsTry, Outcome, ProbeKind, ProbeResult, ProbeSpec, QueryType, Transport,
};
use serde::{Deserialize, Serialize};

use crate::dns::MADE_UP;
use crate::{Text, Time};

/// All probe pods of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProbeRun {
    /// The pods.
    pub pods: Vec<ProbePod>,
    /// What the choice of nodes left out, such as "1 of 9 nodes per class"; empty when every node
    /// was probed.
    pub sampled: Text,
    /// Pods that were created.
    pub created: u32,
    /// Pods whose deletion was confirmed.
    pub deleted: u32,
}

/// Where a probe pod stood, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Standpoint {
    /// Node.
    pub node: Text,
    /// Class of nodes that it stands for.
    pub class: Text,
    /// Namespace, whose NetworkPolicies applied.
    pub namespace: Text,
    /// `namespace/Kind/name` of the workload as which it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Text>,
}

/// One probe pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProbePod {
    /// Name.
    pub name: Text,
    /// Where it stood.
    pub at: Standpoint,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// Why it did not start, where it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_started: Option<NotStarted>,
    /// Why its log could not be read, where results came by another way or not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_error: Option<Text>,
    /// Whether all results came.
    pub complete: bool,
    /// When the results were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_time: Option<Time>,
    /// What it was asked.
    pub plan: Vec<ProbeSpec>,
    /// What came back.
    pub results: Vec<ProbeResult>,
}

/// Why a probe pod did not start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NotStarted {
    /// One word: the API's reason, such as `ErrImagePull`, `FailedCreatePodSandBox`, `OutOfpods`,
    /// `PodSecurity`, `Quota`, `Timeout`.
    pub reason: Text,
    /// What the API said.
    pub message: Text,
}

impl ProbePod {
    /// Every question with its answer.
    pub fn answers(&self) -> impl Iterator<Item = (&ProbeKind, &Outcome)> {
        self.results.iter().filter_map(|result| {
            // Ids count from one in the order of the plan; any other plan is searched.
            let at = usize::try_from(result.id).ok()?.checked_sub(1);
            let spec = at
                .and_then(|at| self.plan.get(at))
                .filter(|spec| spec.id == result.id)
                .or_else(|| self.plan.iter().find(|spec| spec.id == result.id))?;
            Some((&spec.kind, &result.outcome))
        })
    }

    /// Tries of the queries of [`Self::dns`] that were put to `server`.
    pub fn dns_to(&self, server: IpAddr) -> impl Iterator<Item = DnsAnswer<'_>> {
        self.dns().filter(move |answer| answer.server == server)
    }

    /// Tries of all DNS queries for addresses of names that ought to exist.
    pub fn dns(&self) -> impl Iterator<Item = DnsAnswer<'_>> {
        self.every_dns()
            .filter(|answer| answer.query != QueryType::Txt && !answer.name.starts_with(MADE_UP))
    }

    /// Tries of all DNS queries, those for made-up names and for large answers included: they tell of the
    /// way to a server, and nothing of names.
    pub fn every_dns(&self) -> impl Iterator<Item = DnsAnswer<'_>> {
        self.answers()
            .filter_map(|(kind, outcome)| match (kind, outcome) {
                (
                    ProbeKind::Dns {
                        server,
                        transport,
                        name,
                        query,
                        ..
                    },
                    Outcome::Dns { tries },
                ) => Some(DnsAnswer {
                    server: server.ip(),
                    transport: *transport,
                    name,
                    query: *query,
                    tries,
                }),
                _ => None,
            })
    }
}

/// One DNS question of a probe pod, with all its tries.
#[derive(Clone, Copy, Debug)]
pub struct DnsAnswer<'a> {
    /// Who was asked.
    pub server: IpAddr,
    /// UDP or TCP.
    pub transport: Transport,
    /// Which name.
    pub name: &'a str,
    /// Which type of record.
    pub query: QueryType,
    /// What came back.
    pub tries: &'a [DnsTry],
}

impl DnsAnswer<'_> {
    /// Tries that the server answered, whatever the answer: the path works.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.tries
            .iter()
            .filter(|each| each.outcome.is_answer())
            .count()
    }

    /// Tries with that outcome.
    #[must_use]
    pub fn count(&self, outcome: DnsOutcome) -> usize {
        self.tries
            .iter()
            .filter(|each| each.outcome == outcome)
            .count()
    }

    /// Whether every try ended like that; false without tries.
    #[must_use]
    pub fn every(&self, outcome: DnsOutcome) -> bool {
        !self.tries.is_empty() && self.count(outcome) == self.tries.len()
    }

    /// Whether the path is blocked: every try timed out. Some of them is loss, not a block.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.every(DnsOutcome::Timeout) || self.every(DnsOutcome::NoRoute)
    }

    /// Whether some tries were answered and some were lost.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        let lost = self.count(DnsOutcome::Timeout);
        lost > 0 && lost < self.tries.len()
    }

    /// `answered/tries`, as in `0/5`.
    #[must_use]
    pub fn score(&self) -> String {
        format!("{}/{}", self.answered(), self.tries.len())
    }

    /// The distinct outcomes, most frequent first.
    #[must_use]
    pub fn outcomes(&self) -> Vec<DnsOutcome> {
        let distinct: BTreeSet<DnsOutcome> = self.tries.iter().map(|each| each.outcome).collect();
        let mut outcomes: Vec<DnsOutcome> = distinct.into_iter().collect();
        outcomes.sort_by_key(|outcome| std::cmp::Reverse(self.count(*outcome)));
        outcomes
    }
}
