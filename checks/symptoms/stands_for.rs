//! The nodes that a probe stands for.

use eksnet_model::{Cx, Place, ProbePod, ProbeRun};

/// The probe's own node, and those of its class that no probe of their own stands on.
pub(super) fn nodes(cx: &Cx<'_>, run: &ProbeRun, pod: &ProbePod) -> Place {
    let place = Place::nodes([pod.at.node.clone()]);
    let classes = cx.topology().classes();
    let Some(class) = classes.into_iter().find(|class| class.name == pod.at.class) else {
        return place;
    };
    let names = class.nodes.iter().map(|node| node.metadata.name.as_str());
    place.on(names.filter(|name| run.pods.iter().all(|other| other.at.node != *name)))
}

/// A probe's node and class, as in `ip-10-0-1-23 (t2/us-west-2a)`.
pub(super) fn standpoint(pod: &ProbePod) -> String {
    if pod.at.class.is_empty() {
        pod.at.node.to_string()
    } else {
        format!("{} ({})", pod.at.node, pod.at.class)
    }
}
