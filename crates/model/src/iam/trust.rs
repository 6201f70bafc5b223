//! Whether a role's trust policy admits a service account, judged as IAM judges it.
//!
//! Three-valued: what hangs on a value that is not known stays open. Sources: IAM user guide,
//! "Policy evaluation logic" and "IAM JSON policy elements: Condition operators"; keys of web identity
//! federation from "IAM and AWS STS condition context keys", read November 2026.

use std::fmt;

use super::policy::{PolicyDocument, Statement, like};
use super::role::{account_of_arn, issuer_of_arn};

/// Audience of the tokens that EKS mounts for IRSA, in every partition.
pub const AUDIENCE: &str = "sts.amazonaws.com";
const WEB_IDENTITY: &str = "sts:AssumeRoleWithWebIdentity";
/// Principal of EKS Pod Identity.
pub const POD_IDENTITY: &str = "pods.eks.amazonaws.com";
/// Actions that a role has to allow to Pod Identity.
const POD_IDENTITY_ACTIONS: [&str; 2] = ["sts:AssumeRole", "sts:TagSession"];

/// Who asks for a role with a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebIdentity {
    /// Issuer of the cluster, without scheme; `None` where it is not known.
    pub issuer: Option<String>,
    /// Such as `system:serviceaccount:kube-system:aws-node`.
    pub subject: String,
    /// Audience of the token.
    pub audience: String,
    /// Account of the role; `None` where it is not known.
    pub account: Option<String>,
}

/// What a trust policy says to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It lets it in.
    Admits,
    /// It does not, for these reasons: one per statement that comes near.
    Refuses(Vec<Refusal>),
    /// It hangs on these, which are not known.
    Open(Vec<String>),
}

/// Why a statement does not let a request in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No statement is about web identities.
    NoStatement,
    /// Statements are about other providers.
    Provider {
        /// What they name.
        named: String,
        /// Issuer of the cluster.
        issuer: String,
    },
    /// The provider lies in another account than the role.
    Account {
        /// What they name.
        named: String,
        /// Account of the role.
        account: String,
    },
    /// A condition is about the tokens of another issuer.
    OtherIssuer {
        /// Key of the condition.
        key: String,
        /// Issuer of the cluster.
        issuer: String,
    },
    /// A condition wants another value.
    Value {
        /// Operator of the condition.
        operator: String,
        /// Key of the condition.
        key: String,
        /// What it wants.
        wanted: Vec<String>,
        /// What the token says.
        saw: String,
    },
    /// A statement denies it.
    Denied,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStatement => {
                write!(f, "no statement allows {WEB_IDENTITY} to an OIDC provider")
            }
            Self::Provider { named, issuer } => {
                write!(f, "it trusts {named}, and the cluster's issuer is {issuer}")
            }
            Self::Account { named, account } => {
                write!(
                    f,
                    "it trusts {named}, and the role lies in account {account}"
                )
            }
            Self::OtherIssuer { key, issuer } => {
                write!(
                    f,
                    "its condition is on {key}, and the cluster's issuer is {issuer}"
                )
            }
            Self::Value {
                operator,
                key,
                wanted,
                saw,
            } => write!(
                f,
                "{operator} {key} wants {}, and the token has {saw}",
                wanted.join(" or ")
            ),
            Self::Denied => f.write_str("a statement denies it"),
        }
    }
}

/// True, false for a reason, or open for want of a value.
enum Tri {
    Yes,
    No(Refusal),
    Open(String),
}

/// Whether the trust policy admits who asks.
#[must_use]
pub fn admits(trust: &PolicyDocument, who: &WebIdentity) -> Admission {
    let (mut refusals, mut open, mut is_admitted) = (Vec::new(), Vec::new(), false);
    for statement in trust.statement.iter().filter(|one| one.names(WEB_IDENTITY)) {
        match (statement.is_deny(), holds(statement, who)) {
            (true, Tri::Yes) => return Admission::Refuses(vec![Refusal::Denied]),
            (_, Tri::Open(what)) => open.push(what),
            (false, Tri::Yes) => is_admitted = true,
            (false, Tri::No(refusal)) => refusals.push(refusal),
            (true, Tri::No(_)) => {}
        }
    }
    if is_admitted && open.is_empty() {
        Admission::Admits
    } else if !open.is_empty() {
        Admission::Open(open)
    } else if refusals.is_empty() {
        Admission::Refuses(vec![Refusal::NoStatement])
    } else {
        Admission::Refuses(refusals)
    }
}

fn holds(statement: &Statement, who: &WebIdentity) -> Tri {
    let Some(principal) = &statement.principal else {
        return Tri::Open("a statement with NotPrincipal".to_owned());
    };
    let named = &principal.federated;
    if named.is_empty() && !principal.is_anybody() {
        return Tri::No(Refusal::NoStatement);
    }
    if let Some(issuer) = &who.issuer
        && !named.is_empty()
    {
        let own = named
            .iter()
            .find(|arn| issuer_of_arn(arn) == Some(issuer.as_str()));
        match own {
            None if named.iter().any(|arn| is_redacted(arn)) || is_redacted(issuer) => {
                return Tri::Open("the provider that it names is not shown in full".to_owned());
            }
            None => {
                return Tri::No(Refusal::Provider {
                    named: named.join(" or "),
                    issuer: issuer.clone(),
                });
            }
            Some(arn) => {
                if let (Some(of_provider), Some(of_role)) = (account_of_arn(arn), &who.account)
                    && of_provider != of_role
                {
                    return Tri::No(Refusal::Account {
                        named: arn.clone(),
                        account: of_role.clone(),
                    });
                }
            }
        }
    }
    let mut open = None;
    for (operator, keys) in &statement.condition {
        for (key, wanted) in keys {
            match condition(operator, key, wanted, who, named) {
                Tri::Yes => {}
                Tri::Open(what) => open = Some(what),
                no @ Tri::No(_) => return no,
            }
        }
    }
    open.map_or(Tri::Yes, Tri::Open)
}

/// A key as far as it can be known.
enum Known {
    Value(String),
    /// The request has no such key.
    Absent {
        issuer: String,
    },
    Open,
}

fn value_of(key: &str, who: &WebIdentity, named: &[String]) -> Known {
    let Some((of, claim)) = key.rsplit_once(':') else {
        return Known::Open;
    };
    // Without knowledge of the cluster the statement's own provider is taken for the cluster's.
    let issuer = who
        .issuer
        .as_deref()
        .or_else(|| named.iter().find_map(|arn| issuer_of_arn(arn)));
    if !of.contains('.') {
        return Known::Open;
    }
    match issuer {
        Some(issuer) if !issuer.eq_ignore_ascii_case(of) => {
            if is_redacted(issuer) || is_redacted(of) {
                Known::Open
            } else {
                Known::Absent {
                    issuer: issuer.to_owned(),
                }
            }
        }
        _ => match claim.to_ascii_lowercase().as_str() {
            "sub" if who.subject.is_empty() => Known::Open,
            "sub" => Known::Value(who.subject.clone()),
            "aud" => Known::Value(who.audience.clone()),
            _ => Known::Open,
        },
    }
}

fn condition(
    operator: &str,
    key: &str,
    wanted: &[String],
    who: &WebIdentity,
    named: &[String],
) -> Tri {
    let lower = operator.to_ascii_lowercase();
    let (lower, for_all) = match lower.split_once(':') {
        Some(("forallvalues", rest)) => (rest.to_owned(), true),
        Some((_, rest)) => (rest.to_owned(), false),
        None => (lower, false),
    };
    let (base, if_exists) = match lower.strip_suffix("ifexists") {
        Some(base) => (base.to_owned(), true),
        None => (lower, false),
    };
    let known = value_of(key, who, named);
    if base == "null" {
        let wants_absent = wanted.iter().any(|value| value == "true");
        return match known {
            Known::Open => Tri::Open(format!("the value of {key}")),
            Known::Absent { .. } if wants_absent => Tri::Yes,
            Known::Value(_) if !wants_absent => Tri::Yes,
            _ => Tri::No(refused(operator, key, wanted, "one")),
        };
    }
    let (is_negated, compare): (bool, fn(&str, &str) -> bool) = match base.as_str() {
        "stringequals" => (false, |pattern, value| pattern == value),
        "stringnotequals" => (true, |pattern, value| pattern == value),
        "stringequalsignorecase" => (false, str::eq_ignore_ascii_case),
        "stringnotequalsignorecase" => (true, str::eq_ignore_ascii_case),
        "stringlike" => (false, like),
        "stringnotlike" => (true, like),
        _ => return Tri::Open(format!("{operator} on {key}")),
    };
    match known {
        Known::Open => Tri::Open(format!("the value of {key}")),
        Known::Absent { .. } if if_exists || for_all || is_negated => Tri::Yes,
        Known::Absent { issuer } => Tri::No(Refusal::OtherIssuer {
            key: key.to_owned(),
            issuer,
        }),
        Known::Value(value) => {
            if wanted.iter().any(|one| is_redacted(one)) {
                return Tri::Open(format!("{key} is not shown in full"));
            }
            let fits = wanted.iter().any(|pattern| compare(pattern, &value));
            if fits == is_negated {
                Tri::No(refused(operator, key, wanted, &value))
            } else {
                Tri::Yes
            }
        }
    }
}

fn refused(operator: &str, key: &str, wanted: &[String], saw: &str) -> Refusal {
    Refusal::Value {
        operator: operator.to_owned(),
        key: key.to_owned(),
        wanted: wanted.to_vec(),
        saw: saw.to_owned(),
    }
}

/// Whether someone blotted out part of a text before showing it.
#[must_use]
pub fn is_redacted(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["xxx", "***", "<", "...", "redacted", "example", "aaaa", "…"]
        .iter()
        .any(|mark| lower.contains(mark))
}

/// A mistake that a trust policy shows by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slip {
    /// A wildcard where it is taken literally.
    LiteralWildcard {
        /// Operator of the condition.
        operator: String,
        /// Key of the condition.
        key: String,
        /// The value.
        value: String,
    },
    /// The condition is on an issuer that the statement does not name.
    ForeignKey {
        /// Key of the condition.
        key: String,
        /// What the statement names.
        named: String,
    },
    /// The statement names a provider and allows another action.
    OtherAction {
        /// What it allows.
        actions: String,
    },
    /// The issuer's host has its parts in the wrong order.
    Host {
        /// What the statement names.
        named: String,
    },
    /// The subject is none of a service account.
    Subject {
        /// The value.
        value: String,
    },
    /// The audience is not the one of EKS's tokens.
    Audience {
        /// The value.
        value: String,
    },
}

impl fmt::Display for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LiteralWildcard {
                operator,
                key,
                value,
            } => write!(
                f,
                "{operator} takes the wildcard in {value} literally ({key}); StringLike knows wildcards"
            ),
            Self::ForeignKey { key, named } => {
                write!(
                    f,
                    "the condition is on {key}, and the statement trusts {named}"
                )
            }
            Self::OtherAction { actions } => {
                write!(
                    f,
                    "an OIDC provider is trusted for {actions}, not for {WEB_IDENTITY}"
                )
            }
            Self::Host { named } => write!(
                f,
                "{named} is no issuer of EKS: the host is oidc.eks.REGION.amazonaws.com"
            ),
            Self::Subject { value } => {
                write!(
                    f,
                    "{value} is no subject of a service account: system:serviceaccount:NAMESPACE:NAME"
                )
            }
            Self::Audience { value } => {
                write!(f, "audience {value}, and EKS's tokens are for {AUDIENCE}")
            }
        }
    }
}

/// The mistakes that a trust policy shows by itself, whoever asks.
#[must_use]
pub fn slips(trust: &PolicyDocument) -> Vec<Slip> {
    let mut found = Vec::new();
    for statement in trust.statement.iter().filter(|one| !one.is_deny()) {
        let Some(principal) = &statement.principal else {
            continue;
        };
        let issuers: Vec<&str> = principal
            .federated
            .iter()
            .filter_map(|arn| issuer_of_arn(arn))
            .collect();
        if issuers.is_empty() {
            continue;
        }
        if !statement.names(WEB_IDENTITY) {
            found.push(Slip::OtherAction {
                actions: statement.action.join(", "),
            });
        }
        for issuer in &issuers {
            let host = issuer.split('/').next().unwrap_or(issuer);
            if host.starts_with("oidc.") && host.contains(".eks.") && !host.starts_with("oidc.eks.")
            {
                found.push(Slip::Host {
                    named: (*issuer).to_owned(),
                });
            }
        }
        for (operator, keys) in &statement.condition {
            for (key, values) in keys {
                slips_of(operator, key, values, &issuers, &mut found);
            }
        }
    }
    found
}

fn slips_of(operator: &str, key: &str, values: &[String], issuers: &[&str], found: &mut Vec<Slip>) {
    let Some((of, claim)) = key.rsplit_once(':').filter(|(of, _)| of.contains('.')) else {
        return;
    };
    let is_own = issuers.iter().any(|issuer| issuer.eq_ignore_ascii_case(of));
    if !is_own && !is_redacted(of) && !issuers.iter().any(|issuer| is_redacted(issuer)) {
        found.push(Slip::ForeignKey {
            key: key.to_owned(),
            named: issuers.join(" or "),
        });
    }
    let lower = operator.to_ascii_lowercase();
    let is_equals = lower.contains("equals") && !lower.contains("not");
    let is_like = lower.contains("like") && !lower.contains("not");
    for value in values.iter().filter(|value| !is_redacted(value)) {
        let has_wildcard = value.contains(['*', '?']);
        if is_equals && has_wildcard && claim != "aud" {
            found.push(Slip::LiteralWildcard {
                operator: operator.to_owned(),
                key: key.to_owned(),
                value: value.clone(),
            });
        }
        if claim == "sub" && (is_equals || is_like) && !may_be_subject(value) {
            found.push(Slip::Subject {
                value: value.clone(),
            });
        }
        if claim == "aud" && (is_equals || is_like) && values.len() == 1 && !like(value, AUDIENCE) {
            found.push(Slip::Audience {
                value: value.clone(),
            });
        }
    }
}

/// Whether a pattern can fit a service account's subject.
fn may_be_subject(pattern: &str) -> bool {
    let literal = pattern.split(['*', '?']).next().unwrap_or_default();
    let prefix = "system:serviceaccount:";
    if literal.len() < prefix.len() {
        return prefix.starts_with(literal) && literal.len() < pattern.len();
    }
    let Some(rest) = pattern.strip_prefix(prefix) else {
        return false;
    };
    match rest.split_once(':') {
        Some((namespace, name)) => !namespace.is_empty() && !name.is_empty() && !name.contains(':'),
        None => rest.contains('*'),
    }
}

/// Actions that the trust policy lacks for Pod Identity; `None` where a condition leaves it open.
#[must_use]
pub fn lacks_for_pod_identity(trust: &PolicyDocument) -> Option<Vec<&'static str>> {
    let mut lacking = Vec::new();
    let mut is_open = false;
    for action in POD_IDENTITY_ACTIONS {
        let mut statements = trust.statement.iter().filter(|statement| {
            !statement.is_deny()
                && statement.names(action)
                && statement.principal.as_ref().is_some_and(|principal| {
                    principal.is_anybody()
                        || principal
                            .service
                            .iter()
                            .any(|one| one.starts_with("pods.eks."))
                })
        });
        match statements.next() {
            None => lacking.push(action),
            Some(first) => {
                is_open |=
                    !first.condition.is_empty() && statements.all(|one| !one.condition.is_empty());
            }
        }
    }
    if lacking.is_empty() && is_open {
        None
    } else {
        Some(lacking)
    }
}

#[cfg(test)]
mod tests;
