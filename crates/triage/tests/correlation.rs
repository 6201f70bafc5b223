//! What holds for every correlation: guesses and proofs, rivals, reach, one fact seen twice.

mod support;

use eksnet_model::{Confidence, Finding, Place, Role, Severity};
use eksnet_triage::correlate;
use support::{SCALER, closed_port_53, explained, finding, joined, of, on, roots};

const CRITICAL: Severity = Severity::Critical;
const ERROR: Severity = Severity::Error;

#[test]
fn one_fact_seen_twice_is_one_diagnosis_with_both_proofs() {
    let coredns = || {
        eksnet_model::Subject::namespaced(
            eksnet_model::SubjectKind::Deployment,
            "kube-system",
            "coredns",
        )
    };
    let joined = joined(vec![
        finding("dns/coredns-no-ready-endpoints", CRITICAL).subject(coredns()),
        finding("control-plane/addon-degraded", ERROR).subject(coredns()),
        finding("control-plane/subnet-free-ips", ERROR).subject(coredns()),
        finding("control-plane/health-issues", ERROR).subject(coredns()),
    ]);
    assert_eq!(
        roots(&joined),
        [
            "dns/coredns-no-ready-endpoints",
            "control-plane/subnet-free-ips"
        ]
    );
    let root = joined
        .findings
        .iter()
        .find(|finding| finding.check == "dns/coredns-no-ready-endpoints");
    assert_eq!(root.expect("the root").facts.len(), 2);
}

#[test]
fn a_mechanism_without_cause_is_a_root_and_its_symptom_is_how_it_is_seen() {
    let findings: Vec<Finding> = closed_port_53()
        .into_iter()
        .filter(|finding| {
            !matches!(
                finding.check.as_str(),
                "net/sg-node-dns" | "dns/coredns-cross-node-blocked" | "sym/pod-dns-timeout"
            )
        })
        .collect();
    let joined = joined(findings);
    assert_eq!(roots(&joined), ["endpoints/name-unresolvable"]);
    assert!(explained(&joined, 1).contains(&"sym/aws-call-dns-error"));
    let first = &joined.diagnoses[0];
    assert!(first.links.iter().any(|link| link.to == first.finding));
    assert!(joined.unexplained.is_empty());
}

#[test]
fn rivals_that_guess_equally_well_are_both_possible_and_say_what_would_decide() {
    let joined = joined(vec![
        finding("autoscaler/asg-discovery-tags", ERROR).signal("tag-missing"),
        finding("autoscaler/karpenter-limits", ERROR),
        finding("sym/no-scale-out", ERROR),
    ]);
    assert_eq!(
        roots(&joined),
        [
            "autoscaler/asg-discovery-tags",
            "autoscaler/karpenter-limits"
        ]
    );
    for diagnosis in &joined.diagnoses {
        assert_eq!(
            diagnosis.confidence,
            Confidence::Possible,
            "{}",
            diagnosis.check
        );
        assert!(!diagnosis.decide.is_empty(), "{}", diagnosis.check);
    }
    assert_eq!(joined.diagnoses[0].explains.len(), 1);
    assert!(joined.diagnoses[1].because[0].starts_with("#1 autoscaler/asg-discovery-tags"));
}

#[test]
fn proof_beats_a_guess() {
    let joined = joined(vec![
        finding("autoscaler/asg-at-max", ERROR).signal("event-names-max"),
        finding("autoscaler/karpenter-limits", ERROR).confidence(Confidence::Confirmed),
        finding("sym/no-scale-out", ERROR),
        finding("sym/pods-pending", ERROR),
    ]);
    assert_eq!(roots(&joined)[0], "autoscaler/asg-at-max");
    assert_eq!(joined.diagnoses[0].explains.len(), 2);
    assert_eq!(joined.diagnoses[1].confidence, Confidence::Confirmed);
}

#[test]
fn hygiene_explains_nothing_that_is_not_proven() {
    let joined = joined(vec![
        finding("endpoints/sts-global-endpoint", Severity::Info),
        of("sym/no-aws-credentials", ERROR, SCALER),
    ]);
    assert_eq!(joined.diagnoses[0].severity, Severity::Info);
    assert_eq!(joined.unexplained.len(), 1);
}

#[test]
fn a_cause_elsewhere_explains_nothing_here() {
    let mut findings = closed_port_53();
    for finding in &mut findings {
        if finding.check == "net/sg-node-dns" {
            *finding = finding.clone().reaches(Place::nodes(["other"]));
        }
    }
    let joined = joined(findings);
    assert_eq!(
        roots(&joined)[0],
        "dns/coredns-cross-node-blocked",
        "a mechanism is the root where its cause does not reach"
    );
    assert!(joined.diagnoses[1].explains.is_empty());
}

#[test]
fn an_unknown_place_is_possible_and_never_proven() {
    let joined = joined(vec![
        on("kube-proxy/unhealthy", ERROR, "n1").signal("vip-dead"),
        finding("sym/service-vip-dead", ERROR),
    ]);
    assert_eq!(joined.diagnoses[0].explains.len(), 1);
    assert!(!joined.diagnoses[0].links[0].confirmed);
}

#[test]
fn an_id_that_comes_twice_is_one_finding_with_both_proofs() {
    let once = on("node/not-ready", ERROR, "n1");
    let again = once.clone().fact(eksnet_model::Fact::new(
        eksnet_model::Source::Leases,
        "n1",
        "renewTime",
        "late",
    ));
    let joined = joined(vec![once, again]);
    assert_eq!(joined.findings.len(), 1);
    assert_eq!(joined.findings[0].facts.len(), 2);
    assert_eq!(joined.findings[0].role, Role::Cause);
}

#[test]
fn a_mechanism_that_is_proven_to_bring_a_component_down_is_deeper_than_the_component() {
    let joined = joined(vec![
        of("autoscaler/asg-cache-failed", CRITICAL, SCALER)
            .signal("tail-unknown")
            .signal("at-start"),
        of("autoscaler/not-running", CRITICAL, SCALER)
            .signal("crash-loop")
            .signal("manager-failed"),
    ]);
    assert_eq!(roots(&joined), ["autoscaler/asg-cache-failed"]);
    assert_eq!(explained(&joined, 1), ["autoscaler/not-running"]);
}

#[test]
fn two_thousand_dead_nodes_are_joined_with_what_ran_on_them() {
    let nodes: Vec<String> = (0..2_000).map(|at| format!("n{at}")).collect();
    let mut findings = Vec::new();
    for node in &nodes {
        findings.push(on("node/not-ready", CRITICAL, node).signal("kubelet-silent"));
        findings.push(on("sym/nodes-not-ready", ERROR, node));
        findings.push(on("kube-proxy/unhealthy", ERROR, node).signal("node-not-ready"));
        findings.push(on("cni/aws-node-unhealthy", ERROR, node).signal("node-not-ready"));
        findings.push(on("sym/pod-dns-timeout", ERROR, node).signal("vip-refused"));
    }
    findings.push(
        finding("dns/coredns-no-ready-endpoints", CRITICAL)
            .at(Place::nodes(["n1", "n2"]))
            .signal("no-endpoints"),
    );
    for at in 0..100 {
        findings.push(
            finding("sym/pods-pending", ERROR)
                .subject(eksnet_model::Subject::pod("default", format!("web-{at}")))
                .signal("taint-not-ready"),
        );
    }
    let joined = joined(findings);
    assert_eq!(joined.diagnoses.len(), 2_000);
    assert!(joined.unexplained.is_empty());
    assert_eq!(joined.explained_by.len(), 4 * 2_000 + 1 + 100);
}

#[test]
fn a_cause_reaches_only_what_lies_within_all_its_dimensions() {
    let here = || Place::nodes(["n1"]).of(SCALER);
    let joined = joined(vec![
        finding("iam/imds-hop-limit", ERROR)
            .at(here())
            .reaches(here())
            .signal("token-timeout"),
        finding("sym/no-aws-credentials", ERROR).at(Place::nodes(["n1"]).of("default/other")),
        of("sym/no-aws-credentials", ERROR, SCALER)
            .subject(eksnet_model::Subject::node("n2"))
            .at(Place::nodes(["n2"]).of(SCALER)),
        of("sym/no-aws-credentials", ERROR, SCALER)
            .subject(eksnet_model::Subject::node("n3"))
            .at(Place::nodes(["n3"]).of(SCALER)),
    ]);
    assert_eq!(joined.unexplained.len(), 3);
}

#[test]
fn a_pending_pod_is_on_no_node_and_explained_all_the_same() {
    let joined = joined(vec![
        on("node/not-ready", ERROR, "n1"),
        on("sym/nodes-not-ready", ERROR, "n1"),
        finding("sym/pods-pending", ERROR).signal("taint-not-ready"),
    ]);
    assert_eq!(
        explained(&joined, 1),
        ["sym/nodes-not-ready", "sym/pods-pending"]
    );
    assert!(joined.diagnoses[0].links.iter().all(|link| link.confirmed));
}

#[test]
fn another_host_is_another_failure() {
    let towards = |host: &str| Place::nodes(["n1"]).of(SCALER).towards(host);
    let joined = joined(vec![
        finding("endpoints/tcp-unreachable", ERROR)
            .at(towards("sts.eu-west-1.amazonaws.com"))
            .reaches(Place::nodes(["n1"])),
        finding("sym/aws-call-connect-timeout", ERROR).at(towards("ec2.eu-west-1.amazonaws.com")),
        on("sym/aws-call-connect-timeout", ERROR, "n2")
            .at(Place::nodes(["n2"]).towards("sts.eu-west-1.amazonaws.com")),
        on("sym/aws-call-connect-timeout", ERROR, "n3")
            .at(Place::nodes(["n3"]).towards("sts.eu-west-1.amazonaws.com")),
    ]);
    assert_eq!(joined.unexplained.len(), 3);
}

#[test]
fn two_facts_about_different_things_are_not_merged() {
    let joined = joined(vec![
        finding("dns/coredns-no-ready-endpoints", CRITICAL),
        finding("control-plane/addon-degraded", ERROR),
    ]);
    assert_eq!(joined.diagnoses.len(), 2);
    assert!(
        joined
            .findings
            .iter()
            .all(|finding| finding.facts.len() == 1)
    );
}

#[test]
fn of_two_guesses_the_surer_cause_is_taken() {
    let joined = joined(vec![
        finding("autoscaler/asg-discovery-tags", ERROR),
        finding("autoscaler/karpenter-limits", ERROR).confidence(Confidence::Confirmed),
        finding("sym/no-scale-out", ERROR),
    ]);
    assert_eq!(roots(&joined)[0], "autoscaler/karpenter-limits");
    assert_eq!(joined.diagnoses[0].confidence, Confidence::Confirmed);
    assert_eq!(joined.diagnoses[0].explains.len(), 1);
    assert_eq!(joined.diagnoses[1].confidence, Confidence::Likely);
}

#[test]
fn a_loop_of_causes_is_broken_where_the_graph_says() {
    let graph = eksnet_triage::Graph::parse(
        r#"
symptoms = []
[roles]
cause = ["x/loud", "x/deep"]
[[cycle]]
name = "each other"
path = ["x/loud", "x/deep"]
broken_at = "x/deep"
[[edge]]
number = 1
from = "x/loud"
to = "x/deep"
confirms = "Seen"
confirmed_by = ["to:seen"]
[[edge]]
number = 2
from = "x/deep"
to = "x/loud"
confirms = "Seen"
confirmed_by = ["to:seen"]
"#,
    )
    .expect("a graph");
    let cause =
        |check: &str, severity| Finding::new(check, Role::Cause, severity, check).signal("seen");
    let joined = correlate(
        vec![cause("x/loud", CRITICAL), cause("x/deep", ERROR)],
        &graph,
    );
    assert_eq!(roots(&joined), ["x/deep"]);
    assert_eq!(joined.diagnoses[0].severity, CRITICAL);
}

#[test]
fn a_cause_stands_above_a_mechanism_that_is_as_bad() {
    let joined = joined(vec![
        finding("autoscaler/asg-cache-failed", ERROR),
        finding("cni/subnet-low-ips", ERROR),
    ]);
    assert_eq!(
        roots(&joined),
        ["cni/subnet-low-ips", "autoscaler/asg-cache-failed"]
    );
}
