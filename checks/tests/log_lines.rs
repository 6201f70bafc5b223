//! From lines of a log to findings: what programs print when AWS cannot be reached.

use eksnet_model::{Component, LogScan, Scanner, Snapshot, Time, judge};

/// The scan of a log of `component`.
fn scan(component: Component, log: &str) -> LogScan {
    let set = eksnet_checks::signatures().expect("signatures that compile");
    let of = LogScan {
        component,
        file: "pod.log".into(),
        ..LogScan::default()
    };
    let mut scanner = Scanner::new(&set, of, Time::parse("2026-05-01T12:00:00Z"));
    log.lines().for_each(|line| scanner.line(line));
    scanner.finish()
}

/// Titles of what `check` finds in the log.
fn titles(check: &str, log: &str) -> Vec<String> {
    let mut snapshot = Snapshot::default();
    snapshot.kubernetes.logs = eksnet_model::Evidence::Present(vec![scan(Component::Unknown, log)]);
    let check = eksnet_checks::find(check).expect("a check");
    let judged = judge(&snapshot, &[check], &[]);
    let findings = judged.outcomes[0].1.findings();
    findings.iter().map(|one| one.title.to_string()).collect()
}

const DNS: &str = "endpoints/name-unresolvable";
const TCP: &str = "endpoints/tcp-unreachable";

#[test]
fn an_old_sdk_that_waited_in_vain_for_a_name_prints_no_address() {
    let log = "E0501 06:00:10.278115       1 aws_manager.go:259] Failed to regenerate ASG cache: cannot autodiscover ASGs: RequestError: send request failed\n\
        caused by: Post https://autoscaling.us-west-2.amazonaws.com/: dial tcp: i/o timeout\n\
        I0501 06:00:10.278145       1 metrics.go:269] Function main took 2m0.59991858s to complete";
    let titles = titles(DNS, log);
    assert_eq!(titles.len(), 1);
    assert!(
        titles[0].starts_with("autoscaling.us-west-2.amazonaws.com does not resolve"),
        "{titles:?}"
    );
}

#[test]
fn every_wording_of_a_failed_look_up_is_understood() {
    for line in [
        r#"Post "https://sts.eu-west-1.amazonaws.com/": dial tcp: lookup sts.eu-west-1.amazonaws.com: i/o timeout"#,
        r#"Post \"https://sts.eu-west-1.amazonaws.com/\": dial tcp: lookup sts.eu-west-1.amazonaws.com on 10.100.0.10:53: no such host"#,
        r#"Get "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity": dial tcp: lookup sts.eu-west-1.amazonaws.com on 10.100.0.10:53: read udp 10.0.2.9:35211->10.100.0.10:53: i/o timeout"#,
        r#"Post "https://sts.eu-west-1.amazonaws.com/": dial tcp: lookup sts.eu-west-1.amazonaws.com on 10.100.0.10:53: read udp 10.0.2.9:35211->10.100.0.10:53: read: connection refused"#,
        r#"Post "https://sts.eu-west-1.amazonaws.com/": dial tcp: lookup sts.eu-west-1.amazonaws.com on 10.100.0.10:53: server misbehaving"#,
        "dial tcp: lookup sts.eu-west-1.amazonaws.com on [fd00::a]:53: no such host",
        r#"Post "https://sts.cn-north-1.amazonaws.com.cn/": dial tcp: lookup sts.cn-north-1.amazonaws.com.cn: i/o timeout"#,
    ] {
        assert_eq!(titles(DNS, line).len(), 1, "{line}");
        assert_eq!(titles(TCP, line), [""; 0], "{line}");
    }
}

#[test]
fn an_address_in_the_dial_error_means_that_the_name_resolved() {
    for line in [
        r#"caused by: Post "https://sts.us-west-1.amazonaws.com/": dial tcp 52.79.112.54:443: i/o timeout"#,
        r#"Post "https://ec2.us-west-1.amazonaws.com/": dial tcp 10.0.3.9:443: connect: connection refused"#,
        r#"Post \"https://eks.us-west-1.api.aws/\": dial tcp [2600:1f14::9]:443: connect: network is unreachable"#,
    ] {
        assert_eq!(titles(TCP, line).len(), 1, "{line}");
        assert_eq!(titles(DNS, line), [""; 0], "{line}");
    }
}

#[test]
fn failures_of_other_hosts_are_no_failures_of_aws() {
    for line in [
        r#"Get "https://10.100.0.1:443/api": dial tcp 10.100.0.1:443: i/o timeout"#,
        "dial tcp: lookup db.example.com on 10.100.0.10:53: no such host",
        "[ERROR] plugin/errors: 2 sts.eu-west-1.amazonaws.com. A: read udp 10.0.1.5:4411->10.0.0.2:53: i/o timeout",
    ] {
        assert_eq!(titles(DNS, line), [""; 0], "{line}");
        assert_eq!(titles(TCP, line), [""; 0], "{line}");
    }
}

#[test]
fn failures_are_told_per_host() {
    let log = r#"Post "https://sts.eu-west-1.amazonaws.com/": dial tcp: lookup sts.eu-west-1.amazonaws.com: i/o timeout
Post "https://ec2.eu-west-1.amazonaws.com/": dial tcp: lookup ec2.eu-west-1.amazonaws.com: i/o timeout
Post "https://sts.eu-west-1.amazonaws.com/": dial tcp: lookup sts.eu-west-1.amazonaws.com: i/o timeout"#;
    assert_eq!(titles(DNS, log).len(), 2);
}
