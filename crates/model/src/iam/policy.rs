//! Policy documents, as IAM takes and prints them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

/// Conditions: operator, then key, then the values of which one must fit.
pub type Conditions = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// A policy document. The API gives it URL-encoded, the CLI decoded; both are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyDocument {
    /// Statements.
    pub statement: Vec<Statement>,
}

/// A statement. Of its elements those that are lists may be written as one string.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Statement {
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// `Allow` or `Deny`.
    pub effect: String,
    /// Whom it speaks of, in trust policies and policies of resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principal>,
    /// Whom it does not speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_principal: Option<Principal>,
    /// Actions, with wildcards.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub action: Vec<String>,
    /// All actions but these.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub not_action: Vec<String>,
    /// Resources, with wildcards.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub resource: Vec<String>,
    /// All resources but these.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub not_resource: Vec<String>,
    /// Operator, then key, then the values of which one must fit.
    #[serde(
        deserialize_with = "conditions",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub condition: Conditions,
}

/// Whom a statement speaks of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Principal {
    /// Accounts, users, roles; `*` is anybody.
    #[serde(rename = "AWS", skip_serializing_if = "Vec::is_empty")]
    pub aws: Vec<String>,
    /// Services, such as `pods.eks.amazonaws.com`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub service: Vec<String>,
    /// Identity providers, such as the ARN of an OIDC provider.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub federated: Vec<String>,
}

/// What a policy says of an action, resources and conditions aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it without condition, and none denies it.
    Allowed,
    /// Only statements with conditions, or for single resources, speak of it.
    Depends,
    /// A statement without condition denies it for every resource.
    Denied,
    /// No statement speaks of it.
    Silent,
}

impl PolicyDocument {
    /// Reads a document: an object, its JSON as a text, or that text URL-encoded.
    ///
    /// # Errors
    /// Says what is wrong, where it is none of them.
    pub fn parse(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => {
                let decoded = percent_decoded(text);
                let value: Value =
                    serde_json::from_str(&decoded).map_err(|error| error.to_string())?;
                match value {
                    Value::Object(_) => Self::parse(&value),
                    _ => Err("a policy document is a JSON object".to_owned()),
                }
            }
            Value::Object(fields) => {
                let statements = match fields.get("Statement") {
                    Some(Value::Array(many)) => many.clone(),
                    Some(one @ Value::Object(_)) => vec![one.clone()],
                    _ => return Err("a policy document has a Statement".to_owned()),
                };
                let statement = statements
                    .into_iter()
                    .map(serde_json::from_value)
                    .collect::<Result<_, _>>()
                    .map_err(|error| error.to_string())?;
                Ok(Self { statement })
            }
            _ => Err("a policy document is a JSON object".to_owned()),
        }
    }

    /// What the document says of an action such as `autoscaling:SetDesiredCapacity`.
    #[must_use]
    pub fn decision(&self, action: &str) -> Decision {
        let mut decision = Decision::Silent;
        for statement in self.statement.iter().filter(|one| one.names(action)) {
            let plain = statement.condition.is_empty() && statement.is_for_all_resources();
            match (statement.is_deny(), plain) {
                (true, true) => return Decision::Denied,
                (true, false) => decision = Decision::Depends,
                (false, true) if decision == Decision::Silent => decision = Decision::Allowed,
                (false, false) if decision == Decision::Silent => decision = Decision::Depends,
                (false, _) => {}
            }
        }
        // A denial under a condition outweighs, wherever it stands; one that allows plainly outweighs
        // those that allow under conditions.
        let denies = |one: &&Statement| one.is_deny() && one.names(action);
        let allows_plainly = |one: &Statement| {
            !one.is_deny()
                && one.names(action)
                && one.condition.is_empty()
                && one.is_for_all_resources()
        };
        if decision == Decision::Depends
            && self.statement.iter().filter(denies).count() == 0
            && self.statement.iter().any(allows_plainly)
        {
            return Decision::Allowed;
        }
        decision
    }

    /// Whether it is a trust policy: its statements name principals.
    #[must_use]
    pub fn is_trust(&self) -> bool {
        self.statement.iter().any(|one| {
            (one.principal.is_some() || one.not_principal.is_some())
                && one.action.iter().any(|action| {
                    let action = action.to_ascii_lowercase();
                    action.starts_with("sts:") || action == "*"
                })
        })
    }
}

impl Statement {
    /// Whether it denies.
    #[must_use]
    pub fn is_deny(&self) -> bool {
        self.effect.eq_ignore_ascii_case("Deny")
    }

    /// Whether it speaks of an action. Actions are not case-sensitive.
    #[must_use]
    pub fn names(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        let is = |pattern: &String| like(&pattern.to_ascii_lowercase(), &action);
        if self.not_action.is_empty() {
            self.action.iter().any(is)
        } else {
            !self.not_action.iter().any(is)
        }
    }

    fn is_for_all_resources(&self) -> bool {
        self.not_resource.is_empty()
            && (self.resource.is_empty() || self.resource.iter().any(|resource| resource == "*"))
    }
}

impl Principal {
    /// Whether it is anybody.
    #[must_use]
    pub fn is_anybody(&self) -> bool {
        self.aws.iter().any(|one| one == "*")
    }
}

/// Whether a text fits a pattern of IAM: `*` is any run of characters, `?` one.
#[must_use]
pub fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut of) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while at < text.len() {
        if of < pattern.len() && pattern[of] == '*' {
            back = Some((of, at));
            of += 1;
        } else if of < pattern.len() && (pattern[of] == '?' || pattern[of] == text[at]) {
            of += 1;
            at += 1;
        } else if let Some((star, from)) = back {
            of = star + 1;
            at = from + 1;
            back = Some((star, from + 1));
        } else {
            return false;
        }
    }
    pattern[of..].iter().all(|c| *c == '*')
}

/// `%7B` and its like decoded; a text without them is left as it is.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match hex {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Array(many) => many.iter().flat_map(words).collect(),
        Value::String(one) => vec![one.clone()],
        Value::Null => Vec::new(),
        other => vec![other.to_string()],
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Value::deserialize(from).map(|value| words(&value))
}

fn conditions<'de, D: Deserializer<'de>>(from: D) -> Result<Conditions, D::Error> {
    let Value::Object(operators) = Value::deserialize(from)? else {
        return Ok(BTreeMap::new());
    };
    Ok(operators
        .into_iter()
        .map(|(operator, keys)| {
            let keys = match keys {
                Value::Object(keys) => keys
                    .into_iter()
                    .map(|(key, value)| (key, words(&value)))
                    .collect(),
                _ => BTreeMap::new(),
            };
            (operator, keys)
        })
        .collect())
}

impl<'de> Deserialize<'de> for PolicyDocument {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&Value::deserialize(from)?).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(from)? {
            Value::Object(kinds) => {
                let of = |kind: &str| kinds.get(kind).map(words).unwrap_or_default();
                Self {
                    aws: of("AWS"),
                    service: of("Service"),
                    federated: of("Federated"),
                }
            }
            anybody => Self {
                aws: words(&anybody),
                ..Self::default()
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_read_as_object_as_text_and_url_encoded() {
        let object = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}});
        let parsed = PolicyDocument::parse(&object).unwrap();
        let text = Value::String(object.to_string());
        assert_eq!(PolicyDocument::parse(&text).unwrap(), parsed);
        let encoded: String = object
            .to_string()
            .bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect();
        assert_eq!(
            PolicyDocument::parse(&Value::String(encoded)).unwrap(),
            parsed
        );
        let again = serde_json::to_value(&parsed).unwrap();
        assert_eq!(PolicyDocument::parse(&again).unwrap(), parsed);
        assert!(PolicyDocument::parse(&json!({"a": 1})).is_err());
    }

    #[test]
    fn wildcards_are_those_of_iam() {
        assert!(like("ec2:*Tags", "ec2:CreateTags"));
        assert!(like(
            "system:serviceaccount:a:*",
            "system:serviceaccount:a:b"
        ));
        assert!(like("a?c*", "abc"));
        assert!(!like("a?c", "ac"));
        assert!(!like("a*b", "abc"));
        assert!(like("*", ""));
    }

    #[test]
    fn a_denial_outweighs_and_a_condition_leaves_it_open() {
        let policy =
            |statements: Value| PolicyDocument::parse(&json!({ "Statement": statements })).unwrap();
        let plain =
            json!({"Effect": "Allow", "Action": ["autoscaling:Describe*"], "Resource": "*"});
        let tagged = json!({"Effect": "Allow", "Action": "autoscaling:*", "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/a": "b"}}});
        let deny = json!({"Effect": "Deny", "NotAction": "ec2:*", "Resource": "*"});
        let two = policy(json!([tagged, plain]));
        assert_eq!(two.decision("autoscaling:DescribeTags"), Decision::Allowed);
        assert_eq!(
            two.decision("autoscaling:SetDesiredCapacity"),
            Decision::Depends
        );
        assert_eq!(two.decision("ec2:DescribeImages"), Decision::Silent);
        let three = policy(json!([plain, deny]));
        assert_eq!(three.decision("AUTOSCALING:describetags"), Decision::Denied);
    }
}
