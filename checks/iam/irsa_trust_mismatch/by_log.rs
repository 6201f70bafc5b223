//! What logs say of roles that were refused, or are not there.

use eksnet_model::{Confidence, Cx, Finding, Severity, Speaker, Subject, SubjectKind};

use super::META;
use super::accounts::Named;
use super::by_policy::{remedy, short};

/// How far back a refusal counts, in seconds: SDKs ask anew when credentials run out, hourly.
const RECENT_S: i64 = 3600;
const DENIED: &str = "sts-trust-denied";
const MISSING: &str = "iam-no-such-role";

/// Adds what logs say to what the policies say, or makes findings of it alone.
pub(super) fn join(cx: &Cx<'_>, accounts: &[Named], mut judged: Vec<Finding>) -> Vec<Finding> {
    for said in Speaker::in_logs(cx, &[DENIED, MISSING], RECENT_S) {
        let same = |finding: &Finding| {
            finding.at.workloads.is_empty()
                || said.place.workloads.is_empty()
                || finding
                    .at
                    .workloads
                    .iter()
                    .any(|one| said.place.workloads.contains(one))
        };
        match judged.iter().position(same) {
            Some(at) => {
                let finding = judged.remove(at);
                judged.insert(
                    at,
                    finding
                        .facts(said.facts("refused by STS"))
                        .signal("from-log")
                        .confidence(Confidence::Confirmed),
                );
            }
            None => judged.push(alone(cx, accounts, &said)),
        }
    }
    judged
}

fn alone(cx: &Cx<'_>, accounts: &[Named], said: &Speaker<'_>) -> Finding {
    let who = said.caller();
    let account = named_by(cx, accounts, said);
    let role = said
        .values("role")
        .into_iter()
        .next()
        .map(short)
        .or(account.map(|account| short(&account.role_arn)));
    let is_missing = said.has(MISSING) && !said.has(DENIED);
    let title = match (is_missing, role) {
        (true, Some(role)) => format!("Role {role} does not exist, and {who} is to use it"),
        (true, None) => format!("The role that {who} is to use does not exist"),
        (false, Some(role)) => format!("Role {role} does not trust the service account of {who}"),
        (false, None) => {
            format!("The role that {who} names does not trust its service account")
        }
    };
    let severity = if who.ends_with("aws-node") {
        Severity::Critical
    } else {
        Severity::Error
    };
    let mut finding = META
        .finding(severity, title)
        // STS says this for two reasons alone: the trust policy does not fit, or there is no such role.
        .confidence(Confidence::Confirmed)
        .detail(if is_missing { "IAM knows no role of that name in this account: it was deleted, renamed, or never made." } else { "STS knows the cluster's OIDC provider and refuses the role: provider, sub or aud in its trust policy do not fit the token, or there is no role of that name." })
        .subject(said.subject())
        .facts(said.facts(if is_missing { "no such role" } else { "refused by STS" }))
        .signal(if is_missing { "role-missing" } else { "from-log" });
    if let Some(role) = role {
        finding = finding.subject(Subject::new(SubjectKind::Role, role));
    }
    if said.place != eksnet_model::Place::default() {
        finding = finding.at(said.place.clone()).reaches(said.place.clone());
    }
    if account.is_none() {
        let (namespace, _) = said.target();
        finding = finding.confirm(format!(
            "kubectl -n {namespace} get serviceaccounts -o custom-columns='NAME:.metadata.name,ROLE:.metadata.annotations.eks\\.amazonaws\\.com/role-arn'"
        ));
    }
    if is_missing {
        let (namespace, name) = account.map_or(("NAMESPACE", "SERVICE_ACCOUNT"), |account| {
            (&account.namespace, &account.name)
        });
        return finding
            .confirm(format!("aws iam get-role --role-name {}", role.unwrap_or("ROLE")))
            .fix(format!(
                "kubectl -n {namespace} annotate serviceaccount {name} --overwrite eks.amazonaws.com/role-arn=ARN_OF_A_ROLE_THAT_EXISTS   # then restart its pods"
            ));
    }
    remedy(cx, finding, role.unwrap_or("ROLE"), account)
}

/// The account that whoever said it runs as: by its pod, else the only one in the evidence.
fn named_by<'n>(cx: &Cx<'_>, accounts: &'n [Named], said: &Speaker<'_>) -> Option<&'n Named> {
    let workload = said.workload.as_deref();
    let own = accounts
        .iter()
        .find(|account| workload.is_some_and(|own| account.workloads(cx).contains(own)));
    own.or(match accounts {
        [only] => Some(only),
        _ => None,
    })
}
