//! What a pod demands of the node that it runs on. What it merely prefers is not read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::meta::null_is_default;
use super::{LabelSelector, LabelSelectorRequirement};

/// `spec.affinity`, in what is required while scheduling.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Affinity {
    /// Of nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_affinity: Option<NodeAffinity>,
    /// Pods that must be near.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_affinity: Option<PodAffinity>,
    /// Pods that must not be near.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_anti_affinity: Option<PodAffinity>,
}

/// Required affinity of nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeAffinity {
    /// The terms, of which one must hold.
    #[serde(
        rename = "requiredDuringSchedulingIgnoredDuringExecution",
        skip_serializing_if = "Option::is_none"
    )]
    pub required: Option<NodeSelector>,
}

/// Terms, of which one must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelector {
    /// The terms.
    #[serde(deserialize_with = "null_is_default")]
    pub node_selector_terms: Vec<NodeSelectorTerm>,
}

/// A term; one without requirements matches no node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelectorTerm {
    /// Requirements on labels.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub match_expressions: Vec<LabelSelectorRequirement>,
    /// Requirements on fields; `metadata.name` is the only one that there is.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub match_fields: Vec<LabelSelectorRequirement>,
}

/// Required affinity of pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodAffinity {
    /// The terms, all of which must hold.
    #[serde(
        rename = "requiredDuringSchedulingIgnoredDuringExecution",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub required: Vec<PodAffinityTerm>,
}

/// Pods, and how near is near.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodAffinityTerm {
    /// Which pods; unset means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Label of nodes whose value is the same for what is near.
    #[serde(deserialize_with = "null_is_default")]
    pub topology_key: String,
    /// Namespaces of the pods; the pod's own where empty.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub namespaces: Vec<String>,
    /// Namespaces by their labels; an empty selector means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

/// `spec.topologySpreadConstraints`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopologySpreadConstraint {
    /// How far the counts of two domains may lie apart.
    pub max_skew: u32,
    /// Label of nodes that makes the domains.
    #[serde(deserialize_with = "null_is_default")]
    pub topology_key: String,
    /// `DoNotSchedule` or `ScheduleAnyway`.
    #[serde(deserialize_with = "null_is_default")]
    pub when_unsatisfiable: String,
    /// Which pods count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// With fewer domains than this, the least count is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_domains: Option<u32>,
    /// `Honor` (unless set) leaves out nodes that the pod's node affinity excludes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_affinity_policy: Option<String>,
    /// `Ignore` (unless set) counts nodes whose taints the pod does not tolerate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_taints_policy: Option<String>,
}

impl NodeSelector {
    /// Whether a node with this name and these labels matches one of the terms.
    #[must_use]
    pub fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        self.node_selector_terms
            .iter()
            .any(|term| term.matches(name, labels))
    }
}

impl NodeSelectorTerm {
    fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let of_label = |one: &LabelSelectorRequirement| {
            one.holds_on_node(labels.get(&one.key).map(String::as_str))
        };
        let of_field = |one: &LabelSelectorRequirement| {
            one.key == "metadata.name" && one.holds_on_node(Some(name))
        };
        !(self.match_expressions.is_empty() && self.match_fields.is_empty())
            && self.match_expressions.iter().all(of_label)
            && self.match_fields.iter().all(of_field)
    }
}

impl LabelSelectorRequirement {
    /// Whether the value of a node's label or field fits: the operators of labels, and `Gt` and `Lt`.
    fn holds_on_node(&self, value: Option<&str>) -> bool {
        let number = |text: &str| text.parse::<i64>().ok();
        let bound = || match self.values.as_slice() {
            [one] => number(one),
            _ => None,
        };
        let listed = |value: &str| self.values.iter().any(|one| one == value);
        match self.operator.as_str() {
            "In" => value.is_some_and(listed),
            "NotIn" => !value.is_some_and(listed),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => matches!((value.and_then(number), bound()), (Some(a), Some(b)) if a > b),
            "Lt" => matches!((value.and_then(number), bound()), (Some(a), Some(b)) if a < b),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(terms: serde_json::Value) -> NodeSelector {
        serde_json::from_value(serde_json::json!({"nodeSelectorTerms": terms})).unwrap()
    }

    #[test]
    fn one_term_must_hold_and_of_a_term_everything() {
        let labels = BTreeMap::from([
            ("zone".to_owned(), "a".to_owned()),
            ("cores".to_owned(), "8".to_owned()),
        ]);
        let holds = |terms| selector(terms).matches("n1", &labels);
        let of = |key: &str, operator: &str, values: &[&str]| serde_json::json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        assert!(holds(serde_json::json!([
            of("zone", "In", &["b"]),
            of("cores", "Gt", &["4"])
        ])));
        assert!(!holds(serde_json::json!([of("cores", "Lt", &["8"])])));
        assert!(holds(serde_json::json!([of("gpu", "NotIn", &["x"])])));
        assert!(holds(serde_json::json!([of("gpu", "DoesNotExist", &[])])));
        assert!(
            !holds(serde_json::json!([{}])),
            "an empty term matches nothing"
        );
        assert!(holds(
            serde_json::json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}])
        ));
    }
}
