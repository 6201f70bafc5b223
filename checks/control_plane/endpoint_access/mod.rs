//! `control-plane/endpoint-access`: the private endpoint is off, and the public one does not admit the nodes.

use std::sync::LazyLock;

use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Gap, Meta, Role, Severity, SignatureSet, Source, Stop,
    Subject, SubjectKind, Why,
};

use crate::say::{self, Say};

use std::net::IpAddr;

use eksnet_model::aws::ResourcesVpcConfig;
use ipnet::IpNet;

const META: Meta = Meta {
    id: "control-plane/endpoint-access",
    title: "The access settings of the API endpoint keep nodes or operators out",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Cluster],
    helps: &[
        Source::NatGateways,
        Source::Instances,
        Source::Nodes,
        Source::Logs,
        Source::Events,
    ],
    signals: &[
        "public-unreachable",
        "private-only",
        "nodes-not-admitted",
        "nodes-perhaps-not-admitted",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

const SAYS: &[Say] = &[
    Say {
        signatures: &["node-public-timeout"],
        title: "{who} reaches for the API server at its public address {public}, and gets no answer",
        detail: "Nodes use the public endpoint where the private one is off or does not resolve to private addresses in the VPC; their way out to the internet, or the list of admitted addresses, stops them.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "public-unreachable",
        confirm: "aws eks describe-cluster --name {cluster} --query 'cluster.resourcesVpcConfig.[endpointPrivateAccess,endpointPublicAccess,publicAccessCidrs]'",
        fix: "aws eks update-cluster-config --name {cluster} --resources-vpc-config endpointPrivateAccess=true",
    },
    Say {
        signatures: &["kubectl-private-timeout"],
        title: "An operator reaches for the API server at its private address {private}, and gets no answer",
        detail: "The endpoint is private: it is reached from the VPC and what is connected to it, where the security group of the cluster admits port 443.",
        severity: Severity::Error,
        confidence: Confidence::Possible,
        signal: "private-only",
        confirm: "aws eks describe-cluster --name {cluster} --query 'cluster.resourcesVpcConfig'",
        fix: "aws eks update-cluster-config --name {cluster} --resources-vpc-config endpointPublicAccess=true,publicAccessCidrs=OWN_ADDRESS/32   # or come from a network that is connected to the VPC",
    },
];

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let cluster = cx.eks_cluster().some();
    let mut found = Vec::new();
    let mut unsure = None;
    if let Ok(cluster) = &cluster {
        match of_settings(cx, &cluster.resources_vpc_config) {
            Ok(finding) => found.extend(finding),
            Err(gap) => unsure = Some(gap),
        }
    }
    if found.is_empty() {
        let private = cluster
            .as_ref()
            .is_ok_and(|cluster| cluster.resources_vpc_config.endpoint_private_access);
        found = say::findings(cx, &META, &SIGNATURES, "A node", SAYS, |told| {
            !(private && told.signature() == "node-public-timeout")
        });
    }
    if found.is_empty() {
        cluster?;
        if let Some(gap) = unsure {
            return Err(Stop::unknown(gap));
        }
    }
    Ok(found)
}

/// The finding that the settings alone make; a gap where the nodes' way out is not known.
fn of_settings(cx: &Cx<'_>, settings: &ResourcesVpcConfig) -> Result<Option<Finding>, Gap> {
    let admitted: Vec<IpNet> = settings
        .public_access_cidrs
        .iter()
        .filter_map(|cidr| cidr.parse().ok())
        .collect();
    let open = admitted.iter().any(|net| net.prefix_len() == 0);
    // A part of the settings alone shows neither as on.
    let known = settings.endpoint_public_access || settings.endpoint_private_access;
    if settings.endpoint_private_access || !known || open || admitted.is_empty() {
        return Ok(None);
    }
    let gateways = cx.nat_gateways().optional();
    let instances = cx.instances().optional();
    let of_gateways = gateways
        .into_iter()
        .flatten()
        .filter(|gateway| gateway.state != "deleted")
        .flat_map(|gateway| &gateway.nat_gateway_addresses)
        .filter_map(|address| address.public_ip.as_deref());
    let of_instances = instances
        .into_iter()
        .flatten()
        .filter_map(|instance| instance.public_ip_address.as_deref());
    let ways_out: Vec<IpAddr> = of_gateways
        .chain(of_instances)
        .filter_map(|address| address.parse().ok())
        .collect();
    let kept_out: Vec<String> = ways_out
        .iter()
        .filter(|address| !admitted.iter().any(|net| net.contains(*address)))
        .map(ToString::to_string)
        .collect();
    if !kept_out.is_empty() && kept_out.len() == ways_out.len() {
        return Ok(Some(finding(cx, settings, &kept_out)));
    }
    if !ways_out.is_empty() {
        return Ok(None);
    }
    let nodes = cx.nodes().optional();
    let works = nodes
        .into_iter()
        .flatten()
        .any(|node| node.is_ready() == Some(true));
    // Single addresses are those of people: a way out of nodes that nobody listed is hardly among them.
    let people = admitted
        .iter()
        .all(|net| net.prefix_len() == net.max_prefix_len());
    if people && !works {
        return Ok(Some(finding(cx, settings, &[])));
    }
    Err(Gap::new(
        Source::NatGateways,
        Why::NotRequested,
        "the addresses by which nodes leave the VPC are not known",
    ))
}

fn finding(cx: &Cx<'_>, settings: &ResourcesVpcConfig, kept_out: &[String]) -> Finding {
    let cluster = cx.cluster_name();
    let cidrs = settings.public_access_cidrs.join(", ");
    let (severity, confidence, title) = if kept_out.is_empty() {
        (
            Severity::Error,
            Confidence::Possible,
            format!("Cluster {cluster} admits {cidrs} alone, and nodes have no private endpoint"),
        )
    } else {
        (
            Severity::Critical,
            Confidence::Confirmed,
            format!(
                "Cluster {cluster} keeps its nodes out: they come from {}, and it admits {cidrs} alone",
                kept_out.join(", ")
            ),
        )
    };
    let mut finding = META
        .finding(severity, title)
        .confidence(confidence)
        .detail("With the private endpoint off, nodes reach the API server by the public one, from the address of their NAT gateway or their own; what publicAccessCidrs does not hold is not let in.")
        .subject(Subject::new(SubjectKind::Cluster, cluster))
        .fact(
            Fact::new(Source::Cluster, format!("Cluster {cluster}"), "endpointPrivateAccess", "false")
                .expected("true"),
        )
        .fact(Fact::new(
            Source::Cluster,
            format!("Cluster {cluster}"),
            "publicAccessCidrs",
            cidrs,
        ))
        .signal(if kept_out.is_empty() {
            "nodes-perhaps-not-admitted"
        } else {
            "nodes-not-admitted"
        })
        .confirm(format!(
            "aws eks describe-cluster --name {cluster} --query 'cluster.resourcesVpcConfig.[endpointPrivateAccess,endpointPublicAccess,publicAccessCidrs]'"
        ))
        .confirm("aws ec2 describe-nat-gateways --query 'NatGateways[].NatGatewayAddresses[].PublicIp'")
        .fix(format!(
            "aws eks update-cluster-config --name {cluster} --resources-vpc-config endpointPrivateAccess=true"
        ));
    if !kept_out.is_empty() {
        finding = finding.fact(Fact::new(
            Source::NatGateways,
            "ways out of the VPC",
            "addresses",
            kept_out.join(", "),
        ));
    }
    finding
}
