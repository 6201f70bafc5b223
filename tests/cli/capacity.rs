//! `capacity`: plans, measures, what would happen, and every format.

use serde_json::Value;

use crate::program::eksnet;

#[test]
fn every_known_type_is_listed_with_figures_and_nulls() {
    let run = eksnet(&["capacity", "--instance-type", "ALL", "-o", "json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let types = run.report();
    let types = types.as_array().expect("an array");
    assert!(types.len() > 1_300);
    let of = |name: &str| {
        types
            .iter()
            .find(|one| one["instanceType"] == name)
            .unwrap_or_else(|| panic!("{name}"))
    };
    for (name, enis, ipv4, pods, recommended) in [
        ("c5.xlarge", 4, 15, 58, 58),
        ("m5.24xlarge", 15, 50, 737, 250),
        ("p5.48xlarge", 2, 50, 100, 100),
    ] {
        let one = of(name);
        assert_eq!(
            (
                &one["maxEnis"],
                &one["ipv4PerEni"],
                &one["maxPods"],
                &one["recommendedMaxPods"]
            ),
            (
                &enis.into(),
                &ipv4.into(),
                &pods.into(),
                &recommended.into()
            ),
            "{name}"
        );
        assert_eq!(one["source"], "table");
    }
    assert!(
        types.iter().any(|one| one["branchEnis"] == Value::Null),
        "what is not known is null"
    );
}

#[test]
fn a_plan_says_whether_subnets_hold_the_nodes() {
    let mut arguments = vec![
        "capacity",
        "--instance-type",
        "c5.xlarge,m5.large",
        "--nodes",
        "2",
        "--subnet-cidr",
        "10.0.0.0/24",
        "-o",
        "json",
    ];
    let plan = eksnet(&arguments).report();
    assert_eq!(plan[0]["nodes"]["full"], 120);
    assert_eq!(plan[0]["nodes"]["subnets"]["holdFull"], true);
    assert_eq!(plan[1]["nodes"]["full"], 60);
    arguments.truncate(arguments.len() - 2);
    let text = eksnet(&arguments);
    assert_eq!(text.code, 0);
    assert!(text.stdout.contains("2 x c5.xlarge"), "{}", text.stdout);
}

#[test]
fn wrong_plans_and_questions_are_usage_and_name_what_is_wrong() {
    eksnet(&["capacity", "--instance-type", "c5.xlrge"]).fails_with(2, &["c5.xlrge", "c5.xlarge"]);
    eksnet(&[
        "capacity",
        "--instance-type",
        "c5.xlarge",
        "--subnet-cidr",
        "10.0.0.0/8",
    ])
    .fails_with(2, &["10.0.0.0/8"]);
    eksnet(&["capacity", "--demo", "--set", "WARM_IPS=5"]).fails_with(2, &["WARM_IPS"]);
    eksnet(&[
        "capacity",
        "--demo",
        "--nodegroup",
        "nonsense",
        "--max",
        "9",
        "--pods",
        "9999",
    ])
    .fails_with(2, &["nonsense", "prod-c5-xlarge"]);
    eksnet(&[
        "capacity",
        "--demo",
        "--workload",
        "default/Deployment/nonsense",
        "--replicas",
        "9",
    ])
    .fails_with(2, &["default/Deployment/nonsense"]);
    let both = eksnet(&["capacity", "--demo", "--instance-type", "c5.xlarge"]);
    assert_eq!(both.code, 2);
}

#[test]
fn the_demo_is_measured_in_every_format() {
    let json = eksnet(&["capacity", "--demo", "-o", "json"]).report();
    assert_eq!(json["schema"], "eksnet.capacity/v1");
    assert_eq!(json["totals"]["nodes"], 9);
    assert!(json["totals"]["canStart"].is_u64());
    assert!(json["cniMetrics"]["eniMaxAvailable"].is_u64());
    assert_eq!(json["whatIf"], Value::Null);
    for (format, words) in [
        (
            "text",
            &["more pods can start", "NODE GROUP", "Not known"][..],
        ),
        ("wide", &["more pods can start", "NEW NODES THAT FIT"]),
        ("markdown", &["## Capacity of EKS prod", "| node group |"]),
        (
            "html",
            &[
                "<!doctype html>",
                "<svg class=\"map\"",
                "prefers-color-scheme:dark",
            ],
        ),
        (
            "prometheus",
            &[
                "eniMaxAvailable{cluster=\"prod\"}",
                "eksnet_subnet_free_addresses{",
            ],
        ),
    ] {
        let run = eksnet(&["capacity", "--demo", "-o", format]);
        assert_eq!(run.code, 0, "{format}: {}", run.stderr);
        for word in words {
            assert!(run.stdout.contains(word), "{format}: {word}");
        }
        assert!(!run.stdout.contains("<script"), "{format}");
    }
}

#[test]
fn what_would_happen_says_where_it_stops() {
    let answer = eksnet(&[
        "capacity", "--demo", "--pods", "400", "--cpu", "100m", "-o", "json",
    ])
    .report();
    let answer = &answer["whatIf"];
    assert_eq!(answer["asked"], 400);
    let (running, waiting) = (&answer["running"], &answer["waiting"]);
    assert_eq!(
        running.as_u64().expect("a count") + waiting.as_u64().expect("a count"),
        400
    );
    assert_eq!(answer["stops"]["limits"][0]["limit"], "cpu");
    let text = eksnet(&["capacity", "--demo", "--pods", "400", "--cpu", "100m"]).stdout;
    assert!(
        text.contains("wait for a node") && text.contains("CPU requests"),
        "{text}"
    );
}

#[test]
fn evidence_without_nodes_is_no_verdict() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("pods.json"),
        r#"{"kind":"List","items":[{"kind":"Pod","metadata":{"name":"a","namespace":"b"}}]}"#,
    )
    .expect("a file");
    let path = folder.path().to_string_lossy().into_owned();
    eksnet(&["capacity", "--from", &path]).fails_with(3, &["no node is known"]);
}

#[test]
fn a_narrow_terminal_and_one_without_unicode_are_served() {
    for (columns, locale) in [("80", "C.UTF-8"), ("120", "C.UTF-8"), ("80", "C")] {
        let mut command = crate::program::command(&["capacity", "--demo"]);
        command.env("COLUMNS", columns).env("LC_ALL", locale);
        let run = crate::program::run(command);
        let most: usize = columns.parse().expect("a number");
        for line in run.stdout.lines() {
            assert!(line.chars().count() <= most, "{columns}: {line}");
        }
        if locale == "C" {
            assert!(run.stdout.is_ascii());
        }
    }
}
