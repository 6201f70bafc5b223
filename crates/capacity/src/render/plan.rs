//! A plan as text.

use eksnet_triage::render::{Ink, Style};

use super::table::{Cell, Column, labelled, table};
use super::words;
use crate::{NodesPlan, Plan, PlannedType, SubnetPlan, SubnetsPlan};

/// The plan as text for a terminal.
#[must_use]
pub fn plan_text(plan: &Plan, style: &Style) -> String {
    let columns = [
        column("TYPE", false, 9),
        column("VCPUS", true, 3),
        column("ENIS", true, 8),
        column("IPV4/ENI", true, 8),
        column("PODS", true, 9),
        column("RECOMMENDED", true, 9),
        column("PREFIXES", true, 7),
        column("CUSTOM NET.", true, 5),
        column("PREFIXES+CUSTOM", true, 2),
        column("BESIDE TRUNK", true, 4),
        column("BRANCH", true, 4),
        column("SOURCE", false, 1),
    ];
    let rows: Vec<Vec<Cell>> = plan.types.iter().map(row).collect();
    let mut out = table(&columns, &rows, style);
    for kind in &plan.types {
        if let Some(nodes) = &kind.nodes {
            out.push('\n');
            out.push_str(&nodes_text(kind, nodes, style));
        }
    }
    for (at, line) in plan.assumes.iter().enumerate() {
        if at == 0 {
            out.push('\n');
        }
        out.push_str(&labelled(
            if at == 0 { "supposes" } else { "" },
            line,
            style,
        ));
    }
    out
}

const fn column(name: &'static str, right: bool, keep: u8) -> Column {
    Column { name, right, keep }
}

fn row(kind: &PlannedType) -> Vec<Cell> {
    let limits = &kind.limits;
    let maybe = |figure: Option<u32>| match figure {
        Some(figure) => words::number(u64::from(figure)),
        None => "-".to_owned(),
    };
    let number = |figure: u32| Cell::plain(words::number(u64::from(figure)));
    vec![
        Cell::inked(limits.instance_type.as_str(), Ink::Strong),
        Cell::plain(words::known(limits.vcpus)),
        number(limits.max_enis),
        number(limits.ipv4_per_eni),
        number(limits.max_pods),
        Cell::plain(words::known(limits.recommended_max_pods)),
        Cell::plain(match limits.prefix_delegation {
            None => "?".to_owned(),
            Some(_) => maybe(limits.max_pods_prefix_delegation),
        }),
        number(limits.max_pods_custom_networking),
        Cell::plain(match limits.prefix_delegation {
            None => "?".to_owned(),
            Some(_) => maybe(limits.max_pods_prefix_delegation_custom_networking),
        }),
        Cell::plain(match limits.trunking {
            None => "?".to_owned(),
            Some(_) => maybe(limits.addresses_beside_trunk),
        }),
        Cell::plain(match (limits.trunking, limits.branch_enis) {
            (Some(false), _) => "-".to_owned(),
            (_, branch) => words::known(branch),
        }),
        Cell::plain(limits.source),
    ]
}

fn nodes_text(kind: &PlannedType, nodes: &NodesPlan, style: &Style) -> String {
    let number = |figure: u32| words::number(u64::from(figure));
    let title = format!("{} x {}", number(nodes.nodes), kind.limits.instance_type);
    let mut out = style.paint(Ink::Strong, &title);
    out.push('\n');
    let dot = if style.unicode { " · " } else { " | " };
    let lines = [
        (
            "pods",
            format!(
                "{} with an address{dot}{} kubelet slots a node{dot}{} addresses a node on {} ENIs",
                number(nodes.pods),
                number(nodes.max_pods_per_node),
                number(nodes.addresses_per_node),
                number(nodes.enis_per_node)
            ),
        ),
        (
            "fresh",
            format!(
                "{} addresses ({} a node, as soon as a pod runs)",
                number(nodes.fresh),
                number(nodes.fresh_per_node)
            ),
        ),
        (
            "full",
            format!(
                "{} addresses ({} a node)",
                number(nodes.full),
                number(nodes.full_per_node)
            ),
        ),
        (
            "update",
            format!(
                "{} addresses, with {} surge nodes and the control plane",
                number(nodes.during_update),
                number(nodes.surge_nodes)
            ),
        ),
    ];
    for (label, line) in lines {
        out.push_str(&labelled(label, &line, style));
    }
    if nodes.node_subnets > 0 {
        let line = format!(
            "{} addresses of the nodes' own subnets",
            number(nodes.node_subnets)
        );
        out.push_str(&labelled("besides", &line, style));
    }
    if let Some(branch) = nodes.branch_pods_per_node {
        let line = format!(
            "{} pods a node with security groups of their own, on top",
            number(branch)
        );
        out.push_str(&labelled("branch", &line, style));
    }
    if let Some(subnets) = &nodes.subnets {
        out.push_str(&subnets_text(subnets, style));
    }
    out
}

fn subnets_text(subnets: &SubnetsPlan, style: &Style) -> String {
    let verdict = match (subnets.hold_fresh, subnets.hold_full, subnets.hold_update) {
        (true, true, true) => "the subnets hold the nodes, full and while they are updated",
        (true, true, false) => "the subnets hold full nodes, and not an update of them",
        (true, false, _) => "the subnets hold fresh nodes, and not full ones",
        (false, ..) => "the subnets do not even hold fresh nodes",
    };
    let ink = if subnets.hold_update {
        Ink::Good
    } else {
        Ink::Error
    };
    let line = format!(
        "{verdict}; {} full nodes fit",
        words::number(u64::from(subnets.full_nodes_that_fit))
    );
    let mut out = String::new();
    for line in labelled("subnets", &line, style).lines() {
        out.push_str(&style.paint(ink, line));
        out.push('\n');
    }
    let columns = [
        column("SUBNET", false, 9),
        column("USABLE", true, 9),
        column("/28 BLOCKS", true, 4),
        column("NODES", true, 6),
        column("FRESH", true, 7),
        column("FULL", true, 8),
        column("UPDATE", true, 8),
        column("HOLDS", false, 9),
    ];
    let rows: Vec<Vec<Cell>> = subnets.subnets.iter().map(subnet).collect();
    out + &table(&columns, &rows, style)
}

fn subnet(one: &SubnetPlan) -> Vec<Cell> {
    let number = |figure: u32| Cell::plain(words::number(u64::from(figure)));
    let holds: Vec<&str> = [
        (one.holds_fresh, "fresh"),
        (one.holds_full, "full"),
        (one.holds_update, "update"),
    ]
    .into_iter()
    .filter_map(|(holds, name)| holds.then_some(name))
    .collect();
    vec![
        Cell::inked(one.cidr.to_string(), Ink::Strong),
        number(one.usable),
        Cell::plain(
            one.prefix_blocks
                .map_or("-".to_owned(), |n| words::number(u64::from(n))),
        ),
        Cell::plain(format!("{}+{}", one.nodes, one.surge_nodes)),
        number(one.fresh),
        number(one.full),
        number(one.during_update),
        match holds.as_slice() {
            [] => Cell::inked("nothing", Ink::Error),
            [.., "update"] => Cell::inked(holds.join(", "), Ink::Good),
            _ => Cell::inked(holds.join(", "), Ink::Warning),
        },
    ]
}
