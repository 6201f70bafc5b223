//! `isolation/netpol-blocks-aws`: NetworkPolicies keep pods from AWS, from their credentials or from the API server.

mod needs;

use std::collections::BTreeSet;

use eksnet_model::netpol::{Admitted, Peer, admits_port, egress, isolates_egress};
use eksnet_model::{
    Check, Confidence, Cx, Finding, Gap, Heard, Meta, Place, Role, Selected, Severity, Source,
    Stop, Why, logs_and_events, unless_enforced,
};
use needs::{Need, Needs};

/// Lines older than this, in seconds, are history.
const RECENT_S: i64 = 3600;

const META: Meta = Meta {
    id: "isolation/netpol-blocks-aws",
    title: "A NetworkPolicy keeps pods from AWS, their credentials or the API server",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::NetworkPolicies, Source::Pods],
    helps: &[
        Source::ServiceAccounts,
        Source::PodIdentityAssociations,
        Source::EndpointSlices,
        Source::Services,
        Source::DaemonSets,
        Source::Logs,
        Source::Events,
    ],
    signals: &[
        "https-denied",
        "pod-identity-denied",
        "imds-denied",
        "api-denied",
        "calls-time-out",
        "not-enforced",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let policies = cx.network_policies().some()?;
    let pods = cx.pods().some();
    let _ = (cx.services().optional(), cx.endpoint_slices().optional());
    let scans = logs_and_events(cx, &crate::signature_set(&META));
    let said = Heard::recent(
        cx,
        &scans,
        &["netpol-credentials-silent", "netpol-https-silent"],
        RECENT_S,
    );
    let mut findings = Vec::new();
    let mut not_known = false;
    for selected in Selected::all(cx, policies) {
        let needs = Needs::of(cx, &selected, &said);
        let mut denied = BTreeSet::new();
        for need in &needs.all {
            match admits(cx, &selected, *need) {
                Admitted::No => _ = denied.insert(*need),
                Admitted::NotKnown => not_known = true,
                Admitted::Yes => {}
            }
        }
        if !denied.is_empty() {
            findings.push(finding(cx, &selected, &needs, &denied));
        }
    }
    unless_enforced(cx, &mut findings);
    if findings.is_empty() {
        if policies.iter().any(isolates_egress) {
            pods?;
        } else if cx.network_policies().is_complete() && pods.is_err() {
            return Err(Stop::not_applicable(
                "no NetworkPolicy isolates pods in egress",
            ));
        }
        if not_known {
            return Err(Stop::unknown(Gap::new(
                Source::EndpointSlices,
                Why::Sampled,
                "the addresses of the API server are not known",
            )));
        }
    }
    Ok(findings)
}

/// Whether the policies of these pods admit what is needed.
fn admits(cx: &Cx<'_>, selected: &Selected<'_>, need: Need) -> Admitted {
    let to = |peer, port| egress(&selected.policies, selected.namespace, peer, "TCP", port);
    match need {
        Need::PodIdentity | Need::Metadata => {
            let addresses = need.addresses().iter().filter_map(|ip| ip.parse().ok());
            let each = addresses.map(|ip| to(Peer::Address(ip), 80));
            each.max().unwrap_or(Admitted::NotKnown)
        }
        Need::Https => outside(cx, selected),
        Need::Api => {
            let addresses = needs::api_addresses(cx);
            let each = addresses.iter().map(|ip| to(Peer::Address(*ip), 443));
            each.max().unwrap_or(Admitted::NotKnown)
        }
    }
}

/// Whether some address that is no Service's is admitted on TCP 443. Which one AWS answers at is not known: an
/// interface endpoint of the VPC, or a public address.
fn outside(cx: &Cx<'_>, selected: &Selected<'_>) -> Admitted {
    let services = needs::service_addresses(cx);
    let rules = selected
        .policies
        .iter()
        .filter(|policy| isolates_egress(policy))
        .flat_map(|policy| policy.spec.egress.iter().flatten())
        .filter(|rule| admits_port(rule, "TCP", 443));
    let is_outside = |cidr: &str| match cidr.parse::<ipnet::IpNet>() {
        Ok(net) => {
            let one = net.prefix_len() == net.max_prefix_len();
            let local = needs::is_link_local(net.network());
            let own = one && services.contains(&net.network());
            !local && !own
        }
        Err(_) => true,
    };
    let mut admitting = rules.filter(|rule| {
        rule.to.is_empty()
            || rule
                .to
                .iter()
                .filter_map(|peer| peer.ip_block.as_ref())
                .any(|block| is_outside(&block.cidr))
    });
    if admitting.next().is_some() {
        Admitted::Yes
    } else {
        Admitted::No
    }
}

fn finding(
    cx: &Cx<'_>,
    selected: &Selected<'_>,
    needs: &Needs<'_>,
    denied: &BTreeSet<Need>,
) -> Finding {
    let (namespace, name) = (selected.namespace, selected.name());
    let what: Vec<&str> = denied.iter().map(|need| need.words()).collect();
    let who = if needs.workloads.is_empty() {
        selected.what.clone()
    } else {
        let some: Vec<&str> = needs.workloads.iter().map(String::as_str).take(3).collect();
        some.join(", ")
    };
    let known = cx.network_policies().is_complete() && !needs.workloads.is_empty();
    // A log of nobody known may be of pods that the policy does not select.
    let theirs = |one: &&Heard<'_>| !one.scan.namespace.is_empty() || !one.scan.pod.is_empty();
    let confidence = if known || needs.said.iter().any(theirs) {
        Confidence::Confirmed
    } else {
        Confidence::Likely
    };
    let mut finding = META
        .finding(
            Severity::Error,
            format!("NetworkPolicy {namespace}/{name} keeps {who} from {}", what.join(" and ")),
        )
        .confidence(confidence)
        .detail("It isolates these pods in egress, and no rule of any policy that selects them admits what they need. Addresses count behind Services: a rule with the address of Service kubernetes does not admit the API server itself.")
        .subjects(selected.subjects())
        .facts(
            denied
                .iter()
                .map(|need| selected.lacks(need.flow(), "no rule", need.expected())),
        )
        .facts(needs.proof.iter().cloned())
        .facts(needs.said.iter().take(3).map(|one| one.fact("calls")))
        .confirm(format!("kubectl -n {namespace} get networkpolicies -o yaml"));
    finding = finding.fix(admit(selected, denied));
    for need in denied {
        finding = finding.signal(need.signal());
    }
    if !needs.said.is_empty() {
        finding = finding.signal("calls-time-out");
    }
    if needs.workloads.is_empty() {
        return finding;
    }
    let mut place = Place::default();
    for workload in &needs.workloads {
        place = place.of(workload.clone());
    }
    finding.at(place.clone()).reaches(place)
}

/// A command that adds the rules.
fn admit(selected: &Selected<'_>, denied: &BTreeSet<Need>) -> String {
    let rules: BTreeSet<&str> = denied.iter().map(|need| need.rule()).collect();
    let rules: Vec<&str> = rules.into_iter().collect();
    let command = selected.admit(&rules);
    if command.contains("0.0.0.0/0") {
        format!(
            "{command}   # narrow 0.0.0.0/0 to the VPC's block where AWS is reached by interface endpoints alone"
        )
    } else {
        command
    }
}
