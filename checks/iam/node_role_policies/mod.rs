//! `iam/node-role-policies`: the role of nodes may not do what every node does.

mod by_text;

use eksnet_model::iam::{Role as IamRole, name_of_arn};
use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Gap, Meta, Role, Severity, Source, Stop, Subject,
    SubjectKind, Why,
};
use std::collections::BTreeSet;

/// Policies of AWS by which a node may join. Source: "Amazon EKS node IAM role", EKS user guide, read
/// November 2026.
const WORKER: [&str; 3] = [
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKSWorkerNodeMinimalPolicy",
    "AdministratorAccess",
];
/// Policies of AWS by which a node may pull from ECR.
const PULL: [&str; 5] = [
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEC2ContainerRegistryReadOnly",
    "AmazonEC2ContainerRegistryPowerUser",
    "AmazonEC2ContainerRegistryFullAccess",
    "AdministratorAccess",
];

const META: Meta = Meta {
    id: "iam/node-role-policies",
    title: "The nodes' role lacks what every node needs",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Nodegroups, Source::Roles],
    helps: &[Source::InstanceProfiles, Source::Logs, Source::Events],
    signals: &[
        "worker-policy-missing",
        "pull-policy-missing",
        "denied-by-log",
        "pull-refused",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut findings = by_text::findings(cx);
    let mut open = None;
    let roles = cx.roles().optional().map(Vec::as_slice).unwrap_or_default();
    let names = names(cx);
    for name in &names {
        match roles.iter().find(|role| role.name() == name) {
            Some(role) => match lacking(role) {
                Ok(found) => findings.extend(found),
                Err(why) => open = Some(why),
            },
            None => open = Some(format!("role {name} was not read")),
        }
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    cx.nodegroups().some()?;
    if names.is_empty() {
        return Err(Stop::not_applicable("no node group names a role"));
    }
    cx.roles().some()?;
    match open {
        Some(why) => Err(Stop::unknown(Gap::new(Source::Roles, Why::Sampled, why))),
        None => Ok(findings),
    }
}

/// Names of the roles of node groups and instance profiles.
fn names(cx: &Cx<'_>) -> BTreeSet<String> {
    let groups = cx.nodegroups().optional().into_iter().flatten();
    let profiles = cx.instance_profiles().optional().into_iter().flatten();
    groups
        .map(|group| name_of_arn(&group.node_role).to_owned())
        .chain(profiles.flat_map(|one| one.roles.iter().map(|role| role.name().to_owned())))
        .filter(|name| !name.is_empty())
        .collect()
}

/// What a role lacks; `Err` says why that is not known.
fn lacking(role: &IamRole) -> Result<Vec<Finding>, String> {
    let name = role.name();
    let Some(attached) = &role.attached_policies else {
        return Err(format!("the policies of role {name} were not read"));
    };
    let has = |policies: &[&str]| {
        attached
            .iter()
            .any(|one| policies.contains(&one.policy_name.as_str()))
    };
    let mut found = Vec::new();
    for (policies, signal, severity, what) in [
        (
            WORKER.as_slice(),
            "worker-policy-missing",
            Severity::Critical,
            "describe its cluster and instance",
        ),
        (
            PULL.as_slice(),
            "pull-policy-missing",
            Severity::Error,
            "pull images from ECR",
        ),
    ] {
        if has(policies) {
            continue;
        }
        // Policies are judged by name only where they are AWS's own.
        let own = attached
            .iter()
            .find(|one| !one.policy_arn.contains(":aws:policy/"));
        let inline = role.policy_names.as_ref().and_then(|names| names.first());
        if let Some(own) = own.map(|one| &one.policy_name).or(inline) {
            return Err(format!(
                "policy {own} of role {name} may allow it to {what}"
            ));
        }
        let names: Vec<&str> = attached
            .iter()
            .map(|one| one.policy_name.as_str())
            .collect();
        let saw = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        found.push(
            finding(
                severity,
                format!("Role {name} of the nodes has no policy to {what}"),
                name,
                policies[0],
            )
            .confidence(Confidence::Likely)
            .subject(Subject::new(SubjectKind::Other, policies[0]))
            .fact(
                Fact::new(
                    Source::Roles,
                    format!("Role {name}"),
                    "attached policies",
                    saw,
                )
                .expected(policies[0]),
            )
            .signal(signal),
        );
    }
    Ok(found)
}

fn finding(severity: Severity, title: String, role: &str, policy: &str) -> Finding {
    META.finding(severity, title)
        .detail("Kubelet, the node's bootstrap and the agents on it act with the instance's role; what it lacks fails on every node of the group.")
        .subject(Subject::new(SubjectKind::Role, role))
        .confirm(format!("aws iam list-attached-role-policies --role-name {role}"))
        .fix(format!("aws iam attach-role-policy --role-name {role} --policy-arn arn:aws:iam::aws:policy/{policy}"))
}
