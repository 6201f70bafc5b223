//! Lines as the autoscaler writes them, through the scanner, to the tail that they must give.

use eksnet_model::{Component, LogScan, Scanner, Snapshot, Time, judge};

use super::CHECK;

/// The signals and hosts that a log gives, read at `now`.
fn judged(log: &str, now: &str) -> (Vec<String>, Vec<String>) {
    let set = crate::signatures().expect("signatures that compile");
    let now = Time::parse(now);
    let scan = LogScan {
        component: Component::ClusterAutoscaler,
        ..LogScan::default()
    };
    let mut scanner = Scanner::new(&set, scan, now);
    log.lines().for_each(|line| scanner.line(line));
    let mut snapshot = Snapshot {
        taken_at: now,
        ..Snapshot::default()
    };
    snapshot.kubernetes.logs = eksnet_model::Evidence::Present(vec![scanner.finish()]);
    let outcome = judge(&snapshot, &[&CHECK], &[]).outcomes.remove(0).1;
    let finding = outcome.findings().first().cloned();
    finding.map_or_else(Default::default, |finding| {
        (
            finding.signals.iter().map(ToString::to_string).collect(),
            finding.at.hosts.iter().map(ToString::to_string).collect(),
        )
    })
}

fn has(log: &str, signal: &str, host: Option<&str>) {
    let (signals, hosts) = judged(log, "2026-06-11T09:15:00Z");
    assert!(
        signals.iter().any(|one| one == signal),
        "{log}\n{signals:?}"
    );
    if let Some(host) = host {
        assert_eq!(hosts, [host], "{log}");
    }
}

#[test]
fn the_field_notes_lines_are_a_lookup_that_timed_out() {
    let log = "\
E1019 06:00:10.278115       1 aws_manager.go:259] Failed to regenerate ASG cache: cannot autodiscover ASGs: RequestError: send request failed
caused by: Post https://autoscaling.us-west-2.amazonaws.com/: dial tcp: i/o timeout
E1019 06:00:10.278134       1 static_autoscaler.go:158] Failed to refresh cloud provider config: cannot autodiscover ASGs: RequestError: send request failed
caused by: Post https://autoscaling.us-west-2.amazonaws.com/: dial tcp: i/o timeout
I1019 06:00:10.278145       1 metrics.go:269] Function main took 2m0.59991858s to complete";
    let (signals, hosts) = judged(log, "2019-10-19T06:00:50Z");
    assert_eq!(
        signals,
        ["no-scale-down-since", "no-scale-up-since", "tail-dns"]
    );
    assert_eq!(hosts, ["autoscaling.us-west-2.amazonaws.com"]);
}

const HEAD: &str =
    "E0611 09:14:02.500123       1 aws_manager.go:262] Failed to regenerate ASG cache: ";

#[test]
fn every_form_of_a_failed_lookup_is_one() {
    let host = Some("autoscaling.eu-west-1.amazonaws.com");
    for end in [
        "dial tcp: lookup autoscaling.eu-west-1.amazonaws.com on 10.100.0.10:53: read udp 10.0.1.5:4321->10.100.0.10:53: i/o timeout",
        "dial tcp: lookup autoscaling.eu-west-1.amazonaws.com on 10.100.0.10:53: no such host",
        "dial tcp: lookup autoscaling.eu-west-1.amazonaws.com on 10.100.0.10:53: server misbehaving",
        "dial tcp: lookup autoscaling.eu-west-1.amazonaws.com on 10.100.0.10:53: dial udp 10.100.0.10:53: operation was canceled",
        "dial tcp: lookup autoscaling.eu-west-1.amazonaws.com: i/o timeout",
    ] {
        has(
            &format!(
                "{HEAD}RequestError: send request failed\ncaused by: Post \"https://autoscaling.eu-west-1.amazonaws.com/\": {end}"
            ),
            "tail-dns",
            host,
        );
        has(
            &format!(
                "{HEAD}operation error Auto Scaling: DescribeAutoScalingGroups, https response error StatusCode: 0, RequestID: , request send failed, Post \"https://autoscaling.eu-west-1.amazonaws.com/\": {end}"
            ),
            "tail-dns",
            host,
        );
    }
}

#[test]
fn the_innermost_error_decides() {
    has(
        &format!(
            "{HEAD}cannot autodiscover ASGs: WebIdentityErr: failed to retrieve credentials\ncaused by: RequestError: send request failed\ncaused by: Post \"https://sts.eu-west-1.amazonaws.com/\": dial tcp 52.95.1.1:443: i/o timeout"
        ),
        "tail-connect",
        Some("sts.eu-west-1.amazonaws.com"),
    );
    has(
        &format!(
            "{HEAD}cannot autodiscover ASGs: WebIdentityErr: failed to retrieve credentials\ncaused by: AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity\n\tstatus code: 403, request id: 1"
        ),
        "tail-web-identity",
        None,
    );
    has(
        &format!(
            "{HEAD}failed to refresh cached credentials, no EC2 IMDS role found, operation error ec2imds: GetMetadata, request canceled, context deadline exceeded"
        ),
        "tail-no-providers",
        None,
    );
    has(
        "Failed to create AWS Manager: cannot autodiscover ASGs: NoCredentialProviders: no valid providers in chain. Deprecated.",
        "at-start",
        None,
    );
    has(
        "F0611 09:14:02.500123       1 aws_cloud_provider.go:386] Failed to generate AWS EC2 Instance Types: UnauthorizedOperation: You are not authorized to perform this operation.",
        "tail-access-denied",
        None,
    );
    has(
        &format!(
            "{HEAD}RequestError: send request failed\ncaused by: Post \"https://autoscaling.eu-west-1a.amazonaws.com/\": dial tcp: lookup autoscaling.eu-west-1a.amazonaws.com on 10.100.0.10:53: no such host"
        ),
        "tail-region",
        None,
    );
    has(
        &format!("{HEAD}Throttling: Rate exceeded"),
        "tail-throttled",
        None,
    );
    has(
        &format!(
            "{HEAD}RequestError: send request failed\ncaused by: Post \"https://autoscaling.eu-west-1.amazonaws.com/\": net/http: TLS handshake timeout"
        ),
        "tail-x509",
        None,
    );
    has(
        &format!("{HEAD}RequestError: send request failed"),
        "tail-unknown",
        None,
    );
}

#[test]
fn a_failure_that_ended_more_than_ten_minutes_ago_is_none() {
    let log = format!("{HEAD}Throttling: Rate exceeded");
    assert_eq!(judged(&log, "2026-06-11T09:25:00Z").0.len(), 0);
}
