//! How the agent is set up, beside the plugin and other engines.

use eksnet_model::kubernetes::{Container, DaemonSet};
use eksnet_model::{Component, Confidence, Cx, Fact, Finding, Running, Severity, Source};

use super::about;

/// From this plugin on the two talk in a way that older agents do not know, and the agent that does.
/// Source: CHANGELOG.md of amazon-vpc-cni-k8s, read 2026-05.
const PAIR: ((u32, u32), (u32, u32)) = ((1, 23), (1, 4));

fn aws_node(daemonsets: &[DaemonSet]) -> Option<&DaemonSet> {
    daemonsets
        .iter()
        .find(|one| one.metadata.namespace == "kube-system" && one.metadata.name == "aws-node")
}

/// The agent's container.
fn agent(daemonset: &DaemonSet) -> Option<&Container> {
    let containers = &daemonset.spec.template.spec.containers;
    containers.iter().find(|one| {
        one.name == "aws-eks-nodeagent" || one.image.contains("aws-network-policy-agent")
    })
}

fn enabled(container: &Container) -> bool {
    Running { container }.flag("enable-network-policy") == Some("true")
}

fn is_strict(daemonset: &DaemonSet) -> bool {
    Running::of(Component::AwsNode, &daemonset.spec.template.spec)
        .and_then(|running| running.env("NETWORK_POLICY_ENFORCING_MODE"))
        .is_some_and(|mode| mode.eq_ignore_ascii_case("strict"))
}

/// Whether the VPC CNI enforces policies.
pub(super) fn is_on(daemonsets: &[DaemonSet]) -> bool {
    aws_node(daemonsets).is_some_and(|one| is_strict(one) || agent(one).is_some_and(enabled))
}

/// The worst that does not fit.
pub(super) fn fault(cx: &Cx<'_>, daemonsets: &[DaemonSet]) -> Option<Finding> {
    let daemonset = aws_node(daemonsets)?;
    let running = Running::of(Component::AwsNode, &daemonset.spec.template.spec)?;
    // A table of DaemonSets shows no containers.
    if running.container.image.is_empty() {
        return None;
    }
    let fact = |field: &str, saw: String| {
        Fact::new(
            Source::DaemonSets,
            "DaemonSet kube-system/aws-node",
            field,
            saw,
        )
    };
    let Some(agent) = agent(daemonset) else {
        return is_strict(daemonset).then(|| {
            about(
                Severity::Critical,
                "aws-node is in strict mode without its network policy agent: no pod starts".to_owned(),
            )
            .confidence(Confidence::Confirmed)
            .detail("In strict mode the plugin waits for the agent at every pod.")
            .fact(fact("NETWORK_POLICY_ENFORCING_MODE", "strict, and no container aws-eks-nodeagent".to_owned()))
            .signal("agent-absent")
            .fix("kubectl -n kube-system set env daemonset aws-node -c aws-node NETWORK_POLICY_ENFORCING_MODE=standard")
        });
    };
    let versions = (running.version(), Running { container: agent }.version());
    if let (Some(plugin), Some(own)) = versions
        && plugin >= PAIR.0
        && own < PAIR.1
    {
        return Some(
            about(
                Severity::Error,
                format!("Network policy agent {}.{} is too old for VPC CNI {}.{}", own.0, own.1, plugin.0, plugin.1),
            )
            .confidence(Confidence::Confirmed)
            .detail("Plugin and agent are released as a pair; an older agent does not answer what the plugin asks.")
            .fact(fact("image of aws-eks-nodeagent", agent.image.clone()).expected(format!("{}.{} or newer", PAIR.1.0, PAIR.1.1)))
            .signal("versions")
            .fix(format!("aws eks update-addon --cluster-name {} --addon-name vpc-cni --resolve-conflicts OVERWRITE", cx.cluster_name())),
        );
    }
    if !enabled(agent) {
        return None;
    }
    if running
        .env("ENABLE_BANDWIDTH_PLUGIN")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    {
        return Some(
            about(
                Severity::Warning,
                "aws-node runs the bandwidth plugin beside network policies".to_owned(),
            )
            .confidence(Confidence::Confirmed)
            .detail("Both hook into the traffic of a pod's interface; with the bandwidth plugin policies are not enforced on egress as written.")
            .fact(fact("ENABLE_BANDWIDTH_PLUGIN", "true, with --enable-network-policy=true".to_owned()))
            .signal("bandwidth")
            .fix("kubectl -n kube-system set env daemonset aws-node -c aws-node ENABLE_BANDWIDTH_PLUGIN=false"),
        );
    }
    let other = daemonsets
        .iter()
        .find(|one| matches!(one.metadata.name.as_str(), "calico-node" | "cilium"))?;
    Some(
        about(
            Severity::Warning,
            format!("Two engines enforce network policies: the VPC CNI's agent and {}", other.metadata.name),
        )
        .confidence(Confidence::Likely)
        .detail("A packet has to pass both; what one of them admits the other one may drop, and neither log shows why.")
        .fact(fact("--enable-network-policy", "true".to_owned()))
        .fact(Fact::new(Source::DaemonSets, format!("DaemonSet {}/{}", other.metadata.namespace, other.metadata.name), "present", "yes"))
        .signal("two-engines")
        .fix(format!("aws eks update-addon --cluster-name {} --addon-name vpc-cni --configuration-values '{{\"enableNetworkPolicy\":\"false\"}}'   # or take out the policies of {}", cx.cluster_name(), other.metadata.name)),
    )
}
