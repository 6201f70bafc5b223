//! What was seen on a node by hand: answers that arrive and are dropped, rules that refuse everything,
//! forwarding that is off.

use std::net::IpAddr;

use eksnet_model::observed::{Ping, Vantage};
use eksnet_model::{
    Confidence, Fact, Finding, Observations, Severity, Source, Subject, SubjectKind,
};

use super::META;

/// At most one finding of each kind: they are about one node.
pub(super) fn findings(seen: &Observations) -> Vec<Finding> {
    let replies = seen.pings.iter().find_map(|ping| reply_dropped(seen, ping));
    replies
        .into_iter()
        .chain(refuses_all(seen))
        .chain(forwarding_off(seen))
        .collect()
}

fn place(from: &Vantage) -> String {
    match (from.name.is_empty(), from.file.is_empty()) {
        (false, _) => format!("Node {}", from.name),
        (true, false) => from.file.to_string(),
        (true, true) => "a node".to_owned(),
    }
}

fn node_words(from: &Vantage) -> String {
    if from.name.is_empty() {
        "A node".to_owned()
    } else {
        format!("Node {}", from.name)
    }
}

/// A ping that loses everything, and packets that show the answers on their way in.
fn reply_dropped(seen: &Observations, ping: &Ping) -> Option<Finding> {
    let target: IpAddr = ping.address.or_else(|| ping.target.parse().ok())?;
    if !ping.is_lost() {
        return None;
    }
    let is = |what: &str, kind: &str| what.to_ascii_lowercase().contains(kind);
    let reply = seen
        .packets
        .iter()
        .find(|flow| flow.source == Some(target) && is(&flow.what, "echo reply"))?;
    let asked = seen.packets.iter().any(|flow| {
        flow.destination == Some(target)
            && flow.source == reply.destination
            && is(&flow.what, "echo request")
    });
    if !asked {
        return None;
    }
    // Next to the pod nothing but the kernel lies between the capture and the program.
    let route = seen
        .routes
        .iter()
        .find(|route| route.destination.split('/').next() == Some(target.to_string().as_str()));
    let is_local = route.is_some_and(|route| route.via.is_none() && !route.device.is_empty());
    let mut finding = META
        .finding(
            Severity::Error,
            format!(
                "{}: the kernel drops answers of {target} that arrive",
                node_words(&ping.from)
            ),
        )
        .confidence(if is_local { Confidence::Likely } else { Confidence::Possible })
        .detail("The interface shows each answer, and the program that asked gets none: a host firewall, strict reverse path filtering or a changed MAC address drops them between the two.")
        .subject(Subject::new(SubjectKind::Other, place(&ping.from)))
        .fact(
            Fact::new(
                Source::Observations,
                place(&ping.from),
                format!("ping {target}"),
                format!("{} of {} packets came back", ping.received, ping.sent),
            )
            .expected("all"),
        )
        .fact(Fact::new(
            Source::Observations,
            place(&reply.from),
            "packets seen",
            format!("{target} > {}: {}", reply.destination.map_or_else(String::new, |to| to.to_string()), reply.what),
        ))
        .signal("reply-dropped")
        .confirm("iptables -S INPUT; nft list ruleset; sysctl -a | grep '\\.rp_filter'; ip neigh   # on the node")
        .fix("systemctl disable --now firewalld nm-cloud-setup.timer   # what of them runs; then sysctl -w net.ipv4.conf.all.rp_filter=2");
    if let Some(route) = route.filter(|_| is_local) {
        finding = finding.fact(Fact::new(
            Source::Observations,
            place(&route.from),
            format!("route to {target}"),
            format!("on interface {} of this node", route.device),
        ));
    }
    Some(finding)
}

/// A rule that refuses everything, in a chain that each packet of a pod passes.
fn refuses_all(seen: &Observations) -> Option<Finding> {
    let takes_all = |matching: &str| {
        matching.split_whitespace().all(|word| {
            matches!(
                word,
                "all"
                    | "--"
                    | "*"
                    | "anywhere"
                    | "0.0.0.0/0"
                    | "::/0"
                    | "reject-with"
                    | "--reject-with"
            ) || word.starts_with("icmp-")
                || word.starts_with("icmp6-")
        })
    };
    let rule = seen.filters.iter().find(|rule| {
        let table = rule.table.is_empty() || rule.table == "filter";
        let refuses = rule.target == "REJECT" || (rule.target == "DROP" && !rule.is_policy);
        table && rule.chain == "FORWARD" && refuses && takes_all(&rule.matching)
    })?;
    Some(
        META.finding(
            Severity::Error,
            format!("{}: a rule of the host firewall refuses all that is forwarded", node_words(&rule.from)),
        )
        .detail("Packets of pods pass the chain FORWARD; what no earlier rule accepted is refused there.")
        .subject(Subject::new(SubjectKind::Other, format!("{} FORWARD", place(&rule.from))))
        .fact(Fact::new(
            Source::Observations,
            place(&rule.from),
            format!("iptables chain {}", rule.chain),
            format!("{} {}", rule.matching, rule.target).trim().to_owned(),
        ))
        .signal("host-firewall")
        .confirm("iptables -S FORWARD   # on the node")
        .fix("systemctl disable --now firewalld   # or iptables -D FORWARD -j REJECT --reject-with icmp-host-prohibited; in the image, not by hand alone"),
    )
}

fn forwarding_off(seen: &Observations) -> Option<Finding> {
    let counter = seen.counters.iter().find(|counter| {
        counter.of == "sysctl"
            && matches!(
                counter.name.as_str(),
                "net.ipv4.ip_forward" | "net.ipv4.conf.all.forwarding"
            )
            && counter.value == 0.0
    })?;
    Some(
        META.finding(
            Severity::Error,
            format!("{} does not forward packets: {} is 0", node_words(&counter.from), counter.name),
        )
        .confidence(Confidence::Confirmed)
        .detail("Packets between pods and the network are forwarded by the node; hardening of an image turns that off.")
        .subject(Subject::new(SubjectKind::Other, format!("{} sysctl", place(&counter.from))))
        .fact(
            Fact::new(Source::Observations, place(&counter.from), counter.name.clone(), "0").expected("1"),
        )
        .signal("forwarding-off")
        .confirm(format!("sysctl {}   # on the node", counter.name))
        .fix(format!("sysctl -w {}=1   # and in /etc/sysctl.d of the image", counter.name)),
    )
}
