//! What probes saw that stood among the pods which a policy selects.

use eksnet_model::{
    ClusterDns, Confidence, Cx, Fact, Finding, ProbePod, Selected, Severity, Source,
};
use eksnet_probe::Transport;

/// What cluster DNS gave them over UDP.
pub(super) enum Seen {
    /// No probe was selected for certain, or none asked.
    Nothing,
    /// Nothing came back.
    Silence,
    /// Something came back, whatever the policy says.
    Answer(Fact),
}

/// Probes stand in one namespace with labels of their own: a policy that selects every pod selects them.
pub(super) fn seen(cx: &Cx<'_>, selected: &Selected<'_>) -> Seen {
    let selects_all = selected.isolating().any(|policy| {
        let selector = &policy.spec.pod_selector;
        selector.match_labels.is_empty() && selector.match_expressions.is_empty()
    });
    let run = cx.probes().optional();
    let pods: Vec<&ProbePod> = run.into_iter().flat_map(|run| &run.pods).collect();
    let is_among = |pod: &&ProbePod| pod.at.namespace == selected.namespace;
    // Where some stood elsewhere, the policy is not what all of them saw.
    if !selects_all || pods.is_empty() || !pods.iter().all(is_among) {
        return Seen::Nothing;
    }
    let dns = ClusterDns::of(cx.topology());
    let servers = dns.cluster_ips();
    let domain = cx.cluster().dns_domain();
    let mut asked = false;
    for pod in pods {
        for server in &servers {
            let Some(path) = pod.dns_path(*server, Transport::Udp, domain) else {
                continue;
            };
            asked = true;
            if !path.is_dead() {
                return Seen::Answer(Fact::new(
                    Source::Probes,
                    format!("{} in namespace {}", pod.at.node, pod.at.namespace),
                    format!("DNS over UDP at {server}"),
                    path.score(),
                ));
            }
        }
    }
    if asked { Seen::Silence } else { Seen::Nothing }
}

/// The policy blocks, and packets pass: the policy is newer than the probe, or nothing enforces it for such pods.
pub(super) fn answered(mut finding: Finding, fact: Fact) -> Finding {
    finding.severity = Severity::Info;
    finding.confidence = Confidence::Possible;
    finding
        .fact(fact.expected("no answer, as the policy selects this pod"))
        .detail("The policy admits no DNS, and a probe that it selects is answered all the same: either nothing enforces it for that pod, or it is newer than the probe.")
        .signal("not-enforced")
}
