//! Pods whose answers to a network outside the VPC leave by the node's primary interface.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use eksnet_model::{
    CniSettings, Confidence, Fact, Finding, Observations, Severity, Source, Subject, SubjectKind,
    Told,
};
use ipnet::Ipv4Net;

use super::META;

/// Priority of the CNI's rules for packets that come from pods of secondary interfaces. Source:
/// `pkg/networkutils/network.go` of amazon-vpc-cni-k8s.
const FROM_POD: u32 = 1536;

/// With source NAT, rules lead pods of secondary interfaces to their interface only for destinations in the
/// VPC. Packets of another network come in by that interface, and the answers go out by the primary one.
pub(super) fn answers_elsewhere(
    settings: Option<&CniSettings>,
    observed: &Observations,
    told: &[Told<'_>],
) -> Option<Finding> {
    if settings.is_some_and(|settings| settings.external_snat) {
        return None;
    }
    let own: Vec<_> = observed
        .rules
        .iter()
        .filter(|rule| rule.priority == FROM_POD && rule.source.is_some())
        .collect();
    let whole_way = own.iter().any(|rule| rule.destination.is_none());
    let inside: BTreeSet<Ipv4Net> = own
        .iter()
        .filter_map(|rule| rule.destination.as_ref()?.parse().ok())
        .collect();
    if own.is_empty() || whole_way || inside.is_empty() {
        return None;
    }
    let excluded = |address: Ipv4Addr| {
        settings.is_some_and(|settings| {
            settings.exclude_snat_cidrs.iter().any(|cidr| {
                cidr.parse::<Ipv4Net>()
                    .is_ok_and(|cidr| cidr.contains(&address))
            })
        })
    };
    let outside = |address: Ipv4Addr| {
        address.is_private()
            && !inside.iter().any(|cidr| cidr.contains(&address))
            && !excluded(address)
    };
    // Packets from a private network outside that were seen to come in and to be asked again.
    let packet = observed.packets.iter().find(|packet| {
        let source = packet.source.and_then(|ip| match ip {
            std::net::IpAddr::V4(ip) => Some(ip),
            std::net::IpAddr::V6(_) => None,
        });
        source.is_some_and(outside)
    });
    let other = told
        .iter()
        .find(|one| one.signature() == "reporter-other-network");
    let failed = told
        .iter()
        .find(|one| one.signature() == "reporter-ping-failed");
    if packet.is_none() && other.is_none() {
        return None;
    }
    let confidence = if packet.is_some() || failed.is_some() {
        Confidence::Likely
    } else {
        Confidence::Possible
    };
    let vpc: Vec<String> = inside.iter().map(ToString::to_string).collect();
    let rule = own.first()?;
    let mut finding = META
        .finding(
            Severity::Error,
            "Pods on secondary interfaces answer networks outside the VPC by the node's primary interface: source NAT is on",
        )
        .confidence(confidence)
        .detail(format!(
            "The CNI's rules lead such pods to their own interface for {} alone. What a peered VPC or a network of one's own sends them comes in by that interface, and the answer leaves by another one with the node's address: it is dropped.",
            vpc.join(", ")
        ))
        .subject(Subject::namespaced(
            SubjectKind::DaemonSet,
            "kube-system",
            "aws-node",
        ))
        .fact(
            Fact::new(
                Source::Observations,
                rule.from.file.clone(),
                format!("ip rule {FROM_POD}"),
                format!(
                    "{} such as 'from {} to {} lookup {}'",
                    match own.len() {
                        1 => "1 rule".to_owned(),
                        n => format!("{n} rules"),
                    },
                    rule.source.as_deref().unwrap_or("all"),
                    rule.destination.as_deref().unwrap_or("all"),
                    rule.table
                ),
            )
            .expected("no destination, where others than the VPC reach pods"),
        )
        .signal("answers-by-primary");
    if let Some(packet) = packet {
        finding = finding.fact(Fact::new(
            Source::Observations,
            packet.from.file.clone(),
            "packet from outside the VPC",
            format!(
                "{} > {} {}",
                packet.source.map_or_else(String::new, |ip| ip.to_string()),
                packet
                    .destination
                    .map_or_else(String::new, |ip| ip.to_string()),
                packet.what
            ),
        ));
    }
    finding = finding.facts(other.into_iter().chain(failed).map(Told::fact));
    Some(
        finding
            .confirm("ip rule show | grep 1536   # on the node: rules with 'to' are those of source NAT")
            .confirm("kubectl -n kube-system get daemonset aws-node -o yaml | grep -A1 SNAT")
            .fix("kubectl -n kube-system set env daemonset/aws-node AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS=CIDR_OF_THE_OTHER_NETWORK")
            .fix("Or kubectl -n kube-system set env daemonset/aws-node AWS_VPC_K8S_CNI_EXTERNALSNAT=true, where the pods' subnets have a NAT gateway"),
    )
}
