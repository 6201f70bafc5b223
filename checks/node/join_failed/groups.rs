//! Node groups whose nodes EKS waited for in vain.

use eksnet_model::aws::Nodegroup;
use eksnet_model::{Confidence, Cx, Fact, Finding, Severity, Source, Subject, SubjectKind};

use super::META;

pub(super) fn failed(cx: &Cx<'_>, groups: &[Nodegroup], none_joined: bool) -> Vec<Finding> {
    groups
        .iter()
        .filter_map(|group| finding(cx, group, none_joined))
        .collect()
}

fn finding(cx: &Cx<'_>, group: &Nodegroup, none_joined: bool) -> Option<Finding> {
    // With the same code EKS says that nodes joined and did not become healthy.
    let issue = group.health.issues.iter().find(|issue| {
        issue.code == "NodeCreationFailure" && !issue.message.contains("Unhealthy nodes")
    })?;
    let name = group.nodegroup_name.as_str();
    let instance = issue
        .resource_ids
        .iter()
        .find(|id| id.starts_with("i-"))
        .map_or("INSTANCE", String::as_str);
    let cluster = cx.cluster_name();
    let mut finding = META
        .finding(
            if none_joined { Severity::Critical } else { Severity::Error },
            format!("Instances of node group {name} did not join the cluster"),
        )
        .confidence(Confidence::Confirmed)
        .detail("EKS started them and saw no node within its time. The way to the API server, the role of the nodes and the user data are what can be wrong.")
        .subject(Subject::new(SubjectKind::NodeGroup, name))
        .fact(
            Fact::new(Source::Nodegroups, format!("node group {name}"), issue.code.as_str(), issue.message.as_str())
                .expected("no issue"),
        )
        .signal("creation-failure")
        .confirm(format!("aws ec2 get-console-output --instance-id {instance} --latest --output text | tail -60"))
        .fix(format!(
            "aws ssm start-automation-execution --document-name AWSSupport-TroubleshootEKSWorkerNode --parameters ClusterName={cluster},WorkerID={instance}"
        ));
    for id in issue.resource_ids.iter().filter(|id| id.starts_with("i-")) {
        finding = finding.subject(Subject::new(SubjectKind::Instance, id.as_str()));
    }
    Some(finding)
}
