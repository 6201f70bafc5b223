//! `control-plane/subnet-az-coverage`: where the subnets of the control plane lie.

use std::sync::LazyLock;

use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Gap, Meta, Role, Severity, SignatureSet, Source, Stop,
    Subject, SubjectKind, Why,
};

use crate::say::{self, Say};

use std::collections::BTreeSet;

use eksnet_model::aws::Subnet;

const META: Meta = Meta {
    id: "control-plane/subnet-az-coverage",
    title: "The subnets of the cluster lie in one zone, or in a zone that EKS does not use",
    severity: Severity::Error,
    role: Role::Risk,
    needs: &[Source::Cluster, Source::Subnets],
    helps: &[Source::Logs, Source::Events],
    signals: &["forbidden-zone", "one-zone"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

const SAYS: &[Say] = &[
    Say {
        signatures: &["eks-unsupported-zone"],
        title: "Zone {zone} does not take a control plane",
        detail: "EKS places no control plane there; other zones of the region are named in the message.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "forbidden-zone",
        confirm: "aws ec2 describe-availability-zones --query 'AvailabilityZones[].[ZoneName,ZoneId]' --output table",
        fix: "aws eks create-cluster --name {cluster} --resources-vpc-config subnetIds=SUBNET,SUBNET   # subnets of other zones (eksctl: --zones)",
    },
    Say {
        signatures: &["eks-two-zones"],
        title: "The subnets that are named lie in one zone",
        detail: "EKS places its control plane in two zones at least.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "one-zone",
        confirm: "aws ec2 describe-subnets --query 'Subnets[].[SubnetId,AvailabilityZone]' --output table",
        fix: "Name subnets of two zones",
    },
];

/// Zones in which EKS places no control plane, by id: names differ between accounts.
const FORBIDDEN: [&str; 3] = ["use1-az3", "usw1-az2", "cac1-az3"];

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let said = say::findings(cx, &META, &SIGNATURES, "A cluster", SAYS, |_| true);
    if !said.is_empty() {
        return Ok(said);
    }
    let cluster = cx.eks_cluster().some()?;
    let subnets = cx.subnets().some()?;
    let ids = &cluster.resources_vpc_config.subnet_ids;
    let own: Vec<&Subnet> = subnets
        .iter()
        .filter(|subnet| ids.contains(&subnet.subnet_id))
        .collect();
    let forbidden: Vec<&&Subnet> = own
        .iter()
        .filter(|subnet| FORBIDDEN.contains(&subnet.availability_zone_id.as_str()))
        .collect();
    if let Some(first) = forbidden.first() {
        return Ok(vec![finding(
            cx,
            &own,
            format!(
                "Subnet {} of the cluster is in zone {}, which takes no control plane",
                first.subnet_id, first.availability_zone_id
            ),
            "forbidden-zone",
        )]);
    }
    if ids.is_empty() || own.len() < ids.len() {
        return Err(Stop::unknown(Gap::new(
            Source::Subnets,
            Why::Sampled,
            "not every subnet of the cluster is among those that were read",
        )));
    }
    let zones: BTreeSet<&str> = own.iter().map(|subnet| zone(subnet)).collect();
    if zones.len() > 1 {
        return Ok(Vec::new());
    }
    let title = format!(
        "Cluster {}: all its subnets lie in one zone, {}",
        cx.cluster_name(),
        zones.first().copied().unwrap_or_default()
    );
    Ok(vec![finding(cx, &own, title, "one-zone")])
}

fn zone(subnet: &Subnet) -> &str {
    if subnet.availability_zone.is_empty() {
        &subnet.availability_zone_id
    } else {
        &subnet.availability_zone
    }
}

fn finding(cx: &Cx<'_>, own: &[&Subnet], title: String, signal: &'static str) -> Finding {
    let cluster = cx.cluster_name();
    META.finding(Severity::Error, title)
        .confidence(Confidence::Confirmed)
        .detail("EKS places interfaces of its control plane in two zones; an update fails where it cannot.")
        .subject(Subject::new(SubjectKind::Cluster, cluster))
        .facts(own.iter().map(|subnet| {
            Fact::new(
                Source::Subnets,
                subnet.subnet_id.as_str(),
                "zone",
                format!("{} {}", subnet.availability_zone, subnet.availability_zone_id).trim().to_owned(),
            )
        }))
        .signal(signal)
        .confirm(format!("aws eks describe-cluster --name {cluster} --query 'cluster.resourcesVpcConfig.subnetIds'"))
        .fix(format!(
            "aws eks update-cluster-config --name {cluster} --resources-vpc-config subnetIds=SUBNET,SUBNET"
        ))
}
