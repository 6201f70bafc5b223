//! ENIConfigs against the nodes that ask for them.

use std::collections::BTreeMap;

use eksnet_model::kubernetes::{EniConfig, Node};
use eksnet_model::{
    CniSettings, Confidence, Cx, Fact, Finding, Place, Severity, Source, Subject, SubjectKind, Text,
};

use super::{META, with_remedy};

/// What is wrong with the ENIConfig of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Missing,
    Zone {
        subnet: String,
        is: String,
        node: String,
    },
    Vpc {
        subnet: String,
        is: String,
        node: String,
    },
    Group(String),
}

/// One finding for each ENIConfig and fault, with the nodes that it is of.
pub(super) fn compare(
    cx: &Cx<'_>,
    settings: &CniSettings,
    nodes: &[Node],
    configs: &[EniConfig],
) -> Vec<Finding> {
    let groups = cx.security_groups().optional();
    let all_groups = groups.filter(|_| cx.security_groups().is_complete());
    let mut faults: BTreeMap<(Text, Fault), Vec<&Node>> = BTreeMap::new();
    for node in nodes.iter().filter(|node| node.has_cni_pod()) {
        let name = settings.eni_config_of(node);
        let Some(config) = configs.iter().find(|one| one.metadata.name == name) else {
            faults
                .entry((name.into(), Fault::Missing))
                .or_default()
                .push(node);
            continue;
        };
        let missing_group = all_groups.and_then(|groups| {
            let wanted = &config.spec.security_groups;
            wanted
                .iter()
                .find(|id| !groups.iter().any(|group| group.group_id == **id))
        });
        if let Some(fault) = place_fault(cx, node, &config.spec.subnet)
            .or_else(|| missing_group.map(|id| Fault::Group(id.clone())))
        {
            faults.entry((name.into(), fault)).or_default().push(node);
        }
    }
    faults
        .into_iter()
        .map(|((name, fault), nodes)| finding(settings, &name, &fault, &nodes))
        .collect()
}

/// A subnet that is not where the node is. Zones are compared by the names of one account: that of the
/// node's own subnet.
fn place_fault(cx: &Cx<'_>, node: &Node, subnet: &str) -> Option<Fault> {
    let theirs = cx.topology().subnet(subnet)?;
    let own = cx.topology().subnet_of_node(node)?;
    if own.vpc_id != theirs.vpc_id {
        return Some(Fault::Vpc {
            subnet: subnet.to_owned(),
            is: theirs.vpc_id.clone(),
            node: own.vpc_id.clone(),
        });
    }
    (own.availability_zone != theirs.availability_zone).then(|| Fault::Zone {
        subnet: subnet.to_owned(),
        is: theirs.availability_zone.clone(),
        node: own.availability_zone.clone(),
    })
}

fn finding(settings: &CniSettings, name: &str, fault: &Fault, nodes: &[&Node]) -> Finding {
    let names: Vec<&str> = nodes
        .iter()
        .map(|node| node.metadata.name.as_str())
        .collect();
    let who = match names.as_slice() {
        [one] => format!("node {one} asks for"),
        many => format!("{} nodes ask for", many.len()),
    };
    let (title, detail, signal) = match fault {
        Fault::Missing => (
            format!("ENIConfig {name}, which {who}, does not exist"),
            "Custom networking attaches no interface for pods there: nodes stay NotReady, or their pods wait in ContainerCreating.",
            "no-eniconfig",
        ),
        Fault::Zone { subnet, is, node } => (
            format!(
                "ENIConfig {name}, which {who}, is for zone {is}: its subnet {subnet} is not in {node}"
            ),
            "EC2 attaches no interface of another zone: pods there get no address.",
            "other-zone",
        ),
        Fault::Vpc { subnet, is, node } => (
            format!(
                "ENIConfig {name}, which {who}, is for {is}: its subnet {subnet} is not in {node}"
            ),
            "EC2 attaches no interface of another VPC: pods there get no address.",
            "other-vpc",
        ),
        Fault::Group(id) => (
            format!(
                "ENIConfig {name}, which {who}, names security group {id}, which does not exist"
            ),
            "EC2 refuses the interface: pods there get no address.",
            "no-security-group",
        ),
    };
    let (label, annotation) = (&settings.eni_config_label, &settings.eni_config_annotation);
    let place = Place::nodes(names.iter().copied());
    let mut finding = META
        .finding(Severity::Critical, title)
        .confidence(Confidence::Confirmed)
        .detail(detail)
        .subject(Subject::new(
            SubjectKind::Other,
            format!("ENIConfig {name}"),
        ))
        .subjects(names.iter().take(3).map(|node| Subject::node(*node)))
        .fact(
            Fact::new(
                Source::EniConfigs,
                format!("ENIConfig {name}"),
                match fault {
                    Fault::Missing => "object",
                    Fault::Group(_) => "spec.securityGroups",
                    _ => "spec.subnet",
                },
                match fault {
                    Fault::Missing => "not among the ENIConfigs".to_owned(),
                    Fault::Group(id) => id.clone(),
                    Fault::Zone { subnet, is, .. } | Fault::Vpc { subnet, is, .. } => {
                        format!("{subnet} in {is}")
                    }
                },
            )
            .expected(match fault {
                Fault::Missing => "an ENIConfig of that name".to_owned(),
                Fault::Group(_) => "a security group of the VPC".to_owned(),
                Fault::Zone { node, .. } | Fault::Vpc { node, .. } => format!("a subnet in {node}"),
            }),
        )
        .at(place.clone())
        .reaches(place)
        .signal(signal);
    for node in nodes.iter().take(2) {
        finding = finding.fact(Fact::new(
            Source::Nodes,
            format!("Node {}", node.metadata.name),
            format!("annotation {annotation}, label {label}"),
            asked(settings, node),
        ));
    }
    with_remedy(finding, Some(name))
}

fn asked(settings: &CniSettings, node: &Node) -> String {
    let annotated = node
        .metadata
        .annotations
        .get(&settings.eni_config_annotation);
    match (annotated, node.label(&settings.eni_config_label)) {
        (Some(name), _) => format!("{name} (annotation)"),
        (None, Some(name)) => format!("{name} (label)"),
        (None, None) => "neither set: the name is default".to_owned(),
    }
}
