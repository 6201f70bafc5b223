//! Markdown, for a ticket.

use super::{Shown, words};
use crate::{Addresses, Plan};

/// Rows of a table: the body of a ticket is no place for five thousand.
const MOST_ROWS: usize = 30;

/// Text of a cluster in a cell: no markup, no break, nobody mentioned.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' => {
                out.push('\\');
                out.push(character);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("@\u{200b}"),
            other => out.push(other),
        }
    }
    out
}

fn rows(out: &mut String, head: &[&str], rows: &[Vec<String>], noun: &str) {
    if rows.is_empty() {
        return;
    }
    out.push_str(&format!("| {} |\n", head.join(" | ")));
    out.push_str(&format!("|{}\n", " --- |".repeat(head.len())));
    for row in rows.iter().take(MOST_ROWS) {
        out.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    if rows.len() > MOST_ROWS {
        out.push_str(&format!(
            "\n{} more {noun}: see `-o json`.\n",
            rows.len() - MOST_ROWS
        ));
    }
    out.push('\n');
}

/// The state of a cluster as Markdown.
#[must_use]
pub fn markdown(shown: &Shown<'_>) -> String {
    let measured = shown.measured;
    let mut out = format!(
        "## Capacity of {}\n\n",
        escaped(&words::identity(measured, " · "))
    );
    if let Some(answer) = shown.what_if {
        out.push_str(&format!(
            "**What if: {}**\n\n",
            escaped(&words::asked(answer))
        ));
        for (label, line) in words::answers(answer) {
            out.push_str(&format!("- {label}: {}\n", escaped(&line)));
        }
        for line in &answer.supposes {
            out.push_str(&format!("- supposes: {}\n", escaped(line)));
        }
        out.push('\n');
    }
    out.push_str(&format!("**{}**\n\n", escaped(&words::headline(measured))));
    out.push_str(&format!(
        "{} · {}\n\n",
        escaped(&words::settings(measured.settings.as_ref(), " · ")),
        words::limits_source(measured)
    ));
    let addresses = |of: Addresses| {
        format!(
            "{}/{}/{}",
            words::known(of.assigned),
            words::known(of.allocated),
            words::known(of.possible)
        )
    };
    let start = |known: Option<u32>, most: Option<u32>| match (known, most) {
        (Some(pods), _) => pods.to_string(),
        (None, Some(pods)) => format!("≤{pods}"),
        _ => "?".to_owned(),
    };
    let groups: Vec<Vec<String>> = measured
        .groups
        .iter()
        .map(|one| {
            vec![
                escaped(&one.name),
                one.sizes.map_or(one.nodes.to_string(), |sizes| {
                    format!("{}/{}", one.nodes, sizes.max)
                }),
                words::share(one.enis),
                addresses(one.addresses),
                words::share(one.slots),
                words::percent(one.cpu_m),
                start(one.can_start, one.can_start_at_most),
                words::limits(&one.stopped_by),
            ]
        })
        .collect();
    let head = [
        "node group",
        "nodes",
        "ENIs",
        "addresses used/held/most",
        "kubelet slots",
        "CPU",
        "pods that start",
        "stopped by",
    ];
    rows(&mut out, &head, &groups, "node groups");
    let subnets: Vec<Vec<String>> = measured
        .subnets
        .iter()
        .map(|one| {
            vec![
                escaped(&one.id),
                escaped(&one.zone),
                escaped(&one.cidr),
                one.roles.join(", "),
                format!("{} of {}", words::known(one.free), words::known(one.usable)),
                words::known(one.free_prefix_blocks),
                one.nodes.to_string(),
                words::known(one.fresh_nodes_that_fit),
            ]
        })
        .collect();
    let head = [
        "subnet",
        "zone",
        "block",
        "for",
        "free",
        "/28 free",
        "nodes",
        "new nodes that fit",
    ];
    rows(&mut out, &head, &subnets, "subnets");
    let nodes: Vec<Vec<String>> = measured
        .nodes
        .iter()
        .map(|one| {
            let binds: Vec<&str> = one.binds.iter().map(|limit| limit.words()).collect();
            vec![
                escaped(&one.name),
                escaped(one.instance_type.as_ref().map_or("?", |kind| kind.as_str())),
                words::share(one.enis),
                addresses(one.addresses),
                words::share(one.slots),
                start(one.can_start, one.can_start_at_most),
                binds.join(", "),
            ]
        })
        .collect();
    let head = [
        "node",
        "type",
        "ENIs",
        "addresses used/held/most",
        "kubelet slots",
        "pods that start",
        "binds",
    ];
    rows(&mut out, &head, &nodes, "nodes, which can start more");
    if !measured.gaps.is_empty() {
        out.push_str("Not known:\n\n");
        for gap in measured.gaps.iter().take(MOST_ROWS) {
            out.push_str(&format!("- {}\n", escaped(&words::gap(gap))));
        }
        out.push('\n');
    }
    out.push_str(&format!("kubectl-eksnet {}\n", shown.version));
    out
}

/// A plan as Markdown.
#[must_use]
pub fn plan_markdown(plan: &Plan) -> String {
    let mut out = String::new();
    out.push_str("| type | ENIs | IPv4 per ENI | pods | recommended | prefixes | custom networking | branch ENIs |\n");
    out.push_str("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for kind in &plan.types {
        let limits = &kind.limits;
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
            limits.instance_type,
            limits.max_enis,
            limits.ipv4_per_eni,
            limits.max_pods,
            words::known(limits.recommended_max_pods),
            words::known(limits.max_pods_prefix_delegation),
            limits.max_pods_custom_networking,
            words::known(limits.branch_enis),
        ));
    }
    for kind in &plan.types {
        let Some(nodes) = &kind.nodes else { continue };
        out.push_str(&format!(
            "\n**{} x {}**: {} pods; {} addresses when fresh, {} when full, {} during an update\n",
            nodes.nodes,
            kind.limits.instance_type,
            nodes.pods,
            nodes.fresh,
            nodes.full,
            nodes.during_update
        ));
        let Some(subnets) = &nodes.subnets else {
            continue;
        };
        out.push_str("\n| subnet | usable | nodes | fresh | full | update | holds all |\n| --- | --- | --- | --- | --- | --- | --- |\n");
        for one in &subnets.subnets {
            out.push_str(&format!(
                "| {} | {} | {}+{} | {} | {} | {} | {} |\n",
                one.cidr,
                one.usable,
                one.nodes,
                one.surge_nodes,
                one.fresh,
                one.full,
                one.during_update,
                if one.holds_update { "yes" } else { "no" }
            ));
        }
    }
    for line in &plan.assumes {
        out.push_str(&format!("\n- supposes: {line}"));
    }
    if !plan.assumes.is_empty() {
        out.push('\n');
    }
    out
}
