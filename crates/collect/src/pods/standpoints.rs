//! Where probe pods stand: one node of each class, and the nodes of the plumbing.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::kubernetes::{Node, Pod};
use eksnet_model::{Component, NodeClass, Snapshot, Text, Topology};

use super::image::ARCHITECTURES;
use crate::NodeChoice;

/// Most probe pods, unless nodes are named: dozens of pods cover thousands of nodes.
pub(crate) const MOST: usize = 24;
/// Most nodes of CoreDNS pods that are stood on: half of all, so that classes get theirs.
const MOST_DNS: usize = 12;
/// Most nodes of failing pods that are stood on.
const MOST_FAILING: usize = 4;

/// A node on which a probe pod is to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) node: String,
    /// Class that it stands for; empty where nodes cannot be listed.
    pub(crate) class: Text,
}

/// All standpoints, and what they leave out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standpoints {
    pub(crate) stands: Vec<Stand>,
    /// What the choice left out; empty when every node is stood on.
    pub(crate) sampled: Text,
    /// Nodes that were named and cannot be stood on, with the reason.
    pub(crate) unfit: Vec<Text>,
}

/// Chooses standpoints.
///
/// # Errors
/// The names, when nodes are named that the cluster does not have.
pub(crate) fn choose(
    snapshot: &Snapshot,
    topology: &Topology<'_>,
    choice: &NodeChoice,
) -> Result<Standpoints, Text> {
    let chooser = Chooser::new(snapshot, topology);
    match choice {
        NodeChoice::Sampled => Ok(chooser.sampled()),
        NodeChoice::All => Ok(chooser.all()),
        NodeChoice::Named(names) => chooser.named(names),
    }
}

struct Chooser<'a> {
    snapshot: &'a Snapshot,
    topology: &'a Topology<'a>,
    classes: Vec<NodeClass<'a>>,
    /// Pods that hold a slot, per node.
    pods: BTreeMap<&'a str, u32>,
}

impl<'a> Chooser<'a> {
    fn new(snapshot: &'a Snapshot, topology: &'a Topology<'a>) -> Self {
        let mut pods: BTreeMap<&str, u32> = BTreeMap::new();
        for pod in all_pods(snapshot).filter(|pod| !pod.is_terminal()) {
            *pods.entry(&pod.spec.node_name).or_default() += 1;
        }
        Self {
            snapshot,
            topology,
            classes: topology.classes(),
            pods,
        }
    }

    fn sampled(&self) -> Standpoints {
        let dns = self.nodes_of(Component::CoreDns);
        let mut picked: Vec<String> = Vec::new();
        let mut add = |node: &str, most: usize| {
            if picked.len() < most && !picked.iter().any(|known| known == node) {
                picked.push(node.to_owned());
            }
        };
        for node in dns.iter().take(MOST_DNS) {
            add(node, MOST);
        }
        let mut without: Vec<String> = Vec::new();
        for class in &self.classes {
            match self.representative(class, &dns) {
                Ok(node) => add(&node.metadata.name, MOST),
                Err(why) => without.push(format!("{} ({why})", class.name)),
            }
        }
        for component in [Component::ClusterAutoscaler, Component::Karpenter] {
            for node in self.nodes_of(component) {
                add(&node, MOST);
            }
        }
        for node in self.failing() {
            add(&node, MOST);
        }
        let stands: Vec<Stand> = picked.into_iter().map(|node| self.stand(node)).collect();
        let sampled = self.left_out(&stands, &without);
        Standpoints {
            stands,
            sampled,
            unfit: Vec::new(),
        }
    }

    fn all(&self) -> Standpoints {
        let mut chosen = Standpoints::default();
        for node in self.topology.nodes() {
            let name = node.metadata.name.clone();
            match unfit(node) {
                None => chosen.stands.push(self.stand(name)),
                Some(why) => chosen.unfit.push(format!("{name}: {why}").into()),
            }
        }
        if !chosen.unfit.is_empty() {
            let (left, all) = (chosen.unfit.len(), chosen.stands.len() + chosen.unfit.len());
            chosen.sampled = format!("{left} of {all} nodes cannot run the probe image").into();
        }
        chosen
    }

    fn named(&self, names: &[String]) -> Result<Standpoints, Text> {
        let known = self.snapshot.kubernetes.nodes.is_complete();
        let missing: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| known && self.topology.node(name).is_none())
            .collect();
        if !missing.is_empty() {
            return Err(missing.join(", ").into());
        }
        let mut chosen = Standpoints::default();
        for name in names.iter().collect::<BTreeSet<_>>() {
            match self.topology.node(name).and_then(unfit) {
                None => chosen.stands.push(self.stand(name.clone())),
                Some(why) => chosen.unfit.push(format!("{name}: {why}").into()),
            }
        }
        let all = self.topology.nodes().count();
        if chosen.stands.len() < all {
            chosen.sampled =
                format!("{} of {all} nodes, named by --nodes", chosen.stands.len()).into();
        }
        Ok(chosen)
    }

    fn stand(&self, node: String) -> Stand {
        let class = self
            .classes
            .iter()
            .find(|class| {
                class
                    .nodes
                    .iter()
                    .any(|member| member.metadata.name == node)
            })
            .map(|class| class.name.clone())
            .unwrap_or_default();
        Stand { node, class }
    }

    /// The node that stands for a class: one that is fit, best one that does not run CoreDNS (the
    /// way to another node is what breaks), is not cordoned and has room for a pod.
    fn representative(
        &self,
        class: &NodeClass<'a>,
        dns: &[String],
    ) -> Result<&'a Node, &'static str> {
        let mut why = "none of its nodes is Ready";
        let fit = class
            .nodes
            .iter()
            .copied()
            .filter(|node| match unfit(node) {
                Some(unfit) => {
                    why = unfit;
                    false
                }
                None => node.is_ready() == Some(true),
            });
        let best = fit.min_by_key(|node| {
            let name = &node.metadata.name;
            let used = self.pods.get(name.as_str()).copied().unwrap_or(0);
            let is_full = node.max_pods().is_some_and(|most| used >= most);
            (
                is_full,
                dns.contains(name),
                node.spec.unschedulable,
                name.clone(),
            )
        });
        best.ok_or(why)
    }

    /// Ready nodes of a component's pods, by name.
    fn nodes_of(&self, component: Component) -> Vec<String> {
        let nodes: BTreeSet<&str> = self
            .topology
            .pods_of(component)
            .filter(|pod| !pod.is_terminal())
            .map(|pod| pod.spec.node_name.as_str())
            .filter(|node| self.can_stand_on(node))
            .collect();
        nodes.into_iter().map(str::to_owned).collect()
    }

    /// Nodes of pods that were placed and do not run, those with the most first.
    fn failing(&self) -> Vec<String> {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        let failing = all_pods(self.snapshot).filter(|pod| {
            !pod.is_terminal() && pod.metadata.deletion_timestamp.is_none() && !pod.is_ready()
        });
        for pod in failing.filter(|pod| self.can_stand_on(&pod.spec.node_name)) {
            *counts.entry(&pod.spec.node_name).or_default() += 1;
        }
        let mut nodes: Vec<(&str, u32)> = counts.into_iter().collect();
        nodes.sort_by_key(|(node, count)| (std::cmp::Reverse(*count), *node));
        let most = nodes.into_iter().take(MOST_FAILING);
        most.map(|(node, _)| node.to_owned()).collect()
    }

    fn can_stand_on(&self, name: &str) -> bool {
        !name.is_empty()
            && self
                .topology
                .node(name)
                .is_none_or(|node| unfit(node).is_none() && node.is_ready() == Some(true))
    }

    fn left_out(&self, stands: &[Stand], without: &[String]) -> Text {
        let all = self.topology.nodes().count();
        if all == 0 {
            return "nodes could not be listed: only the nodes of CoreDNS, autoscalers and failing pods".into();
        }
        if stands.len() >= all {
            return Text::default();
        }
        let covered: BTreeSet<&str> = stands.iter().map(|stand| stand.class.as_str()).collect();
        let mut text = format!(
            "{} of {all} nodes, in {} of {} node classes; a bad node among its like can be missed (--nodes all)",
            stands.len(),
            covered.len(),
            self.classes.len()
        );
        if !without.is_empty() {
            text.push_str("; no standpoint in ");
            text.push_str(&without.join(", "));
        }
        text.into()
    }
}

fn all_pods(snapshot: &Snapshot) -> impl Iterator<Item = &Pod> {
    snapshot.kubernetes.pods.value().into_iter().flatten()
}

/// Why no probe pod can run on a node, whatever its state.
fn unfit(node: &Node) -> Option<&'static str> {
    if !node.is_linux() {
        return Some("the probe image is for Linux");
    }
    if node.compute_type() == Some("fargate") || node.label("type") == Some("virtual-kubelet") {
        return Some("a Fargate node runs one pod of its own");
    }
    let architecture = node
        .label("kubernetes.io/arch")
        .or_else(|| node.label("beta.kubernetes.io/arch"))
        .or(Some(node.status.node_info.architecture.as_str()))
        .filter(|architecture| !architecture.is_empty());
    if architecture.is_some_and(|own| !ARCHITECTURES.contains(&own)) {
        return Some("the probe image is not built for its architecture");
    }
    None
}

#[cfg(test)]
mod tests;
