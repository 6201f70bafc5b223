//! Figures and limits in words.

use eksnet_model::Gap;

use crate::{Measured, Settings, Share, StoppedBy, WhatIf};

/// `1 node`, `2 nodes`, `5,000 nodes`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    format!(
        "{} {noun}{}",
        number(count),
        if count == 1 { "" } else { "s" }
    )
}

/// With commas between thousands.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A figure, or a question mark where it is not known.
pub(super) fn known(figure: Option<impl Into<u64>>) -> String {
    figure.map_or_else(|| "?".to_owned(), |figure| number(figure.into()))
}

/// `3/8`.
pub(super) fn share(share: Share) -> String {
    format!("{}/{}", known(share.used), known(share.possible))
}

/// `35%`, rounded; `?` where not known.
pub(super) fn percent(share: Share) -> String {
    match (share.used, share.possible) {
        (Some(used), Some(possible)) if possible > 0 => format!("{}%", used * 100 / possible),
        _ => "?".to_owned(),
    }
}

/// `kubelet slots (2 nodes), addresses per ENI (1 node)`. Limits on as many nodes stand together.
pub(super) fn limits(all: &[StoppedBy]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = all;
    while let Some(first) = rest.first() {
        let same = rest
            .iter()
            .take_while(|one| one.nodes == first.nodes)
            .count();
        let names: Vec<&str> = rest[..same].iter().map(|one| one.limit.words()).collect();
        parts.push(if first.nodes == 0 {
            names.join(" and ")
        } else {
            format!(
                "{} ({})",
                names.join(" and "),
                counted(u64::from(first.nodes), "node")
            )
        });
        rest = &rest[same..];
    }
    parts.join(", ")
}

/// The same without counts.
pub(super) fn names(all: &[StoppedBy]) -> String {
    let names: Vec<&str> = all.iter().map(|one| one.limit.words()).collect();
    names.join(", ")
}

/// How many more pods can start, and what binds.
pub(super) fn headline(measured: &Measured) -> String {
    let totals = &measured.totals;
    let nodes = counted(u64::from(totals.nodes), "node");
    if totals.nodes == 0 {
        return "No node is known: nothing can be measured".to_owned();
    }
    let binds = if totals.stopped_by.is_empty() {
        String::new()
    } else {
        format!("; then {} bind", limits(&totals.stopped_by))
    };
    match (totals.can_start, totals.can_start_at_most) {
        (Some(0), _) => format!(
            "No more pod can start on the {nodes}: {}",
            limits(&totals.stopped_by)
        ),
        (Some(pods), _) => format!(
            "{} can start on the {nodes}{binds}",
            counted(u64::from(pods), "more pod")
        ),
        (None, Some(pods)) => format!(
            "At most {} can start on the {nodes}, by the limits that are known{binds}",
            counted(u64::from(pods), "more pod")
        ),
        (None, None) => {
            format!("How many more pods can start on the {nodes} is not known: see the gaps below")
        }
    }
}

/// How the CNI is set up.
pub(super) fn settings(settings: Option<&Settings>, dot: &str) -> String {
    let Some(settings) = settings else {
        return "not known".to_owned();
    };
    let mut parts = vec![
        if settings.ipv6 {
            "IPv6"
        } else if settings.prefix_delegation {
            "prefixes (/28)"
        } else {
            "single addresses"
        }
        .to_owned(),
    ];
    if settings.custom_networking {
        parts.push("custom networking".to_owned());
    }
    if settings.pod_eni {
        parts.push("security groups for pods".to_owned());
    }
    if let Some(most) = settings.max_eni {
        parts.push(format!("MAX_ENI={most}"));
    }
    match (settings.warm_ip_target, settings.minimum_ip_target) {
        (None, None) if settings.prefix_delegation => parts.push(format!(
            "WARM_PREFIX_TARGET={}",
            settings.warm_prefix_target.unwrap_or(1)
        )),
        (None, None) => parts.push(format!("WARM_ENI_TARGET={}", settings.warm_eni_target)),
        (warm, minimum) => {
            parts.extend(warm.map(|n| format!("WARM_IP_TARGET={n}")));
            parts.extend(minimum.map(|n| format!("MINIMUM_IP_TARGET={n}")));
        }
    }
    parts.join(dot)
}

/// Who says what the instance types can hold.
pub(super) fn limits_source(measured: &Measured) -> String {
    let has = |source| {
        measured
            .nodes
            .iter()
            .any(|node| node.limits_source == Some(source))
    };
    match (has("ec2"), has("table")) {
        (true, true) => "limits from EC2 and the built-in table".to_owned(),
        (true, false) => "limits from EC2".to_owned(),
        (false, true) => "limits from the built-in table".to_owned(),
        (false, false) => "limits not known".to_owned(),
    }
}

/// The cluster in one line.
pub(super) fn identity(measured: &Measured, dot: &str) -> String {
    let mut parts = vec![match &measured.cluster {
        Some(name) => format!("EKS {name}"),
        None => "Cluster of unknown name".to_owned(),
    }];
    parts.extend(measured.region.iter().map(ToString::to_string));
    if let Some(version) = &measured.version {
        parts.push(format!("v{}", version.trim_start_matches('v')));
    }
    parts.push(counted(u64::from(measured.totals.nodes), "node"));
    if let Some(at) = measured.taken_at {
        let at = at.to_string();
        let minutes = at.get(..16).unwrap_or(&at).replace('T', " ");
        parts.push(format!("as of {minutes} UTC"));
    }
    parts.join(dot)
}

/// The pods there are.
pub(super) fn pods(measured: &Measured, dot: &str) -> String {
    let totals = &measured.totals;
    let mut parts = Vec::new();
    match totals.pods {
        Some(pods) => parts.push(format!(
            "{} ordinary, {} on the host network, {} with a branch ENI",
            number(u64::from(pods.ordinary)),
            number(u64::from(pods.host_network)),
            number(u64::from(pods.branch))
        )),
        None => parts.push("not known".to_owned()),
    }
    if let Some(waiting) = totals.pods_without_node.filter(|count| *count > 0) {
        parts.push(format!("{} without a node", number(u64::from(waiting))));
    }
    parts.join(dot)
}

/// A gap in one line, with what closes it.
pub(super) fn gap(gap: &Gap) -> String {
    match &gap.closes {
        Some(closes) => format!("{gap}: {closes}"),
        None => gap.to_string(),
    }
}

/// What is placed, in words.
pub(super) fn asked(answer: &WhatIf) -> String {
    let requests = answer.pod.requests;
    let mut asks = Vec::new();
    if requests.cpu_m > 0 {
        asks.push(format!("{}m CPU", requests.cpu_m));
    }
    if requests.memory > 0 {
        asks.push(format!("{} MiB", requests.memory.div_ceil(1 << 20)));
    }
    if requests.branch > 0 {
        asks.push("a branch ENI".to_owned());
    }
    if answer.pod.host_network {
        asks.push("on the host network".to_owned());
    }
    let asks = if asks.is_empty() {
        "without requests".to_owned()
    } else {
        format!("{} each", asks.join(", "))
    };
    let what = match answer.asked {
        Some(count) => counted(u64::from(count), "more pod"),
        None => "As many more pods as start".to_owned(),
    };
    match &answer.pod.workload {
        Some(workload) => format!("{what} of {workload}, {asks}"),
        None => format!("{what}, {asks}"),
    }
}

/// What would happen: a label and a sentence each.
pub(super) fn answers(answer: &WhatIf) -> Vec<(&'static str, String)> {
    let pods = |count: u32| counted(u64::from(count), "pod");
    let mut lines = Vec::new();
    let Some(asked) = answer.asked else {
        lines.push(("starts", pods(answer.running)));
        if let Some(stop) = &answer.stops {
            lines.push(("then", limits(&stop.limits)));
        }
        return lines;
    };
    let all = answer.running == asked;
    let mut parts = vec![if all {
        format!("all {} start", number(u64::from(asked)))
    } else {
        format!(
            "{} of {} start",
            number(u64::from(answer.running)),
            number(u64::from(asked))
        )
    }];
    if answer.without_address > 0 {
        parts.push(format!(
            "{} get a node and no address",
            number(u64::from(answer.without_address))
        ));
    }
    if answer.waiting > 0 {
        parts.push(format!(
            "{} wait for a node",
            number(u64::from(answer.waiting))
        ));
    }
    lines.push(("nodes now", parts.join(", ")));
    if let Some(stop) = &answer.stops {
        lines.push((
            "stops",
            format!(
                "at pod {}: {}",
                number(u64::from(stop.pod)),
                limits(&stop.limits)
            ),
        ));
    }
    for new in &answer.new_nodes {
        lines.push((
            "new nodes",
            format!(
                "{} of node group {} (maximum {}, {} more possible)",
                counted(u64::from(new.nodes), "node"),
                new.group,
                new.max,
                new.possible
            ),
        ));
    }
    if !answer.new_nodes.is_empty() || answer.stops_with_new_nodes != answer.stops {
        let running = answer.running_with_new_nodes;
        if !answer.new_nodes.is_empty() {
            lines.push((
                "with them",
                if running == asked {
                    format!("all {} start", number(u64::from(asked)))
                } else {
                    format!(
                        "{} of {} start",
                        number(u64::from(running)),
                        number(u64::from(asked))
                    )
                },
            ));
        }
        if let Some(stop) = &answer.stops_with_new_nodes {
            lines.push((
                "stops",
                format!(
                    "at pod {}: {}",
                    number(u64::from(stop.pod)),
                    limits(&stop.limits)
                ),
            ));
        }
    }
    if let Some(next) = &answer.next {
        lines.push((
            "next",
            if next.limits.is_empty() {
                format!(
                    "{} more start, and no limit is known after them",
                    pods(next.pods)
                )
            } else {
                format!(
                    "{} more start, then {}",
                    pods(next.pods),
                    limits(&next.limits)
                )
            },
        ));
    }
    if !answer.rooms.is_empty() {
        let rooms: Vec<String> = answer
            .rooms
            .iter()
            .map(|room| format!("{} {}", room.limit.words(), number(room.room)))
            .collect();
        lines.push(("room left", rooms.join(", ")));
    }
    lines
}
