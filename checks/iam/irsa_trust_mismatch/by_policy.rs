//! What the trust policies say, judged as IAM judges them.

use eksnet_model::iam::trust::{Admission, WebIdentity, admits, slips};
use eksnet_model::iam::{Role, account_of_arn, name_of_arn};
use eksnet_model::{
    Confidence, Cx, Fact, Finding, Gap, Place, Severity, Source, Stop, Subject, SubjectKind, Why,
};

use super::META;
use super::accounts::{Named, issuer};

/// Findings of the roles whose trust policy is in the evidence.
pub(super) fn judge(cx: &Cx<'_>, accounts: &[Named]) -> Vec<Finding> {
    let roles = cx.roles().optional().map(Vec::as_slice).unwrap_or_default();
    let mut findings = Vec::new();
    for account in accounts {
        let Some(role) = account.role(roles) else {
            continue;
        };
        if let Some(Admission::Refuses(reasons)) = admission(cx, account, role) {
            let reasons = reasons.iter().map(ToString::to_string).collect();
            findings.push(refused(cx, account, role, reasons));
        }
    }
    let is_judged = |role: &Role| {
        accounts
            .iter()
            .any(|account| account.role(std::slice::from_ref(role)).is_some())
    };
    for role in roles.iter().filter(|role| !is_judged(role)) {
        findings.extend(by_itself(cx, role, accounts));
    }
    findings
}

fn admission(cx: &Cx<'_>, account: &Named, role: &Role) -> Option<Admission> {
    let trust = role.assume_role_policy_document.as_ref()?;
    let arn = if role.arn.is_empty() {
        &account.role_arn
    } else {
        &role.arn
    };
    let who = WebIdentity {
        issuer: issuer(cx),
        subject: account.subject(),
        audience: account.audience.clone(),
        account: account_of_arn(arn).map(str::to_owned),
    };
    Some(admits(trust, &who))
}

/// What leaves it open whether the accounts are admitted.
pub(super) fn open(cx: &Cx<'_>, accounts: &[Named]) -> Result<(), Stop> {
    let roles = cx.roles().some()?;
    for account in accounts {
        let gap =
            |detail: String| Err(Stop::unknown(Gap::new(Source::Roles, Why::Sampled, detail)));
        let Some(role) = account.role(roles) else {
            return gap(format!("role {} was not read", account.role_arn));
        };
        match admission(cx, account, role) {
            None => return gap(format!("the trust policy of {} was not read", role.name())),
            Some(Admission::Open(what)) => {
                return gap(format!(
                    "the trust policy of {} hangs on {}",
                    role.name(),
                    what.join(", ")
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn refused(cx: &Cx<'_>, account: &Named, role: &Role, reasons: Vec<String>) -> Finding {
    let name = match (role.name(), name_of_arn(&account.role_arn)) {
        ("", "") => "ROLE",
        ("", named) => named,
        (own, _) => own,
    };
    let who = format!("{}/{}", account.namespace, account.name);
    // Without the CNI no pod gets an address.
    let severity = if account.name == "aws-node" {
        Severity::Critical
    } else {
        Severity::Error
    };
    let mut place = Place::default();
    place
        .workloads
        .extend(account.workloads(cx).into_iter().map(Into::into));
    let mut finding = META
        .finding(
            severity,
            match name {
                "ROLE" => format!("The trust policy does not admit service account {who}"),
                name => format!("Role {name} does not trust service account {who}"),
            },
        )
        .confidence(Confidence::Confirmed)
        .detail("STS refuses the account's token for this role: its pods have no credentials, or go on with those of the node.")
        .subject(Subject::namespaced(
            SubjectKind::ServiceAccount,
            account.namespace.as_str(),
            account.name.as_str(),
        ))
        .signal("from-policy");
    if account.role_arn.is_empty() {
        finding = finding.subject(Subject::new(SubjectKind::Role, name));
    } else {
        finding = finding
            .subject(Subject::new(SubjectKind::Role, name).with_id(account.role_arn.as_str()))
            .fact(Fact::new(
                Source::ServiceAccounts,
                format!("ServiceAccount {who}"),
                "role",
                account.role_arn.as_str(),
            ));
    }
    for reason in reasons {
        finding = finding.fact(
            Fact::new(
                Source::Roles,
                format!("Role {name}"),
                "trust policy",
                reason,
            )
            .expected(account.subject()),
        );
    }
    if place != Place::default() {
        finding = finding.at(place.clone()).reaches(place);
    }
    remedy(cx, finding, name, Some(account))
}

/// What a policy shows to be wrong without knowing who asks.
fn by_itself(cx: &Cx<'_>, role: &Role, accounts: &[Named]) -> Option<Finding> {
    let trust = role.assume_role_policy_document.as_ref()?;
    let slips = slips(trust);
    if slips.is_empty() {
        return None;
    }
    let name = match role.name() {
        "" => "ROLE",
        name => name,
    };
    let title = match role.name() {
        "" => "The trust policy admits no token of EKS as it is written".to_owned(),
        name => format!("Role {name} admits no token of EKS as its trust policy is written"),
    };
    let mut finding = META
        .finding(Severity::Error, title)
        .confidence(Confidence::Likely)
        .detail("A condition of IAM is compared to the letter; where it does not fit, STS refuses with AccessDenied and does not say why.")
        .subject(Subject::new(SubjectKind::Role, name))
        .signal("from-policy");
    for slip in slips {
        finding = finding.fact(Fact::new(
            Source::Roles,
            format!("Role {name}"),
            "trust policy",
            slip.to_string(),
        ));
    }
    Some(remedy(
        cx,
        finding,
        name,
        accounts.first().filter(|_| accounts.len() == 1),
    ))
}

/// The commands that show and mend a trust policy.
pub(super) fn remedy(
    cx: &Cx<'_>,
    finding: Finding,
    role: &str,
    account: Option<&Named>,
) -> Finding {
    let issuer = issuer(cx);
    let issuer = issuer.as_deref().unwrap_or("ISSUER_WITHOUT_HTTPS");
    let number = account
        .and_then(|account| account_of_arn(&account.role_arn))
        .or(cx.cluster().account.as_deref())
        .unwrap_or("ACCOUNT");
    let subject = account.map_or_else(
        || "system:serviceaccount:NAMESPACE:NAME".to_owned(),
        Named::subject,
    );
    let audience = account.map_or("sts.amazonaws.com", |account| &account.audience);
    let partition = cx.cluster().partition.as_deref().unwrap_or("aws");
    finding
        .confirm(format!(
            "aws iam get-role --role-name {role} --query Role.AssumeRolePolicyDocument"
        ))
        .confirm(format!(
            "aws eks describe-cluster --name {} --query cluster.identity.oidc.issuer --output text",
            cx.cluster_name()
        ))
        .fix(format!(
            "aws iam update-assume-role-policy --role-name {role} --policy-document '{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":{{\"Federated\":\"arn:{partition}:iam::{number}:oidc-provider/{issuer}\"}},\"Action\":\"sts:AssumeRoleWithWebIdentity\",\"Condition\":{{\"StringEquals\":{{\"{issuer}:sub\":\"{subject}\",\"{issuer}:aud\":\"{audience}\"}}}}}}]}}'"
        ))
}

/// Name of the role in an ARN, for a finding that knows no more.
pub(super) fn short(arn: &str) -> &str {
    name_of_arn(arn)
}
