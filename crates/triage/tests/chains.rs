//! The worked chains of the causal graph, with findings made by hand.

mod support;

use eksnet_model::{Confidence, Finding, Place, Severity};
use support::{SCALER, closed_port_53, explained, finding, joined, low_subnet, of, on, roots};

const CRITICAL: Severity = Severity::Critical;
const ERROR: Severity = Severity::Error;
const WARNING: Severity = Severity::Warning;

#[test]
fn a_closed_port_explains_everything_down_to_the_pending_pods() {
    let mut findings = closed_port_53();
    findings.push(low_subnet());
    let joined = joined(findings);
    assert_eq!(roots(&joined), ["net/sg-node-dns", "cni/subnet-low-ips"]);
    let first = &joined.diagnoses[0];
    assert_eq!(
        (first.severity, first.confidence),
        (CRITICAL, Confidence::Confirmed)
    );
    assert_eq!(first.explains.len(), 8);
    assert_eq!(explained(&joined, 1)[0], "dns/coredns-cross-node-blocked");
    assert_eq!(explained(&joined, 1).last(), Some(&"sym/pods-pending"));
    assert!(first.links.iter().all(|link| link.confirmed));
    assert!(first.decide.is_empty(), "{:?}", first.decide);
    assert!(joined.unexplained.is_empty());
}

#[test]
fn a_log_that_dials_an_address_is_not_explained_by_dns() {
    let mut findings = closed_port_53();
    for finding in &mut findings {
        if finding.check == "autoscaler/asg-cache-failed" {
            finding.signals.clear();
            finding.signals.insert("tail-connect".into());
        }
    }
    let joined = joined(findings);
    assert!(roots(&joined).contains(&"autoscaler/asg-cache-failed"));
    assert!(!explained(&joined, 1).contains(&"autoscaler/asg-cache-failed"));
}

#[test]
fn an_isolated_subnet_without_endpoint_is_told_from_a_dns_failure() {
    let host = "autoscaling.us-west-2.amazonaws.com";
    let place = || Place::nodes(["n1"]).of(SCALER).towards(host);
    let joined = joined(vec![
        finding("net/route-no-egress", CRITICAL)
            .at(Place::nodes(["n1"]))
            .reaches(Place::nodes(["n1"])),
        finding("endpoints/vpce-missing", CRITICAL)
            .at(Place::nodes(["n1"]))
            .reaches(Place::nodes(["n1"])),
        finding("endpoints/tcp-unreachable", CRITICAL)
            .at(place())
            .reaches(place())
            .signal("address-public")
            .signal("no-egress-route"),
        finding("sym/aws-call-connect-timeout", ERROR)
            .at(place())
            .reaches(place()),
        finding("autoscaler/asg-cache-failed", CRITICAL)
            .at(place())
            .signal("tail-connect"),
    ]);
    // That the subnet is closed may be by design: nothing proves that it asks for the endpoint.
    assert_eq!(
        roots(&joined),
        ["net/route-no-egress", "endpoints/vpce-missing"]
    );
    assert_eq!(
        explained(&joined, 2),
        [
            "endpoints/tcp-unreachable",
            "sym/aws-call-connect-timeout",
            "autoscaler/asg-cache-failed"
        ]
    );
    let second = &joined.diagnoses[1];
    assert!(second.because[0].contains("May itself come from #1 net/route-no-egress"));
    assert!(second.decide[0].contains("if the subnets without a way out"));
}

#[test]
fn hop_limit_one_explains_the_autoscaler_without_credentials() {
    let joined = joined(vec![
        finding("iam/imds-hop-limit", ERROR)
            .at(Place::nodes(["n1"]).of(SCALER))
            .reaches(Place::nodes(["n1"]).of(SCALER))
            .signal("hop-limit-1")
            .signal("token-timeout"),
        of("sym/no-aws-credentials", ERROR, SCALER)
            .signal("imds-role-missing")
            .signal("pod-without-role"),
        of("autoscaler/asg-cache-failed", CRITICAL, SCALER)
            .signal("tail-credentials")
            .signal("tail-no-providers"),
    ]);
    assert_eq!(roots(&joined), ["iam/imds-hop-limit"]);
    assert_eq!(joined.diagnoses[0].severity, CRITICAL);
    assert_eq!(
        explained(&joined, 1),
        ["sym/no-aws-credentials", "autoscaler/asg-cache-failed"]
    );
}

#[test]
fn a_crowded_subnet_explains_pods_without_address_down_to_coredns() {
    let joined = joined(vec![
        finding("cni/leaked-enis", WARNING),
        on("cni/subnet-low-ips", ERROR, "n1")
            .signal("under-one-eni")
            .signal("pods-waiting"),
        on("cni/ip-pool-exhausted", CRITICAL, "n1")
            .signal("pool-below-limit")
            .signal("subnet-no-room")
            .signal("sandbox-no-ip"),
        on("sym/pods-containercreating", ERROR, "n1").signal("no-ip"),
        finding("dns/coredns-no-ready-endpoints", CRITICAL)
            .at(Place::nodes(["n1"]))
            .signal("coredns-not-starting"),
    ]);
    assert_eq!(roots(&joined), ["cni/subnet-low-ips", "cni/leaked-enis"]);
    assert_eq!(
        explained(&joined, 1),
        [
            "cni/ip-pool-exhausted",
            "sym/pods-containercreating",
            "dns/coredns-no-ready-endpoints"
        ]
    );
}

#[test]
fn a_full_node_is_not_blamed_on_its_subnet() {
    let joined = joined(vec![
        on("cni/subnet-low-ips", ERROR, "n1").signal("under-one-eni"),
        on("cni/max-pods-mismatch", ERROR, "n1").signal("over-capacity"),
        on("cni/ip-pool-exhausted", CRITICAL, "n1")
            .signal("pool-at-node-limit")
            .signal("assigned-at-cap"),
    ]);
    assert_eq!(
        roots(&joined),
        ["cni/max-pods-mismatch", "cni/subnet-low-ips"]
    );
    assert_eq!(explained(&joined, 1), ["cni/ip-pool-exhausted"]);
}

#[test]
fn a_risk_that_came_true_is_a_cause() {
    let joined = joined(vec![
        finding("autoscaler/evicts-coredns", ERROR).signal("drained-coredns-node"),
        finding("dns/coredns-capacity", WARNING),
        finding("sym/intermittent-drops", ERROR),
    ]);
    assert_eq!(roots(&joined), ["autoscaler/evicts-coredns"]);
    assert_eq!(
        explained(&joined, 1),
        ["dns/coredns-capacity", "sym/intermittent-drops"]
    );
}

#[test]
fn a_risk_that_did_not_come_true_stands_below_and_explains_nothing() {
    let joined = joined(vec![
        finding("autoscaler/evicts-coredns", ERROR).signal("no-pdb"),
        finding("cni/subnet-low-ips", WARNING),
        finding("sym/intermittent-drops", ERROR),
    ]);
    assert_eq!(
        roots(&joined),
        ["cni/subnet-low-ips", "autoscaler/evicts-coredns"]
    );
    assert_eq!(joined.unexplained.len(), 1);
}

#[test]
fn a_deadlock_is_broken_at_its_cause() {
    let place = || {
        Place::nodes(["n1"])
            .of(SCALER)
            .towards("sts.us-west-2.amazonaws.com")
    };
    let findings = |with_deadlock: bool| {
        let mut findings = vec![
            finding("dns/coredns-no-ready-endpoints", CRITICAL)
                .signal("no-endpoints")
                .signal("coredns-pending")
                .signal("coredns-pending-capacity"),
            on("sym/pod-dns-timeout", ERROR, "n1").signal("vip-refused"),
            finding("sym/aws-call-dns-error", ERROR)
                .at(place())
                .reaches(place())
                .signal("dns-policy-cluster-first"),
            finding("endpoints/name-unresolvable", CRITICAL)
                .at(place())
                .reaches(place())
                .signal("fails-now")
                .signal("resolver-ok"),
            finding("autoscaler/asg-cache-failed", CRITICAL)
                .at(place())
                .signal("tail-dns")
                .signal("no-scale-up-since"),
            finding("sym/no-scale-out", ERROR),
        ];
        if with_deadlock {
            findings.push(finding("autoscaler/dns-policy-deadlock", CRITICAL));
        }
        findings
    };
    let broken = joined(findings(true));
    assert_eq!(roots(&broken), ["autoscaler/dns-policy-deadlock"]);
    assert_eq!(broken.diagnoses[0].explains.len(), 6);
    // Without it the loop has one cause on it, and that one is the root.
    let alone = joined(findings(false));
    assert_eq!(roots(&alone), ["dns/coredns-no-ready-endpoints"]);
    assert_eq!(alone.diagnoses[0].explains.len(), 5);
}

#[test]
fn context_tells_since_when_and_causes_nothing() {
    let mut findings = closed_port_53();
    findings.push(finding("autoscaler/evicts-coredns", WARNING).signal("drained-coredns-node"));
    let joined = joined(findings);
    assert_eq!(
        roots(&joined),
        ["net/sg-node-dns", "autoscaler/evicts-coredns"]
    );
    assert!(joined.diagnoses[0].because[0].starts_with("Since: A scale-down moved CoreDNS"));
}

#[test]
fn a_dead_node_explains_what_ran_on_it_and_nothing_elsewhere() {
    let joined = joined(vec![
        on("node/not-ready", ERROR, "n1").signal("kubelet-silent"),
        on("sym/nodes-not-ready", ERROR, "n1"),
        on("cni/aws-node-unhealthy", ERROR, "n1")
            .signal("node-not-ready")
            .signal("kubelet-silent"),
        on("kube-proxy/unhealthy", ERROR, "n1").signal("node-not-ready"),
        on("kube-proxy/unhealthy", ERROR, "n2").signal("pod-not-ready"),
        finding("dns/coredns-no-ready-endpoints", ERROR)
            .at(Place::nodes(["n1"]))
            .signal("endpoints-on-dead-node"),
        finding("autoscaler/not-running", ERROR)
            .at(Place::nodes(["n2"]).of(SCALER))
            .signal("crash-loop"),
    ]);
    assert_eq!(
        roots(&joined),
        [
            "node/not-ready",
            "kube-proxy/unhealthy",
            "autoscaler/not-running"
        ]
    );
    let mut first = explained(&joined, 1);
    first.sort_unstable();
    assert_eq!(
        first,
        [
            "cni/aws-node-unhealthy",
            "dns/coredns-no-ready-endpoints",
            "kube-proxy/unhealthy",
            "sym/nodes-not-ready"
        ]
    );
}

#[test]
fn a_node_that_waits_for_aws_node_is_explained_by_it() {
    let joined = joined(vec![
        on("node/not-ready", CRITICAL, "n1").signal("cni-not-initialized"),
        on("sym/nodes-not-ready", ERROR, "n1"),
        on("cni/aws-node-unhealthy", ERROR, "n1")
            .signal("env-warm-prefix")
            .signal("node-not-ready"),
    ]);
    assert_eq!(roots(&joined), ["cni/aws-node-unhealthy"]);
    assert_eq!(
        explained(&joined, 1),
        ["node/not-ready", "sym/nodes-not-ready"]
    );
}

#[test]
fn two_dead_nodes_prove_together_what_neither_proves_alone() {
    let findings = |nodes: &[&str]| {
        let mut findings: Vec<Finding> = nodes
            .iter()
            .map(|node| on("node/not-ready", ERROR, node))
            .collect();
        findings.push(
            finding("dns/coredns-no-ready-endpoints", CRITICAL).at(Place::nodes(["n1", "n2"])),
        );
        findings
    };
    let both = joined(findings(&["n1", "n2"]));
    assert_eq!(roots(&both), ["node/not-ready", "node/not-ready"]);
    assert_eq!(explained(&both, 1), ["dns/coredns-no-ready-endpoints"]);
    let one = joined(findings(&["n1"]));
    assert_eq!(
        roots(&one),
        ["dns/coredns-no-ready-endpoints", "node/not-ready"]
    );
}
