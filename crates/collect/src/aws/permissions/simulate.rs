//! `iam:SimulatePrincipalPolicy`.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::Client;
use aws_sdk_iam::types as sdk;
use tokio::time::Instant;

use eksnet_model::iam::{
    BoundaryDecision, EvaluationResult, MatchedStatement, OrganizationsDecision, SimulatedRole,
};
use eksnet_model::{Component, Evidence, Source, Why};

use super::super::AwsSession;
use super::super::failure::Failure;
use super::super::paging::{Gathered, Page, gather, side_by_side, within};
use super::Question;

/// Simulations at the same time. IAM is one service for all regions, and its quota is small.
const AT_ONCE: usize = 4;

/// Most actions of one simulation.
const MOST_ACTIONS: usize = 100;

const SIMULATE: &str = "iam:SimulatePrincipalPolicy";
const GET_PROFILE: &str = "iam:GetInstanceProfile";

/// A role, and what to ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleToSimulate {
    /// Whose role.
    pub component: Component,
    /// `namespace/name` of its service account.
    pub service_account: String,
    /// The role.
    pub role: RoleSource,
    /// `irsa`, `pod-identity` or `node`.
    pub via: String,
    /// What to ask.
    pub questions: Vec<Question>,
}

/// How a role is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoleSource {
    /// By its ARN; that of a session counts for its role.
    Arn(String),
    /// By the ARN of the instance profile that holds it.
    InstanceProfile(String),
}

impl AwsSession {
    /// Asks IAM what the roles may do. It ends within the timeout of the options. A role that could
    /// not be simulated to its end is left out: a part of it would read as "may do all else".
    ///
    /// IAM weighs identity policies, permissions boundary and service control policies, not
    /// endpoint, resource and session policies. Source:
    /// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html>.
    pub async fn simulate(&self, roles: &[RoleToSimulate]) -> Evidence<Vec<SimulatedRole>> {
        let deadline = Instant::now() + self.options.timeout;
        let profiles = self.profiles(roles, deadline).await;
        let calls = roles
            .iter()
            .map(|role| self.simulate_one(role, &profiles, deadline));
        let answers = side_by_side(AT_ONCE, calls).await;
        let mut simulated = Gathered::default();
        if roles.is_empty() {
            simulated.add(Ok([]));
        }
        for answer in answers {
            simulated.add(answer.map(|role| [role]));
        }
        simulated.into_evidence(|failure| self.gap(Source::SimulatedPolicies, failure))
    }

    /// Roles of the instance profiles, each asked for once.
    async fn profiles(
        &self,
        roles: &[RoleToSimulate],
        deadline: Instant,
    ) -> BTreeMap<String, Result<String, Failure>> {
        let profiles: BTreeSet<&String> = roles
            .iter()
            .filter_map(|role| match &role.role {
                RoleSource::InstanceProfile(arn) => Some(arn),
                RoleSource::Arn(_) => None,
            })
            .collect();
        let calls = profiles.iter().map(|arn| {
            let call = fetch_role_of_profile(&self.iam, arn);
            within(deadline, GET_PROFILE, call)
        });
        let answers = side_by_side(AT_ONCE, calls).await;
        profiles.into_iter().cloned().zip(answers).collect()
    }

    async fn simulate_one(
        &self,
        role: &RoleToSimulate,
        profiles: &BTreeMap<String, Result<String, Failure>>,
        deadline: Instant,
    ) -> Result<SimulatedRole, Failure> {
        let role_arn = match &role.role {
            RoleSource::Arn(arn) => role_of_session(arn),
            RoleSource::InstanceProfile(arn) => match profiles.get(arn) {
                Some(found) => found.clone()?,
                None => return Err(Failure::new(GET_PROFILE, Why::NotRequested, arn.clone())),
            },
        };
        let mut results = Vec::new();
        for question in &role.questions {
            for actions in question.actions.chunks(MOST_ACTIONS) {
                let answers = self.ask(&role_arn, question, actions, deadline).await;
                match answers.failure {
                    None => results.extend(answers.items),
                    Some(mut failure) => {
                        failure.detail = format!("{role_arn}: {}", failure.detail);
                        return Err(failure);
                    }
                }
            }
        }
        Ok(SimulatedRole {
            component: role.component,
            service_account: role.service_account.clone(),
            role_arn,
            via: role.via.clone(),
            results,
        })
    }

    async fn ask(
        &self,
        role_arn: &str,
        question: &Question,
        actions: &[String],
        deadline: Instant,
    ) -> Gathered<EvaluationResult> {
        gather(SIMULATE, deadline, |marker| {
            let call = self
                .iam
                .simulate_principal_policy()
                .policy_source_arn(role_arn)
                .set_action_names(Some(actions.to_vec()))
                .set_resource_arns(question.resource.clone().map(|arn| vec![arn]))
                .set_context_entries(Some(question.context.iter().map(entry).collect()))
                .set_marker(marker);
            async move {
                let answer = call.send().await;
                let output = answer.map_err(|error| Failure::of_sdk(SIMULATE, &error))?;
                Ok(Page {
                    items: output
                        .evaluation_results
                        .unwrap_or_default()
                        .into_iter()
                        .map(result)
                        .collect(),
                    next: output.marker.filter(|_| output.is_truncated),
                })
            }
        })
        .await
    }
}

async fn fetch_role_of_profile(iam: &Client, profile: &str) -> Result<String, Failure> {
    // The name is the last part of the ARN; what is before it is the path.
    let name = profile.rsplit('/').next().unwrap_or(profile);
    let answer = iam
        .get_instance_profile()
        .instance_profile_name(name)
        .send()
        .await;
    let output = answer.map_err(|error| Failure::of_sdk(GET_PROFILE, &error))?;
    output
        .instance_profile
        .and_then(|profile| profile.roles.into_iter().next())
        .map(|role| role.arn)
        .ok_or_else(|| {
            let said = format!("instance profile {name} holds no role");
            Failure::new(GET_PROFILE, Why::Failed, said)
        })
}

/// The role behind an ARN: `arn:aws:sts::123456789012:assumed-role/NAME/SESSION` is one of its
/// sessions, which IAM does not simulate. A session does not tell the path of its role.
fn role_of_session(arn: &str) -> String {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, partition, "sts", _, account, rest] = parts[..] else {
        return arn.to_owned();
    };
    match rest
        .strip_prefix("assumed-role/")
        .and_then(|rest| rest.split('/').next())
    {
        Some(name) => format!("arn:{partition}:iam::{account}:role/{name}"),
        None => arn.to_owned(),
    }
}

fn entry(from: &super::ContextValue) -> sdk::ContextEntry {
    sdk::ContextEntry::builder()
        .context_key_name(&from.key)
        .set_context_key_values(Some(from.values.clone()))
        .context_key_type(if from.values.len() == 1 {
            sdk::ContextKeyTypeEnum::String
        } else {
            sdk::ContextKeyTypeEnum::StringList
        })
        .build()
}

fn result(from: sdk::EvaluationResult) -> EvaluationResult {
    EvaluationResult {
        eval_action_name: from.eval_action_name,
        eval_decision: from.eval_decision.as_str().to_owned(),
        eval_resource_name: from.eval_resource_name.unwrap_or_default(),
        matched_statements: from
            .matched_statements
            .unwrap_or_default()
            .into_iter()
            .map(|statement| MatchedStatement {
                source_policy_id: statement.source_policy_id.unwrap_or_default(),
                source_policy_type: statement
                    .source_policy_type
                    .map(|kind| kind.as_str().to_owned())
                    .unwrap_or_default(),
            })
            .collect(),
        missing_context_values: from.missing_context_values.unwrap_or_default(),
        permissions_boundary_decision_detail: from.permissions_boundary_decision_detail.map(
            |boundary| BoundaryDecision {
                allowed_by_permissions_boundary: boundary.allowed_by_permissions_boundary,
            },
        ),
        organizations_decision_detail: from.organizations_decision_detail.map(|organizations| {
            OrganizationsDecision {
                allowed_by_organizations: organizations.allowed_by_organizations,
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arn_of_a_session_counts_for_its_role() {
        assert_eq!(
            role_of_session("arn:aws-cn:sts::123456789012:assumed-role/nodes/i-0a"),
            "arn:aws-cn:iam::123456789012:role/nodes"
        );
        for kept in [
            "arn:aws:iam::123456789012:role/path/nodes",
            "arn:aws:sts::123456789012:federated-user/x",
            "nodes",
        ] {
            assert_eq!(role_of_session(kept), kept);
        }
    }
}
