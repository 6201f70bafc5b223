//! `lb/cluster-sg-tag`: the tag of the cluster stands on none or on several security groups of a node.

mod groups;

use std::sync::LazyLock;

use eksnet_model::{
    Check, Confidence, Cx, Finding, Gap, Meta, Role, Severity, SignatureSet, Source, Stop, Why,
};

use crate::say::{self, Say};

const META: Meta = Meta {
    id: "lb/cluster-sg-tag",
    title: "The security groups of a node do not carry the cluster tag exactly once",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::SecurityGroups, Source::Instances],
    helps: &[Source::Services, Source::Pods, Source::Logs, Source::Events],
    signals: &["several-tagged", "none-tagged"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

const SAYS: &[Say] = &[
    Say {
        signatures: &["lbc-sg-tag-several"],
        title: "Interface {eni} has several security groups tagged kubernetes.io/cluster/{cluster} ({groups}); the load balancer controller wants one",
        detail: "The controller does not know to which group it may add the rule for the load balancer: targets are registered and stay unhealthy. EKS tags the cluster security group itself, so a node group with the tag of its own makes two.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "several-tagged",
        confirm: "aws ec2 describe-security-groups --filters Name=tag-key,Values=kubernetes.io/cluster/{cluster} --query 'SecurityGroups[].[GroupId,GroupName]' --output table",
        fix: "aws ec2 delete-tags --resources SECURITY_GROUP --tags Key=kubernetes.io/cluster/{cluster}   # all of {groups} but the cluster security group",
    },
    Say {
        signatures: &["lbc-sg-tag-none"],
        title: "Interface {eni} has no security group tagged kubernetes.io/cluster/{cluster}; the load balancer controller wants one",
        detail: "The interface has more than one security group and none of them is marked as the one to which the controller may add the rule for the load balancer: targets stay unhealthy.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "none-tagged",
        confirm: "aws ec2 describe-network-interfaces --network-interface-ids {eni} --query 'NetworkInterfaces[].Groups' --output table",
        fix: "aws ec2 create-tags --resources SECURITY_GROUP --tags Key=kubernetes.io/cluster/{cluster},Value=owned   # one of the groups of {eni}",
    },
    Say {
        signatures: &["ccm-sg-tag-several"],
        title: "Instance {instance} has several security groups tagged for the cluster; the service controller wants one",
        detail: "The controller does not know to which group it may add the rule for the load balancer: the Service gets no load balancer, or one that reaches no node.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "several-tagged",
        confirm: "aws ec2 describe-instances --instance-ids {instance} --query 'Reservations[].Instances[].SecurityGroups' --output table",
        fix: "aws ec2 delete-tags --resources SECURITY_GROUP --tags Key=kubernetes.io/cluster/{cluster}   # all of them but one",
    },
];

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let said = say::findings(cx, &META, &SIGNATURES, "A node", SAYS, |_| true);
    if !said.is_empty() {
        return Ok(said);
    }
    if !groups::has_load_balancers(cx) {
        return Err(Stop::not_applicable(
            "there is no Service of type LoadBalancer and no load balancer controller",
        ));
    }
    let groups = cx.security_groups().all()?;
    let instances = cx.instances().some()?;
    let Some(cluster) = cx.cluster().name.as_deref() else {
        return Err(Stop::unknown(Gap::new(
            Source::Cluster,
            Why::NotRequested,
            "the name of the cluster is part of the tag",
        )));
    };
    Ok(groups::wrong(cluster, groups, instances))
}
