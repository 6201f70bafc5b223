//! `net/cidr-overlap`: addresses of Services, of remote networks or of container bridges that overlap.

use std::collections::BTreeSet;
use std::net::IpAddr;

use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Heard, LogScan, Meta, Place, Role, Severity, Source,
    Stop, Subject, SubjectKind, Text, logs_and_events,
};
use ipnet::IpNet;

const DOCKER: &[&str] = &["docker-range-unreachable"];
const UPSTREAM: &[&str] = &["upstream-in-range"];
/// Docker's bridge, on the control plane's hosts and on old nodes.
/// <https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html> (read 2026-05)
const BRIDGE: &str = "172.17.0.0/16";
/// The ranges that EKS chooses from by itself.
const USUAL: [&str; 2] = ["10.100.0.0/16", "172.20.0.0/16"];

const META: Meta = Meta {
    id: "net/cidr-overlap",
    title: "Ranges of Services, remote networks or bridges overlap",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Cluster, Source::RouteTables],
    helps: &[
        Source::Services,
        Source::ConfigMaps,
        Source::Vpcs,
        Source::DhcpOptions,
        Source::Nodes,
        Source::Logs,
        Source::Events,
    ],
    signals: &[
        "docker-range",
        "route-in-service-range",
        "server-in-service-range",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let scans = logs_and_events(cx, &set);
    let cluster = cx.eks_cluster().some();
    let tables = cx.route_tables().some();
    let range = service_range(cx);
    let mut findings = Vec::new();
    if let Some(range) = &range {
        findings.extend(routes(cx, range));
        findings.extend(servers(cx, range, &scans));
    }
    findings.extend(docker(cx, &scans));
    if findings.is_empty() {
        let _ = (cluster?, tables?);
    }
    Ok(findings)
}

/// The range of Service addresses, and how it is known.
struct Range {
    net: IpNet,
    fact: Fact,
}

fn service_range(cx: &Cx<'_>) -> Option<Range> {
    let configured = cx.eks_cluster().optional().and_then(|cluster| {
        let cidr = cluster
            .kubernetes_network_config
            .service_ipv4_cidr
            .as_deref()?;
        Some(Range {
            net: cidr.parse().ok()?,
            fact: Fact::new(
                Source::Cluster,
                cluster.name.as_str(),
                "serviceIpv4Cidr",
                cidr,
            ),
        })
    });
    let services = cx.services().optional();
    configured.or_else(|| {
        // By the addresses that Services have, where they lie in a range that EKS chooses.
        let mut all = services.into_iter().flatten();
        all.find_map(|service| {
            let address: IpAddr = service.spec.cluster_ip.parse().ok()?;
            let net = USUAL
                .iter()
                .filter_map(|net| net.parse::<IpNet>().ok())
                .find(|net| net.contains(&address))?;
            Some(Range {
                net,
                fact: Fact::new(
                    Source::Services,
                    format!(
                        "Service {}/{}",
                        service.metadata.namespace, service.metadata.name
                    ),
                    "clusterIP",
                    address.to_string(),
                ),
            })
        })
    })
}

fn overlaps(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

fn rebuild(finding: Finding, cx: &Cx<'_>) -> Finding {
    finding
        .confirm(format!("aws eks describe-cluster --name {} --query cluster.kubernetesNetworkConfig", cx.cluster_name()))
        .fix("The Service range of a cluster cannot be changed: make a new cluster with a range that nothing else uses, or renumber or translate the remote network")
}

/// Routes to other networks inside the Service range.
fn routes(cx: &Cx<'_>, range: &Range) -> Vec<Finding> {
    let mut findings = Vec::new();
    let own = cx.topology().vpc_id();
    let mut seen = BTreeSet::new();
    for table in cx.route_tables().optional().into_iter().flatten() {
        if own.is_some_and(|own| !table.vpc_id.is_empty() && own != table.vpc_id) {
            continue;
        }
        for route in &table.routes {
            let Some(destination) = route.destination_cidr_block.as_deref() else {
                continue;
            };
            let Ok(net) = destination.parse::<IpNet>() else {
                continue;
            };
            let remote = route.gateway_id.as_deref() != Some("local") && net.prefix_len() > 0;
            if !remote || !overlaps(&net, &range.net) || !seen.insert(destination) {
                continue;
            }
            let finding = META
                .finding(Severity::Error, format!("Service range {} overlaps {destination}, which is routed to another network", range.net))
                .confidence(Confidence::Confirmed)
                .detail("Pods that call an address of that network in the Service range reach nothing: kube-proxy takes such packets for Services.")
                .subject(Subject::new(SubjectKind::Other, destination))
                .fact(range.fact.clone())
                .fact(Fact::new(Source::RouteTables, table.route_table_id.as_str(), "route", destination).expected(format!("outside {}", range.net)))
                .signal("route-in-service-range");
            findings.push(rebuild(finding, cx));
        }
    }
    findings
}

/// DNS servers inside the Service range: in DHCP options, in the Corefile, or asked in vain.
fn servers(cx: &Cx<'_>, range: &Range, scans: &[LogScan]) -> Vec<Finding> {
    let mut seen: Vec<(IpAddr, Fact)> = Vec::new();
    let _ = cx.vpcs().optional();
    // Cluster DNS has the tenth address of the range, unless its Service says otherwise.
    let tenth = range.net.hosts().nth(9);
    let dns: Vec<IpAddr> = cx
        .services()
        .optional()
        .into_iter()
        .flatten()
        .filter_map(|service| service.spec.cluster_ip.parse().ok())
        .chain(tenth)
        .collect();
    let mut add = |address: &str, fact: &dyn Fn() -> Fact| {
        if let Ok(address) = address.parse::<IpAddr>()
            && range.net.contains(&address)
            && !dns.contains(&address)
            && !seen.iter().any(|(known, _)| *known == address)
        {
            seen.push((address, fact()));
        }
    };
    for options in cx.dhcp_options().optional().into_iter().flatten() {
        let servers = options
            .dhcp_configurations
            .iter()
            .filter(|one| one.key == "domain-name-servers");
        for value in servers.flat_map(|one| &one.values) {
            add(&value.value, &|| {
                Fact::new(
                    Source::DhcpOptions,
                    options.dhcp_options_id.as_str(),
                    "domain-name-servers",
                    value.value.as_str(),
                )
            });
        }
    }
    for map in cx.config_maps().optional().into_iter().flatten() {
        let corefile = map.data.get("Corefile").map_or("", String::as_str);
        let forwards = corefile
            .lines()
            .filter_map(|line| line.trim().strip_prefix("forward "));
        for word in forwards.flat_map(str::split_whitespace) {
            let address = word.trim_start_matches("dns://").trim_end_matches(":53");
            add(address, &|| {
                Fact::new(
                    Source::ConfigMaps,
                    format!("ConfigMap {}/{}", map.metadata.namespace, map.metadata.name),
                    "forward",
                    address,
                )
            });
        }
    }
    for said in Heard::by(scans, UPSTREAM) {
        for server in said.values("server") {
            add(server, &|| said.fact("upstream"));
        }
    }
    let mut findings = Vec::new();
    for (address, fact) in seen {
        let finding = META
            .finding(Severity::Error, format!("DNS server {address} lies in the Service range {}", range.net))
            .confidence(Confidence::Confirmed)
            .detail("Packets to it never leave the node: kube-proxy owns the range, and no Service has this address.")
            .subject(Subject::new(SubjectKind::Host, address.to_string()))
            .fact(fact.expected(format!("outside {}", range.net)))
            .fact(range.fact.clone())
            .signal("server-in-service-range");
        findings.push(rebuild(finding, cx));
    }
    findings
}

/// Nodes or pods in the range of Docker's bridge, where something dials them in vain.
fn docker(cx: &Cx<'_>, scans: &[LogScan]) -> Option<Finding> {
    let bridge: IpNet = BRIDGE.parse().ok()?;
    let said: Vec<Heard<'_>> = Heard::by(scans, DOCKER).collect();
    let nodes: BTreeSet<Text> = cx
        .nodes()
        .optional()
        .into_iter()
        .flatten()
        .filter(|node| {
            node.internal_ip()
                .and_then(|ip| ip.parse().ok())
                .is_some_and(|ip: IpAddr| bridge.contains(&ip))
        })
        .map(|node| Text::from(&node.metadata.name))
        .collect();
    let first = said.first()?;
    let no_route = said
        .iter()
        .any(|one| one.values("how").any(|how| how == "no route to host"));
    if !no_route && nodes.is_empty() {
        return None;
    }
    let address = first.value("address").unwrap_or("172.17.x.x");
    let at = Place::nodes(nodes);
    Some(
        META.finding(Severity::Error, format!("{address} lies in {BRIDGE}, the range of Docker's bridge, and cannot be reached from the control plane"))
            .confidence(Confidence::Likely)
            .detail("The control plane's hosts keep this range for themselves. logs, exec and webhooks of nodes and pods in it fail.")
            .subject(Subject::new(SubjectKind::Other, BRIDGE))
            .facts(said.iter().take(3).map(|one| one.fact("failed calls")))
            .signal("docker-range")
            .at(at)
            .confirm("aws ec2 describe-subnets --filters Name=cidr-block,Values='172.17.*' --query 'Subnets[].[SubnetId,CidrBlock]'")
            .fix("Move nodes to subnets outside 172.17.0.0/16"),
    )
}
