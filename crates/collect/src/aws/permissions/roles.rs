//! Which role each component runs as.

use std::collections::BTreeMap;

use eksnet_model::iam::Action;
use eksnet_model::kubernetes::{Node, Pod};
use eksnet_model::{Aws, ClusterFacts, Component, Gap, Kubernetes, Running, Source, Why};

use super::questions::{Place, questions};
use super::{RoleSource, RoleToSimulate};

/// The roles of the components, and whose role is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roles {
    /// Roles, each component and role once.
    pub known: Vec<RoleToSimulate>,
    /// Why a role is not known.
    pub gaps: Vec<Gap>,
}

/// Finds the role behind each component that calls AWS, in the order of the SDKs' credential chain:
/// web identity as the pod's environment says, then Pod Identity, then the node's role.
#[must_use]
pub fn roles_to_simulate(kubernetes: &Kubernetes, aws: &Aws, facts: &ClusterFacts) -> Roles {
    let mut roles = Roles::default();
    let (Some(pods), Some(region), Some(account)) =
        (kubernetes.pods.value(), &facts.region, &facts.account)
    else {
        let why =
            kubernetes.pods.gap().cloned().unwrap_or_else(|| {
                gap("account and region of the cluster are not known".to_owned())
            });
        roles.gaps.push(Gap {
            source: Source::SimulatedPolicies,
            ..why
        });
        return roles;
    };
    let place = Place {
        partition: facts.partition.as_deref().unwrap_or("aws"),
        region,
        account,
        cluster: facts.name.as_deref().unwrap_or_default(),
    };
    let groups = aws
        .auto_scaling_groups
        .value()
        .map_or(&[][..], Vec::as_slice);
    let nodes: BTreeMap<&str, &Node> = kubernetes
        .nodes
        .value()
        .into_iter()
        .flatten()
        .map(|node| (node.metadata.name.as_str(), node))
        .collect();
    for pod in pods {
        let component = Component::of_pod(pod);
        let Some(running) = Running::of(component, &pod.spec) else {
            continue;
        };
        let actions = actions(component, running);
        if actions.is_empty() {
            continue;
        }
        let found = role_of(
            pod,
            running,
            nodes.get(pod.spec.node_name.as_str()).copied(),
            aws,
        );
        let (role, via) = match found {
            Ok(found) => found,
            Err(why) => {
                if !roles.gaps.contains(&why) {
                    roles.gaps.push(why);
                }
                continue;
            }
        };
        let service_account = service_account(pod);
        let seen = roles.known.iter().any(|known| {
            known.component == component
                && known.role == role
                && known.service_account == service_account
        });
        if !seen {
            roles.known.push(RoleToSimulate {
                component,
                service_account,
                role,
                via: via.to_owned(),
                questions: questions(component, &actions, place, groups),
            });
        }
    }
    roles
}

fn gap(detail: String) -> Gap {
    Gap::new(Source::SimulatedPolicies, Why::Failed, detail)
}

fn service_account(pod: &Pod) -> String {
    let name = match pod.spec.service_account_name.as_str() {
        "" => "default",
        name => name,
    };
    format!("{}/{name}", pod.metadata.namespace)
}

/// What the component calls, as it is set up. Source: `docs/iam-policy.md` of amazon-vpc-cni-k8s at
/// v1.23.1 for its modes.
fn actions(component: Component, running: Running<'_>) -> Vec<&'static Action> {
    let is_on = |name: &str| running.env(name) == Some("true");
    let minor = running.version().map(|(_, minor)| minor);
    let imds_only = component == Component::AwsNode && is_on("ENABLE_IMDS_ONLY_MODE");
    // In IPv6 mode the interface gets one prefix, and none is attached or detached.
    let ipv6 = component == Component::AwsNode && is_on("ENABLE_IPv6");
    component
        .actions(minor)
        .filter(|_| !imds_only)
        .filter(|action| !ipv6 || !action.writes || action.name == "ec2:CreateTags")
        .collect()
}

fn role_of(
    pod: &Pod,
    running: Running<'_>,
    node: Option<&Node>,
    aws: &Aws,
) -> Result<(RoleSource, &'static str), Gap> {
    if let Some(role) = running.env("AWS_ROLE_ARN").filter(|role| !role.is_empty()) {
        return Ok((RoleSource::Arn(role.to_owned()), "irsa"));
    }
    if running.has_env("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
        return by_association(pod, aws).map(|role| (role, "pod-identity"));
    }
    by_node(pod, node, aws).map(|role| (role, "node"))
}

fn by_association(pod: &Pod, aws: &Aws) -> Result<RoleSource, Gap> {
    let account = service_account(pod);
    let associations = &aws.pod_identity_associations;
    associations
        .value()
        .into_iter()
        .flatten()
        .find(|found| format!("{}/{}", found.namespace, found.service_account) == account)
        .map(|found| RoleSource::Arn(found.role_arn.clone()))
        .ok_or_else(|| match associations.gap() {
            Some(why) => Gap {
                source: Source::SimulatedPolicies,
                ..why.clone()
            },
            None => gap(format!(
                "pod {} runs with Pod Identity, but no association is for {account}",
                pod.key()
            )),
        })
}

/// The role of the node that the pod runs on: of its managed node group, else of its instance's
/// profile.
fn by_node(pod: &Pod, node: Option<&Node>, aws: &Aws) -> Result<RoleSource, Gap> {
    let unknown = |said: String| gap(format!("role of pod {}: {said}", pod.key()));
    let Some(node) = node else {
        return Err(unknown("its node is not known".to_owned()));
    };
    let instance = node.instance_id().and_then(|id| {
        aws.instances
            .value()?
            .iter()
            .find(|instance| instance.instance_id == id)
    });
    let nodegroup = node
        .label("eks.amazonaws.com/nodegroup")
        .or_else(|| eksnet_model::aws::tag(&instance?.tags, "eks:nodegroup-name"));
    let of_group = nodegroup.and_then(|name| {
        aws.nodegroups
            .value()?
            .iter()
            .find(|group| group.nodegroup_name == name && !group.node_role.is_empty())
    });
    if let Some(group) = of_group {
        return Ok(RoleSource::Arn(group.node_role.clone()));
    }
    match (instance, aws.instances.gap()) {
        (Some(instance), _) => match &instance.iam_instance_profile {
            Some(profile) => Ok(RoleSource::InstanceProfile(profile.arn.clone())),
            None => Err(unknown(format!(
                "instance {} of node {} has no profile",
                instance.instance_id, node.metadata.name
            ))),
        },
        (None, Some(why)) => Err(Gap {
            source: Source::SimulatedPolicies,
            ..why.clone()
        }),
        (None, None) => Err(unknown(format!(
            "node {} has no instance in the VPC",
            node.metadata.name
        ))),
    }
}
