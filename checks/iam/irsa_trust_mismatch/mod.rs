//! `iam/irsa-trust-mismatch`: a role is not there, or its trust policy does not admit the service account.

mod accounts;
mod by_log;
mod by_policy;

use eksnet_model::{Check, Cx, Finding, Meta, Role, Severity, Source, Stop};

const META: Meta = Meta {
    id: "iam/irsa-trust-mismatch",
    title: "A role's trust policy does not admit the service account that names it",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::ServiceAccounts, Source::Roles],
    helps: &[
        Source::Cluster,
        Source::TokenClaims,
        Source::Pods,
        Source::Logs,
    ],
    signals: &["from-log", "from-policy", "role-missing"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let accounts = accounts::named(cx);
    let judged = by_policy::judge(cx, &accounts);
    let findings = by_log::join(cx, &accounts, judged);
    if !findings.is_empty() {
        return Ok(findings);
    }
    let known = cx.service_accounts().some()?;
    if accounts.is_empty() && !known.is_empty() {
        return Err(Stop::not_applicable("no service account names a role"));
    }
    cx.roles().some()?;
    by_policy::open(cx, &accounts)?;
    Ok(findings)
}
