//! Logs as people attach them.

use crate::support::{read, signatures};
use eksnet_model::{Component, LogScan, Time, Why};

const AUTOSCALER: &str = "\
E1019 06:00:10.278115       1 aws_manager.go:259] Failed to regenerate ASG cache: cannot autodiscover ASGs: RequestError: send request failed
caused by: Post https://autoscaling.us-west-2.amazonaws.com/: dial tcp: i/o timeout
I1019 06:00:10.278145       1 metrics.go:269] Function main took 2m0.59991858s to complete
";

fn logs(files: &[(&str, &[u8])]) -> Vec<LogScan> {
    let loaded = read(files);
    let logs = loaded.snapshot.kubernetes.logs;
    assert_eq!(
        logs.gap().map(|gap| &gap.why),
        Some(&Why::Truncated),
        "a file never proves that nothing else was logged"
    );
    logs.value().cloned().unwrap_or_default()
}

#[test]
fn a_log_is_known_by_its_content_whatever_the_file_is_called() {
    let found = logs(&[("notes.txt", AUTOSCALER.as_bytes())]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].component, Component::ClusterAutoscaler);
    assert_eq!(found[0].file, "notes.txt");
    let hits = found[0].hits("asg").expect("hits");
    assert_eq!(hits.count, 1);
    let hosts: Vec<&str> = hits.fields["host"]
        .keys()
        .map(|host| host.as_str())
        .collect();
    assert_eq!(hosts, ["autoscaling.us-west-2.amazonaws.com"]);
}

#[test]
fn every_way_of_pasting_a_log_gives_the_same_hit() {
    let ways: [(&str, Vec<u8>); 8] = [
        ("crlf", AUTOSCALER.replace('\n', "\r\n").into_bytes()),
        (
            "quoted",
            AUTOSCALER
                .lines()
                .map(|line| format!("> {line}\n"))
                .collect::<String>()
                .into_bytes(),
        ),
        (
            "indented",
            AUTOSCALER
                .lines()
                .map(|line| format!("    {line}\n"))
                .collect::<String>()
                .into_bytes(),
        ),
        (
            "coloured",
            AUTOSCALER
                .replace("E1019", "\u{1b}[31mE1019")
                .replace("timeout\n", "timeout\u{1b}[0m\n")
                .into_bytes(),
        ),
        (
            "fenced",
            format!("It says:\n```\n{AUTOSCALER}```\nWhy?\n").into_bytes(),
        ),
        (
            "prefixed",
            AUTOSCALER
                .lines()
                .map(|line| {
                    format!("[pod/cluster-autoscaler-7b6d9c5f4x-x2kq9/cluster-autoscaler] {line}\n")
                })
                .collect::<String>()
                .into_bytes(),
        ),
        (
            "cut at both ends",
            format!(
                "o complete\n{}",
                AUTOSCALER.trim_end().trim_end_matches("complete")
            )
            .into_bytes(),
        ),
        (
            "no UTF-8",
            [b"half\x80 a \xff character\n", AUTOSCALER.as_bytes()].concat(),
        ),
    ];
    for (way, bytes) in ways {
        let found = logs(&[("x", &bytes)]);
        let hits: u64 = found
            .iter()
            .filter_map(|scan| scan.hits("asg"))
            .map(|hits| hits.count)
            .sum();
        assert_eq!(hits, 1, "{way}: {found:#?}");
        assert!(
            found
                .iter()
                .any(|scan| scan.component == Component::ClusterAutoscaler),
            "{way}"
        );
    }
}

#[test]
fn the_newest_time_over_all_files_gives_klog_its_year() {
    let coredns = "2019-10-19T06:00:40.5Z [ERROR] plugin/errors: 2 a.example. A: read udp 10.0.1.2:41->10.0.0.2:53: i/o timeout\n";
    let loaded = read(&[
        ("a.log", AUTOSCALER.as_bytes()),
        ("b.log", coredns.as_bytes()),
    ]);
    assert_eq!(
        loaded.snapshot.taken_at,
        Time::parse("2019-10-19T06:00:40.5Z")
    );
    let logs = loaded.snapshot.kubernetes.logs.value().expect("logs");
    assert_eq!(logs[0].last_at, Time::parse("2019-10-19T06:00:10.278145Z"));
    assert_eq!(logs[1].component, Component::CoreDns);
    assert_eq!(logs[1].hits("upstream").map(|hits| hits.count), Some(1));
}

#[test]
fn a_stream_is_read_like_a_file() {
    let loaded =
        eksnet_evidence::load_stream("standard input", AUTOSCALER.as_bytes(), &signatures())
            .expect("a log");
    let logs = loaded.snapshot.kubernetes.logs.value().expect("logs");
    assert_eq!(logs[0].file, "standard input");
    assert!(logs[0].hits("asg").is_some());
}

#[test]
fn prose_beside_a_log_is_listed_as_not_understood() {
    let loaded = read(&[
        ("a.log", AUTOSCALER.as_bytes()),
        ("b.txt", b"I restarted it twice.\n"),
        ("c.bin", b"\0\x01\x02"),
        ("d.log", b""),
    ]);
    let unread: Vec<(&str, &str)> = loaded
        .unread
        .iter()
        .map(|file| (file.path.as_str(), file.why.as_str()))
        .collect();
    assert_eq!(
        unread,
        [
            ("b.txt", "text in which nothing was recognised"),
            ("c.bin", "binary data"),
            ("d.log", "it is empty")
        ]
    );
}

#[test]
fn the_pods_in_the_evidence_tell_the_namespace_of_a_log() {
    let log = "[pod/web-1/app] time=\"2026-05-25T16:20:47Z\" level=error msg=\"WebIdentityErr: failed to retrieve credentials\"\n";
    let pods = br#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop"}}"#;
    let found = logs(&[("a.log", log.as_bytes()), ("pods.json", pods)]);
    assert_eq!(found[0].place(), "shop/web-1");
    assert_eq!(found[0].hits("credentials").map(|hits| hits.count), Some(1));
}
