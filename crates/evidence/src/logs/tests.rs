use eksnet_model::{Severity, Signature};

use super::*;
use crate::line::plain;

fn set() -> SignatureSet {
    let signature = |id: &str, component: &str, regex: &str| Signature {
        id: id.to_owned(),
        check: "a/b".to_owned(),
        component: component.to_owned(),
        regex: regex.to_owned(),
        meaning: "m".to_owned(),
        severity: Severity::Error,
        sample: "x".to_owned(),
    };
    SignatureSet::compile(vec![
        signature(
            "ca",
            "cluster-autoscaler",
            "Failed to regenerate ASG cache: .*timeout",
        ),
        signature("dns", "coredns", "plugin/errors: .*timeout"),
        signature("pool", "ipamd", "total = 15, used = 14, IPs in"),
        signature("kp", "kube-proxy", "Failed to watch"),
        signature("sdk", "aws-sdk", "InvalidIdentityToken: "),
    ])
    .expect("expressions")
}

fn scans(file: &str, text: &str) -> Vec<LogScan> {
    let set = set();
    let mut logs = Logs::new(&set, file.into());
    for line in text.lines() {
        logs.line(&Line::of(&plain(line.as_bytes())));
    }
    logs.finish()
}

fn ids(scan: &LogScan) -> Vec<&str> {
    scan.hits
        .iter()
        .map(|hits| hits.signature.as_str())
        .collect()
}

const CA: &str = "E1019 06:00:10.278115       1 aws_manager.go:259] Failed to regenerate ASG cache: x\ncaused by: timeout";
const DNS: &str = "[ERROR] plugin/errors: 2 a. A: timeout";

#[test]
fn logs_of_several_components_in_one_text_are_told_apart() {
    let found = scans(
        "all.txt",
        &format!("{CA}\n{DNS}\nE1019 06:00:11.000000       1 reflector.go:1] Failed to watch x"),
    );
    let found: Vec<_> = found
        .iter()
        .map(|scan| (scan.component, ids(scan), scan.lines))
        .collect();
    assert_eq!(
        found,
        [
            (Component::CoreDns, vec!["dns"], 1),
            (Component::ClusterAutoscaler, vec!["ca"], 3)
        ]
    );
}

#[test]
fn what_a_command_prints_is_the_log_that_it_names_until_a_line_is_left_out() {
    let set = set();
    let mut logs = Logs::new(&set, "ticket.txt".into());
    logs.command("kubectl -n kube-system logs kube-proxy-x");
    let watch = "E1019 06:00:11.000000       1 reflector.go:1] Failed to watch x";
    for line in ["", watch, DNS, watch, "", watch] {
        logs.line(&Line::of(line));
    }
    let found = logs.finish();
    let count = |component| {
        let own = found.iter().filter(|scan| scan.component == component);
        own.map(|scan| scan.lines).sum::<u64>()
    };
    assert_eq!(
        [Component::KubeProxy, Component::CoreDns, Component::Unknown].map(count),
        [2, 1, 1]
    );
}

#[test]
fn an_indented_or_quoted_log_is_read_record_by_record() {
    for mark in ["    ", "> ", "> > "] {
        let text: String = CA
            .lines()
            .chain(CA.lines())
            .map(|line| format!("{mark}{line}\n"))
            .collect();
        let found = scans("x.md", &text);
        assert_eq!(found[0].hits[0].count, 2, "{mark:?}");
    }
}

#[test]
fn lines_before_the_component_shows_are_counted_with_it() {
    let head = "E1019 06:00:09.000000       1 reflector.go:1] Failed to watch x";
    let found = scans("x.log", &format!("{head}\n{CA}"));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].lines, 3);
    // The head is no line of kube-proxy's, whatever its text.
    assert_eq!(ids(&found[0]), ["ca"]);
}

#[test]
fn the_name_of_the_file_decides_only_where_no_line_does() {
    let text = "E1019 06:00:09.000000       1 reflector.go:1] Failed to watch x";
    let found = scans("02-kube-proxy.log", text);
    assert_eq!(found[0].component, Component::KubeProxy);
    assert_eq!(ids(&found[0]), ["kp"]);
    let found = scans("02-kube-proxy.log", CA);
    assert_eq!(found[0].component, Component::ClusterAutoscaler);
}

#[test]
fn pods_of_one_stream_are_told_apart() {
    let text = "[pod/coredns-5d78c9869d-abcde/coredns] [ERROR] plugin/errors: 2 a. A: timeout\n\
        [pod/coredns-5d78c9869d-fghij/coredns] .:53\n\
        [pod/coredns-5d78c9869d-abcde/coredns] [ERROR] plugin/errors: 2 a. A: timeout";
    let found = scans("x.log", text);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].pod, "coredns-5d78c9869d-abcde");
    assert_eq!(found[0].hits[0].count, 2);
    assert_eq!(found[1].component, Component::CoreDns);
    assert_eq!(found[1].hits, []);
}

#[test]
fn records_that_an_editor_wrapped_are_whole_again() {
    let json = "{\"level\":\"debug\",\"ts\":\"2026-12-11T10:11:49.740Z\",\"caller\":\"ipamd/ipamd.go:2057\",\n\"msg\":\"IP pool stats: total = 15, used = 14, \nIPs in Cooldown = 0\"}";
    let found = scans("x.log", json);
    assert_eq!(ids(&found[0]), ["pool"]);
    assert_eq!(found[0].first_at, Time::parse("2026-12-11T10:11:49.740Z"));
    let logfmt = "time=\"2026-03-04T02:57:11Z\" level=error msg=\"failed: \nInvalidIdentityToken: x\"\ntime=\"2026-03-04T02:57:12Z\" level=info msg=\"y\"";
    let found = scans("app.log", logfmt);
    assert_eq!(ids(&found[0]), ["sdk"]);
    assert_eq!(found[0].lines, 2);
}

#[test]
fn a_log_over_the_turn_of_the_year_goes_forward() {
    let text = "I1231 23:59:59.000000       1 scale_up.go:1] x\nI0101 00:00:01.000000       1 scale_up.go:1] x";
    let found = scans("x.log", text);
    let (first, last) = (found[0].first_at.unwrap(), found[0].last_at.unwrap());
    assert_eq!(last.seconds_since(first), 2);
}

#[test]
fn prose_is_no_log() {
    assert_eq!(
        scans("notes.txt", "It was broken.\nThen it worked again."),
        []
    );
}

#[test]
fn files_of_a_node_name_their_pod() {
    let uid = "6a1f0c5e-3b1d-4e54-9c5d-0c2f5b1d7a11";
    let path = format!("var/log/pods/kube-system_coredns-5d78c9869d-abcde_{uid}/coredns/0.log");
    let found = scans(&path, DNS);
    assert_eq!(found[0].place(), "kube-system/coredns-5d78c9869d-abcde");
    let id = "0123456789abcdef".repeat(4);
    let path = format!("containers/web-1_shop_app-{id}.log");
    assert_eq!(scans(&path, DNS)[0].place(), "shop/web-1");
    assert_eq!(scans("a_b_c.log", DNS)[0].place(), "a_b_c.log");
}

#[test]
fn the_journal_tells_the_node() {
    let text = "Nov 25 04:22:11 ip-10-0-1-2.ec2.internal kubelet[4021]: E1125 04:22:11.000001    4021 kubelet.go:1] y";
    let found = scans("kubelet.log", text);
    assert_eq!(found[0].node, "ip-10-0-1-2.ec2.internal");
    assert_eq!(found[0].component, Component::Kubelet);
}
