//! `dns`: the matrix, a name of one's own, and what ends without a verdict.

use crate::program::eksnet;

#[test]
fn the_demo_shows_where_nothing_comes_back() {
    let run = eksnet(&["dns", "--demo", "-o", "json"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let matrix = run.report();
    assert_eq!(matrix["schema"], "eksnet.dns/v1");
    let kinds: Vec<&str> = matrix["columns"]
        .as_array()
        .expect("columns")
        .iter()
        .filter_map(|column| column["kind"].as_str())
        .collect();
    assert_eq!(
        kinds,
        [
            "resolv-conf",
            "cluster-ip",
            "coredns-pod",
            "coredns-pod",
            "vpc-resolver",
            "link-local"
        ]
    );
    for row in matrix["rows"].as_array().expect("rows") {
        let on_t2 = row["at"]["class"]
            .as_str()
            .is_some_and(|class| class.contains("t2"));
        let states: Vec<&str> = row["cells"]
            .as_array()
            .expect("cells")
            .iter()
            .filter_map(|cell| cell["udp"]["state"].as_str())
            .collect();
        let cluster = if on_t2 { "dead" } else { "good" };
        assert_eq!(states, [cluster, cluster, cluster, cluster, "good", "good"]);
    }
}

#[test]
fn a_name_narrows_the_matrix_to_its_own_answers() {
    let run = eksnet(&["dns", "sts.us-west-2.amazonaws.com", "--demo", "-o", "json"]);
    assert_eq!(run.code, 1);
    assert_eq!(run.report()["name"], "sts.us-west-2.amazonaws.com");
    let text = eksnet(&["dns", "amazon.com.", "--demo"]);
    assert_eq!(text.code, 0, "{}", text.stdout);
    assert!(text.stdout.contains("every cell answers for amazon.com"));
}

#[test]
fn a_name_that_nobody_asked_for_gives_no_verdict_and_says_what_was_asked() {
    let run = eksnet(&["dns", "shop.example.com", "--demo"]);
    assert_eq!(run.code, 3);
    assert!(
        run.stdout
            .contains("no probe asked for shop.example.com; asked were")
    );
}

#[test]
fn evidence_without_probes_gives_no_verdict() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("coredns.log");
    std::fs::write(&path, "[ERROR] plugin/errors: 2 sts.amazonaws.com. A: read udp 10.0.0.5:4->10.0.0.2:53: i/o timeout\n").expect("a file");
    let run = eksnet(&["dns", "--from", &path.to_string_lossy()]);
    run.fails_with(3, &["no probe ran"]);
}

#[test]
fn a_standpoint_that_tells_nothing_is_no_health() {
    let mut bundle: serde_json::Value =
        serde_json::from_str(include_str!("../../src/demo/outage.json")).expect("the demo");
    let pods = bundle
        .pointer_mut("/snapshot/probes/pods")
        .and_then(serde_json::Value::as_array_mut)
        .expect("probe pods");
    // Those on which nothing fails are left, and one that never started.
    pods.retain(|pod| {
        !pod["at"]["class"]
            .as_str()
            .is_some_and(|class| class.contains("t2"))
    });
    let mut silent = pods[0].clone();
    silent["notStarted"] =
        serde_json::json!({"reason": "ErrImagePull", "message": "no such image"});
    silent["results"] = serde_json::json!([]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bundle.json");
    for (with, code) in [(false, 0), (true, 3)] {
        let mut bundle = bundle.clone();
        if with {
            let pods = bundle.pointer_mut("/snapshot/probes/pods");
            let pods = pods.and_then(serde_json::Value::as_array_mut);
            pods.expect("probe pods").push(silent.clone());
        }
        std::fs::write(&path, bundle.to_string()).expect("a file");
        let run = eksnet(&["dns", "--from", &path.to_string_lossy()]);
        assert_eq!(run.code, code, "{}", run.stdout);
        assert_eq!(run.stdout.contains("ErrImagePull"), with, "{}", run.stdout);
    }
}
