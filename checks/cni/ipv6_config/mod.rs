//! `cni/ipv6-config`: what an IPv6 cluster needs of the VPC CNI and its nodes is not there.

use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Meta, Place, Role, Running, Severity, Source,
    Speaker, Stop, Subject, SubjectKind,
};

/// How far back a line counts, in seconds.
const RECENT_S: i64 = 3600;
const INVALID: &str = "cni-ipv6-invalid";
const HYPERVISOR: &str = "cni-ipv6-not-nitro";
const EGRESS: &str = "cni-ipv6-no-global-address";
const ADDRESSES: &str = "cni-ipv6-addresses";

const META: Meta = Meta {
    id: "cni/ipv6-config",
    title: "What IPv6 needs of the VPC CNI and its nodes is not there",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Cluster, Source::DaemonSets],
    helps: &[Source::Nodes, Source::InstanceTypes, Source::Logs],
    signals: &[
        "env",
        "not-nitro",
        "no-v4-egress",
        "no-global-address",
        "no-addresses",
        "from-log",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let judged = by_settings(cx);
    let mut findings = judged.as_deref().unwrap_or_default().to_vec();
    for said in Speaker::in_logs(cx, &[INVALID, HYPERVISOR, EGRESS, ADDRESSES], RECENT_S) {
        let signal = signal_of(&said);
        match findings.iter_mut().find(|one| one.signals.contains(signal)) {
            Some(known) => {
                *known = known
                    .clone()
                    .facts(said.facts("VPC CNI"))
                    .signal("from-log")
            }
            None => findings.push(by_log(cx, &said)),
        }
    }
    if findings.is_empty() {
        judged
    } else {
        Ok(findings)
    }
}

fn by_settings(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let cluster = cx.eks_cluster().some()?;
    let daemonsets = cx.daemonsets().some()?;
    let Some(aws_node) = daemonsets
        .iter()
        .find(|one| one.metadata.name == "aws-node")
    else {
        return Err(Stop::not_applicable("no aws-node runs"));
    };
    let Some(running) = Running::of(Component::AwsNode, &aws_node.spec.template.spec) else {
        return Err(Stop::not_applicable("aws-node has no container"));
    };
    if cluster.kubernetes_network_config.ip_family.as_deref() != Some("ipv6") {
        return Err(Stop::not_applicable(
            "the cluster's pods have IPv4 addresses",
        ));
    }
    let mut wrong = Vec::new();
    for (name, wanted) in [
        ("ENABLE_IPv6", "true"),
        ("ENABLE_PREFIX_DELEGATION", "true"),
        ("ENABLE_IPv4", "false"),
        ("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "false"),
    ] {
        let value = running.env(name).map(str::trim);
        let is_wrong = match value {
            Some(value) => !value.eq_ignore_ascii_case(wanted),
            // What is not set is off.
            None => wanted == "true",
        };
        if is_wrong {
            wrong.push((name, value.unwrap_or("not set").to_owned(), wanted));
        }
    }
    let mut findings = Vec::new();
    if !wrong.is_empty() {
        let names: Vec<&str> = wrong.iter().map(|(name, ..)| *name).collect();
        let sets: Vec<String> = wrong
            .iter()
            .map(|(name, _, wanted)| format!("{name}={wanted}"))
            .collect();
        let mut finding = base(Severity::Critical, format!("aws-node is not set up for the cluster's IPv6: {}", names.join(", ")))
            .confidence(Confidence::Confirmed)
            .detail("A cluster of family ipv6 needs IPv6 and prefixes on, IPv4 and custom networking off; ipamd refuses to start otherwise.")
            .signal("env")
            .fix(format!("kubectl -n kube-system set env daemonset/aws-node {}", sets.join(" ")));
        for (name, saw, wanted) in wrong {
            finding = finding.fact(
                Fact::new(
                    Source::DaemonSets,
                    "DaemonSet kube-system/aws-node",
                    name,
                    saw,
                )
                .expected(wanted),
            );
        }
        findings.push(finding);
    }
    if running
        .env("ENABLE_V4_EGRESS")
        .is_some_and(|value| value.eq_ignore_ascii_case("false"))
    {
        findings.push(
            base(Severity::Warning, "Pods reach no IPv4 address: ENABLE_V4_EGRESS is off".to_owned())
                .confidence(Confidence::Confirmed)
                .detail("Pods of an IPv6 cluster reach IPv4 by the node's address; without it only DNS64 and NAT64 help, and many endpoints have IPv4 alone.")
                .fact(Fact::new(Source::DaemonSets, "DaemonSet kube-system/aws-node", "ENABLE_V4_EGRESS", "false").expected("true"))
                .signal("no-v4-egress")
                .fix("kubectl -n kube-system set env daemonset/aws-node ENABLE_V4_EGRESS=true"),
        );
    }
    findings.extend(not_nitro(cx));
    Ok(findings)
}

fn not_nitro(cx: &Cx<'_>) -> Option<Finding> {
    let nodes = cx.nodes().optional()?;
    let types = cx.instance_types().optional()?;
    let bad: Vec<(&str, &str)> = nodes
        .iter()
        .filter_map(|node| {
            let own = node.label("node.kubernetes.io/instance-type")?;
            let kind = types.iter().find(|one| one.instance_type == own)?;
            let is_nitro =
                kind.bare_metal || kind.hypervisor.as_deref().is_none_or(|one| one == "nitro");
            (!is_nitro).then_some((node.metadata.name.as_str(), own))
        })
        .collect();
    let first = bad.first()?;
    let place = Place::nodes(bad.iter().map(|(node, _)| *node));
    let mut finding = base(
        Severity::Critical,
        format!(
            "Node {} is a {}, which cannot have the prefixes that IPv6 takes",
            first.0, first.1
        ),
    )
    .confidence(Confidence::Confirmed)
    .detail("IPv6 works by prefixes, and only instances of the Nitro system have them.")
    .signal("not-nitro")
    .at(place.clone())
    .reaches(place)
    .fix("Give the node group instance types of the Nitro system");
    for (node, kind) in bad {
        finding = finding
            .subject(Subject::node(node))
            .fact(Fact::new(Source::InstanceTypes, kind, "Hypervisor", "xen").expected("nitro"));
    }
    Some(finding)
}

fn base(severity: Severity, title: String) -> Finding {
    META.finding(severity, title)
        .subject(Subject::namespaced(SubjectKind::DaemonSet, "kube-system", "aws-node"))
        .confirm("kubectl -n kube-system set env daemonset/aws-node --list | grep -E 'IPv|EGRESS|PREFIX|CUSTOM'")
}

fn signal_of(said: &Speaker<'_>) -> &'static str {
    if said.has(HYPERVISOR) {
        "not-nitro"
    } else if said.has(INVALID) {
        "env"
    } else if said.has(EGRESS) {
        "no-global-address"
    } else {
        "no-addresses"
    }
}

fn by_log(cx: &Cx<'_>, said: &Speaker<'_>) -> Finding {
    let signal = signal_of(said);
    let (title, detail, fix) = match signal {
        "not-nitro" => (
            match said.values("type").into_iter().next() {
                Some(kind) => format!("A node is a {kind}, which cannot have the prefixes that IPv6 takes"),
                None => "A node is of a type that cannot have the prefixes that IPv6 takes".to_owned(),
            },
            "IPv6 works by prefixes, and only instances of the Nitro system have them; ipamd ends at its start.",
            "Give the node group instance types of the Nitro system".to_owned(),
        ),
        "env" => (
            "aws-node's settings of IP families contradict each other, and ipamd does not start".to_owned(),
            "One of IPv4 and IPv6 is on, never both; IPv6 needs prefixes and does without custom networking.",
            "kubectl -n kube-system set env daemonset/aws-node ENABLE_IPv4=false ENABLE_IPv6=true ENABLE_PREFIX_DELEGATION=true AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG=false   # an IPv6 cluster; for IPv4 the reverse".to_owned(),
        ),
        "no-global-address" => (
            "The node has no global IPv6 address, and pods are to leave by it".to_owned(),
            "ENABLE_V6_EGRESS gives IPv4 pods a way out over IPv6 by the node's own address; its subnet gives it none.",
            "aws ec2 modify-subnet-attribute --subnet-id SUBNET --assign-ipv6-address-on-creation   # or ENABLE_V6_EGRESS=false".to_owned(),
        ),
        _ => (
            "EC2 gives the node no IPv6 addresses".to_owned(),
            "The node's subnet has no IPv6 block, or aws-node's role may not assign addresses of it.",
            format!(
                "aws ec2 associate-subnet-cidr-block --subnet-id SUBNET --ipv6-cidr-block BLOCK   # and ec2:AssignIpv6Addresses for the role of aws-node in {}",
                cx.cluster_name()
            ),
        ),
    };
    let finding = base(
        if signal == "no-global-address" {
            Severity::Error
        } else {
            Severity::Critical
        },
        title,
    )
    .confidence(Confidence::Confirmed)
    .detail(detail)
    .facts(said.facts("VPC CNI"))
    .signal(signal)
    .signal("from-log")
    .fix(fix);
    if said.place.nodes.is_empty() {
        finding
    } else {
        let place = Place::nodes(said.place.nodes.iter().cloned());
        finding.at(place.clone()).reaches(place)
    }
}
