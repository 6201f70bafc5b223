//! `cni/prefix-fragmentation`: subnets that have free addresses and no free block of 16 in a row.

mod blocks;
mod stuck;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use eksnet_model::kubernetes::CniMetrics;
use eksnet_model::{
    Check, CniSettings, Confidence, Cx, Fact, Finding, Gap, Meta, Place, Role, Severity,
    SignatureSet, Source, Stop, Subject, SubjectKind, Text, Told, Why, told, told_by_place,
};

use blocks::{Blocks, Scarce};

const META: Meta = Meta {
    id: "cni/prefix-fragmentation",
    title: "Prefix delegation finds no free block of 16 addresses in a subnet",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[
        Source::DaemonSets,
        Source::Subnets,
        Source::NetworkInterfaces,
    ],
    helps: &[Source::Logs, Source::Events, Source::CniMetrics],
    signals: &[
        "insufficient-cidr",
        "stock-stuck",
        "no-free-block",
        "few-free-blocks",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

/// Lines and Events older than this, in seconds, are history.
const RECENT_S: i64 = 3600;

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let settings = CniSettings::here(cx)?;
    if let Some(settings) = &settings
        && (!settings.prefix_delegation || settings.ipv6)
    {
        return Err(Stop::not_applicable(
            "the CNI does not give prefixes of IPv4 addresses (ENABLE_PREFIX_DELEGATION)",
        ));
    }
    let mut findings = Vec::new();
    for one in told_by_place(told(cx, META.id, &SIGNATURES, RECENT_S)).values() {
        if let Some(error) = one
            .iter()
            .find(|told| told.signature() == "ipamd-insufficient-cidr")
        {
            findings.push(refused(error));
        } else if let Some(stats) = stuck::stuck(one) {
            findings.push(stands_still(stats, one));
        }
    }
    for metrics in cx.cni_metrics().optional().into_iter().flatten() {
        findings.extend(of_metrics(metrics));
    }
    if settings.is_none() {
        // Blocks are counted only where prefixes are known to be given.
        if findings.is_empty() {
            cx.daemonsets().all_in("kube-system")?;
        }
        return Ok(findings);
    }
    let (subnets, interfaces) = (cx.subnets().some(), cx.network_interfaces().all());
    let mut hidden = BTreeSet::new();
    if let (Ok(subnets), Ok(interfaces)) = (&subnets, &interfaces) {
        for subnet in *subnets {
            match blocks::of(subnet, interfaces) {
                Some(Blocks::Known(scarce)) => findings.push(scarce_blocks(&scarce)),
                Some(Blocks::Hidden) => {
                    hidden.insert(subnet.subnet_id.as_str());
                }
                None => {}
            }
        }
    }
    if findings.is_empty() {
        subnets?;
        interfaces?;
        if let Some(id) = hidden.first() {
            return Err(Stop::unknown(Gap::new(
                Source::NetworkInterfaces,
                Why::Sampled,
                format!("{id} holds addresses of interfaces that are not listed: it is shared"),
            )));
        }
    }
    Ok(findings)
}

const CONFIRM: &str = "aws ec2 describe-subnets --query 'Subnets[].[SubnetId,CidrBlock,AvailableIpAddressCount]' --output table   # free addresses that make no block count too";

fn fix(finding: Finding, subnet: &str) -> Finding {
    finding
        .fix(format!(
            "aws ec2 create-subnet-cidr-reservation --subnet-id {subnet} --reservation-type prefix --cidr BLOCK   # addresses in use do not move out of it"
        ))
        .fix("Add a fresh subnet in the zone, tagged kubernetes.io/role/cni=1")
}

fn refused(told: &Told<'_>) -> Finding {
    let finding = META
        .finding(
            Severity::Error,
            format!(
                "{}: its subnet has no free block of 16 addresses in a row, says EC2",
                told.node_words()
            ),
        )
        .confidence(Confidence::Confirmed)
        .detail("Single addresses may be free: prefix delegation needs 16 in a row on a boundary of 16. ipamd waits two minutes after each refusal.")
        .subject(told.subject())
        .fact(told.fact())
        .at(told.at_place())
        .signal("insufficient-cidr")
        .confirm(CONFIRM);
    fix(bounded(finding, told), "SUBNET")
}

fn stands_still(stats: &Told<'_>, all: &[Told<'_>]) -> Finding {
    let finding = META
        .finding(
            Severity::Error,
            format!(
                "{} gets no further prefix: all addresses of its prefixes are given, and its interfaces have room",
                stats.node_words()
            ),
        )
        .confidence(Confidence::Possible)
        .detail("ipamd wants a prefix and does not get one. A subnet without 16 free addresses in a row does that; a refused or throttled call of EC2 would do it too, and would stand in the log as an error.")
        .subject(stats.subject())
        .facts(
            all.iter()
                .filter(|one| one.signature() != "ipamd-prefix-allocated")
                .take(3)
                .map(Told::fact),
        )
        .at(stats.at_place())
        .signal("stock-stuck")
        .confirm("grep -E 'InsufficientCidrBlocks|InsufficientFreeAddresses|UnauthorizedOperation|RequestLimitExceeded' /var/log/aws-routed-eni/ipamd.log   # on the node")
        .confirm(CONFIRM);
    fix(bounded(finding, stats), "SUBNET")
}

fn bounded(finding: Finding, told: &Told<'_>) -> Finding {
    if told.node.is_some() {
        finding.reaches(told.at_place())
    } else {
        finding
    }
}

fn of_metrics(metrics: &CniMetrics) -> Option<Finding> {
    let (labels, grown) = metrics
        .series("awscni_aws_api_error_count")
        .find(|(labels, grown)| labels.contains("InsufficientCidrBlocks") && *grown > 0.0)?;
    let place = Place::nodes([metrics.node.as_str()]);
    let finding = META
        .finding(
            Severity::Error,
            format!(
                "Node {}: its subnet has no free block of 16 addresses in a row, says EC2",
                metrics.node
            ),
        )
        .confidence(Confidence::Confirmed)
        .detail("Single addresses may be free: prefix delegation needs 16 in a row on a boundary of 16.")
        .subject(Subject::node(metrics.node.as_str()))
        .fact(
            Fact::new(
                Source::CniMetrics,
                format!("Node {}", metrics.node),
                format!("awscni_aws_api_error_count{{{labels}}}"),
                format!("{grown:.0}"),
            )
            .expected("0")
            .at(metrics.at),
        )
        .at(place.clone())
        .reaches(place)
        .signal("insufficient-cidr")
        .confirm(CONFIRM);
    Some(fix(finding, "SUBNET"))
}

fn scarce_blocks(scarce: &Scarce<'_>) -> Finding {
    let id = &scarce.subnet.subnet_id;
    let (free, blocks) = (scarce.free, scarce.blocks);
    let nodes = scarce.nodes;
    let none = blocks == 0;
    let title = if none {
        format!("Subnet {id} has {free} free addresses and no free block of 16 for a prefix")
    } else {
        format!(
            "Subnet {id} has {free} free addresses and too few free blocks of 16: {blocks}, with {nodes} instances in it"
        )
    };
    let finding = META
        .finding(
            if none {
                Severity::Error
            } else {
                Severity::Warning
            },
            title,
        )
        .detail("Prefix delegation needs 16 addresses in a row on a boundary of 16; single addresses are spread over the subnet.")
        .subject(Subject::new(SubjectKind::Subnet, id.as_str()))
        .fact(Fact::new(
            Source::Subnets,
            Text::from(id),
            "AvailableIpAddressCount",
            free.to_string(),
        ))
        .fact(
            Fact::new(
                Source::NetworkInterfaces,
                Text::from(id),
                "free blocks of 16 addresses",
                blocks.to_string(),
            )
            .expected(format!("at least {}", scarce.wanted())),
        )
        .signal(if none {
            "no-free-block"
        } else {
            "few-free-blocks"
        })
        .confirm(format!(
            "aws ec2 describe-network-interfaces --filters Name=subnet-id,Values={id} --query 'NetworkInterfaces[].[PrivateIpAddresses[].PrivateIpAddress,Ipv4Prefixes[].Ipv4Prefix]' --output text | sort -V"
        ))
        .confirm(format!(
            "aws ec2 get-subnet-cidr-reservations --subnet-id {id}"
        ));
    fix(finding, id)
}
