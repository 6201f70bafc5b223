//! The nodes that a probe stands for.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::{Cx, Place, ProbePod, ProbeRun, Text};

/// Per class of nodes, those that no probe of their own stands on.
pub(super) struct Classes<'a>(BTreeMap<Text, Vec<&'a str>>);

impl<'a> Classes<'a> {
    /// The classes of a run.
    pub(super) fn of(cx: &'a Cx<'_>, run: &ProbeRun) -> Self {
        let probed: BTreeSet<&str> = run.pods.iter().map(|pod| pod.at.node.as_str()).collect();
        let classes = cx.topology().classes().into_iter().map(|class| {
            let names = class.nodes.iter().map(|node| node.metadata.name.as_str());
            let others = names.filter(|name| !probed.contains(name)).collect();
            (class.name, others)
        });
        Self(classes.collect())
    }

    /// The probe's own node, and those that it stands for.
    pub(super) fn nodes(&self, pod: &ProbePod) -> Place {
        let others = self.0.get(&pod.at.class).into_iter().flatten();
        Place::nodes([pod.at.node.clone()]).on(others.copied())
    }
}

/// A probe's node and class, as in `ip-10-0-1-23 (t2/us-west-2a)`.
pub(super) fn standpoint(pod: &ProbePod) -> String {
    if pod.at.class.is_empty() {
        pod.at.node.to_string()
    } else {
        format!("{} ({})", pod.at.node, pod.at.class)
    }
}
