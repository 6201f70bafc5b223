//! IAM: the roles of nodes, cluster and service accounts, what is attached to them, and the OIDC
//! providers that vouch for service accounts.

use std::collections::BTreeSet;

use aws_sdk_iam::Client;
use serde_json::Value;
use tokio::time::Instant;

use eksnet_model::aws::{Instance, tag};
use eksnet_model::iam::{
    AttachedPolicy, InstanceProfile, OidcProvider, Policy, PolicyDocument, Role,
};
use eksnet_model::kubernetes::Node;
use eksnet_model::{Evidence, Gap, Snapshot, Source, Why};

use super::AwsSession;
use super::failure::Failure;
use super::paging::{Gathered, Page, gather, side_by_side, within};

/// Calls at the same time. IAM is one service for all regions, and its quota is small.
const AT_ONCE: usize = 4;
/// Most roles that are read: each takes three calls and more.
const MOST_ROLES: usize = 40;
/// Most policies that are read: managed ones take two calls each.
const MOST_POLICIES: usize = 120;

const GET_ROLE: &str = "iam:GetRole";
const LIST_ATTACHED: &str = "iam:ListAttachedRolePolicies";
const LIST_INLINE: &str = "iam:ListRolePolicies";
const GET_INLINE: &str = "iam:GetRolePolicy";
const GET_POLICY: &str = "iam:GetPolicy";
const GET_VERSION: &str = "iam:GetPolicyVersion";
const LIST_PROVIDERS: &str = "iam:ListOpenIDConnectProviders";
const GET_PROVIDER: &str = "iam:GetOpenIDConnectProvider";
const GET_PROFILE: &str = "iam:GetInstanceProfile";

/// Sources that are read here, once pods and instances are known.
pub(crate) const SOURCES: [Source; 4] = [
    Source::Roles,
    Source::Policies,
    Source::OidcProviders,
    Source::InstanceProfiles,
];

/// What IAM holds of the cluster's roles.
#[derive(Debug)]
pub struct HeldByIam {
    /// Roles with their trust policies and the names of what is attached.
    pub roles: Evidence<Vec<Role>>,
    /// The policies' documents.
    pub policies: Evidence<Vec<Policy>>,
    /// OIDC providers of the account.
    pub oidc_providers: Evidence<Vec<OidcProvider>>,
    /// Profiles of the cluster's instances.
    pub instance_profiles: Evidence<Vec<InstanceProfile>>,
}

impl HeldByIam {
    /// Whether all of that source was read.
    pub(crate) fn is_complete(&self, source: Source) -> bool {
        match source {
            Source::Roles => self.roles.gap().is_none(),
            Source::Policies => self.policies.gap().is_none(),
            Source::OidcProviders => self.oidc_providers.gap().is_none(),
            _ => self.instance_profiles.gap().is_none(),
        }
    }
}

impl AwsSession {
    /// Reads what is `wanted` of IAM. Roles of other accounts cannot be read, and are a gap; roles that
    /// are gone are left out, which tells that they are.
    pub async fn held_by_iam(
        &self,
        snapshot: &Snapshot,
        wanted: &BTreeSet<Source>,
        deadline: Instant,
    ) -> HeldByIam {
        let wants = |source| wanted.contains(&source);
        let wants_roles = wants(Source::Roles) || wants(Source::Policies);
        let providers = async {
            match wants(Source::OidcProviders) {
                true => Some(self.providers(snapshot, deadline).await),
                false => None,
            }
        };
        let roles = async {
            let profiles = match wants_roles || wants(Source::InstanceProfiles) {
                true => self.instance_profiles(snapshot, deadline).await,
                false => Gathered::default(),
            };
            let roles = match wants_roles {
                true => self.roles(snapshot, &profiles, deadline).await,
                false => Gathered::default(),
            };
            let policies = match wants(Source::Policies) {
                true => self.policies(&roles, deadline).await,
                false => Gathered::default(),
            };
            (profiles, roles, policies)
        };
        let (providers, (profiles, roles, policies)) =
            tokio::join!(Box::pin(providers), Box::pin(roles));
        HeldByIam {
            roles: self.told(Source::Roles, wants(Source::Roles).then_some(roles)),
            policies: self.told(
                Source::Policies,
                wants(Source::Policies).then_some(policies),
            ),
            oidc_providers: self.told(Source::OidcProviders, providers),
            instance_profiles: self.told(
                Source::InstanceProfiles,
                wants(Source::InstanceProfiles).then_some(profiles),
            ),
        }
    }

    fn told<T>(&self, source: Source, gathered: Option<Gathered<T>>) -> Evidence<Vec<T>> {
        match gathered {
            Some(gathered) => gathered.into_evidence(|failure| self.gap(source, failure)),
            None => Evidence::not_requested(source),
        }
    }

    /// Profiles of the instances, with their roles.
    async fn instance_profiles(
        &self,
        snapshot: &Snapshot,
        deadline: Instant,
    ) -> Gathered<InstanceProfile> {
        let instances = &snapshot.aws.instances;
        let nodes: BTreeSet<&str> = snapshot
            .kubernetes
            .nodes
            .value()
            .into_iter()
            .flatten()
            .filter_map(Node::instance_id)
            .collect();
        let name = snapshot.cluster.name.as_deref().unwrap_or_default();
        // Others in the VPC are none of the cluster's; those that never joined carry its tag.
        let of_cluster = |instance: &&Instance| {
            nodes.contains(instance.instance_id.as_str())
                || tag(&instance.tags, &format!("kubernetes.io/cluster/{name}")).is_some()
        };
        let names: BTreeSet<&str> = instances
            .value()
            .into_iter()
            .flatten()
            .filter(of_cluster)
            .filter_map(|instance| instance.iam_instance_profile.as_ref())
            .map(|profile| last_part(&profile.arn))
            .collect();
        let calls = names.iter().map(|name| {
            let call = fetch_profile(&self.iam, name);
            within(deadline, GET_PROFILE, call)
        });
        let mut found = gathered(side_by_side(AT_ONCE, calls).await);
        if let Some(gap) = instances.gap() {
            found.fail(Failure::new(
                "finding the profiles of the instances",
                gap.why.clone(),
                gap.detail.to_string(),
            ));
        }
        found
    }

    async fn roles(
        &self,
        snapshot: &Snapshot,
        profiles: &Gathered<InstanceProfile>,
        deadline: Instant,
    ) -> Gathered<Role> {
        let account = self.caller.value().map(|caller| caller.account.as_str());
        let (ours, foreign): (Vec<String>, Vec<String>) = arns_of(snapshot, &profiles.items)
            .into_iter()
            .partition(|arn| account.is_none_or(|account| account_of(arn) == Some(account)));
        let asked = ours.iter().take(MOST_ROLES);
        let calls = asked.map(|arn| fetch_role(&self.iam, arn, deadline));
        let mut lists = Vec::new();
        let answers = side_by_side(AT_ONCE, calls).await.into_iter();
        let mut roles = gathered(
            answers
                .map(|answer| {
                    answer.map(|(role, failure)| {
                        lists.extend(failure);
                        role
                    })
                })
                .collect(),
        );
        if let Some(failure) = lists.into_iter().next() {
            roles.fail(failure);
        }
        if let Some(arn) = foreign.first() {
            let all = ours.len() + foreign.len();
            let said = format!(
                "{} of {all} roles are of other accounts, such as {arn}",
                foreign.len()
            );
            roles.fail(Failure::new(GET_ROLE, Why::Failed, said));
        }
        if let Some(failure) = &profiles.failure {
            roles.fail(failure.clone());
        }
        // Roles that were named where nobody could look are missing from the list.
        if let Some(gap) = unseen(snapshot) {
            roles.fail(Failure::new(
                "finding the roles",
                gap.why.clone(),
                format!("{}: {}", gap.source, gap.detail),
            ));
        }
        if ours.len() > MOST_ROLES {
            let said = format!("{MOST_ROLES} of {} roles were read", ours.len());
            roles.fail(Failure::new(GET_ROLE, Why::Sampled, said));
        }
        roles
    }

    /// Inline policies of the roles, and the managed ones that are attached to them.
    async fn policies(&self, roles: &Gathered<Role>, deadline: Instant) -> Gathered<Policy> {
        let inline: BTreeSet<(&str, &str)> = roles
            .items
            .iter()
            .flat_map(|role| {
                let names = role.policy_names.iter().flatten();
                names.map(|name| (role.role_name.as_str(), name.as_str()))
            })
            .collect();
        let managed: BTreeSet<&str> = roles
            .items
            .iter()
            .flat_map(|role| role.attached_policies.iter().flatten())
            .map(|policy| policy.policy_arn.as_str())
            .collect();
        let inline_calls = inline.iter().take(MOST_POLICIES).map(|(role, name)| {
            let call = fetch_inline(&self.iam, role, name);
            within(deadline, GET_INLINE, call)
        });
        let managed_calls = managed.iter().take(MOST_POLICIES).map(|arn| {
            let call = fetch_managed(&self.iam, arn);
            within(deadline, GET_POLICY, call)
        });
        let mut found = gathered(side_by_side(AT_ONCE, inline_calls).await);
        found.join(gathered(side_by_side(AT_ONCE, managed_calls).await));
        if inline.len().max(managed.len()) > MOST_POLICIES {
            let all = inline.len() + managed.len();
            let said = format!("{} of {all} policies were read", found.items.len());
            found.fail(Failure::new(GET_POLICY, Why::Sampled, said));
        }
        if let Some(failure) = &roles.failure {
            found.fail(failure.clone());
        }
        found
    }

    /// All providers, the one of the cluster's issuer with its audiences.
    async fn providers(&self, snapshot: &Snapshot, deadline: Instant) -> Gathered<OidcProvider> {
        let call = async {
            let answer = self.iam.list_open_id_connect_providers().send().await;
            answer.map_err(|error| Failure::of_sdk(LIST_PROVIDERS, &error))
        };
        let listed = within(deadline, LIST_PROVIDERS, call).await;
        let mut found = Gathered::default();
        found.add(listed.map(|output| {
            let list = output.open_id_connect_provider_list.unwrap_or_default();
            list.into_iter().map(|entry| OidcProvider {
                arn: entry.arn.unwrap_or_default(),
                ..OidcProvider::default()
            })
        }));
        let issuer = snapshot.aws.cluster.value().map(|cluster| {
            let issuer = cluster.identity.oidc.issuer.as_str();
            issuer.strip_prefix("https://").unwrap_or(issuer)
        });
        let own = found
            .items
            .iter_mut()
            .find(|provider| Some(provider.issuer()) == issuer);
        let Some(own) = own else {
            return found;
        };
        let arn = own.arn.clone();
        let call = async {
            let answer = self
                .iam
                .get_open_id_connect_provider()
                .open_id_connect_provider_arn(&arn)
                .send()
                .await;
            answer.map_err(|error| Failure::of_sdk(GET_PROVIDER, &error))
        };
        match within(deadline, GET_PROVIDER, call).await {
            Ok(output) => {
                own.url = output.url.unwrap_or_default();
                own.client_id_list = output.client_id_list;
                own.thumbprint_list = output.thumbprint_list;
            }
            Err(failure) => found.fail(failure),
        }
        found
    }
}

/// The answers as a list. What does not exist is no failure: it is not in the list.
fn gathered<T>(answers: Vec<Result<T, Failure>>) -> Gathered<T> {
    let mut found = Gathered::default();
    if answers.is_empty() {
        found.add(Ok([]));
    }
    for answer in answers {
        match answer {
            Err(failure) if failure.not_found() => found.add(Ok([])),
            answer => found.add(answer.map(|item| [item])),
        }
    }
    found
}

/// ARNs of the roles that the cluster lives by: its own, those of its nodes, and those that service
/// accounts and Pod Identity name.
fn arns_of(snapshot: &Snapshot, profiles: &[InstanceProfile]) -> BTreeSet<String> {
    let aws = &snapshot.aws;
    let kubernetes = &snapshot.kubernetes;
    let of_cluster = aws.cluster.value().map(|cluster| &cluster.role_arn);
    let of_groups = aws.nodegroups.value().into_iter().flatten();
    let of_entries = aws.access_entries.value().into_iter().flatten();
    let associations = aws.pod_identity_associations.value().into_iter().flatten();
    let of_addons = aws.addons.value().into_iter().flatten();
    let accounts = kubernetes.serviceaccounts.value().into_iter().flatten();
    let pods = kubernetes.pods.value().into_iter().flatten();
    let of_pods = pods
        .flat_map(|pod| &pod.spec.containers)
        .flat_map(|container| &container.env)
        .filter(|env| env.name == "AWS_ROLE_ARN")
        .filter_map(|env| env.value.as_ref());
    of_cluster
        .into_iter()
        .chain(of_groups.map(|group| &group.node_role))
        .chain(
            of_entries
                .filter(|entry| entry.kind.starts_with("EC2"))
                .map(|entry| &entry.principal_arn),
        )
        .chain(associations.map(|one| &one.role_arn))
        .chain(of_addons.filter_map(|addon| addon.service_account_role_arn.as_ref()))
        .chain(accounts.filter_map(|account| {
            let annotations = &account.metadata.annotations;
            annotations.get("eks.amazonaws.com/role-arn")
        }))
        .chain(of_pods)
        .chain(
            profiles
                .iter()
                .flat_map(|profile| &profile.roles)
                .map(|role| &role.arn),
        )
        .filter(|arn| arn.contains(":role/"))
        .cloned()
        .collect()
}

/// What is missing of the sources that name roles.
fn unseen(snapshot: &Snapshot) -> Option<&Gap> {
    let (aws, kubernetes) = (&snapshot.aws, &snapshot.kubernetes);
    [
        aws.cluster.gap(),
        aws.nodegroups.gap(),
        aws.pod_identity_associations.gap(),
        kubernetes.serviceaccounts.gap(),
        kubernetes.pods.gap(),
    ]
    .into_iter()
    .flatten()
    .next()
}

/// The name in an ARN; what is before it is the path.
fn last_part(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

fn account_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(4)
}

async fn fetch_profile(iam: &Client, name: &str) -> Result<InstanceProfile, Failure> {
    let answer = iam
        .get_instance_profile()
        .instance_profile_name(name)
        .send()
        .await;
    let output = answer.map_err(|error| Failure::of_sdk(GET_PROFILE, &error))?;
    let profile = output
        .instance_profile
        .ok_or_else(|| Failure::new(GET_PROFILE, Why::Malformed, "an answer without a profile"))?;
    Ok(InstanceProfile {
        instance_profile_name: profile.instance_profile_name,
        arn: profile.arn,
        roles: profile
            .roles
            .into_iter()
            .map(|role| Role {
                role_name: role.role_name,
                arn: role.arn,
                ..Role::default()
            })
            .collect(),
    })
}

/// A role with its trust policy and the names of its policies. Where these could not be listed, they are
/// not known and the failure says why; the role itself still is.
async fn fetch_role(
    iam: &Client,
    arn: &str,
    deadline: Instant,
) -> Result<(Role, Option<Failure>), Failure> {
    let name = last_part(arn);
    let role = async {
        let answer = iam.get_role().role_name(name).send().await;
        answer.map_err(|error| Failure::of_sdk(GET_ROLE, &error))
    };
    let attached = gather(LIST_ATTACHED, deadline, |marker| async {
        let answer = iam
            .list_attached_role_policies()
            .role_name(name)
            .set_marker(marker)
            .send()
            .await;
        let output = answer.map_err(|error| Failure::of_sdk(LIST_ATTACHED, &error))?;
        Ok(Page {
            items: output.attached_policies.unwrap_or_default(),
            next: output.marker.filter(|_| output.is_truncated),
        })
    });
    let inline = gather(LIST_INLINE, deadline, |marker| async {
        let answer = iam
            .list_role_policies()
            .role_name(name)
            .set_marker(marker)
            .send()
            .await;
        let output = answer.map_err(|error| Failure::of_sdk(LIST_INLINE, &error))?;
        Ok(Page {
            items: output.policy_names,
            next: output.marker.filter(|_| output.is_truncated),
        })
    });
    let (role, attached, inline) = tokio::join!(within(deadline, GET_ROLE, role), attached, inline);
    let role = role?
        .role
        .ok_or_else(|| Failure::new(GET_ROLE, Why::Malformed, "an answer without a role"))?;
    let failure = attached.failure.clone().or_else(|| inline.failure.clone());
    let role = Role {
        role_name: role.role_name,
        arn: role.arn,
        assume_role_policy_document: role.assume_role_policy_document.and_then(document),
        attached_policies: attached.failure.is_none().then(|| {
            let items = attached.items.into_iter();
            items
                .map(|policy| AttachedPolicy {
                    policy_name: policy.policy_name.unwrap_or_default(),
                    policy_arn: policy.policy_arn.unwrap_or_default(),
                })
                .collect()
        }),
        policy_names: inline.failure.is_none().then_some(inline.items),
    };
    Ok((role, failure))
}

async fn fetch_inline(iam: &Client, role: &str, name: &str) -> Result<Policy, Failure> {
    let answer = iam
        .get_role_policy()
        .role_name(role)
        .policy_name(name)
        .send()
        .await;
    let output = answer.map_err(|error| Failure::of_sdk(GET_INLINE, &error))?;
    let policy_document = document(output.policy_document)
        .ok_or_else(|| malformed(GET_INLINE, &format!("policy {name} of role {role}")))?;
    Ok(Policy {
        role_name: role.to_owned(),
        policy_name: name.to_owned(),
        policy_document,
    })
}

async fn fetch_managed(iam: &Client, arn: &str) -> Result<Policy, Failure> {
    let answer = iam.get_policy().policy_arn(arn).send().await;
    let policy = answer
        .map_err(|error| Failure::of_sdk(GET_POLICY, &error))?
        .policy
        .ok_or_else(|| malformed(GET_POLICY, arn))?;
    let answer = iam
        .get_policy_version()
        .policy_arn(arn)
        .version_id(policy.default_version_id.unwrap_or_default())
        .send()
        .await;
    let version = answer.map_err(|error| Failure::of_sdk(GET_VERSION, &error))?;
    let policy_document = version
        .policy_version
        .and_then(|version| version.document)
        .and_then(document)
        .ok_or_else(|| malformed(GET_VERSION, arn))?;
    Ok(Policy {
        role_name: String::new(),
        policy_name: policy.policy_name.unwrap_or_default(),
        policy_document,
    })
}

fn malformed(action: &str, what: &str) -> Failure {
    Failure::new(
        action,
        Why::Malformed,
        format!("{what}: no policy document"),
    )
}

/// A document, which IAM writes URL-encoded.
fn document(text: String) -> Option<PolicyDocument> {
    serde_json::from_value(Value::String(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_found_wherever_the_cluster_names_them() {
        let role = |name: &str| format!("arn:aws:iam::123456789012:role/path/{name}");
        let snapshot: Snapshot = serde_json::from_value(serde_json::json!({
            "kubernetes": {
                "serviceaccounts": [{"metadata": {"name": "a", "namespace": "n", "annotations": {"eks.amazonaws.com/role-arn": role("irsa")}}}],
                "pods": [{"metadata": {"name": "p", "namespace": "n"}, "spec": {"containers": [{"name": "c", "env": [{"name": "AWS_ROLE_ARN", "value": role("env")}]}]}}]
            },
            "aws": {
                "cluster": {"roleArn": role("cluster")},
                "nodegroups": [{"nodeRole": role("nodes")}],
                "accessEntries": [{"principalArn": role("self-managed"), "type": "EC2_LINUX"}, {"principalArn": role("admin"), "type": "STANDARD"}],
                "podIdentityAssociations": [{"roleArn": role("pod-identity")}]
            }
        }))
        .unwrap();
        let profile = InstanceProfile {
            roles: vec![Role {
                arn: role("profile"),
                ..Role::default()
            }],
            ..InstanceProfile::default()
        };
        let found = arns_of(&snapshot, &[profile]);
        let names: Vec<&str> = found.iter().map(|arn| last_part(arn)).collect();
        assert_eq!(
            names,
            [
                "cluster",
                "env",
                "irsa",
                "nodes",
                "pod-identity",
                "profile",
                "self-managed"
            ]
        );
        assert_eq!(
            account_of(&found.into_iter().next().unwrap()),
            Some("123456789012")
        );
    }

    #[test]
    fn a_document_is_read_as_iam_writes_it() {
        let text = "%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22ec2%3ADescribe%2A%22%7D%7D";
        let document = document(text.to_owned()).unwrap();
        assert_eq!(document.statement[0].action, ["ec2:Describe*"]);
        assert!(super::document("%7B".to_owned()).is_none());
    }
}
