//! `control-plane/subnet-free-ips`: an update of the control plane finds no addresses.

use std::sync::LazyLock;

use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Gap, Meta, Role, Severity, SignatureSet, Source, Stop,
    Subject, SubjectKind, Why,
};

use crate::say::{self, Say};

use std::collections::BTreeMap;

use eksnet_model::aws::Subnet;

const META: Meta = Meta {
    id: "control-plane/subnet-free-ips",
    title: "The subnets of the cluster have too few free addresses for its control plane",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Cluster, Source::Subnets],
    helps: &[Source::Logs, Source::Events],
    signals: &["said", "too-few", "low"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

const SAYS: &[Say] = &[Say {
    signatures: &["eks-no-free-addresses"],
    title: "The subnets of the cluster have too few free addresses, says EKS",
    detail: "An update places up to five fresh interfaces of the control plane before the old ones go.",
    severity: Severity::Error,
    confidence: Confidence::Confirmed,
    signal: "said",
    confirm: "aws eks describe-cluster --name {cluster} --query 'cluster.resourcesVpcConfig.subnetIds'",
    fix: "aws eks update-cluster-config --name {cluster} --resources-vpc-config subnetIds=SUBNET,SUBNET   # in the same zones; or free addresses",
}];

/// Most interfaces that an update places before the old ones go.
const UPDATE: u32 = 5;
/// Free addresses that each subnet needs when a cluster is made.
const CREATE: u32 = 6;
/// Free addresses of a zone from which on an interface and its successor fit.
const PER_ZONE: u32 = 2;

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let said = say::findings(cx, &META, &SIGNATURES, "A cluster", SAYS, |_| true);
    if !said.is_empty() {
        return Ok(said);
    }
    let cluster = cx.eks_cluster().some()?;
    let subnets = cx.subnets().some()?;
    let ids = &cluster.resources_vpc_config.subnet_ids;
    let own: Vec<(&Subnet, u32)> = subnets
        .iter()
        .filter(|subnet| ids.contains(&subnet.subnet_id))
        .filter_map(|subnet| Some((subnet, subnet.available_ip_address_count?)))
        .collect();
    if ids.is_empty() || own.len() < ids.len() {
        return Err(Stop::unknown(Gap::new(
            Source::Subnets,
            Why::Sampled,
            "not every subnet of the cluster is among those that were read",
        )));
    }
    let total: u32 = own.iter().map(|(_, free)| *free).sum();
    let mut zones: BTreeMap<&str, u32> = BTreeMap::new();
    for (subnet, free) in &own {
        let most = zones.entry(subnet.availability_zone.as_str()).or_default();
        *most = (*most).max(*free);
    }
    let roomy = zones.values().filter(|free| **free >= PER_ZONE).count();
    let low = own.iter().any(|(_, free)| *free < CREATE);
    Ok(if total < UPDATE || roomy < 2.min(zones.len()) {
        vec![finding(cx, &own, total, true)]
    } else if low {
        vec![finding(cx, &own, total, false)]
    } else {
        Vec::new()
    })
}

fn finding(cx: &Cx<'_>, own: &[(&Subnet, u32)], total: u32, fails: bool) -> Finding {
    let cluster = cx.cluster_name();
    let title = if fails {
        format!(
            "Cluster {cluster}: its subnets have {total} free addresses, too few to update the control plane"
        )
    } else {
        format!("Cluster {cluster}: a subnet of it has fewer than {CREATE} free addresses")
    };
    let ids: Vec<&str> = own
        .iter()
        .map(|(subnet, _)| subnet.subnet_id.as_str())
        .collect();
    META.finding(if fails { Severity::Error } else { Severity::Warning }, title)
        .confidence(Confidence::Confirmed)
        .detail("An update places up to five fresh interfaces of the control plane in these subnets, in two zones, before the old ones go.")
        .subject(Subject::new(SubjectKind::Cluster, cluster))
        .facts(own.iter().map(|(subnet, free)| {
            Fact::new(
                Source::Subnets,
                subnet.subnet_id.as_str(),
                "AvailableIpAddressCount",
                free.to_string(),
            )
            .expected("16, at least 6")
        }))
        .signal(if fails { "too-few" } else { "low" })
        .confirm(format!(
            "aws ec2 describe-subnets --subnet-ids {} --query 'Subnets[].[SubnetId,AvailabilityZone,AvailableIpAddressCount]' --output table",
            ids.join(" ")
        ))
        .fix(format!(
            "aws eks update-cluster-config --name {cluster} --resources-vpc-config subnetIds=SUBNET,SUBNET   # in the same zones; or free addresses"
        ))
}
