//! `node/join-failed`: instances run, and no node of theirs appears.

mod groups;

use std::sync::LazyLock;

use eksnet_model::{
    Check, Confidence, Cx, Finding, Meta, Role, Severity, SignatureSet, Source, Stop,
};

use crate::say::{self, Say};

const META: Meta = Meta {
    id: "node/join-failed",
    title: "Instances run and do not join the cluster",
    severity: Severity::Critical,
    role: Role::Mechanism,
    needs: &[Source::Nodegroups],
    helps: &[Source::Nodes, Source::Logs, Source::Events],
    signals: &[
        "bad-flag",
        "bootstrap",
        "wrong-cluster",
        "untrusted-ca",
        "creation-failure",
        "scale-up-timeout",
        "not-registered",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

const SAYS: &[Say] = &[
    Say {
        signatures: &["join-kubelet-flag"],
        title: "{who}: the kubelet exits on the unknown flag --{flag}",
        detail: "The user data or the bootstrap arguments are made for another version of the kubelet than the image has: flags go away with Kubernetes versions.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "bad-flag",
        confirm: "journalctl -u kubelet --no-pager | tail -30   # on the node",
        fix: "Take --{flag} out of the bootstrap arguments (--kubelet-extra-args) of the launch template, and replace the instances",
    },
    Say {
        signatures: &[
            "join-bootstrap-failed",
            "join-nodeadm-failed",
            "join-no-ca-file",
        ],
        title: "{who} does not finish its bootstrap: the kubelet has no configuration of the cluster",
        detail: "The user data fails before the kubelet starts. An image of Amazon Linux 2023 is set up by a NodeConfig for nodeadm, one of Amazon Linux 2 by /etc/eks/bootstrap.sh; each needs its own user data.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "bootstrap",
        confirm: "cat /var/log/cloud-init-output.log; journalctl -u nodeadm-config -u nodeadm-run --no-pager   # on the node",
        fix: "Give the launch template the user data that its image wants, with name, API endpoint and CA of {cluster}; custom AMIs get none from EKS",
    },
    Say {
        signatures: &["join-wrong-cluster"],
        title: "{who} asks for cluster {wanted}, which does not exist here",
        detail: "The name in the user data is not that of a cluster of this account and region.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "wrong-cluster",
        confirm: "aws eks list-clusters --region {region}",
        fix: "Put the name of the cluster into the user data of the launch template, and replace the instances",
    },
    Say {
        signatures: &["join-kubelet-x509"],
        title: "{who}: the kubelet does not trust the API server that it is given",
        detail: "The CA in the user data is that of another cluster, or a proxy stands between.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "untrusted-ca",
        confirm: "aws eks describe-cluster --name {cluster} --query 'cluster.[endpoint,certificateAuthority.data]' --output text",
        fix: "Put endpoint and CA of {cluster} into the user data of the launch template, and replace the instances",
    },
    Say {
        signatures: &["join-creation-failure"],
        title: "Instances of a managed node group did not join the cluster",
        detail: "EKS started them and saw no node within its time. The way to the API server, the role of the nodes and the user data are what can be wrong.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "creation-failure",
        confirm: "aws ec2 get-console-output --instance-id {instance} --latest --output text | tail -60",
        fix: "aws ssm start-automation-execution --document-name AWSSupport-TroubleshootEKSWorkerNode --parameters ClusterName={cluster},WorkerID={instance}",
    },
    Say {
        signatures: &["join-eksctl-timeout"],
        title: "Instances of a node group did not join the cluster in time",
        detail: "eksctl started them and saw no ready node within its time.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "creation-failure",
        confirm: "kubectl get nodes -o wide; aws eks list-nodegroups --cluster-name {cluster}",
        fix: "aws ssm start-automation-execution --document-name AWSSupport-TroubleshootEKSWorkerNode --parameters ClusterName={cluster},WorkerID={instance}",
    },
    Say {
        signatures: &["join-karpenter"],
        title: "A NodeClaim of Karpenter did not become a node",
        detail: "Karpenter started the instance, saw no node within its time and removes it again.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "not-registered",
        confirm: "kubectl get nodeclaims -o wide; kubectl describe nodeclaim",
        fix: "aws ec2 get-console-output --instance-id {instance} --latest --output text   # what the bootstrap says",
    },
    Say {
        signatures: &["join-ca-timeout"],
        title: "Instances of group {group} did not become nodes in time",
        detail: "The autoscaler raised the group, and the instances did not register within 15 minutes: it backs off from the group.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "scale-up-timeout",
        confirm: "aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names {group} --query 'AutoScalingGroups[].Instances'",
        fix: "aws ssm start-automation-execution --document-name AWSSupport-TroubleshootEKSWorkerNode --parameters ClusterName={cluster},WorkerID={instance}",
    },
    Say {
        signatures: &["join-not-registered"],
        title: "{who}: the kubelet cannot register its node",
        detail: "What the API server answers, or that it does not, tells why.",
        severity: Severity::Error,
        confidence: Confidence::Possible,
        signal: "not-registered",
        confirm: "journalctl -u kubelet --no-pager | grep -i register   # on the node",
        fix: "curl -k https://API_ENDPOINT/healthz   # on the node: whether it gets there at all",
    },
    Say {
        signatures: &["join-ca-unregistered"],
        title: "Instances of a group have no node",
        detail: "The autoscaler counts instances that did not register.",
        severity: Severity::Warning,
        confidence: Confidence::Possible,
        signal: "not-registered",
        confirm: "kubectl get nodes; aws autoscaling describe-auto-scaling-instances --output table",
        fix: "aws ssm start-automation-execution --document-name AWSSupport-TroubleshootEKSWorkerNode --parameters ClusterName={cluster},WorkerID={instance}",
    },
];

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut found = say::findings(cx, &META, &SIGNATURES, "A node", SAYS, |_| true);
    let nodegroups = cx.nodegroups().some();
    if let Ok(nodegroups) = &nodegroups {
        let none_joined = cx.nodes().optional().is_some_and(Vec::is_empty);
        found.extend(groups::failed(cx, nodegroups, none_joined));
    }
    if found.is_empty() {
        nodegroups?;
    }
    Ok(found)
}
