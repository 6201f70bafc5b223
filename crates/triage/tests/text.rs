//! Reports as text, against files. `EKSNET_UPDATE_GOLDEN=1` writes the files anew; read the difference.

mod support;

use std::path::Path;

use eksnet_model::{
    Fact, Finding, Gap, Origin, OriginKind, Outcome, Place, Report, Role, Severity, Snapshot,
    Source, Subject, SubjectKind, Time, UnreadFile, Why,
};
use eksnet_triage::render::{Style, markdown, short, text};
use eksnet_triage::report;
use support::{closed_port_53, denied, finding, graph, input, judged, low_subnet, pass, snapshot};
use unicode_width::UnicodeWidthStr;

const WIDE: Style = Style {
    colour: false,
    unicode: true,
    width: 120,
    wide: false,
};
const NARROW: Style = Style { width: 80, ..WIDE };
const COLOURED: Style = Style {
    colour: true,
    ..WIDE
};
const ASCII: Style = Style {
    unicode: false,
    ..NARROW
};

fn agree(name: &str, shown: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("EKSNET_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, shown).expect("write the golden file");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == shown, "{name} differs; it is now:\n{shown}");
}

fn closed_port() -> Report {
    let mut findings = closed_port_53();
    findings.push(low_subnet());
    let mut judged = judged(findings);
    for check in ["iam/actions-denied", "autoscaler/policy-actions"] {
        judged.outcomes.push((
            check.into(),
            denied(Source::SimulatedPolicies, "iam:SimulatePrincipalPolicy"),
        ));
    }
    judged.outcomes.push((
        "cni/eniconfig-missing".into(),
        Outcome::NotApplicable("custom networking is off".into()),
    ));
    report(input(&snapshot(), &graph(), judged))
}

fn healthy() -> Report {
    report(input(&snapshot(), &graph(), judged(vec![])))
}

fn folder() -> Snapshot {
    Snapshot {
        origin: Origin {
            kind: OriginKind::Folder,
            name: "ticket-4711".into(),
        },
        ..Snapshot::default()
    }
}

fn inconclusive() -> Report {
    let mut judged = judged(vec![]);
    for (_, outcome) in &mut judged.outcomes {
        *outcome = Outcome::Unknown(vec![Gap::new(Source::Nodes, Why::NotRequested, "")]);
    }
    judged.outcomes.push(("dns/corefile-broken".into(), pass()));
    let (snapshot, graph) = (folder(), graph());
    let mut input = input(&snapshot, &graph, judged);
    input.created = eksnet_model::Created::default();
    input.unread = vec![UnreadFile {
        path: "screenshot.png".into(),
        why: "neither text nor an archive".into(),
    }];
    report(input)
}

fn without_cause() -> Report {
    let findings = closed_port_53()
        .into_iter()
        .filter(|finding| {
            !matches!(
                finding.check.as_str(),
                "net/sg-node-dns" | "dns/coredns-cross-node-blocked" | "sym/pod-dns-timeout"
            )
        })
        .collect();
    let mut judged = judged(findings);
    for (check, source, permission) in [
        (
            "net/sg-node-dns",
            Source::SecurityGroups,
            "ec2:DescribeSecurityGroups",
        ),
        (
            "net/nacl-stateless",
            Source::NetworkAcls,
            "ec2:DescribeNetworkAcls",
        ),
        ("dns/private-zone-shadow", Source::Vpcs, "ec2:DescribeVpcs"),
    ] {
        judged
            .outcomes
            .push((check.into(), denied(source, permission)));
    }
    report(input(&snapshot(), &graph(), judged))
}

fn many_alike() -> Report {
    let mut findings: Vec<Finding> = (1..=12)
        .map(|at| {
            let node = format!("ip-10-0-1-{at}");
            Finding::new(
                "node/not-ready",
                Role::Cause,
                Severity::Critical,
                format!("Node {node} stopped reporting: its kubelet is down or cut off"),
            )
            .subject(Subject::node(&node))
            .fact(
                Fact::new(
                    Source::Nodes,
                    format!("Node {node}"),
                    "condition Ready",
                    "Unknown",
                )
                .expected("True")
                .at(Time::parse("2026-05-01T09:56:00Z")),
            )
            .confirm(format!("kubectl describe node {node}"))
            .fix(format!(
                "Start the kubelet on {node} (systemctl restart kubelet), or replace the node"
            ))
            .at(Place::nodes([node.as_str()]))
            .reaches(Place::nodes([node.as_str()]))
        })
        .collect();
    for (check, title) in [
        (
            "autoscaler/asg-discovery-tags",
            "Auto Scaling group t2 lacks the tag k8s.io/cluster-autoscaler/prod",
        ),
        (
            "autoscaler/karpenter-limits",
            "NodePool default has reached its limit of 64 CPU",
        ),
        (
            "sym/no-scale-out",
            "No node was added for 40 min while pods wait",
        ),
        (
            "sym/lb-not-created",
            "Ingress default/web has no address for 2 h",
        ),
        (
            "autoscaler/evicts-coredns",
            "Scale-down may drain both nodes that run CoreDNS",
        ),
    ] {
        let mut finding = finding(check, Severity::Error);
        finding.title = title.into();
        findings.push(finding);
    }
    report(input(&snapshot(), &graph(), judged(findings)))
}

fn hostile() -> Report {
    let long = "a".repeat(2_000);
    let findings = vec![
        Finding::new(
            "net/sg-node-dns",
            Role::Cause,
            Severity::Critical,
            format!("Security group \u{1b}[31m{long} 節點"),
        )
        .detail(format!("{long}\r\n\u{202e}{long}"))
        .subject(Subject::new(SubjectKind::SecurityGroup, "sg-\u{7}"))
        .fact(Fact::new(Source::Logs, "x", "line", "é".repeat(9_000)))
        .fix(format!("echo {long}")),
    ];
    report(input(&snapshot(), &graph(), judged(findings)))
}

#[test]
fn a_closed_port_wide_narrow_coloured_and_ascii() {
    let report = closed_port();
    agree("closed-port.120.txt", &text(&report, &WIDE));
    agree("closed-port.80.txt", &text(&report, &NARROW));
    agree("closed-port.colour.txt", &text(&report, &COLOURED));
    agree("closed-port.ascii.txt", &text(&report, &ASCII));
}

#[test]
fn healthy_is_short() {
    agree("healthy.80.txt", &text(&healthy(), &NARROW));
}

#[test]
fn inconclusive_says_what_is_missing_and_what_closes_it() {
    agree("inconclusive.80.txt", &text(&inconclusive(), &NARROW));
}

#[test]
fn a_mechanism_without_cause_says_what_would_decide() {
    agree("without-cause.120.txt", &text(&without_cause(), &WIDE));
}

#[test]
fn alike_diagnoses_share_a_block_and_rivals_name_each_other() {
    agree("many-alike.120.txt", &text(&many_alike(), &WIDE));
}

fn without_escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain.push_str(rest);
    plain
}

#[test]
fn lines_keep_to_the_page_whatever_a_cluster_holds() {
    for report in [
        closed_port(),
        healthy(),
        inconclusive(),
        without_cause(),
        many_alike(),
        hostile(),
    ] {
        for width in [80, 100, 120] {
            let style = Style { width, ..WIDE };
            let shown = text(&report, &style);
            for line in shown.lines() {
                let command = ["aws ", "kubectl ", "echo "]
                    .iter()
                    .any(|program| line.get(13..).is_some_and(|rest| rest.starts_with(program)));
                assert!(
                    command || UnicodeWidthStr::width(line) <= width,
                    "{width}: {line}"
                );
                assert_eq!(line, line.trim_end(), "trailing spaces");
                assert!(!line.contains('\u{1b}') && !line.contains('\u{202e}'));
            }
            let coloured = text(
                &report,
                &Style {
                    colour: true,
                    ..style
                },
            );
            assert_eq!(
                without_escapes(&coloured),
                shown,
                "colour adds nothing but colour"
            );
            let ascii = text(
                &report,
                &Style {
                    unicode: false,
                    ..style
                },
            );
            assert!(ascii.is_ascii(), "{ascii}");
            let all = text(
                &report,
                &Style {
                    wide: true,
                    ..style
                },
            );
            assert!(all.len() >= shown.len(), "wide shows no less");
        }
    }
}

#[test]
fn a_ticket_has_verdict_proof_timeline_and_what_was_not_seen() {
    agree("closed-port.md", &markdown(&closed_port()));
}

#[test]
fn a_ticket_never_outgrows_the_body_of_an_issue() {
    let findings = (0..3_000)
        .map(|at| {
            let title = format!("Node n-{at} stopped reporting");
            Finding::new("node/not-ready", Role::Cause, Severity::Error, title)
                .subject(Subject::node(format!("n-{at}")))
                .fact(Fact::new(Source::Nodes, "Node", "Ready", "Unknown"))
        })
        .collect();
    let (snapshot, graph) = (snapshot(), graph());
    let ticket = markdown(&report(input(&snapshot, &graph, judged(findings))));
    assert!(ticket.len() <= 65_536, "{}", ticket.len());
    assert!(ticket.contains("left out for length"));
}

#[test]
fn the_short_form_is_silent_when_healthy_and_never_when_it_cannot_tell() {
    assert_eq!(short(&healthy()), "");
    assert!(short(&inconclusive()).starts_with("inconclusive\t"));
    let shown = short(&closed_port());
    assert!(
        shown.starts_with("critical\tnet/sg-node-dns\tconfirmed\t"),
        "{shown}"
    );
}
