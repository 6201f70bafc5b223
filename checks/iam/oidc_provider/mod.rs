//! `iam/oidc-provider`: IAM has no OIDC provider for the cluster's issuer, or one that refuses its tokens.

mod by_log;

use std::collections::BTreeSet;

use eksnet_model::iam::trust::{AUDIENCE, is_redacted};
use eksnet_model::iam::{OidcProvider, account_of_arn, without_scheme};
use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Meta, Role, Severity, Source, Stop, Subject, SubjectKind,
};

const META: Meta = Meta {
    id: "iam/oidc-provider",
    title: "IAM has no OIDC provider that takes the cluster's tokens",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[
        Source::ServiceAccounts,
        Source::Cluster,
        Source::OidcProviders,
    ],
    helps: &[Source::Logs],
    signals: &[
        "missing",
        "audience",
        "thumbprint",
        "issuer-unreachable",
        "from-log",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let listed = by_list(cx);
    let findings = by_log::join(cx, listed.as_deref().unwrap_or_default());
    if findings.is_empty() {
        listed
    } else {
        Ok(findings)
    }
}

/// What the list of providers says.
fn by_list(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let accounts = cx.service_accounts().some()?;
    let roles: Vec<&String> = accounts
        .iter()
        .filter_map(|account| {
            account
                .metadata
                .annotations
                .get("eks.amazonaws.com/role-arn")
        })
        .collect();
    if roles.is_empty() {
        return Err(Stop::not_applicable("no service account names a role"));
    }
    let cluster = cx.eks_cluster().some()?;
    let issuer = without_scheme(&cluster.identity.oidc.issuer);
    if issuer.is_empty() {
        return Err(Stop::not_applicable("the cluster has no OIDC issuer"));
    }
    let providers = cx.oidc_providers().some()?;
    let own = providers.iter().find(|one| one.issuer() == issuer);
    let Some(own) = own else {
        let providers = cx.oidc_providers().all()?;
        let is_elsewhere = roles
            .iter()
            .all(|role| is_of_another_account(cx, role, providers));
        // Roles of another account need the provider there, and this list says nothing of it.
        if is_elsewhere || is_redacted(issuer) {
            return Ok(Vec::new());
        }
        return Ok(vec![missing(cx, issuer, providers, roles.len())]);
    };
    let Some(audiences) = &own.client_id_list else {
        return Ok(Vec::new());
    };
    let wanted: BTreeSet<&str> = accounts
        .iter()
        .filter(|account| {
            account
                .metadata
                .annotations
                .contains_key("eks.amazonaws.com/role-arn")
        })
        .map(|account| {
            let own = account
                .metadata
                .annotations
                .get("eks.amazonaws.com/audience");
            own.map_or(AUDIENCE, String::as_str)
        })
        .collect();
    Ok(wanted
        .into_iter()
        .filter(|wanted| !audiences.iter().any(|one| one == wanted))
        .map(|wanted| audience(own, wanted, audiences))
        .collect())
}

fn is_of_another_account(cx: &Cx<'_>, role: &str, providers: &[OidcProvider]) -> bool {
    let own = cx.cluster().account.as_deref().or_else(|| {
        providers
            .iter()
            .find_map(|provider| account_of_arn(&provider.arn))
    });
    matches!((account_of_arn(role), own), (Some(role), Some(own)) if role != own)
}

fn missing(cx: &Cx<'_>, issuer: &str, providers: &[OidcProvider], roles: usize) -> Finding {
    let others: Vec<&str> = providers
        .iter()
        .map(OidcProvider::issuer)
        .filter(|one| one.starts_with("oidc.eks."))
        .take(5)
        .collect();
    let saw = if others.is_empty() {
        "no provider of EKS".to_owned()
    } else {
        others.join(", ")
    };
    let accounts = if roles == 1 {
        "account names"
    } else {
        "accounts name"
    };
    base(issuer, format!("IAM has no OIDC provider for the cluster's issuer, and {roles} service {accounts} a role"))
        .confidence(Confidence::Confirmed)
        .detail("STS refuses every token of this cluster until its issuer is known to IAM in the account of the role.")
        .fact(Fact::new(Source::OidcProviders, "account", "providers", saw).expected(issuer))
        .fact(Fact::new(Source::Cluster, cx.cluster_name(), "identity.oidc.issuer", issuer))
        .signal("missing")
        .fix(make(cx, issuer))
}

/// The command that makes the provider.
fn make(cx: &Cx<'_>, issuer: &str) -> String {
    if cx.cluster().name.is_some() {
        format!(
            "eksctl utils associate-iam-oidc-provider --cluster {} --approve",
            cx.cluster_name()
        )
    } else {
        format!(
            "aws iam create-open-id-connect-provider --url https://{issuer} --client-id-list {AUDIENCE}"
        )
    }
}

fn audience(provider: &OidcProvider, wanted: &str, audiences: &[String]) -> Finding {
    let issuer = provider.issuer();
    base(
        issuer,
        format!("The OIDC provider of the cluster does not list audience {wanted}"),
    )
    .confidence(Confidence::Confirmed)
    .detail("STS refuses tokens whose audience is not among the provider's client ids: Incorrect token audience.")
    .fact(
        Fact::new(Source::OidcProviders, issuer, "ClientIDList", audiences.join(", "))
            .expected(wanted),
    )
    .signal("audience")
    .fix(format!(
        "aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn {} --client-id {wanted}",
        if provider.arn.is_empty() { "PROVIDER_ARN" } else { &provider.arn }
    ))
}

fn base(issuer: &str, title: String) -> Finding {
    META.finding(Severity::Critical, title)
        .subject(Subject::new(SubjectKind::Other, issuer))
        .confirm("aws iam list-open-id-connect-providers")
}
