//! Prometheus text: the figures of CNI Metrics Helper by its names, and the project's own.

use super::Shown;
use crate::Measured;

/// A value of a label, escaped.
fn value(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

struct Page {
    out: String,
}

impl Page {
    /// A metric with its samples; nothing where no sample is known.
    fn metric(&mut self, name: &str, kind: &str, help: &str, samples: &[(String, Option<u64>)]) {
        if samples.iter().all(|(_, figure)| figure.is_none()) {
            return;
        }
        self.out
            .push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for (labels, figure) in samples {
            if let Some(figure) = figure {
                self.out.push_str(&format!("{name}{{{labels}}} {figure}\n"));
            }
        }
    }
}

/// The state of a cluster as Prometheus text. What is not known is left out.
#[must_use]
pub fn prometheus(shown: &Shown<'_>) -> String {
    let measured = shown.measured;
    let cluster = format!(
        "cluster=\"{}\"",
        value(measured.cluster.as_ref().map_or("", |name| name.as_str()))
    );
    let mut page = Page { out: String::new() };
    helper(&mut page, measured, &cluster);
    let small = |figure: Option<u32>| figure.map(u64::from);
    page.metric(
        "eksnet_pods_can_start",
        "gauge",
        "Ordinary pods without requests that can still start.",
        &[(cluster.clone(), small(measured.totals.can_start))],
    );
    let by_group =
        |figure: &dyn Fn(&crate::GroupUse) -> Option<u64>| -> Vec<(String, Option<u64>)> {
            measured
                .groups
                .iter()
                .map(|one| {
                    (
                        format!("{cluster},node_group=\"{}\"", value(&one.name)),
                        figure(one),
                    )
                })
                .collect()
        };
    for (name, help, figures) in [
        (
            "eksnet_group_nodes",
            "Nodes of a node group.",
            by_group(&|one| Some(u64::from(one.nodes))),
        ),
        (
            "eksnet_group_nodes_max",
            "Most nodes of a node group.",
            by_group(&|one| one.sizes.map(|sizes| u64::from(sizes.max))),
        ),
        (
            "eksnet_group_pods_can_start",
            "Pods that can still start on the nodes of a group.",
            by_group(&|one| small(one.can_start)),
        ),
    ] {
        page.metric(name, "gauge", help, &figures);
    }
    let by_subnet =
        |figure: &dyn Fn(&crate::SubnetState) -> Option<u64>| -> Vec<(String, Option<u64>)> {
            measured
                .subnets
                .iter()
                .map(|one| {
                    let labels = format!(
                        "{cluster},subnet=\"{}\",zone=\"{}\"",
                        value(&one.id),
                        value(&one.zone)
                    );
                    (labels, figure(one))
                })
                .collect()
        };
    for (name, help, figures) in [
        (
            "eksnet_subnet_free_addresses",
            "Free addresses of a subnet.",
            by_subnet(&|one| small(one.free)),
        ),
        (
            "eksnet_subnet_usable_addresses",
            "Addresses of a subnet that can be used.",
            by_subnet(&|one| small(one.usable)),
        ),
        (
            "eksnet_subnet_free_prefix_blocks",
            "Free aligned /28 blocks of a subnet.",
            by_subnet(&|one| small(one.free_prefix_blocks)),
        ),
    ] {
        page.metric(name, "gauge", help, &figures);
    }
    let by_node =
        |figure: &dyn Fn(&crate::NodeState) -> Option<u64>| -> Vec<(String, Option<u64>)> {
            measured
                .nodes
                .iter()
                .map(|one| {
                    let labels = format!(
                        "{cluster},node=\"{}\",node_group=\"{}\"",
                        value(&one.name),
                        value(&one.group)
                    );
                    (labels, figure(one))
                })
                .collect()
        };
    for (name, help, figures) in [
        (
            "eksnet_node_enis",
            "Interfaces attached to a node.",
            by_node(&|one| one.enis.used),
        ),
        (
            "eksnet_node_enis_max",
            "Most interfaces of a node.",
            by_node(&|one| one.enis.possible),
        ),
        (
            "eksnet_node_addresses_assigned",
            "Addresses that pods of a node have.",
            by_node(&|one| one.addresses.assigned),
        ),
        (
            "eksnet_node_addresses_allocated",
            "Addresses that interfaces of a node hold for pods.",
            by_node(&|one| one.addresses.allocated),
        ),
        (
            "eksnet_node_addresses_max",
            "Most addresses for pods of a node.",
            by_node(&|one| one.addresses.possible),
        ),
        (
            "eksnet_node_kubelet_slots_used",
            "Pods on a node.",
            by_node(&|one| one.slots.used),
        ),
        (
            "eksnet_node_kubelet_slots_max",
            "Most pods of a node, by its kubelet.",
            by_node(&|one| one.slots.possible),
        ),
        (
            "eksnet_node_pods_can_start",
            "Pods that can still start on a node.",
            by_node(&|one| small(one.can_start)),
        ),
    ] {
        page.metric(name, "gauge", help, &figures);
    }
    page.out
}

fn helper(page: &mut Page, measured: &Measured, cluster: &str) {
    let metrics = measured.cni_metrics;
    for (name, kind, help, figure) in [
        (
            "eniMaxAvailable",
            "gauge",
            "Most interfaces that the cluster can have.",
            metrics.eni_max_available,
        ),
        (
            "eniAllocated",
            "gauge",
            "Interfaces allocated.",
            metrics.eni_allocated,
        ),
        (
            "maxIPAddresses",
            "gauge",
            "Most addresses for pods.",
            metrics.max_ip_addresses,
        ),
        (
            "totalIPAddresses",
            "gauge",
            "Addresses on interfaces.",
            metrics.total_ip_addresses,
        ),
        (
            "assignIPAddresses",
            "gauge",
            "Addresses that pods have.",
            metrics.assign_ip_addresses,
        ),
        (
            "totalIPv4Prefixes",
            "gauge",
            "Prefixes on interfaces.",
            metrics.total_ipv4_prefixes,
        ),
        ("ipamdErr", "counter", "Errors of ipamd.", metrics.ipamd_err),
        (
            "addReqCount",
            "counter",
            "ADD requests.",
            metrics.add_req_count,
        ),
        (
            "delReqCount",
            "counter",
            "DEL requests.",
            metrics.del_req_count,
        ),
    ] {
        page.metric(name, kind, help, &[(cluster.to_owned(), figure)]);
    }
}
