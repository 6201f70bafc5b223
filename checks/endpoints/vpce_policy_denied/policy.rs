//! What the policy of a VPC endpoint lets pass.

use serde_json::Value;

/// Whether a policy lets an action on a resource pass, for whoever calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lets {
    Pass,
    /// By no statement, or against one that denies it.
    Deny,
    /// A condition or a principal decides.
    Hangs,
}

/// Judges a policy document. What is no document lets pass: an endpoint without one has the default.
pub(super) fn judge(document: &str, action: &str, resource: &str) -> Lets {
    let Ok(policy) = serde_json::from_str::<Value>(document) else {
        return Lets::Pass;
    };
    let (mut allowed, mut hangs) = (false, false);
    for statement in each(&policy["Statement"]) {
        let covers = covered(statement, "Action", "NotAction", action)
            && covered(statement, "Resource", "NotResource", resource);
        if !covers {
            continue;
        }
        let depends = !statement["Condition"].is_null() || !is_anyone(&statement["Principal"]);
        match statement["Effect"].as_str() {
            Some("Deny") if !depends => return Lets::Deny,
            Some("Allow") if !depends => allowed = true,
            _ => hangs = true,
        }
    }
    match (allowed, hangs) {
        (true, false) => Lets::Pass,
        (_, true) => Lets::Hangs,
        (false, false) => Lets::Deny,
    }
}

fn each(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(all) => all.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

fn covered(statement: &Value, of: &str, not: &str, what: &str) -> bool {
    let matches = |value: &Value| {
        each(value)
            .into_iter()
            .filter_map(Value::as_str)
            .any(|pattern| glob(&pattern.to_ascii_lowercase(), &what.to_ascii_lowercase()))
    };
    if statement[of].is_null() {
        !statement[not].is_null() && !matches(&statement[not])
    } else {
        matches(&statement[of])
    }
}

fn is_anyone(principal: &Value) -> bool {
    let star = |value: &Value| each(value).into_iter().any(|one| one.as_str() == Some("*"));
    principal.is_null() || star(principal) || star(&principal["AWS"])
}

/// IAM's patterns: `*` for any text, `?` for any character.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => {
            pattern.len() == text.len()
                && pattern
                    .bytes()
                    .zip(text.bytes())
                    .all(|(p, t)| p == b'?' || p == t)
        }
        Some((head, rest)) => {
            let Some((start, tail)) = text.split_at_checked(head.len()) else {
                return false;
            };
            glob(head, start)
                && (0..=tail.len())
                    .filter_map(|at| tail.get(at..))
                    .any(|tail| glob(rest, tail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN_BUCKETS: &str = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::mine","arn:aws:s3:::mine/*"]}]}"#;

    #[test]
    fn a_policy_for_own_buckets_lets_no_layer_pass() {
        let layer = "arn:aws:s3:::prod-eu-west-1-starport-layer-bucket/x";
        assert_eq!(judge(OWN_BUCKETS, "s3:GetObject", layer), Lets::Deny);
        assert_eq!(
            judge(OWN_BUCKETS, "s3:GetObject", "arn:aws:s3:::mine/a"),
            Lets::Pass
        );
    }

    #[test]
    fn conditions_and_principals_leave_it_open() {
        let policy = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}}]}"#;
        assert_eq!(judge(policy, "s3:GetObject", "a"), Lets::Hangs);
        let policy = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:root"},"Action":"*","Resource":"*"}}"#;
        assert_eq!(judge(policy, "s3:GetObject", "a"), Lets::Hangs);
        assert_eq!(judge("", "s3:GetObject", "a"), Lets::Pass);
    }

    #[test]
    fn a_denial_beats_what_is_allowed() {
        let policy = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"},{"Effect":"Deny","Principal":"*","NotAction":"sts:*","Resource":"*"}]}"#;
        assert_eq!(judge(policy, "ec2:DescribeInstances", "*"), Lets::Deny);
        assert_eq!(judge(policy, "sts:GetCallerIdentity", "*"), Lets::Pass);
    }
}
