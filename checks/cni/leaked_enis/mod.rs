//! `cni/leaked-enis`: interfaces that the CNI made and nobody uses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use eksnet_model::aws::{NetworkInterface, tag};
use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Meta, Role, Severity, SignatureSet, Source, Stop,
    Subject, SubjectKind, Time, told,
};

const META: Meta = Meta {
    id: "cni/leaked-enis",
    title: "Interfaces of the CNI are left behind unattached",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::NetworkInterfaces],
    helps: &[Source::Subnets, Source::Logs, Source::Events],
    signals: &[
        "available",
        "tenth-of-subnet",
        "clean-up-fails",
        "blocks-deletion",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

/// Older ones the CNI's own clean-up, which runs hourly, should have found.
const LEAKED_S: i64 = 3600;
/// Deletions are tried again for days.
const RECENT_S: i64 = 86_400;
/// Share of a subnet, in percent, from which on it is an error.
const MUCH_PERCENT: u64 = 10;
/// Tags that the CNI sets: `pkg/awsutils/awsutils.go` of amazon-vpc-cni-k8s.
const INSTANCE: &str = "node.k8s.amazonaws.com/instance_id";
const CREATED: &str = "node.k8s.amazonaws.com/createdAt";
const CLUSTER: &str = "cluster.k8s.amazonaws.com/name";

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let interfaces = cx.network_interfaces().some();
    let subnets = cx.subnets().optional().map_or(&[][..], Vec::as_slice);
    let mut by_subnet: BTreeMap<&str, Vec<&NetworkInterface>> = BTreeMap::new();
    if let Ok(interfaces) = &interfaces {
        // Saved output carries no time of its own: the newest interface was made before it.
        let newest = || interfaces.iter().filter_map(created).max();
        let now = cx.now().or_else(newest);
        for one in interfaces.iter().filter(|one| is_leaked(now, one)) {
            by_subnet.entry(&one.subnet_id).or_default().push(one);
        }
    }
    let mut findings: Vec<Finding> = by_subnet
        .iter()
        .map(|(subnet, leaked)| {
            let size = subnets
                .iter()
                .find(|one| one.subnet_id == *subnet)
                .and_then(|one| one.cidr_block.parse::<ipnet::Ipv4Net>().ok())
                .map(|net| 1_u64 << (32 - net.prefix_len()));
            of_subnet(cx, subnet, leaked, size)
        })
        .collect();
    let told = told(cx, META.id, &SIGNATURES, RECENT_S);
    for one in &told {
        let finding = if one.signature() == "ipamd-leak-cleanup-failed" {
            let eni = one.value("eni").unwrap_or_default();
            one.finding(
                &META,
                Severity::Warning,
                format!("Interface {eni}, left behind by the CNI, cannot be deleted by its clean-up"),
            )
            .subject(Subject::new(SubjectKind::NetworkInterface, eni))
            .detail("EC2's reason stands in the log: ec2:DeleteNetworkInterface is not allowed, or something holds the interface.")
            .signal("clean-up-fails")
        } else {
            let what = one
                .value("group")
                .or(one.value("subnet"))
                .unwrap_or_default();
            one.finding(
                &META,
                Severity::Error,
                format!("{what} cannot be deleted: an interface uses it still"),
            )
            .confidence(Confidence::Possible)
            .subject(Subject::new(
                if what.starts_with("sg-") {
                    SubjectKind::SecurityGroup
                } else {
                    SubjectKind::Subnet
                },
                what,
            ))
            .detail("Where the nodes are gone, that is an interface which the CNI left behind: nodes that end while it works do not take all of theirs along. A load balancer's or another program's interface does it too.")
            .signal("blocks-deletion")
        };
        findings.push(with_remedy(finding, one.value("group")));
    }
    if findings.is_empty() {
        interfaces?;
    }
    Ok(findings)
}

/// Made by the CNI, attached to nothing, and too old to be on its way.
fn is_leaked(now: Option<Time>, one: &NetworkInterface) -> bool {
    let of_cni = one.description.starts_with("aws-K8S-")
        || one.description == "aws-k8s-branch-eni"
        || tag(&one.tag_set, INSTANCE).is_some();
    let old = match (now, created(one)) {
        (Some(now), Some(created)) => now.seconds_since(created) > LEAKED_S,
        // Without an age it may have been made this minute; without any time nothing has an age.
        (now, _) => now.is_none(),
    };
    one.status == "available" && of_cni && old
}

fn created(one: &NetworkInterface) -> Option<Time> {
    tag(&one.tag_set, CREATED).and_then(Time::parse)
}

fn of_subnet(
    cx: &Cx<'_>,
    subnet: &str,
    leaked: &[&NetworkInterface],
    size: Option<u64>,
) -> Finding {
    let addresses: u64 = leaked
        .iter()
        .map(|one| {
            let single = one.private_ip_addresses.len().max(1) as u64;
            single + one.ipv4_prefixes.len() as u64 * 16
        })
        .sum();
    let much = size.is_some_and(|size| addresses * 100 > size * MUCH_PERCENT);
    let many = match leaked.len() {
        1 => "1 interface that the CNI left behind holds".to_owned(),
        n => format!("{n} interfaces that the CNI left behind hold"),
    };
    let others: BTreeSet<&str> = leaked
        .iter()
        .filter_map(|one| tag(&one.tag_set, CLUSTER))
        .filter(|name| cx.cluster().name.as_deref().is_some_and(|own| own != *name))
        .collect();
    let whose = if others.is_empty() {
        String::new()
    } else {
        let names: Vec<&str> = others.into_iter().collect();
        format!(
            " Some are of another cluster by their tag: {}.",
            names.join(", ")
        )
    };
    let mut finding = META
        .finding(
            if much {
                Severity::Error
            } else {
                Severity::Warning
            },
            match addresses {
                1 => format!("Subnet {subnet}: {many} an address"),
                n => format!("Subnet {subnet}: {many} {n} addresses"),
            },
        )
        .confidence(Confidence::Confirmed)
        .detail(format!(
            "They are attached to nothing for more than an hour. The CNI cleans up hourly, unless no node runs, DISABLE_LEAKED_ENI_CLEANUP is set or its role may not delete them.{whose}"
        ))
        .subject(Subject::new(SubjectKind::Subnet, subnet))
        .subjects(
            leaked
                .iter()
                .take(3)
                .map(|one| Subject::new(SubjectKind::NetworkInterface, one.network_interface_id.as_str())),
        )
        .facts(leaked.iter().take(4).map(|one| {
            Fact::new(
                Source::NetworkInterfaces,
                one.network_interface_id.as_str(),
                "Status",
                format!(
                    "{}, {}, made {}",
                    one.status,
                    one.description,
                    tag(&one.tag_set, CREATED).unwrap_or("at an unknown time")
                ),
            )
            .expected("in-use")
        }))
        .signal("available");
    if much {
        finding = finding.signal("tenth-of-subnet");
    }
    let first = leaked
        .first()
        .map_or("ENI", |one| &one.network_interface_id);
    finding
        .confirm(format!(
            "aws ec2 describe-network-interfaces --filters Name=subnet-id,Values={subnet} Name=status,Values=available --query 'NetworkInterfaces[].[NetworkInterfaceId,Description]' --output table"
        ))
        .fix(format!(
            "aws ec2 delete-network-interface --network-interface-id {first}   # and the others, after a look at each"
        ))
}

fn with_remedy(finding: Finding, group: Option<&str>) -> Finding {
    let filter = group.map_or_else(
        || "Name=tag-key,Values=node.k8s.amazonaws.com/instance_id".to_owned(),
        |group| format!("Name=group-id,Values={group}"),
    );
    finding
        .confirm(format!(
            "aws ec2 describe-network-interfaces --filters {filter} Name=status,Values=available --query 'NetworkInterfaces[].[NetworkInterfaceId,Description]' --output table"
        ))
        .fix("aws ec2 delete-network-interface --network-interface-id ENI   # each that the list shows, after a look at it")
}
