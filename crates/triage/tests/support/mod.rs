//! Findings by hand, as the checks would make them.
#![allow(dead_code)] // each test file uses a part of it

use std::sync::OnceLock;

use eksnet_model::{
    Confidence, Fact, Finding, Gap, Judged, Outcome, Place, Role, Severity, Snapshot, Source,
    Subject, SubjectKind, Text, Time, Why,
};
use eksnet_triage::{Correlation, FailOn, Graph, Input, correlate};

pub(crate) const SCALER: &str = "kube-system/cluster-autoscaler";

pub(crate) fn graph() -> Graph {
    Graph::load().expect("the built-in graph")
}

/// A finding with the role that the graph gives its check, named after it.
pub(crate) fn finding(check: &str, severity: Severity) -> Finding {
    static GRAPH: OnceLock<Graph> = OnceLock::new();
    let graph = GRAPH.get_or_init(graph);
    let role = graph.checks().get(check).copied().unwrap_or(Role::Symptom);
    Finding::new(check, role, severity, format!("The title of {check}"))
        .subject(Subject::new(SubjectKind::Other, check))
        .fact(Fact::new(Source::Nodes, check, "state", "bad"))
        .confirm(format!("kubectl get {check}"))
        .fix(format!("kubectl mend {check}"))
}

/// Chain 1 of the catalogue: a security group closes UDP 53 between two node groups.
pub(crate) fn closed_port_53() -> Vec<Finding> {
    let clients = || Place::nodes(["ip-10-0-1-23", "ip-10-0-1-24"]);
    let scaler = || {
        Place::nodes(["ip-10-0-1-23"])
            .of("kube-system/cluster-autoscaler")
            .towards("autoscaling.us-west-2.amazonaws.com")
    };
    vec![
        Finding::new(
            "net/sg-node-dns",
            Role::Cause,
            Severity::Critical,
            "Security group sg-0b5 of node group \"c5\" does not admit DNS from \"t2\"",
        )
        .confidence(Confidence::Confirmed)
        .detail("CoreDNS runs only on group \"c5\"; no node of group \"t2\" can ask it. Names in the cluster fail there.")
        .subject(Subject::new(SubjectKind::SecurityGroup, "sg-0b5"))
        .fact(Fact::new(Source::Probes, "ip-10-0-1-23 (t2) -> 10.0.9.7:53 coredns-6f4-x2x", "", "udp 0/5, tcp 0/5; from c5 5/5, 5/5"))
        .fact(Fact::new(Source::SecurityGroups, "sg-0b5", "ingress", "no rule for udp/53 or tcp/53 admits sg-0a1"))
        .fact(Fact::new(Source::Probes, "ip-10-0-1-23 -> 10.0.0.2:53 (VPC resolver)", "", "5/5: the way out works, only cluster DNS does not"))
        .confirm("aws ec2 describe-security-group-rules --filters Name=group-id,Values=sg-0b5")
        .fix("aws ec2 authorize-security-group-ingress --group-id sg-0b5 --ip-permissions 'IpProtocol=udp,FromPort=53,ToPort=53,UserIdGroupPairs=[{GroupId=sg-0a1}]' 'IpProtocol=tcp,FromPort=53,ToPort=53,UserIdGroupPairs=[{GroupId=sg-0a1}]'")
        .at(clients())
        .reaches(clients())
        .signal("udp-denied")
        .signal("probe-blocked"),
        Finding::new(
            "dns/coredns-cross-node-blocked",
            Role::Mechanism,
            Severity::Critical,
            "CoreDNS answers on its own node and not from node group \"t2\"",
        )
        .confidence(Confidence::Confirmed)
        .subject(Subject::node("ip-10-0-1-23"))
        .fact(Fact::new(Source::Probes, "ip-10-0-9-7 -> 10.0.9.7:53", "", "udp 5/5"))
        .at(clients())
        .reaches(clients())
        .signal("udp-blocked")
        .signal("vip-dead")
        .signal("same-node-ok"),
        Finding::new("sym/pod-dns-timeout", Role::Symptom, Severity::Critical, "Names time out in pods on ip-10-0-1-23")
            .subject(Subject::node("ip-10-0-1-23"))
            .fact(Fact::new(Source::Probes, "ip-10-0-1-23 -> 172.20.0.10:53", "", "0/5"))
            .at(Place::nodes(["ip-10-0-1-23"]))
            .reaches(Place::nodes(["ip-10-0-1-23"]))
            .signal("vip-dead"),
        Finding::new("sym/pod-dns-timeout", Role::Symptom, Severity::Critical, "Names time out in pods on ip-10-0-1-24")
            .subject(Subject::node("ip-10-0-1-24"))
            .fact(Fact::new(Source::Probes, "ip-10-0-1-24 -> 172.20.0.10:53", "", "0/5"))
            .at(Place::nodes(["ip-10-0-1-24"]))
            .reaches(Place::nodes(["ip-10-0-1-24"]))
            .signal("vip-dead"),
        Finding::new(
            "sym/aws-call-dns-error",
            Role::Symptom,
            Severity::Error,
            "kube-system/cluster-autoscaler cannot resolve autoscaling.us-west-2.amazonaws.com",
        )
        .subject(Subject::namespaced(SubjectKind::Deployment, "kube-system", "cluster-autoscaler"))
        .fact(Fact::new(Source::Logs, "kube-system/cluster-autoscaler-7d", "", "'dial tcp: i/o timeout' 212x").at(Time::parse("2026-05-01T10:00:00Z")))
        .at(scaler())
        .reaches(scaler())
        .signal("dns-policy-cluster-first"),
        Finding::new(
            "endpoints/name-unresolvable",
            Role::Mechanism,
            Severity::Critical,
            "autoscaling.us-west-2.amazonaws.com does not resolve in kube-system/cluster-autoscaler",
        )
        .subject(Subject::new(SubjectKind::Host, "autoscaling.us-west-2.amazonaws.com"))
        .fact(Fact::new(Source::Probes, "ip-10-0-1-23", "autoscaling.us-west-2.amazonaws.com", "timeout 5/5"))
        .at(scaler())
        .reaches(scaler())
        .signal("tail-dns")
        .signal("fails-now")
        .signal("resolver-ok"),
        Finding::new(
            "autoscaler/asg-cache-failed",
            Role::Mechanism,
            Severity::Critical,
            "cluster-autoscaler cannot read its Auto Scaling groups since 41 min",
        )
        .subject(Subject::namespaced(SubjectKind::Deployment, "kube-system", "cluster-autoscaler"))
        .fact(Fact::new(Source::Logs, "kube-system/cluster-autoscaler-7d", "", "'Failed to regenerate ASG cache' 212x").at(Time::parse("2026-05-01T10:00:00Z")))
        .at(scaler())
        .signal("tail-dns")
        .signal("no-scale-up-since")
        .signal("no-scale-down-since"),
        Finding::new("sym/no-scale-out", Role::Symptom, Severity::Error, "No node was added for 40 min while pods wait")
            .subject(Subject::new(SubjectKind::Cluster, "prod"))
            .fact(Fact::new(Source::Events, "61 pods", "", "no Event of an autoscaler"))
            .signal("resources"),
        Finding::new("sym/pods-pending", Role::Symptom, Severity::Error, "61 pods of default/web are Pending for 40 min")
            .subject(Subject::namespaced(SubjectKind::Deployment, "default", "web"))
            .fact(Fact::new(Source::Pods, "default/web", "", "0/9 nodes are available: 9 Insufficient cpu"))
            .at(Place::default().of("default/web"))
            .signal("insufficient-resources"),
    ]
}

/// A lone warning.
pub(crate) fn low_subnet() -> Finding {
    Finding::new(
        "cni/subnet-low-ips",
        Role::Cause,
        Severity::Warning,
        "Subnet subnet-0c1 has 14 of 251 addresses free: 1 more node fits",
    )
    .subject(Subject::new(SubjectKind::Subnet, "subnet-0c1"))
    .fact(Fact::new(
        Source::Subnets,
        "subnet-0c1",
        "AvailableIpAddressCount",
        "14",
    ))
    .at(Place::nodes(["ip-10-0-3-3"]))
    .reaches(Place::nodes(["ip-10-0-3-3"]))
    .signal("under-two-nodes")
}

/// What checks came to: the findings, passes for the rest of the core, and a few gaps.
pub(crate) fn judged(findings: Vec<Finding>) -> Judged {
    let mut judged = Judged::default();
    for finding in findings {
        if finding.role == Role::Symptom {
            judged.symptoms.push(finding);
            continue;
        }
        let known = judged
            .outcomes
            .iter_mut()
            .find(|(check, _)| *check == finding.check);
        match known {
            Some((_, Outcome::Found { findings, .. })) => findings.push(finding),
            _ => judged.outcomes.push((
                finding.check.clone(),
                Outcome::Found {
                    findings: vec![finding],
                    without: Vec::new(),
                },
            )),
        }
    }
    for core in eksnet_triage::CORE {
        if !judged.outcomes.iter().any(|(check, _)| check == core) {
            judged.outcomes.push((core.into(), pass()));
        }
    }
    judged
}

pub(crate) fn pass() -> Outcome {
    Outcome::Pass {
        evidence: vec![Source::Nodes, Source::Pods],
        without: Vec::new(),
    }
}

pub(crate) fn denied(source: Source, permission: &str) -> Outcome {
    Outcome::Unknown(vec![Gap::new(source, Why::Denied(permission.into()), "")])
}

/// The evidence of a live cluster of which only the name is known.
pub(crate) fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot {
        taken_at: Time::parse("2026-05-01T10:00:40Z"),
        ..Snapshot::default()
    };
    snapshot.cluster.name = Some("prod".into());
    snapshot.cluster.region = Some("us-west-2".into());
    snapshot.cluster.account = Some("123456789012".into());
    snapshot.cluster.version = Some("1.33".into());
    snapshot.cluster.eks = Some(true);
    snapshot
}

pub(crate) fn input<'a>(snapshot: &'a Snapshot, graph: &'a Graph, judged: Judged) -> Input<'a> {
    Input {
        snapshot,
        judged,
        graph,
        unread: Vec::new(),
        timings: [(Text::from("total"), 9_400)].into(),
        created: eksnet_model::Created {
            pods: 4,
            deleted: 4,
            left: 0,
        },
        version: "0.1.0".into(),
        fail_on: FailOn::Error,
        probes_expected: false,
        selected: false,
    }
}

pub(crate) fn joined(findings: Vec<Finding>) -> Correlation {
    correlate(findings, &graph())
}

/// Checks that are roots, best first.
pub(crate) fn roots(correlation: &Correlation) -> Vec<&str> {
    correlation
        .diagnoses
        .iter()
        .map(|diagnosis| diagnosis.check.as_str())
        .collect()
}

/// Checks that the root of that rank explains, nearest first.
pub(crate) fn explained(correlation: &Correlation, rank: usize) -> Vec<&str> {
    correlation.diagnoses[rank - 1]
        .explains
        .iter()
        .map(|id| {
            let finding = correlation
                .findings
                .iter()
                .find(|finding| finding.id == *id);
            finding.expect("a finding of that id").check.as_str()
        })
        .collect()
}

pub(crate) fn on(check: &str, severity: Severity, node: &str) -> Finding {
    finding(check, severity)
        .subject(eksnet_model::Subject::node(node))
        .at(Place::nodes([node]))
        .reaches(Place::nodes([node]))
}

pub(crate) fn of(check: &str, severity: Severity, workload: &str) -> Finding {
    finding(check, severity)
        .at(Place::default().of(workload))
        .reaches(Place::default().of(workload))
}
