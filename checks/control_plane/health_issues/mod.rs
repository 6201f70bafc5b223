//! `control-plane/health-issues`: what EKS itself holds to be wrong.

use std::sync::LazyLock;

use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Meta, Role, Severity, SignatureSet, Source, Stop,
    Subject, SubjectKind,
};

use crate::say::{self, Say};

use eksnet_model::aws::HealthIssue;

const META: Meta = Meta {
    id: "control-plane/health-issues",
    title: "EKS reports issues of the cluster or of a managed node group",
    severity: Severity::Critical,
    role: Role::Mechanism,
    needs: &[Source::Cluster],
    helps: &[Source::Nodegroups, Source::Logs, Source::Events],
    signals: &["issue", "no-addresses", "access-denied"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

const SAYS: &[Say] = &[Say {
    signatures: &["eks-issue"],
    title: "EKS reports {code}",
    detail: "The message of the issue says what EKS misses or may not do; as long as it stands, updates and scaling fail.",
    severity: Severity::Error,
    confidence: Confidence::Confirmed,
    signal: "issue",
    confirm: "aws eks describe-cluster --name {cluster} --query 'cluster.health'; aws eks list-nodegroups --cluster-name {cluster}",
    fix: "Put right what the message names, then repeat the update",
}];

/// Without these the control plane or its way to the nodes is gone.
const OUTAGES: [&str; 5] = [
    "ClusterUnreachable",
    "Ec2SubnetNotFound",
    "Ec2SecurityGroupNotFound",
    "IamRoleNotFound",
    "VpcNotFound",
];
/// Issues that other checks know better.
const OTHERS: [&str; 2] = ["NodeCreationFailure", "AsgInstanceLaunchFailures"];

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let cluster = cx.eks_cluster().some();
    let mut found = Vec::new();
    if let Ok(cluster) = &cluster {
        let subject = Subject::new(SubjectKind::Cluster, cx.cluster_name());
        let of_cluster = cluster.health.issues.iter();
        found.extend(of_cluster.map(|one| finding(cx, Source::Cluster, &subject, one)));
    }
    for group in cx.nodegroups().optional().into_iter().flatten() {
        let subject = Subject::new(SubjectKind::NodeGroup, group.nodegroup_name.as_str());
        let issues = group.health.issues.iter();
        found.extend(
            issues
                .filter(|issue| !OTHERS.contains(&issue.code.as_str()))
                .map(|one| finding(cx, Source::Nodegroups, &subject, one)),
        );
    }
    if found.is_empty() {
        found = say::findings(cx, &META, &SIGNATURES, "EKS", SAYS, |_| true);
    }
    if found.is_empty() {
        cluster?;
    }
    Ok(found)
}

fn finding(cx: &Cx<'_>, source: Source, of: &Subject, issue: &HealthIssue) -> Finding {
    let severity = if OUTAGES.contains(&issue.code.as_str()) {
        Severity::Critical
    } else {
        Severity::Error
    };
    let cluster = cx.cluster_name();
    let confirm = match of.kind {
        SubjectKind::NodeGroup => format!(
            "aws eks describe-nodegroup --cluster-name {cluster} --nodegroup-name {} --query 'nodegroup.health'",
            of.name
        ),
        _ => format!("aws eks describe-cluster --name {cluster} --query 'cluster.health'"),
    };
    let of_words = match of.kind {
        SubjectKind::NodeGroup => format!("Node group {}", of.name),
        _ => format!("Cluster {}", of.name),
    };
    let mut finding = META
        .finding(severity, format!("{of_words}: EKS reports {}", issue.code))
        .confidence(Confidence::Confirmed)
        .detail("As long as the issue stands, updates and scaling fail.")
        .subject(of.clone())
        .subject(Subject::new(SubjectKind::Other, issue.code.as_str()))
        .fact(
            Fact::new(source, of_words, issue.code.as_str(), issue.message.as_str())
                .expected("no issue"),
        )
        .signal(match issue.code.as_str() {
            "InsufficientFreeAddresses" => "no-addresses",
            "AccessDenied" => "access-denied",
            _ => "issue",
        })
        .confirm(confirm)
        .fix(match issue.code.as_str() {
            "AccessDenied" => "kubectl get clusterrole,clusterrolebinding eks:node-manager   # make them anew where they were deleted; else the role of the cluster".to_owned(),
            _ if issue.resource_ids.is_empty() => "Put right what the message names, then repeat the update".to_owned(),
            _ => format!("Put right {}, as the message says, then repeat the update", issue.resource_ids.join(", ")),
        });
    if !issue.resource_ids.is_empty() {
        finding = finding.fact(Fact::new(
            source,
            issue.code.as_str(),
            "resourceIds",
            issue.resource_ids.join(", "),
        ));
    }
    finding
}
