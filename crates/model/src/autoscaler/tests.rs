use super::*;
use crate::Time;
use crate::aws::{AutoScalingGroup, Tag};
use crate::kubernetes::{Container, EnvVar};

fn container(tag: &str, args: &[&str]) -> Container {
    Container {
        image: format!("r/cluster-autoscaler:{tag}"),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        ..Container::default()
    }
}

fn scaler(container: &Container) -> ClusterAutoscaler<'_> {
    ClusterAutoscaler::new(Running { container })
}

fn group(tags: &[(&str, &str)]) -> AutoScalingGroup {
    AutoScalingGroup {
        auto_scaling_group_name: "g".to_owned(),
        tags: tags
            .iter()
            .map(|(key, value)| Tag {
                key: (*key).to_owned(),
                value: (*value).to_owned(),
                propagate_at_launch: None,
            })
            .collect(),
        ..AutoScalingGroup::default()
    }
}

const ENABLED: &str = "k8s.io/cluster-autoscaler/enabled";
const PROD: &str = "k8s.io/cluster-autoscaler/prod";

fn discovery(tag: &str, args: &[&str]) -> Discovery {
    scaler(&container(tag, args)).discovery()
}

#[test]
fn a_group_is_selected_when_it_has_every_key_whatever_its_value() {
    let both = format!("--node-group-auto-discovery=asg:tag={ENABLED},{PROD}");
    let found = discovery("v1.30.0", &[&both]);
    assert!(found.selects(&group(&[(ENABLED, "false"), (PROD, "owned")])));
    assert!(!found.selects(&group(&[(ENABLED, "true")])));
    let valued = format!("--node-group-auto-discovery=asg:tag={ENABLED}=true");
    let found = discovery("v1.30.0", &[&valued]);
    assert!(!found.selects(&group(&[(ENABLED, "false")])));
    assert_eq!(
        found.lacks(&group(&[(ENABLED, "false")]))[0].instead,
        Instead::Value("false".to_owned())
    );
}

#[test]
fn two_flags_are_alternatives_until_1_23_and_one_set_from_1_24() {
    let flags = [
        "--node-group-auto-discovery=asg:tag=a,shared=1",
        "--node-group-auto-discovery=asg:tag=b,shared=2",
    ];
    let only_a = group(&[("a", ""), ("shared", "1")]);
    let old = discovery("v1.23.1", &flags);
    assert!(old.selects(&only_a) && !old.merged);
    let new = discovery("v1.24.0", &flags);
    assert!(!new.selects(&only_a) && new.merged);
    assert!(
        new.selects(&group(&[("a", ""), ("b", ""), ("shared", "2")])),
        "a key that stands in both keeps the later value"
    );
    assert!(discovery("latest", &flags).merged, "unknown means current");
}

#[test]
fn white_space_of_folded_yaml_belongs_to_the_key() {
    let folded = format!("--node-group-auto-discovery=asg:tag={ENABLED}, {PROD}");
    let found = discovery("v1.30.0", &[&folded]);
    let tagged = group(&[(ENABLED, "true"), (PROD, "owned")]);
    assert!(!found.selects(&tagged));
    assert_eq!(
        found.lacks(&tagged)[0].instead,
        Instead::Unspaced(PROD.to_owned())
    );
}

#[test]
fn flags_are_read_as_pflag_reads_them() {
    let one = container(
        "v1.30.0",
        &[
            "--skip_nodes_with_system_pods=false",
            "--nodes",
            "1:3:g",
            "--scale-down-enabled",
            "false",
            "--scale-down-unneeded-time=1h30m",
        ],
    );
    let found = scaler(&one);
    assert_eq!(found.system_pods(), Some(SystemPods::Drained));
    assert!(
        found.is_on("scale-down-enabled", true),
        "a bare boolean is true, the next word is not its value"
    );
    assert_eq!(found.seconds("scale-down-unneeded-time", 600), 5400);
    assert_eq!(found.discovery().named[0].max, 3);
    assert!(found.discovery().selects(&group(&[])), "named by --nodes");
}

#[test]
fn what_keeps_a_node_with_system_pods_hangs_on_the_release() {
    let of = |tag: &str, args: &[&str]| scaler(&container(tag, args)).system_pods();
    assert_eq!(of("v1.32.0", &[]), Some(SystemPods::Kept));
    assert_eq!(of("v1.33.0", &[]), Some(SystemPods::KeptFor(3600)));
    let longer = "--blocking-system-pod-distruption-timeout=24h";
    assert_eq!(of("v1.34.0", &[longer]), Some(SystemPods::KeptFor(86_400)));
    assert_eq!(of("latest", &[]), None);
}

#[test]
fn variables_are_replaced_where_the_kubelet_replaces_them() {
    let mut one = container(
        "v1.30.0",
        &["--node-group-auto-discovery=asg:tag=k8s.io/cluster-autoscaler/$(CLUSTER_NAME)"],
    );
    assert!(
        scaler(&one)
            .discovery()
            .filters()
            .all(TagFilter::is_placeholder)
    );
    one.env.push(EnvVar {
        name: "CLUSTER_NAME".to_owned(),
        value: Some("prod".to_owned()),
    });
    assert_eq!(
        scaler(&one).discovery().filters().next().unwrap().cluster(),
        Some("prod")
    );
    one.env[0].value = None;
    assert_eq!(scaler(&one).discovery().unresolved, ["CLUSTER_NAME"]);
}

#[test]
fn placeholders_of_the_examples_are_known() {
    for key in [
        "k8s.io/cluster-autoscaler/<YOUR CLUSTER NAME>",
        "k8s.io/cluster-autoscaler/YOUR_CLUSTER_NAME",
        "k8s.io/cluster-autoscaler/${CLUSTER}",
        "k8s.io/cluster-autoscaler/cluster-name",
    ] {
        let filter = TagFilter {
            key: key.to_owned(),
            value: None,
        };
        assert!(filter.is_placeholder(), "{key}");
    }
    for key in [ENABLED, PROD, "k8s.io/cluster-autoscaler/my-cluster"] {
        let filter = TagFilter {
            key: key.to_owned(),
            value: None,
        };
        assert!(!filter.is_placeholder(), "{key}");
    }
}

#[test]
fn near_misses_and_other_clusters_are_told_apart() {
    let both = format!("--node-group-auto-discovery=asg:tag={ENABLED},{PROD}");
    let found = discovery("v1.30.0", &[&both]);
    let instead = |tags: &[(&str, &str)]| -> Vec<Instead> {
        found
            .lacks(&group(tags))
            .into_iter()
            .map(|lack| lack.instead)
            .collect()
    };
    assert_eq!(
        instead(&[(PROD, ""), ("k8s.io/cluster-autoscaler/enable", "true")]),
        [Instead::Misspelt(
            "k8s.io/cluster-autoscaler/enable".to_owned()
        )]
    );
    assert_eq!(
        instead(&[(ENABLED, ""), ("k8s.io/cluster-autoscaler/stage", "owned")]),
        [Instead::OtherCluster(
            "k8s.io/cluster-autoscaler/stage".to_owned()
        )]
    );
    assert_eq!(
        instead(&[(ENABLED, ""), ("kubernetes.io/cluster/prod", "owned")]),
        [Instead::Misspelt("kubernetes.io/cluster/prod".to_owned())]
    );
    assert_eq!(
        instead(&[("Name", "x")]),
        [Instead::Nothing, Instead::Nothing]
    );
}

#[test]
fn specs_that_the_autoscaler_refuses_are_named() {
    for spec in ["asg", "asg:tag", "asg:tag=", "mig:tag=a", "asg:name=a"] {
        let flag = format!("--node-group-auto-discovery={spec}");
        assert_eq!(discovery("v1.30.0", &[&flag]).refused.len(), 1, "{spec}");
    }
    assert_eq!(
        discovery("v1.30.0", &["--nodes=1:g"]).refused,
        ["--nodes=1:g is not MIN:MAX:NAME"]
    );
    assert!(discovery("v1.30.0", &["--v=4"]).is_empty());
}

#[test]
fn durations_and_times_are_read_as_go_writes_them() {
    assert_eq!(go_seconds("10m0s"), Some(600));
    assert_eq!(go_seconds("1.5h"), Some(5400));
    assert_eq!(go_seconds("1500ms"), Some(1));
    assert_eq!(go_seconds("0"), Some(0));
    assert_eq!(go_seconds("ten"), None);
    assert_eq!(go_seconds(""), None);
    let expected = Time::parse("2026-05-01T10:00:00.5Z");
    assert_eq!(
        go_time("Cluster-autoscaler status at 2026-05-01 10:00:00.5 +0000 UTC:\nCluster-wide:"),
        expected
    );
    assert_eq!(go_time("time: \"2026-05-01T10:00:00.5Z\"\n"), expected);
    assert_eq!(go_time("2026-05-01 12:00:00.5 +0200 CEST"), expected);
    assert_eq!(go_time("nothing here"), None);
}
