//! One page of HTML: no script, nothing loaded, light and dark.

use std::fmt::Write as _;

use super::block_map::{self, USES};
use super::style_css::CSS;
use super::{Shown, words};
use crate::blocks::{Cell, Counts};
use crate::{Addresses, GroupUse, Measured, NodeState, Share, SubnetState};

/// Node groups with more nodes than this are shown folded.
const OPEN: usize = 60;
/// Subnets that are shown unfolded.
const OPEN_SUBNETS: usize = 6;
/// Nodes beside each other in the overview.
const ACROSS: usize = 75;

/// Text of a cluster: no markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// The state of a cluster as a page.
#[must_use]
pub fn html(shown: &Shown<'_>) -> String {
    let measured = shown.measured;
    let identity = escaped(&words::identity(measured, " · "));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>Capacity of {identity}</title><style>{CSS}</style></head><body><main>\n\
         <h1>{identity}</h1><p class=\"faint\">{} · {} · kubectl-eksnet {}</p>\n",
        escaped(&words::settings(measured.settings.as_ref(), " · ")),
        words::limits_source(measured),
        escaped(shown.version)
    );
    what_if(&mut out, shown);
    let class = match measured.totals.can_start {
        Some(0) => "big bad",
        Some(_) => "big",
        None => "big soon",
    };
    let _ = writeln!(
        out,
        "<p class=\"{class}\">{}</p>",
        escaped(&words::headline(measured))
    );
    let _ = writeln!(
        out,
        "<p class=\"faint\">{}</p>",
        escaped(&words::pods(measured, " · "))
    );
    groups(&mut out, &measured.groups);
    if !measured.nodes.is_empty() {
        out.push_str("<h2>Nodes at a glance</h2>\n");
        overview(&mut out, &measured.nodes);
    }
    subnets(&mut out, &measured.subnets);
    nodes(&mut out, measured);
    if !measured.gaps.is_empty() {
        out.push_str("<h2>Not known</h2><ul>\n");
        for gap in &measured.gaps {
            let _ = writeln!(out, "<li>{}</li>", escaped(&words::gap(gap)));
        }
        out.push_str("</ul>\n");
    }
    out.push_str("</main></body></html>\n");
    out
}

fn what_if(out: &mut String, shown: &Shown<'_>) {
    let Some(answer) = shown.what_if else { return };
    let ok = answer
        .asked
        .is_none_or(|asked| answer.running_with_new_nodes == asked);
    let (class, glyph) = if ok { ("good", "✓") } else { ("bad", "✗") };
    let _ = write!(
        out,
        "<div class=\"card\"><p class=\"big {class}\">{glyph} {}</p><table>",
        escaped(&words::asked(answer))
    );
    for (label, line) in words::answers(answer) {
        let _ = write!(
            out,
            "<tr><th>{label}</th><td class=\"w\">{}</td></tr>",
            escaped(&line)
        );
    }
    for line in &answer.supposes {
        let _ = write!(
            out,
            "<tr><th>supposes</th><td class=\"w\">{}</td></tr>",
            escaped(line)
        );
    }
    out.push_str("</table></div>\n");
}

/// A bar: used, held besides, possible.
fn bar(used: Option<u64>, held: Option<u64>, possible: Option<u64>) -> String {
    let (Some(used), Some(possible)) = (used, possible.filter(|possible| *possible > 0)) else {
        return "<svg class=\"b\" viewBox=\"0 0 120 10\"><rect class=\"lq\" width=\"120\" height=\"10\"/></svg>".to_owned();
    };
    let part = |count: u64| count.min(possible) * 120 / possible;
    let held = part(held.unwrap_or(0).max(used));
    let full = if used >= possible { "x" } else { "u" };
    format!(
        "<svg class=\"b\" viewBox=\"0 0 120 10\"><rect class=\"f\" width=\"120\" height=\"10\"/><rect class=\"h\" width=\"{held}\" height=\"10\"/><rect class=\"{full}\" width=\"{}\" height=\"10\"/></svg>",
        part(used)
    )
}

fn addresses(of: Addresses) -> String {
    if of == Addresses::default() {
        return "–".to_owned();
    }
    format!(
        "{}{}/{}/{}",
        bar(of.assigned, of.allocated, of.possible),
        words::known(of.assigned),
        words::known(of.allocated),
        words::known(of.possible)
    )
}

fn slots(of: Share) -> String {
    format!("{}{}", bar(of.used, None, of.possible), words::share(of))
}

fn start(known: Option<u32>, most: Option<u32>) -> String {
    match (known, most) {
        (Some(0), _) => "<b class=\"bad\">0</b>".to_owned(),
        (Some(pods), _) => words::number(u64::from(pods)),
        (None, Some(pods)) => format!(
            "<span class=\"soon\">≤{}</span>",
            words::number(u64::from(pods))
        ),
        (None, None) => "?".to_owned(),
    }
}

fn groups(out: &mut String, groups: &[GroupUse]) {
    if groups.is_empty() {
        return;
    }
    out.push_str("<h2>Node groups</h2><div class=\"card\"><table><tr><th>group</th><th class=\"n\">nodes</th><th class=\"n\">ENIs</th><th>addresses: used / held / most</th><th>kubelet slots</th><th class=\"n\">CPU</th><th class=\"n\">memory</th><th class=\"n\">pods that start</th><th>stopped by</th></tr>\n");
    for one in groups {
        let nodes = one.sizes.map_or(one.nodes.to_string(), |sizes| {
            format!("{} of {}", one.nodes, sizes.max)
        });
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"n\">{nodes}</td><td class=\"n\">{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"w\">{}</td></tr>",
            escaped(&one.name),
            words::share(one.enis),
            addresses(one.addresses),
            slots(one.slots),
            words::percent(one.cpu_m),
            words::percent(one.memory),
            start(one.can_start, one.can_start_at_most),
            escaped(&words::limits(&one.stopped_by))
        );
    }
    out.push_str("</table></div>\n");
}

fn subnets(out: &mut String, subnets: &[SubnetState]) {
    if subnets.is_empty() {
        return;
    }
    out.push_str("<h2>Subnets</h2>\n");
    // The fullest first.
    let mut order: Vec<&SubnetState> = subnets.iter().collect();
    let free = |one: &SubnetState| match (one.free, one.usable) {
        (Some(free), Some(usable)) => u64::from(free) * 10_000 / u64::from(usable.max(1)),
        _ => u64::MAX,
    };
    order.sort_by(|a, b| free(a).cmp(&free(b)).then_with(|| a.id.cmp(&b.id)));
    for (at, one) in order.into_iter().enumerate() {
        let open = if at < OPEN_SUBNETS { " open" } else { "" };
        let used = one.usable.zip(one.free);
        let used = used.map(|(usable, free)| u64::from(usable.saturating_sub(free)));
        let name = one
            .name
            .as_ref()
            .map_or(String::new(), |name| format!(" ({})", escaped(name)));
        let route = match one.public {
            Some(true) => " · public",
            Some(false) => " · private",
            None => "",
        };
        let blocks = match one.free_prefix_blocks {
            Some(0) => "<b class=\"bad\">no free /28 block</b>".to_owned(),
            Some(count) => words::counted(u64::from(count), "free /28 block"),
            None => "free /28 blocks not known".to_owned(),
        };
        let fits = match (one.fresh_nodes_that_fit, one.fresh_node) {
            (Some(nodes), Some(each)) => format!(
                " · {} of {each} addresses each fit",
                words::counted(u64::from(nodes), "more node")
            ),
            _ => String::new(),
        };
        let _ = writeln!(
            out,
            "<details class=\"card\"{open}><summary>{}{name} {}</summary><p class=\"faint\">{} · {}{}{route} · {} of {} addresses free · {blocks} · {}{fits}</p>",
            escaped(&one.id),
            bar(used, None, one.usable.map(u64::from)),
            escaped(&one.cidr),
            escaped(&one.zone),
            if one.roles.is_empty() {
                String::new()
            } else {
                format!(" · for {}", one.roles.join(", "))
            },
            words::known(one.free),
            words::known(one.usable),
            words::counted(u64::from(one.nodes), "node")
        );
        match (&one.map, one.uses) {
            (Some(map), Some(uses)) => {
                key(out, &uses);
                let label = format!("{} address by address", escaped(&one.id));
                out.push_str(&block_map::svg(map, &label));
            }
            _ => out.push_str("<p class=\"faint\">Who uses its addresses is not known: the VPC's interfaces were not all seen.</p>"),
        }
        out.push_str("</details>\n");
    }
}

/// What the colours mean, with counts: colour alone says nothing.
fn key(out: &mut String, uses: &Counts) {
    out.push_str("<div class=\"key\">");
    for (cell, class, words) in USES {
        let count = match cell {
            Cell::Pod => uses.pods,
            Cell::Warm => uses.warm,
            Cell::Node => uses.nodes,
            Cell::ControlPlane => uses.control_plane,
            Cell::Foreign => uses.foreign,
            Cell::Leaked => uses.leaked,
            Cell::Reserved => uses.reserved,
            Cell::FreeForPrefixes => uses.free_for_prefixes,
            Cell::Aws => uses.aws,
            Cell::Free => uses.free,
        };
        if count > 0 {
            let _ = write!(
                out,
                "<span><svg viewBox=\"0 0 11 11\"><rect class=\"c-{class}\" width=\"11\" height=\"11\"/></svg>{words} {}</span>",
                words::number(u64::from(count))
            );
        }
    }
    out.push_str("<span><svg viewBox=\"0 0 11 11\"><rect class=\"o\" width=\"11\" height=\"11\"/></svg>free /28 blocks</span></div>");
}

/// How full a node is, from 0 to 4.
fn level(node: &NodeState) -> (&'static str, &'static str) {
    let share = |used: Option<u64>, possible: Option<u64>| match (used, possible) {
        (Some(used), Some(possible)) if possible > 0 => Some(used * 100 / possible),
        _ => None,
    };
    if node.can_start == Some(0) {
        return ("l4", "takes no more pods");
    }
    let most = share(node.slots.used, node.slots.possible)
        .max(share(node.addresses.assigned, node.addresses.possible));
    match most {
        None => ("lq", "not known"),
        Some(0..40) => ("l0", "under 40% full"),
        Some(40..70) => ("l1", "40 to 69% full"),
        Some(70..90) => ("l2", "70 to 89% full"),
        Some(_) => ("l3", "90% full or more"),
    }
}

fn nodes(out: &mut String, measured: &Measured) {
    if measured.nodes.is_empty() {
        return;
    }
    out.push_str("<h2>Nodes</h2>\n");
    for group in &measured.groups {
        let own: Vec<&NodeState> = measured
            .nodes
            .iter()
            .filter(|node| node.group == group.name)
            .collect();
        let open = if own.len() <= OPEN { " open" } else { "" };
        let _ = writeln!(
            out,
            "<details class=\"card\"{open}><summary>{} · {}</summary><table><tr><th>node</th><th>type</th><th class=\"n\">ENIs</th><th>addresses: used / held / most</th><th>kubelet slots</th><th class=\"n\">CPU</th><th class=\"n\">pods that start</th><th>binds</th></tr>",
            escaped(&group.name),
            words::counted(own.len() as u64, "node")
        );
        for one in own {
            let binds: Vec<&str> = one.binds.iter().map(|limit| limit.words()).collect();
            let _ = writeln!(
                out,
                "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
                escaped(&one.name),
                escaped(one.instance_type.as_ref().map_or("?", |kind| kind.as_str())),
                words::share(one.enis),
                addresses(one.addresses),
                slots(one.slots),
                words::percent(one.cpu_m),
                start(one.can_start, one.can_start_at_most),
                binds.join(", ")
            );
        }
        out.push_str("</table></details>\n");
    }
}

/// A square for each node, those that can start least first.
fn overview(out: &mut String, nodes: &[NodeState]) {
    const SIZE: usize = 16;
    let rows = nodes.len().div_ceil(ACROSS);
    let width = nodes.len().min(ACROSS) * SIZE;
    let mut squares = String::new();
    let mut counts: Vec<((&str, &str), usize)> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let level = level(node);
        match counts.iter_mut().find(|(other, _)| *other == level) {
            Some((_, count)) => *count += 1,
            None => counts.push((level, 1)),
        }
        let _ = write!(
            squares,
            "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"13\" height=\"13\"><title>{}: {}</title></rect>",
            level.0,
            at % ACROSS * SIZE,
            at / ACROSS * SIZE,
            escaped(&node.name),
            level.1
        );
    }
    counts.sort_by_key(|((class, _), _)| std::cmp::Reverse(*class));
    out.push_str("<div class=\"card\"><div class=\"key\">");
    for ((class, words), count) in counts {
        let _ = write!(
            out,
            "<span><svg viewBox=\"0 0 11 11\"><rect class=\"{class}\" width=\"11\" height=\"11\"/></svg>{words}: {}</span>",
            words::number(count as u64)
        );
    }
    let _ = writeln!(
        out,
        "</div><svg class=\"map\" role=\"img\" width=\"{width}\" height=\"{0}\" viewBox=\"0 0 {width} {0}\">{squares}</svg></div>",
        rows * SIZE
    );
}
