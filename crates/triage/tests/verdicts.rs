//! Verdicts, exit codes and what a report says about its gaps.

mod support;

use eksnet_model::{
    Evidence, Finding, Gap, Judged, Outcome, OutcomeState, ProbeRun, Report, Severity, Source,
    Text, Verdict, Why,
};
use eksnet_triage::{FailOn, Input, gap_groups, report};
use support::{closed_port_53, denied, finding, graph, input, judged, pass, snapshot};

/// The verdict and the exit code of a run over a live cluster, after `change`.
fn run(judged: Judged, change: impl FnOnce(&mut Input<'_>)) -> Report {
    let (graph, snapshot) = (graph(), snapshot());
    let mut input = input(&snapshot, &graph, judged);
    change(&mut input);
    report(input)
}

fn ends(judged: Judged, change: impl FnOnce(&mut Input<'_>)) -> (Verdict, i32) {
    let report = run(judged, change);
    (report.verdict, report.exit_code)
}

fn with(findings: Vec<Finding>) -> Judged {
    judged(findings)
}

fn core_unknown(findings: Vec<Finding>) -> Judged {
    let mut judged = judged(findings);
    for (check, outcome) in &mut judged.outcomes {
        if check == "node/not-ready" {
            *outcome = denied(Source::Nodes, "list nodes");
        }
    }
    judged
}

#[test]
fn a_core_that_passes_with_no_finding_is_healthy() {
    assert_eq!(ends(with(vec![]), |_| {}), (Verdict::Healthy, 0));
}

#[test]
fn facts_of_hygiene_do_not_degrade() {
    let info = vec![finding("endpoints/sts-global-endpoint", Severity::Info)];
    assert_eq!(ends(with(info), |_| {}), (Verdict::Healthy, 0));
}

#[test]
fn severities_decide_between_degraded_and_broken() {
    let warning = vec![finding("cni/subnet-low-ips", Severity::Warning)];
    assert_eq!(ends(with(warning), |_| {}), (Verdict::Degraded, 0));
    let error = vec![finding("cni/subnet-low-ips", Severity::Error)];
    assert_eq!(ends(with(error), |_| {}), (Verdict::Degraded, 1));
    let critical = vec![finding("cni/subnet-low-ips", Severity::Critical)];
    assert_eq!(ends(with(critical), |_| {}), (Verdict::Broken, 1));
    let felt = vec![
        finding("autoscaler/asg-at-max", Severity::Error).signal("event-names-max"),
        finding("sym/no-scale-out", Severity::Error),
    ];
    assert_eq!(ends(with(felt), |_| {}), (Verdict::Broken, 1));
}

#[test]
fn the_threshold_moves_the_exit_code_and_not_the_verdict() {
    for (fail_on, code) in [
        (FailOn::Critical, 0),
        (FailOn::Error, 1),
        (FailOn::Warning, 1),
        (FailOn::Never, 0),
    ] {
        let error = vec![finding("cni/subnet-low-ips", Severity::Error)];
        let ended = ends(with(error), |input| input.fail_on = fail_on);
        assert_eq!(ended, (Verdict::Degraded, code), "{fail_on:?}");
    }
}

#[test]
fn a_core_check_that_is_unknown_makes_it_inconclusive() {
    let report = run(core_unknown(vec![]), |_| {});
    assert_eq!(
        (report.verdict, report.exit_code),
        (Verdict::Inconclusive, 3)
    );
    assert_eq!(
        report.lacks,
        ["node/not-ready: k8s/nodes: not allowed, needs list nodes"].map(Text::from)
    );
    let warning = vec![finding("cni/subnet-low-ips", Severity::Warning)];
    assert_eq!(
        ends(core_unknown(warning), |_| {}),
        (Verdict::Inconclusive, 3)
    );
}

#[test]
fn a_core_check_that_was_not_run_makes_it_inconclusive_unless_others_were_selected() {
    let only = || Judged {
        outcomes: vec![("cni/subnet-low-ips".into(), pass())],
        symptoms: Vec::new(),
    };
    assert_eq!(ends(only(), |_| {}), (Verdict::Inconclusive, 3));
    assert_eq!(
        ends(only(), |input| input.selected = true),
        (Verdict::Healthy, 0)
    );
    let unknown = Judged {
        outcomes: vec![(
            "cni/subnet-low-ips".into(),
            denied(Source::Subnets, "ec2:DescribeSubnets"),
        )],
        symptoms: Vec::new(),
    };
    assert_eq!(
        ends(unknown, |input| input.selected = true),
        (Verdict::Inconclusive, 3)
    );
}

#[test]
fn findings_that_decide_outrank_an_unknown_core() {
    let error = || vec![finding("cni/subnet-low-ips", Severity::Error)];
    assert_eq!(ends(core_unknown(error()), |_| {}), (Verdict::Degraded, 1));
    // What is not seen may be critical: below the threshold an incomplete core says nothing.
    let critical = |input: &mut Input<'_>| input.fail_on = FailOn::Critical;
    assert_eq!(
        ends(core_unknown(error()), critical),
        (Verdict::Degraded, 3)
    );
    let never = |input: &mut Input<'_>| input.fail_on = FailOn::Never;
    assert_eq!(ends(core_unknown(error()), never), (Verdict::Degraded, 0));
    assert_eq!(
        ends(core_unknown(vec![]), never),
        (Verdict::Inconclusive, 3)
    );
}

#[test]
fn not_applicable_with_a_reason_satisfies_the_core() {
    let mut judged = judged(vec![]);
    for (check, outcome) in &mut judged.outcomes {
        if check == "cni/aws-node-unhealthy" {
            *outcome = Outcome::NotApplicable("EKS Auto Mode runs no aws-node".into());
        }
    }
    assert_eq!(ends(judged, |_| {}), (Verdict::Healthy, 0));
}

#[test]
fn a_crash_beats_findings() {
    let mut judged = judged(vec![finding("cni/subnet-low-ips", Severity::Critical)]);
    judged.outcomes.push((
        "dns/corefile-broken".into(),
        Outcome::Crashed("index out of range".into()),
    ));
    let report = run(judged, |_| {});
    assert_eq!((report.verdict, report.exit_code), (Verdict::Broken, 4));
    let entry = report
        .outcomes
        .iter()
        .find(|entry| entry.state == OutcomeState::Crashed)
        .expect("the crash");
    assert!(entry.reason.contains("index out of range"));
}

#[test]
fn expected_probes_that_brought_nothing_make_it_inconclusive() {
    let graph = graph();
    let mut snapshot = snapshot();
    let mut end = |probes| {
        snapshot.probes = probes;
        let mut input = input(&snapshot, &graph, judged(vec![]));
        input.probes_expected = true;
        let report = report(input);
        (report.verdict, report.lacks)
    };
    let gap = Gap::new(
        Source::Probes,
        Why::Denied("create pods".into()),
        "namespace default",
    );
    let (verdict, lacks) = end(Evidence::Absent(gap));
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(lacks[0].contains("needs create pods"));
    let (verdict, _) = end(Evidence::Present(ProbeRun::default()));
    assert_eq!(verdict, Verdict::Inconclusive);
}

#[test]
fn gaps_are_grouped_by_what_closes_them_and_none_that_nobody_asked_for_is_listed() {
    let mut judged = judged(vec![]);
    for at in 0..3 {
        judged.outcomes.push((
            format!("iam/a{at}").into(),
            denied(Source::SimulatedPolicies, "iam:SimulatePrincipalPolicy"),
        ));
    }
    judged.outcomes.push((
        "cni/b".into(),
        denied(Source::Subnets, "ec2:DescribeSubnets"),
    ));
    let report = run(judged, |_| {});
    let groups = gap_groups(&report);
    assert_eq!(groups[0].lacks, "need iam:SimulatePrincipalPolicy");
    assert_eq!(groups[0].checks.len(), 3);
    assert_eq!(groups[0].closes, Some("kubectl eksnet permissions".into()));
    assert_eq!(report.gaps.len(), 2, "{:?}", report.gaps);
}

#[test]
fn a_mechanism_says_which_causes_are_left_and_what_would_decide() {
    let found = closed_port_53()
        .into_iter()
        .filter(|finding| finding.check != "net/sg-node-dns")
        .collect();
    let mut judged = judged(found);
    judged.outcomes.push((
        "net/sg-node-dns".into(),
        denied(Source::SecurityGroups, "ec2:DescribeSecurityGroups"),
    ));
    judged.outcomes.push((
        "net/nacl-stateless".into(),
        denied(Source::NetworkAcls, "ec2:DescribeNetworkAcls"),
    ));
    judged
        .outcomes
        .push(("isolation/netpol-blocks-dns".into(), pass()));
    let report = run(judged, |_| {});
    let first = &report.diagnoses[0];
    assert_eq!(first.check, "dns/coredns-cross-node-blocked");
    let because = first.because.first().expect("a reason");
    assert!(
        because.ends_with("left are net/nacl-stateless, net/sg-node-dns"),
        "{because}"
    );
    assert!(!because.contains("isolation/"), "what passed is not left");
    assert_eq!(first.decide[1], "kubectl eksnet permissions");
}

#[test]
fn a_report_survives_a_round_trip_and_keeps_to_the_contract() {
    let report = run(with(closed_port_53()), |_| {});
    let json = eksnet_triage::render::json(&report).expect("JSON");
    let back: Report = serde_json::from_str(&json).expect("a report");
    assert_eq!(back, report);
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    for field in [
        "schema",
        "tool",
        "takenAt",
        "source",
        "cluster",
        "verdict",
        "diagnoses",
        "findings",
        "outcomes",
        "gaps",
        "unread",
        "timings",
        "created",
        "exitCode",
        "unexplained",
    ] {
        assert!(value.get(field).is_some(), "{field}");
    }
    for field in [
        "rank",
        "finding",
        "check",
        "title",
        "severity",
        "confidence",
        "subjects",
        "explains",
        "because",
        "remedy",
    ] {
        assert!(value["diagnoses"][0].get(field).is_some(), "{field}");
    }
    let schema = eksnet_triage::render::schema();
    assert!(schema["properties"]["diagnoses"].is_object());
}

#[test]
fn a_cause_that_the_signals_refute_is_not_left() {
    let mut found: Vec<Finding> = closed_port_53()
        .into_iter()
        .filter(|finding| finding.check == "dns/coredns-cross-node-blocked")
        .collect();
    found[0].signals.insert("same-subnet-blocked".into());
    let mut judged = judged(found);
    for (check, source) in [
        ("net/sg-node-dns", Source::SecurityGroups),
        ("net/nacl-stateless", Source::NetworkAcls),
    ] {
        judged
            .outcomes
            .push((check.into(), denied(source, "ec2:*")));
    }
    let report = run(judged, |_| {});
    assert_eq!(
        report.diagnoses[0].because[0],
        "Its cause is not known yet; left is net/sg-node-dns"
    );
}
