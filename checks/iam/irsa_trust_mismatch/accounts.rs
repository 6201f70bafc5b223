//! The service accounts that name a role, as far as the evidence shows them.

use std::collections::BTreeSet;

use eksnet_model::iam::trust::AUDIENCE;
use eksnet_model::iam::{Role, name_of_arn};
use eksnet_model::{Component, Cx, Running};

pub(super) const ROLE: &str = "eks.amazonaws.com/role-arn";
const AUDIENCE_KEY: &str = "eks.amazonaws.com/audience";

/// A service account and the role that it names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) role_arn: String,
    pub(super) audience: String,
}

impl Named {
    pub(super) fn subject(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    pub(super) fn role<'r>(&self, roles: &'r [Role]) -> Option<&'r Role> {
        let same = |role: &&Role| {
            if role.arn.is_empty() {
                role.name() == name_of_arn(&self.role_arn)
            } else {
                role.arn == self.role_arn
            }
        };
        roles.iter().find(same)
    }

    /// Workloads of its pods.
    pub(super) fn workloads(&self, cx: &Cx<'_>) -> BTreeSet<String> {
        cx.topology()
            .pods()
            .filter(|pod| {
                pod.metadata.namespace == self.namespace
                    && pod.spec.service_account_name == self.name
            })
            .map(eksnet_model::kubernetes::Pod::workload)
            .collect()
    }
}

/// By annotation, else by the variables of a pod that runs as the account, else by a token of it.
pub(super) fn named(cx: &Cx<'_>) -> Vec<Named> {
    let mut found = BTreeSet::new();
    for account in cx.service_accounts().optional().into_iter().flatten() {
        let annotations = &account.metadata.annotations;
        if let Some(arn) = annotations.get(ROLE) {
            found.insert(Named {
                namespace: account.metadata.namespace.clone(),
                name: account.metadata.name.clone(),
                role_arn: arn.clone(),
                audience: annotations
                    .get(AUDIENCE_KEY)
                    .map_or(AUDIENCE, String::as_str)
                    .to_owned(),
            });
        }
    }
    for pod in cx.pods().optional().into_iter().flatten() {
        let account = &pod.spec.service_account_name;
        let is_known =
            |one: &Named| one.namespace == pod.metadata.namespace && one.name == *account;
        let arn = Running::of(Component::of_pod(pod), &pod.spec)
            .and_then(|running| running.env("AWS_ROLE_ARN"));
        if let Some(arn) = arn
            && !account.is_empty()
            && !found.iter().any(is_known)
        {
            found.insert(Named {
                namespace: pod.metadata.namespace.clone(),
                name: account.clone(),
                role_arn: arn.to_owned(),
                audience: AUDIENCE.to_owned(),
            });
        }
    }
    let roles = cx.roles().optional().map(Vec::as_slice).unwrap_or_default();
    for claims in cx.token_claims().optional().into_iter().flatten() {
        let Some((namespace, name)) = claims.service_account() else {
            continue;
        };
        let is_known = found
            .iter()
            .any(|one| one.namespace == namespace && one.name == name);
        // Whoever shows one token and one role shows the two that belong together.
        if let ([role], false) = (roles, is_known) {
            found.insert(Named {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                role_arn: role.arn.clone(),
                audience: claims
                    .aud
                    .first()
                    .map_or(AUDIENCE, String::as_str)
                    .to_owned(),
            });
        }
    }
    found.into_iter().collect()
}

/// Issuer of the cluster, without scheme.
pub(super) fn issuer(cx: &Cx<'_>) -> Option<String> {
    let cluster = cx.eks_cluster().optional();
    let by_cluster = cluster.map(|cluster| cluster.identity.oidc.issuer.as_str());
    let by_token = cx
        .token_claims()
        .optional()
        .into_iter()
        .flatten()
        .map(|claims| claims.iss.as_str())
        .next();
    by_cluster
        .filter(|url| !url.is_empty())
        .or(by_token)
        .map(|url| eksnet_model::iam::without_scheme(url).to_owned())
}
