//! Pods that leave with their own private address by an internet gateway, which drops them.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::aws::Subnet;
use eksnet_model::kubernetes::EniConfig;
use eksnet_model::{
    CniSettings, Confidence, Fact, Finding, Place, Severity, Source, Subject, SubjectKind, Topology,
};

use super::META;

/// A finding for each subnet of pods whose default route is an internet gateway.
pub(super) fn to_internet_gateways(
    topology: &Topology<'_>,
    settings: &CniSettings,
    configs: &[EniConfig],
) -> Vec<Finding> {
    let mut pods: BTreeMap<&str, (&Subnet, BTreeSet<&str>)> = BTreeMap::new();
    for node in topology.nodes().filter(|node| node.has_cni_pod()) {
        let subnet = if settings.custom_networking {
            let name = settings.eni_config_of(node);
            let config = configs.iter().find(|one| one.metadata.name == name);
            config.and_then(|config| topology.subnet(&config.spec.subnet))
        } else {
            topology.subnet_of_node(node)
        };
        if let Some(subnet) = subnet {
            let entry = pods
                .entry(&subnet.subnet_id)
                .or_insert_with(|| (subnet, BTreeSet::new()));
            entry.1.insert(&node.metadata.name);
        }
    }
    pods.values()
        .filter_map(|(subnet, nodes)| {
            let table = topology.route_table_of(subnet)?;
            let gateway = table.routes.iter().find_map(|route| {
                (route.destination_cidr_block.as_deref() == Some("0.0.0.0/0"))
                    .then_some(route.gateway_id.as_deref()?)
                    .filter(|gateway| gateway.starts_with("igw-"))
            })?;
            Some(finding(subnet, &table.route_table_id, gateway, nodes))
        })
        .collect()
}

fn finding(subnet: &Subnet, table: &str, gateway: &str, nodes: &BTreeSet<&str>) -> Finding {
    let id = &subnet.subnet_id;
    let place = Place::nodes(nodes.iter().copied());
    META.finding(
        Severity::Critical,
        format!("Pods in subnet {id} leave with private addresses by internet gateway {gateway}, which drops them"),
    )
    .confidence(Confidence::Confirmed)
    .detail("AWS_VPC_K8S_CNI_EXTERNALSNAT is true: the node does not put its own address in place of the pod's. An internet gateway translates only addresses that have a public one: pods there reach nothing outside the VPC.")
    .subject(Subject::new(SubjectKind::Subnet, id.as_str()))
    .subject(Subject::new(SubjectKind::RouteTable, table))
    .fact(
        Fact::new(
            Source::DaemonSets,
            "DaemonSet kube-system/aws-node",
            "env AWS_VPC_K8S_CNI_EXTERNALSNAT",
            "true",
        )
        .expected("false, or subnets of pods behind a NAT gateway"),
    )
    .fact(
        Fact::new(
            Source::RouteTables,
            table,
            format!("route 0.0.0.0/0 of {id}"),
            gateway,
        )
        .expected("a NAT or transit gateway"),
    )
    .at(place.clone())
    .reaches(place)
    .signal("pods-to-internet-gateway")
    .confirm(format!(
        "aws ec2 describe-route-tables --route-table-ids {table} --query 'RouteTables[].Routes' --output table"
    ))
    .confirm("kubectl run egress --rm -it --restart=Never --image=public.ecr.aws/docker/library/busybox -- nc -zvw3 1.1.1.1 443")
    .fix("kubectl -n kube-system set env daemonset/aws-node AWS_VPC_K8S_CNI_EXTERNALSNAT=false")
    .fix("Or move nodes (with custom networking: the ENIConfigs' subnets) to subnets whose default route is a NAT gateway")
}
