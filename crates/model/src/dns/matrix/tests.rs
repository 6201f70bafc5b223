use serde_json::{Value, json};

use super::*;

fn tries(outcome: &str, count: usize) -> Value {
    json!({"kind": "dns", "tries": vec![json!({"outcome": outcome, "elapsedMs": 1.5}); count]})
}

fn ask(server: &str, transport: &str, name: &str) -> Value {
    json!({"kind": "dns", "server": format!("{server}:53"), "transport": transport, "name": name,
        "query": "A", "tries": 5, "gapMs": 200, "timeoutMs": 2000})
}

/// A probe pod on node `n1` that asked these and got those.
fn pod(asked: &[(Value, Value)]) -> Value {
    let plan: Vec<Value> = asked
        .iter()
        .zip(1..)
        .map(|((kind, _), id)| {
            let mut spec = kind.clone();
            spec["id"] = json!(id);
            spec
        })
        .collect();
    let results: Vec<Value> = asked
        .iter()
        .zip(1..)
        .map(|((_, outcome), id)| json!({"id": id, "outcome": outcome}))
        .collect();
    json!({"name": "p", "at": {"node": "n1", "class": "c"}, "complete": true, "plan": plan, "results": results})
}

fn snapshot(asked: &[(Value, Value)]) -> Snapshot {
    serde_json::from_value(json!({
        "kubernetes": {
            "services": [{"metadata": {"namespace": "kube-system", "name": "kube-dns"}, "spec": {"clusterIP": "10.100.0.10"}}],
            "pods": [{"metadata": {"namespace": "kube-system", "name": "coredns-1"},
                "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "r/coredns:v1"}]},
                "status": {"phase": "Running", "podIP": "10.0.0.5"}}]},
        "aws": {
            "vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16", "DhcpOptionsId": "dopt-1"}],
            "cluster": {"resourcesVpcConfig": {"vpcId": "vpc-1"}},
            "dhcpOptions": [{"DhcpOptionsId": "dopt-1", "DhcpConfigurations": [
                {"Key": "domain-name-servers", "Values": [{"Value": "10.9.9.9"}]}]}]},
        "probes": {"pods": [pod(asked)]}}))
    .expect("a snapshot")
}

const K: &str = "kubernetes.default.svc.cluster.local.";

#[test]
fn each_server_is_a_column_of_its_kind_in_the_order_in_which_a_query_meets_them() {
    let servers = [
        "10.0.0.2",
        "10.9.9.9",
        "10.0.0.5",
        "169.254.169.253",
        "169.254.20.10",
        "10.100.0.10",
        "8.8.8.8",
    ];
    let mut asked: Vec<(Value, Value)> = servers
        .iter()
        .map(|server| (ask(server, "udp", "amazon.com."), tries("ok", 5)))
        .collect();
    asked.push((
        json!({"kind": "lookup", "name": "amazon.com", "timeoutMs": 5000}),
        json!({"kind": "lookup", "addresses": ["1.2.3.4"], "elapsedMs": 2.0}),
    ));
    let matrix = DnsMatrix::of(&snapshot(&asked), None).expect("a matrix");
    let kinds: Vec<ServerKind> = matrix.columns.iter().map(|column| column.kind).collect();
    use ServerKind::{
        ClusterIp, CorednsPod, Dhcp, LinkLocal, NodeLocal, Other, ResolvConf, VpcResolver,
    };
    assert_eq!(
        kinds,
        [
            ResolvConf,
            ClusterIp,
            CorednsPod,
            NodeLocal,
            VpcResolver,
            LinkLocal,
            Dhcp,
            Other
        ]
    );
    assert!(!matrix.fails());
    let own: Vec<bool> = matrix.rows[0]
        .cells
        .iter()
        .map(|cell| cell.same_node)
        .collect();
    assert_eq!(own.iter().filter(|own| **own).count(), 1);
    assert!(own[2], "the CoreDNS pod on n1");
}

#[test]
fn a_cell_tells_udp_from_tcp_and_names_what_fails() {
    let matrix = DnsMatrix::of(
        &snapshot(&[
            (ask("10.0.0.5", "udp", K), tries("timeout", 5)),
            (ask("10.0.0.5", "tcp", K), tries("ok", 5)),
        ]),
        None,
    )
    .expect("a matrix");
    let cell = &matrix.rows[0].cells[0];
    assert_eq!(
        cell.udp.as_ref().map(|tally| tally.state),
        Some(CellState::Dead)
    );
    assert_eq!(
        cell.tcp.as_ref().map(|tally| tally.state),
        Some(CellState::Good)
    );
    assert_eq!(cell.state(), Some(CellState::Dead));
    let failing: Vec<(&str, &str)> = cell
        .failing
        .iter()
        .map(|(name, saw)| (name.as_str(), saw.as_str()))
        .collect();
    assert_eq!(
        failing,
        [(
            "kubernetes.default.svc.cluster.local over UDP",
            "timeout 5/5"
        )]
    );
}

#[test]
fn a_made_up_name_that_does_not_exist_is_right_and_one_that_exists_is_not() {
    let name = format!("{MADE_UP}1.cluster.local.");
    let of = |outcome: &str| {
        let asked = [(ask("10.0.0.5", "udp", &name), tries(outcome, 5))];
        DnsMatrix::of(&snapshot(&asked), None)
            .expect("a matrix")
            .fails()
    };
    assert!(!of("nxdomain"));
    assert!(of("ok"), "a wildcard answers");
    assert!(of("servfail"));
}

#[test]
fn with_a_name_only_its_cells_are_shown() {
    let asked = [
        (ask("10.0.0.5", "udp", K), tries("timeout", 5)),
        (
            ask("10.100.0.10", "udp", "shop.example.com."),
            tries("ok", 5),
        ),
    ];
    let matrix = DnsMatrix::of(&snapshot(&asked), Some("Shop.Example.com")).expect("a matrix");
    assert_eq!(matrix.columns.len(), 1);
    assert!(!matrix.fails());
    assert_eq!(matrix.names.len(), 2);
}

#[test]
fn without_probes_there_is_a_gap_and_no_matrix() {
    assert!(DnsMatrix::of(&Snapshot::default(), None).is_err());
}
