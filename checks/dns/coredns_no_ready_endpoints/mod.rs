//! `dns/coredns-no-ready-endpoints`: the Service that pods ask for names has nothing behind it.

mod pods;
mod remedy;

use std::collections::BTreeSet;

use eksnet_model::kubernetes::Deployment;
use eksnet_model::{
    Check, ClusterDns, Component, Confidence, Cx, DnsPath, Fact, Finding, Gap, Meta, Place, Role,
    Severity, Source, Stop, Subject, SubjectKind,
};
use eksnet_probe::Transport;
use pods::{Missing, Why};

/// Below this share of the wanted replicas, in percent, cluster DNS is close to an outage.
const FEW_PERCENT: usize = 50;
/// A pod that is this young, in seconds, is still starting: a rollout or a scale-up is no fault.
const STARTING_S: i64 = 60;
/// Most pods whose trouble is spelt out.
const MAX_PODS: usize = 6;

const META: Meta = Meta {
    id: "dns/coredns-no-ready-endpoints",
    title: "Cluster DNS has no ready backend",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::EndpointSlices],
    helps: &[
        Source::Services,
        Source::Pods,
        Source::Deployments,
        Source::Nodes,
        Source::Events,
        Source::Probes,
    ],
    signals: &[
        "no-endpoints",
        "endpoints-on-dead-node",
        "coredns-pending",
        "coredns-pending-capacity",
        "coredns-crashloop",
        "coredns-unready",
        "coredns-not-starting",
        "coredns-scaled-to-zero",
        "coredns-no-pods",
        "service-missing",
        "pods-not-listed",
        "vip-refused",
    ],
    signatures: "",
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let dns = ClusterDns::of(cx.topology());
    let deployments = find(cx);
    let service_known = applicable(cx, &dns, &deployments)?;
    let slices = cx.endpoint_slices().all_in(ClusterDns::NAMESPACE);
    let basis = match slices {
        Ok(_) => Basis::Slices,
        // A cut list may still hold the slices of this Service; without them the pods decide.
        Err(_) if !dns.endpoints.is_empty() => Basis::SomeSlices,
        Err(stop) => {
            let pods = cx.pods().all_in(ClusterDns::NAMESPACE);
            if pods.is_err() || dns.pods.is_empty() {
                return Err(stop);
            }
            Basis::Pods
        }
    };
    let _ = cx.pods().optional();
    let missing = pods::missing(cx, &dns);
    let ready = match basis {
        Basis::Pods => dns.serving_pods().count(),
        Basis::Slices | Basis::SomeSlices => dns.ready_endpoints().count(),
    };
    let wanted = if deployments.is_empty() {
        dns.pods.len()
    } else {
        let replicas = deployments.iter().map(|one| one.spec.replicas.unwrap_or(1));
        replicas.sum::<u32>() as usize
    };
    let starting = missing
        .iter()
        .filter(|one| one.is_young(cx, STARTING_S))
        .count();
    let severity = if ready == 0 {
        Severity::Critical
    } else if ready * 100 < wanted.saturating_sub(starting) * FEW_PERCENT {
        Severity::Error
    } else {
        return Ok(Vec::new());
    };
    let pods_known = is_known(cx.pods().gap());
    let lack = match dns.serving_pods().count() {
        _ if !missing.is_empty() => None,
        0 if wanted == 0 && !deployments.is_empty() => Some(Lack::ScaledToZero),
        0 if !pods_known => Some(Lack::Unseen),
        0 => Some(Lack::NoPods),
        _ if service_known && dns.service.is_none() => Some(Lack::Service),
        pods => Some(Lack::NotListed(pods)),
    };
    let seen = Seen {
        cx,
        deployment: deployments.first().copied(),
        missing,
        lack,
        basis,
        ready,
        wanted,
    };
    Ok(vec![seen.finding(&dns, severity)])
}

/// The Deployments that run CoreDNS.
fn find<'a>(cx: &'a Cx<'a>) -> Vec<&'a Deployment> {
    let all = cx.deployments().optional();
    let runs_coredns = |one: &&Deployment| {
        let template = &one.spec.template;
        one.metadata.namespace == ClusterDns::NAMESPACE
            && Component::of(&template.spec, &template.metadata.labels) == Component::CoreDns
    };
    all.into_iter().flatten().filter(runs_coredns).collect()
}

/// Refuses clusters whose DNS is something else: Auto Mode runs CoreDNS on the nodes, and some put
/// another Service in front. Returns whether the Services are all known.
fn applicable(
    cx: &Cx<'_>,
    dns: &ClusterDns<'_>,
    deployments: &[&Deployment],
) -> Result<bool, Stop> {
    let runs = !dns.pods.is_empty() || !deployments.is_empty();
    if !runs
        && let Some(nodes) = cx.nodes().optional()
        && !nodes.is_empty()
        && nodes.iter().all(|node| node.compute_type() == Some("auto"))
    {
        return Err(Stop::not_applicable(
            "EKS Auto Mode runs CoreDNS on its nodes, not as pods",
        ));
    }
    let known = dns.service.is_some() || is_known(cx.services().gap());
    let services = cx.services().optional();
    if !known || dns.service.is_some() {
        return Ok(known);
    }
    let other = services
        .into_iter()
        .flatten()
        .filter(|service| service.metadata.namespace == ClusterDns::NAMESPACE)
        .find(|service| service.spec.ports.iter().any(|port| port.port == 53));
    match other {
        Some(other) => Err(Stop::not_applicable(format!(
            "there is no Service kube-system/kube-dns; kube-system/{} serves DNS",
            other.metadata.name
        ))),
        None if runs => Ok(true),
        None => Err(Stop::not_applicable(
            "there is no Service kube-system/kube-dns and no CoreDNS",
        )),
    }
}

/// Whether a source with that gap is complete for the namespace of cluster DNS.
fn is_known(gap: Option<&Gap>) -> bool {
    match gap.map(|gap| &gap.why) {
        None => true,
        Some(eksnet_model::Why::OnlyNamespaces(names)) => {
            names.iter().any(|name| *name == ClusterDns::NAMESPACE)
        }
        Some(_) => false,
    }
}

/// What the number of ready endpoints was counted in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Basis {
    /// All EndpointSlices of the namespace.
    Slices,
    /// The Service's EndpointSlices, in a list that is not complete.
    SomeSlices,
    /// The pods' own condition.
    Pods,
}

/// Why there are no endpoints though no pod is in trouble.
enum Lack {
    ScaledToZero,
    NoPods,
    /// The pods could not be read.
    Unseen,
    Service,
    /// That many pods are Ready, and no slice lists them.
    NotListed(usize),
}

struct Seen<'a> {
    cx: &'a Cx<'a>,
    deployment: Option<&'a Deployment>,
    missing: Vec<Missing<'a>>,
    lack: Option<Lack>,
    basis: Basis,
    ready: usize,
    wanted: usize,
}

impl Seen<'_> {
    fn finding(&self, dns: &ClusterDns<'_>, severity: Severity) -> Finding {
        let refused = self.refused(dns);
        let state = if self.ready == 0 {
            "has no ready endpoint".to_owned()
        } else {
            let plural = if self.ready == 1 { "" } else { "s" };
            format!(
                "has {} ready endpoint{plural} of {}",
                self.ready, self.wanted
            )
        };
        let mut finding = META
            .finding(severity, format!("Cluster DNS {state}: {}", self.reason()))
            .subject(Subject::namespaced(
                SubjectKind::Service,
                ClusterDns::NAMESPACE,
                ClusterDns::SERVICE,
            ))
            .detail(if self.ready == 0 {
                "No pod can resolve a name through the cluster's DNS until one CoreDNS pod is Ready."
            } else {
                "The CoreDNS pods that are left carry all queries; losing one more ends name resolution."
            })
            .fact(self.endpoints_fact());
        let troubles = self.missing.iter().take(MAX_PODS);
        finding = finding.facts(troubles.map(|one| one.fact(self.cx)));
        if let (Some(Lack::ScaledToZero | Lack::NoPods), Some(one)) = (&self.lack, self.deployment)
        {
            let replicas = one.spec.replicas.unwrap_or(1);
            finding = finding.fact(Fact::new(
                Source::Deployments,
                format!("Deployment kube-system/{}", one.metadata.name),
                "spec.replicas",
                replicas.to_string(),
            ));
        }
        finding.facts.extend(refused.iter().cloned());
        let mut nodes: BTreeSet<&str> =
            self.missing.iter().filter_map(Missing::node_name).collect();
        if matches!(self.lack, Some(Lack::Unseen)) {
            let down = dns.endpoints.iter().filter(|one| !one.ready);
            nodes.extend(down.filter_map(|one| one.node));
            let dead = |name: &&str| {
                let node = self.cx.topology().node(name);
                node.is_some_and(|node| node.is_ready() == Some(false))
            };
            if nodes.iter().any(dead) {
                finding = finding.signal("endpoints-on-dead-node");
            }
        }
        finding = finding.at(Place::nodes(nodes));
        let by_two_sources = match self.basis {
            Basis::Slices => {
                !self.missing.is_empty() || matches!(self.lack, Some(Lack::ScaledToZero))
            }
            Basis::SomeSlices | Basis::Pods => false,
        };
        // The slices and the pods are written by different controllers.
        if by_two_sources || !refused.is_empty() {
            finding = finding.confidence(Confidence::Confirmed);
        }
        if self.ready == 0 {
            finding = finding.signal("no-endpoints");
        }
        if !refused.is_empty() {
            finding = finding.signal("vip-refused");
        }
        for signal in self.missing.iter().flat_map(Missing::signals) {
            finding = finding.signal(signal);
        }
        match self.lack {
            Some(Lack::ScaledToZero) => finding = finding.signal("coredns-scaled-to-zero"),
            Some(Lack::NoPods) => finding = finding.signal("coredns-no-pods"),
            Some(Lack::Service) => finding = finding.signal("service-missing"),
            Some(Lack::NotListed(_)) => finding = finding.signal("pods-not-listed"),
            Some(Lack::Unseen) | None => {}
        }
        self.remedied(finding)
    }

    /// What keeps the missing pods from serving, most frequent first.
    fn reason(&self) -> String {
        match self.lack {
            Some(Lack::ScaledToZero) => {
                return "its Deployment is scaled to 0 replicas".to_owned();
            }
            Some(Lack::NoPods) if self.deployment.is_some() => {
                return format!(
                    "none of the {} pods that its Deployment wants exists",
                    self.wanted
                );
            }
            Some(Lack::NoPods) => return "no CoreDNS pod exists".to_owned(),
            Some(Lack::Service) => {
                return "Service kube-system/kube-dns does not exist".to_owned();
            }
            Some(Lack::NotListed(pods)) => {
                return if pods == 1 {
                    "1 CoreDNS pod is Ready and no EndpointSlice lists it".to_owned()
                } else {
                    format!("{pods} CoreDNS pods are Ready and no EndpointSlice lists them")
                };
            }
            Some(Lack::Unseen) => return "its pods could not be read".to_owned(),
            None => {}
        }
        let mut whys: Vec<&Why<'_>> = Vec::new();
        for one in &self.missing {
            if !whys.iter().any(|known| known.same(&one.why)) {
                whys.push(&one.why);
            }
        }
        let parts: Vec<String> = whys
            .into_iter()
            .map(|why| {
                let count = self.missing.iter().filter(|one| one.why.same(why)).count();
                why.clause(count)
            })
            .collect();
        parts.join(", ")
    }

    fn endpoints_fact(&self) -> Fact {
        let (source, field) = match self.basis {
            Basis::Slices | Basis::SomeSlices => {
                (Source::EndpointSlices, "ready endpoints for 53/UDP")
            }
            Basis::Pods => (Source::Pods, "Ready pods behind it"),
        };
        Fact::new(
            source,
            "Service kube-system/kube-dns",
            field,
            self.ready.to_string(),
        )
        .expected(self.wanted.max(1).to_string())
    }

    /// Probes whose queries to the Service were refused: what kube-proxy does when there is no
    /// endpoint. Only where there is none is that a second witness.
    fn refused(&self, dns: &ClusterDns<'_>) -> Vec<Fact> {
        let Some(run) = self.cx.probes().optional() else {
            return Vec::new();
        };
        let domain = self.cx.cluster().dns_domain();
        let mut facts = Vec::new();
        for pod in run.pods.iter().filter(|_| self.ready == 0) {
            for ip in dns.cluster_ips() {
                let path = pod.dns_path(ip, Transport::Udp, domain);
                if let Some(path) = path.filter(|path: &DnsPath| path.is_refused()) {
                    facts.push(
                        Fact::new(
                            Source::Probes,
                            format!("{} -> {ip}:53 kube-dns", pod.at.node),
                            "DNS over UDP",
                            format!("refused {}/{}", path.refused, path.tries()),
                        )
                        .at(pod.at_time),
                    );
                }
            }
        }
        facts.truncate(2);
        facts
    }
}
