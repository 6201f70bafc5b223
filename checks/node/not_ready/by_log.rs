//! What a kubelet's log says of its node where the node itself was not listed.

use eksnet_model::{
    Component, Confidence, Cx, Finding, Heard, Place, Severity, Subject, SubjectKind,
};

use super::META;

/// Lines older than this, in seconds, are history.
const WINDOW_S: i64 = 3600;

pub(super) fn findings(cx: &Cx<'_>) -> Vec<Finding> {
    let lines = Heard::in_logs(cx, &["kubelet-pleg"], WINDOW_S);
    let own = |said: &&Heard<'_>| {
        matches!(said.scan.component, Component::Kubelet | Component::Unknown)
            && !said.is_past(cx.now())
    };
    lines
        .iter()
        .filter(own)
        .map(|said| finding(cx, said))
        .collect()
}

fn finding(cx: &Cx<'_>, said: &Heard<'_>) -> Finding {
    let node = cx.topology().node_of_log(said.scan);
    let name = node.as_deref().unwrap_or("NODE").to_owned();
    let (who, subject) = match &node {
        Some(node) => (format!("Node {node}"), Subject::node(node.clone())),
        None => (
            "A node".to_owned(),
            Subject::new(SubjectKind::Other, said.scan.place()),
        ),
    };
    let finding = META
        .finding(
            Severity::Error,
            format!("{who} is NotReady: its container runtime does not answer"),
        )
        .detail("The kubelet lists its containers once a second (PLEG). When that takes longer than three minutes it reports its node NotReady.")
        .confidence(Confidence::Likely)
        .subject(subject)
        .fact(said.fact("lines"))
        .signal("runtime-down")
        .confirm(format!("kubectl describe node {name}"))
        .fix(format!("kubectl drain {name} --ignore-daemonsets --delete-emptydir-data && kubectl delete node {name}"));
    match node {
        Some(node) => {
            let place = Place::nodes([node]);
            finding.at(place.clone()).reaches(place)
        }
        None => finding,
    }
}
