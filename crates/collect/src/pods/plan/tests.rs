use eksnet_model::Evidence;
use serde_json::{Value, json};

use super::*;

fn coredns(n: usize, node: &str) -> Value {
    json!({"metadata": {"namespace": "kube-system", "name": format!("coredns-{n}")},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "x/coredns:v1"}]},
        "status": {"phase": "Running", "podIP": format!("10.0.{}.{}", n / 200, n % 200 + 1)}})
}

fn snapshot(pods: Vec<Value>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.cluster.region = Some("us-west-2".into());
    snapshot.cluster.eks = Some(true);
    snapshot.kubernetes.pods = Evidence::Present(serde_json::from_value(json!(pods)).unwrap());
    snapshot.kubernetes.services = Evidence::Present(serde_json::from_value(json!([
        {"metadata": {"namespace": "kube-system", "name": "kube-dns"}, "spec": {"clusterIP": "10.100.0.10"}},
        {"metadata": {"namespace": "default", "name": "kubernetes"}, "spec": {"clusterIP": "10.100.0.1"}},
    ])).unwrap());
    snapshot
}

fn hints() -> ClusterHints {
    ClusterHints {
        api_host: "0A.gr7.us-west-2.eks.amazonaws.com".to_owned(),
        api_port: 443,
        ..ClusterHints::default()
    }
}

fn targets(snapshot: &Snapshot) -> Targets {
    Targets::of(snapshot, &Topology::of(snapshot), &hints(), &[], "s")
}

fn asked(targets: &Targets, server: &str) -> Vec<String> {
    let mut names: Vec<String> = targets
        .probes(Asks::Network)
        .into_iter()
        .filter_map(|spec| match spec.kind {
            ProbeKind::Dns {
                server: of,
                transport,
                name,
                tries,
                gap_ms,
                timeout_ms,
                query,
            } if of.to_string() == server => {
                assert_eq!((tries, gap_ms, timeout_ms), (5, 200, 2000));
                let large = if query == QueryType::Txt { " txt" } else { "" };
                Some(format!("{transport:?} {name}{large}").to_lowercase())
            }
            _ => None,
        })
        .collect();
    names.sort();
    names
}

#[test]
fn every_server_is_asked_its_names_over_both_transports() {
    let targets = targets(&snapshot(vec![coredns(0, "n1")]));
    let pod = asked(&targets, "10.0.0.1:53");
    assert_eq!(
        pod,
        [
            "tcp eksnet-no-such-name-s.cluster.local.",
            "tcp kubernetes.default.svc.cluster.local.",
            "tcp sts.us-west-2.amazonaws.com.",
            "udp eksnet-no-such-name-s.cluster.local.",
            "udp kubernetes.default.svc.cluster.local.",
            "udp sts.us-west-2.amazonaws.com.",
        ]
    );
    let service = asked(&targets, "10.100.0.10:53");
    for name in [
        "kubernetes.default.svc.cluster.local.",
        "eks.us-west-2.amazonaws.com.",
        EXTERNAL,
    ] {
        assert!(service.contains(&format!("udp {name}")), "{service:?}");
    }
    let resolver = asked(&targets, "169.254.169.253:53");
    assert!(resolver.contains(&format!("tcp {EXTERNAL}")));
    assert!(
        !resolver.iter().any(|name| name.contains("cluster.local")),
        "{resolver:?}"
    );
}

#[test]
fn the_autoscalers_endpoint_is_asked_for_where_an_autoscaler_runs() {
    let mut autoscaler = coredns(7, "n1");
    autoscaler["spec"]["containers"][0]["image"] = json!("x/cluster-autoscaler:v1.33.0");
    let with = targets(&snapshot(vec![autoscaler]));
    assert!(
        asked(&with, "10.100.0.10:53")
            .contains(&"udp autoscaling.us-west-2.amazonaws.com.".to_owned())
    );
    let without = targets(&snapshot(vec![]));
    assert!(
        !asked(&without, "10.100.0.10:53")
            .iter()
            .any(|name| name.contains("autoscaling"))
    );
}

#[test]
fn the_resolver_of_the_vpc_is_two_above_its_primary_block() {
    let mut snapshot = snapshot(vec![]);
    snapshot.aws.cluster = Evidence::Present(
        serde_json::from_value(json!({
        "endpoint": "https://OWN.gr7.us-west-2.eks.amazonaws.com",
        "resourcesVpcConfig": {"vpcId": "vpc-1"}}))
        .unwrap(),
    );
    snapshot.aws.vpcs = Evidence::Present(
        serde_json::from_value(json!([
        {"VpcId": "vpc-1", "CidrBlock": "172.31.0.0/16", "DhcpOptionsId": "dopt-1"}]))
        .unwrap(),
    );
    snapshot.aws.dhcp_options = Evidence::Present(
        serde_json::from_value(json!([
        {"DhcpOptionsId": "dopt-1", "DhcpConfigurations": [{"Key": "domain-name-servers",
            "Values": [{"Value": "10.9.9.9"}, {"Value": "AmazonProvidedDNS"}]}]}]))
        .unwrap(),
    );
    let targets = targets(&snapshot);
    let resolvers: Vec<String> = targets.resolvers.iter().map(ToString::to_string).collect();
    assert_eq!(resolvers, ["172.31.0.2", "169.254.169.253", "10.9.9.9"]);
    assert_eq!(
        targets.api.unwrap().0,
        "OWN.gr7.us-west-2.eks.amazonaws.com"
    );
}

#[test]
fn outside_of_aws_nothing_of_aws_is_asked() {
    let mut snapshot = snapshot(vec![]);
    snapshot.cluster.eks = Some(false);
    let probes = targets(&snapshot).probes(Asks::Identity);
    let text = serde_json::to_string(&probes).unwrap();
    for word in ["169.254", "sts", "us-west-2.amazonaws.com."] {
        let own = text.replace("0A.gr7.us-west-2.eks.amazonaws.com", "");
        assert!(!own.contains(word), "{word} in {own}");
    }
    // Without a region the resolver can still be asked for a name of the world.
    snapshot.cluster.eks = Some(true);
    snapshot.cluster.region = None;
    assert_eq!(
        asked(&targets(&snapshot), "169.254.169.253:53"),
        [
            "tcp amazon.com.",
            "tcp amazon.com. txt",
            "udp amazon.com.",
            "udp amazon.com. txt"
        ]
    );
}

#[test]
fn a_tunnel_on_this_machine_is_not_probed_from_pods() {
    let tunnel = ClusterHints {
        api_host: "127.0.0.1".to_owned(),
        api_port: 8443,
        ..hints()
    };
    let snapshot = snapshot(vec![]);
    let targets = Targets::of(&snapshot, &Topology::of(&snapshot), &tunnel, &[], "s");
    assert_eq!(targets.api, None);
}

#[test]
fn many_coredns_pods_are_sampled_over_zones_and_nodes() {
    let mut snapshot = snapshot(
        (0..100)
            .map(|n| coredns(n, if n < 95 { "a" } else { "b" }))
            .collect(),
    );
    snapshot.kubernetes.nodes = Evidence::Present(
        serde_json::from_value(json!([
            {"metadata": {"name": "a", "labels": {"topology.kubernetes.io/zone": "z1"}}},
            {"metadata": {"name": "b", "labels": {"topology.kubernetes.io/zone": "z2"}}},
        ]))
        .unwrap(),
    );
    let targets = targets(&snapshot);
    assert_eq!(targets.dns_pods.len(), MOST_DNS_PODS);
    let of_b = (95..100).map(|n| format!("10.0.0.{}", n + 1).parse::<IpAddr>().unwrap());
    assert!(of_b.into_iter().all(|ip| targets.dns_pods.contains(&ip)));
    assert_eq!(
        targets.sampled.as_deref(),
        Some("40 of 100 CoreDNS pods were asked")
    );
}

#[test]
fn ids_are_unique_and_the_identity_is_asked_only_where_it_is_wanted() {
    let targets = targets(&snapshot(vec![coredns(0, "n1"), coredns(1, "n2")]));
    let probes = targets.probes(Asks::Identity);
    let ids: BTreeSet<u32> = probes.iter().map(|spec| spec.id).collect();
    assert_eq!(ids.len(), probes.len());
    let sts = |probes: &[ProbeSpec]| {
        probes
            .iter()
            .any(|spec| matches!(spec.kind, ProbeKind::Sts { .. }))
    };
    assert!(sts(&probes) && !sts(&targets.probes(Asks::Network)));
}

#[test]
fn a_name_that_was_asked_for_goes_to_every_server_that_may_know_it() {
    let mut snapshot = snapshot(vec![coredns(0, "n1")]);
    snapshot.aws.vpcs = Evidence::Present(
        serde_json::from_value(json!([{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}])).unwrap(),
    );
    let asks = |name: &str| {
        let hints = hints();
        let names = [name.to_owned()];
        let targets = Targets::of(&snapshot, &Topology::of(&snapshot), &hints, &names, "s");
        let plan = targets.probes(Asks::Network);
        let servers: BTreeSet<String> = plan
            .iter()
            .filter_map(|spec| match &spec.kind {
                ProbeKind::Dns { server, name, .. }
                    if name.starts_with("kubernetes.default.svc") || name.starts_with("shop.") =>
                {
                    name.starts_with("shop.").then(|| server.ip().to_string())
                }
                _ => None,
            })
            .collect();
        let looked_up = plan
            .iter()
            .any(|spec| matches!(&spec.kind, ProbeKind::Lookup { name: of, .. } if of == name));
        assert!(looked_up, "as programs ask");
        servers.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(
        asks("shop.example.com"),
        ["10.0.0.1", "10.100.0.10", "169.254.169.253"]
    );
    // Nobody outside of the cluster knows its names.
    assert_eq!(
        asks("shop.bank.svc.cluster.local"),
        ["10.0.0.1", "10.100.0.10"]
    );
}

/// Of a DNS question: how often it is asked.
fn tries(kind: &ProbeKind) -> u64 {
    match kind {
        ProbeKind::Dns { tries, .. } => u64::from(*tries),
        _ => 0,
    }
}

#[test]
fn a_matrix_of_forty_pods_in_which_everything_times_out_ends_within_eight_seconds() {
    let mut autoscaler = coredns(7, "n1");
    autoscaler["spec"]["containers"][0]["image"] = json!("x/cluster-autoscaler:v1.33.0");
    let pods = (0..60).map(|n| coredns(n, &format!("n{n}")));
    let targets = targets(&snapshot(pods.chain([autoscaler]).collect()));
    let probes = targets.probes(Asks::Dns);
    let forced = targets.forced(&["n0"]);
    let queries: u64 = probes.iter().map(|spec| tries(&spec.kind)).sum::<u64>()
        + forced[0].iter().map(tries).sum::<u64>();
    // The agent sends one each 2 ms; the last waits 2 s. Starting and reporting get a second.
    let ends_ms = queries * 2 + 2000;
    assert!(queries > 1500, "{queries}");
    assert!(
        ends_ms + 1000 < 8000,
        "{queries} queries end after {ends_ms} ms"
    );
    let longest = probes.iter().filter_map(|spec| match &spec.kind {
        ProbeKind::Lookup { timeout_ms, .. } => Some(*timeout_ms),
        _ => None,
    });
    assert!(longest.max() <= Some(5000));
    assert!(probes.iter().all(|spec| matches!(
        spec.kind,
        ProbeKind::Dns { .. } | ProbeKind::Lookup { .. } | ProbeKind::Resolv
    )));
}

#[test]
fn forced_upstream_queries_stay_below_a_hundred_per_coredns_node_over_all_standpoints() {
    // Thirty pods crowd on one node, ten stand alone, and two dozen standpoints ask.
    let pods: Vec<Value> = (0..40)
        .map(|n| {
            coredns(
                n,
                &if n < 30 {
                    "crowded".to_owned()
                } else {
                    format!("n{n}")
                },
            )
        })
        .collect();
    let targets = targets(&snapshot(pods));
    let stands: Vec<String> = (0..24)
        .map(|n| {
            if n == 0 {
                "crowded".to_owned()
            } else {
                format!("n{}", n + 29)
            }
        })
        .collect();
    let stands: Vec<&str> = stands.iter().map(String::as_str).collect();
    let mut through: BTreeMap<&str, u64> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (stand, plan) in stands.iter().zip(targets.forced(&stands)) {
        for kind in &plan {
            let ProbeKind::Dns { server, name, .. } = kind else {
                unreachable!("forced queries are DNS");
            };
            let node = targets.dns_nodes[&server.ip()].as_str();
            *through.entry(node).or_default() += tries(kind);
            assert!(names.insert(name.clone()), "a cache could hold {name}");
            assert_eq!(
                node, *stand,
                "a pod is asked from its own node where one stands there"
            );
        }
    }
    assert_eq!(through["crowded"], forced::MOST_PER_NODE as u64);
    assert_eq!(through.len(), 11);
    assert!(
        through.values().all(|queries| *queries <= 100),
        "{through:?}"
    );
}

#[test]
fn a_coredns_pod_without_a_standpoint_on_its_node_is_asked_by_one_other() {
    let targets = targets(&snapshot(vec![coredns(0, "n1"), coredns(1, "n2")]));
    let plans = targets.forced(&["n1", "n9"]);
    assert_eq!(plans.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5]);
    assert!(targets.forced(&[]).is_empty());
}
