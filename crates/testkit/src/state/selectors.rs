//! Label and field selectors.

use serde_json::Value;

/// A parsed label selector; all requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    op: Op,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Op {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
    Greater(i64),
    Less(i64),
}

impl Labels {
    /// Parses `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`.
    ///
    /// # Errors
    /// The text of what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        split_outside_parentheses(text)
            .into_iter()
            .filter(|part| !part.trim().is_empty())
            .map(|part| requirement(part.trim()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn holds(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.0.iter().all(|requirement| {
            let value = labels[&requirement.key].as_str();
            let number = || value.and_then(|text| text.parse::<i64>().ok());
            match &requirement.op {
                Op::In(any) => value.is_some_and(|value| any.iter().any(|each| each == value)),
                Op::NotIn(none) => value.is_none_or(|value| none.iter().all(|each| each != value)),
                Op::Exists => value.is_some(),
                Op::Missing => value.is_none(),
                Op::Greater(than) => number().is_some_and(|number| number > *than),
                Op::Less(than) => number().is_some_and(|number| number < *than),
            }
        })
    }
}

fn requirement(text: &str) -> Result<Requirement, String> {
    let make = |key: &str, op| {
        let key = key.trim();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(format!(
                "unable to parse requirement: invalid label key {key:?}"
            ));
        }
        let key = key.to_owned();
        Ok(Requirement { key, op })
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    for (word, negated) in [(" notin", true), (" in", false)] {
        if let Some((key, rest)) = text.split_once(word)
            && rest.trim_start().starts_with('(')
        {
            let inner = rest
                .trim()
                .strip_prefix('(')
                .and_then(|rest| rest.strip_suffix(')'))
                .ok_or_else(|| {
                    format!("unable to parse requirement: found '{text}', expected: ')'")
                })?;
            let values = inner.split(',').map(|v| v.trim().to_owned()).collect();
            return make(
                key,
                if negated {
                    Op::NotIn(values)
                } else {
                    Op::In(values)
                },
            );
        }
    }
    if let Some((key, value)) = text.split_once("!=") {
        return make(key, Op::NotIn(one(value)));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return make(key, Op::In(one(value)));
    }
    for (sign, build) in [('>', Op::Greater as fn(i64) -> Op), ('<', Op::Less)] {
        if let Some((key, value)) = text.split_once(sign) {
            let number = value.trim().parse().map_err(|_| {
                format!("unable to parse requirement: for 'Gt', 'Lt' operators, the value must be an integer, found {value:?}")
            })?;
            return make(key, build(number));
        }
    }
    match text.strip_prefix('!') {
        Some(key) => make(key, Op::Missing),
        None => make(text, Op::Exists),
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0usize;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

/// A parsed field selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, bool, String)>);

/// Fields that the API server can select by, per resource, beyond name and namespace (from the
/// field label conversion functions of each type).
const SELECTABLE: &[(&str, &[&str])] = &[
    (
        "pods",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
    ),
    (
        "events",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
    ),
    ("namespaces", &["status.phase"]),
    ("nodes", &["spec.unschedulable"]),
    ("secrets", &["type"]),
    ("services", &["spec.clusterIP", "spec.type"]),
    ("jobs", &["status.successful"]),
];

impl Fields {
    /// Parses `a=b,c!=d` for a resource.
    ///
    /// # Errors
    /// The text of what is wrong; fields that the resource cannot be selected by are refused, as
    /// the real server does.
    pub(crate) fn parse(text: &str, plural: &str) -> Result<Self, String> {
        let mut fields = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (field, equal, value) = if let Some((field, value)) = part.split_once("!=") {
                (field, false, value)
            } else if let Some((field, value)) =
                part.split_once("==").or_else(|| part.split_once('='))
            {
                (field, true, value)
            } else {
                return Err(format!(
                    "invalid selector: '{part}'; can't understand '{part}'"
                ));
            };
            let known = SELECTABLE
                .iter()
                .any(|(of, fields)| *of == plural && fields.contains(&field));
            if !known && !matches!(field, "metadata.name" | "metadata.namespace") {
                return Err(format!("field label not supported: {field}"));
            }
            fields.push((field.to_owned(), equal, value.to_owned()));
        }
        Ok(Self(fields))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn holds(&self, object: &Value) -> bool {
        self.0
            .iter()
            .all(|(field, equal, value)| (field_of(object, field) == *value) == *equal)
    }
}

fn field_of(object: &Value, field: &str) -> String {
    let path = match field {
        // The reporter of an event; selected by under its older name.
        "source" => "source.component",
        other => other,
    };
    let value = path.split('.').fold(object, |value, key| &value[key]);
    match value {
        Value::String(text) => text.clone(),
        Value::Null if matches!(field, "spec.hostNetwork" | "spec.unschedulable") => {
            "false".to_owned()
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn picks(selector: &str, labels: Value) -> bool {
        let object = json!({"metadata": {"labels": labels}});
        Labels::parse(selector).expect("a selector").holds(&object)
    }

    #[test]
    fn label_selectors_follow_the_grammar_of_kubernetes() {
        let labels = || json!({"app": "dns", "tier": "", "gen": "7"});
        for yes in [
            "",
            "app=dns",
            "app==dns",
            "app!=web",
            "other!=web",
            "app in (web, dns)",
            "app notin (web),other notin (x)",
            "app",
            "!other",
            "tier=",
            "gen>6,gen<8",
        ] {
            assert!(picks(yes, labels()), "{yes}");
        }
        for no in [
            "app=web",
            "app!=dns",
            "app in (web)",
            "app notin (dns)",
            "!app",
            "other",
            "gen>7",
        ] {
            assert!(!picks(no, labels()), "{no}");
        }
        assert!(Labels::parse("a in (b").is_err());
        assert!(Labels::parse("=b").is_err());
    }

    #[test]
    fn field_selectors_know_the_fields_of_their_resource() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}});
        let holds = |text| Fields::parse(text, "pods").expect("a selector").holds(&pod);
        assert!(holds(
            "spec.nodeName=n1,status.phase!=Pending,metadata.name=a"
        ));
        assert!(holds("spec.hostNetwork=false"));
        assert!(!holds("spec.nodeName=n2"));
        assert_eq!(
            Fields::parse("spec.foo=1", "pods"),
            Err("field label not supported: spec.foo".to_owned())
        );
        assert!(Fields::parse("spec.nodeName=n1", "services").is_err());
    }
}
