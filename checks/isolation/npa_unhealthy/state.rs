//! The agent's container in aws-node's pods.

use eksnet_model::kubernetes::{ContainerStatus, Pod};
use eksnet_model::{Confidence, Cx, Fact, Finding, Place, Severity, Source};

use super::{HOME, about};

/// Name of the agent's container, in the add-on and in the chart.
const CONTAINER: &str = "aws-eks-nodeagent";
/// Most pods that are spelt out.
const MAX_PODS: usize = 4;

/// The finding about agents that do not run; `told` is what a log adds.
pub(super) fn not_ready(cx: &Cx<'_>, told: Option<&Finding>) -> Option<Finding> {
    let bad: Vec<(&Pod, &ContainerStatus)> = cx
        .topology()
        .pods_of(HOME)
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .flat_map(|pod| {
            pod.status
                .container_statuses
                .iter()
                .map(move |status| (pod, status))
        })
        .filter(|(_, status)| status.name == CONTAINER && is_down(status))
        .collect();
    let (first, _) = bad.first()?;
    let nodes = bad
        .iter()
        .map(|(pod, _)| pod.spec.node_name.as_str())
        .filter(|node| !node.is_empty());
    let what = match bad.len() {
        1 => format!(
            "Network policy agent in pod {} {}",
            first.metadata.name,
            how(bad[0].1)
        ),
        count => format!(
            "Network policy agent {} in {count} pods of aws-node",
            how(bad[0].1)
        ),
    };
    let mut finding = about(Severity::Error, what)
        .confidence(Confidence::Confirmed)
        .detail("aws-node is not ready without it. Policies of new pods on these nodes are not applied, and pods do not start in strict mode.")
        .facts(bad.iter().take(MAX_PODS).map(|(pod, status)| fact(pod, status)))
        .at(Place::nodes(nodes))
        .signal("agent-not-ready")
        .confirm(format!(
            "kubectl -n kube-system logs {} -c {CONTAINER} --previous",
            first.metadata.name
        ));
    if let Some(told) = told {
        finding = finding.facts(told.facts.clone());
        for fix in &told.remedy.fix {
            finding = finding.fix(fix.clone());
        }
    } else {
        finding = finding
            .fix(format!("aws eks update-addon --cluster-name {} --addon-name vpc-cni --resolve-conflicts PRESERVE   # plugin and agent of one release", cx.cluster_name()))
            .fix("Free ports 8162 and 8163 on the node, or set --metrics-bind-addr and --health-probe-bind-addr of the agent; with --enable-cloudwatch-logs=true give aws-node's role the logs: actions");
    }
    Some(finding)
}

fn is_down(status: &ContainerStatus) -> bool {
    !status.ready
        && (status.restart_count > 0
            || status.state.waiting.as_ref().is_some_and(|waiting| {
                !matches!(
                    waiting.reason.as_str(),
                    "" | "PodInitializing" | "ContainerCreating"
                )
            }))
}

fn how(status: &ContainerStatus) -> &'static str {
    let waiting = status
        .state
        .waiting
        .as_ref()
        .map(|waiting| waiting.reason.as_str());
    match waiting {
        Some("ImagePullBackOff" | "ErrImagePull") => "has no image",
        Some("CrashLoopBackOff") => "crashes",
        _ => "is not ready",
    }
}

fn fact(pod: &Pod, status: &ContainerStatus) -> Fact {
    let waiting = status
        .state
        .waiting
        .as_ref()
        .map_or("", |waiting| waiting.reason.as_str());
    let end = status
        .last_state
        .terminated
        .as_ref()
        .or(status.state.terminated.as_ref())
        .map_or_else(String::new, |end| {
            format!(", last end {} with code {}", end.reason, end.exit_code)
        });
    Fact::new(
        Source::Pods,
        format!("Pod {}", pod.key()),
        CONTAINER,
        format!(
            "not ready {waiting}, {} restarts{end}",
            status.restart_count
        ),
    )
    .expected("ready")
}
