//! Outages that look the same from the autoscaler's log and must be told apart.

use crate::story::{bundle, demo, differences, explained, first, golden, judge, report};

/// Name of the snapshot, the check that must come first, and where it may differ from the demo.
const SIBLINGS: [(&str, &str, &[&str]); 4] = [
    (
        "kube_proxy_dead",
        "kube-proxy/unhealthy",
        &[
            "/kubernetes/pods/",
            "/kubernetes/daemonsets/1/status",
            "/probes/pods/0/",
        ],
    ),
    (
        "coredns_not_ready",
        "dns/coredns-no-ready-endpoints",
        &[
            "/kubernetes/pods/",
            "/kubernetes/deployments/0/status",
            "/kubernetes/endpointslices/0/",
            "/probes/pods/",
        ],
    ),
    (
        "vpc_resolver_unreachable",
        "net/vpc-dns-attributes",
        &["/aws/vpcs/0/EnableDnsSupport", "/probes/pods/"],
    ),
    ("network_acl", "net/nacl-stateless", &["/aws/networkAcls"]),
];

/// In every sibling the security group admits DNS.
const ADMITTED: &str = "/aws/securityGroups/1/IpPermissions";

#[test]
fn the_demo_names_the_security_group_and_what_it_leads_to() {
    let report = report(&["doctor", "--demo", "-o", "json"]);
    assert_eq!(
        first(&report),
        ("net/sg-node-dns", "confirmed"),
        "{:#}",
        report["diagnoses"]
    );
    assert_eq!(report["exitCode"], 1);
    assert_eq!(report["verdict"], "broken");
    let explained = explained(&report, &report["diagnoses"][0]);
    for check in [
        "dns/coredns-cross-node-blocked",
        "sym/pod-dns-timeout",
        "endpoints/name-unresolvable",
        "autoscaler/asg-cache-failed",
        "sym/no-scale-in",
        "sym/no-scale-out",
        "sym/pods-pending",
    ] {
        assert!(
            explained.contains(&check),
            "{check} is not among {explained:?}"
        );
    }
    let since: Vec<&str> = report["diagnoses"][0]["because"]
        .as_array()
        .expect("because")
        .iter()
        .filter_map(|text| text.as_str())
        .collect();
    assert!(
        since
            .iter()
            .any(|text| text.contains("drain") || text.contains("removed")),
        "{since:?}"
    );
}

#[test]
fn each_sibling_names_its_own_cause() {
    for (name, check, _) in SIBLINGS {
        let report = judge(&bundle(&golden().join(format!("{name}.json"))));
        assert_eq!(first(&report).0, check, "{name}: {:#}", report["diagnoses"]);
        let explained = explained(&report, &report["diagnoses"][0]);
        assert!(
            explained.contains(&"autoscaler/asg-cache-failed"),
            "{name}: {explained:?}"
        );
    }
}

#[test]
fn each_sibling_differs_from_the_demo_in_its_one_fact() {
    let demo = demo();
    for (name, _, places) in SIBLINGS {
        let sibling = bundle(&golden().join(format!("{name}.json")));
        let mut found = Vec::new();
        differences("", &demo["snapshot"], &sibling["snapshot"], &mut found);
        assert!(found.iter().any(|at| at == ADMITTED), "{name}: {found:?}");
        for at in &found {
            let allowed = at == "/origin/name"
                || at == ADMITTED
                || places.iter().any(|place| at.starts_with(place));
            assert!(allowed, "{name} differs at {at}");
        }
    }
}
