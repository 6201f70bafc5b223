//! Karpenter's objects, of all its API versions: what launches nodes, with which template, within which
//! limits. Source: the CRDs of kubernetes-sigs/karpenter and aws/karpenter-provider-aws, `v1alpha5` to
//! `v1`, and EKS Auto Mode's `NodeClass`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::meta::null_is_default;
use super::{LabelSelectorRequirement, Meta, Taint, WorkloadCondition};

/// A `NodePool`, or a `Provisioner` of old.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePool {
    /// `NodePool` or `Provisioner`.
    #[serde(deserialize_with = "null_is_default")]
    pub kind: String,
    /// Metadata.
    pub metadata: Meta,
    /// Wanted state.
    #[serde(deserialize_with = "null_is_default")]
    pub spec: NodePoolSpec,
    /// Seen state.
    #[serde(deserialize_with = "null_is_default")]
    pub status: NodePoolStatus,
}

/// `spec` of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolSpec {
    /// Most of each resource; of a Provisioner under `resources`.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub limits: BTreeMap<String, Value>,
    /// What its nodes are made from.
    #[serde(deserialize_with = "null_is_default")]
    pub template: NodePoolTemplate,
    /// Requirements of a Provisioner.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub requirements: Vec<LabelSelectorRequirement>,
    /// Template of a Provisioner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_ref: Option<NodeClassRef>,
}

/// What a pool's nodes are made from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolTemplate {
    /// Metadata of the nodes.
    pub metadata: Meta,
    /// The nodes.
    #[serde(deserialize_with = "null_is_default")]
    pub spec: NodeClaimSpec,
}

/// `spec` of a node that is to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeClaimSpec {
    /// The template of the instances.
    #[serde(deserialize_with = "null_is_default")]
    pub node_class_ref: NodeClassRef,
    /// Which nodes may be made.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub requirements: Vec<LabelSelectorRequirement>,
    /// Taints of the nodes.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub taints: Vec<Taint>,
}

/// A reference to a template of instances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeClassRef {
    /// Kind.
    #[serde(deserialize_with = "null_is_default")]
    pub kind: String,
    /// Name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
}

/// `status` of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolStatus {
    /// What its nodes hold, those included that are being made.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub resources: BTreeMap<String, Value>,
    /// Conditions.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub conditions: Vec<WorkloadCondition>,
}

impl NodePool {
    /// Kind, `NodePool` where it is not written.
    #[must_use]
    pub fn kind(&self) -> &str {
        if self.kind.is_empty() {
            "NodePool"
        } else {
            &self.kind
        }
    }

    /// Limits as written, by resource.
    #[must_use]
    pub fn limits(&self) -> BTreeMap<String, String> {
        match self.spec.limits.get("resources") {
            Some(Value::Object(old)) => old
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), quantity(value)?)))
                .collect(),
            _ => quantities(&self.spec.limits),
        }
    }

    /// What its nodes hold, by resource.
    #[must_use]
    pub fn resources(&self) -> BTreeMap<String, String> {
        quantities(&self.status.resources)
    }
}

fn quantities(values: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    values
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), quantity(value)?)))
        .collect()
}

/// A quantity, written as text or as a number.
fn quantity(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// An `EC2NodeClass`, an Auto Mode `NodeClass`, or an `AWSNodeTemplate` of old.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeClass {
    /// Kind.
    #[serde(deserialize_with = "null_is_default")]
    pub kind: String,
    /// Metadata.
    pub metadata: Meta,
    /// Wanted state.
    #[serde(deserialize_with = "null_is_default")]
    pub spec: NodeClassSpec,
    /// Seen state.
    #[serde(deserialize_with = "null_is_default")]
    pub status: NodeClassStatus,
}

/// `spec` of a template of instances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeClassSpec {
    /// Which subnets: any term that holds.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub subnet_selector_terms: Vec<SelectorTerm>,
    /// Which security groups: any term that holds.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub security_group_selector_terms: Vec<SelectorTerm>,
    /// Subnets of an `AWSNodeTemplate`, by tags.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub subnet_selector: BTreeMap<String, String>,
    /// Security groups of an `AWSNodeTemplate`, by tags.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub security_group_selector: BTreeMap<String, String>,
    /// Role of the nodes.
    #[serde(deserialize_with = "null_is_default")]
    pub role: String,
    /// Instance profile of the nodes.
    #[serde(deserialize_with = "null_is_default")]
    pub instance_profile: String,
}

/// What a subnet or a security group must be: all that is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SelectorTerm {
    /// Tags; the value `*` means any.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub tags: BTreeMap<String, String>,
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub id: String,
    /// Name, of a security group.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
}

/// `status` of a template of instances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeClassStatus {
    /// Conditions.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub conditions: Vec<WorkloadCondition>,
    /// Subnets that the selectors found.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub subnets: Vec<Selected>,
    /// Security groups that the selectors found.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub security_groups: Vec<Selected>,
}

/// What a selector found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selected {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub id: String,
    /// Zone, of a subnet.
    #[serde(deserialize_with = "null_is_default")]
    pub zone: String,
    /// Name, of a security group.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
}

impl NodeClass {
    /// Kind, `EC2NodeClass` where it is not written.
    #[must_use]
    pub fn kind(&self) -> &str {
        if self.kind.is_empty() {
            "EC2NodeClass"
        } else {
            &self.kind
        }
    }

    /// The condition of that type.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&WorkloadCondition> {
        self.status
            .conditions
            .iter()
            .find(|condition| condition.kind == kind)
    }

    /// The terms that choose subnets, of either API.
    #[must_use]
    pub fn subnet_terms(&self) -> Vec<SelectorTerm> {
        terms(&self.spec.subnet_selector_terms, &self.spec.subnet_selector)
    }

    /// The terms that choose security groups, of either API.
    #[must_use]
    pub fn security_group_terms(&self) -> Vec<SelectorTerm> {
        terms(
            &self.spec.security_group_selector_terms,
            &self.spec.security_group_selector,
        )
    }
}

fn terms(new: &[SelectorTerm], old: &BTreeMap<String, String>) -> Vec<SelectorTerm> {
    if !new.is_empty() || old.is_empty() {
        return new.to_vec();
    }
    vec![SelectorTerm {
        tags: old.clone(),
        ..SelectorTerm::default()
    }]
}

impl SelectorTerm {
    /// Whether something with this id, name and these tags is chosen; `*` in a value stands for anything.
    #[must_use]
    pub fn holds(&self, id: &str, name: &str, tags: &[crate::aws::Tag]) -> bool {
        let by_tag = self.tags.iter().all(|(key, wanted)| {
            let saw = match key.as_str() {
                // An id may stand among the tags of the old API.
                "aws-ids" | "aws::ids" => return wanted.split(',').any(|one| one.trim() == id),
                key => crate::aws::tag(tags, key),
            };
            saw.is_some_and(|saw| fits(wanted, saw))
        });
        (!self.id.is_empty() || !self.name.is_empty() || !self.tags.is_empty())
            && (self.id.is_empty() || self.id == id)
            && (self.name.is_empty() || fits(&self.name, name))
            && by_tag
    }
}

/// Whether a text fits a pattern in which `*` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(head) else {
        return false;
    };
    rest.is_empty()
        || text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .any(|at| fits(rest, &text[at..]))
}

/// A node that Karpenter makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeClaim {
    /// Metadata.
    pub metadata: Meta,
    /// Wanted state.
    #[serde(deserialize_with = "null_is_default")]
    pub spec: NodeClaimSpec,
    /// Seen state.
    #[serde(deserialize_with = "null_is_default")]
    pub status: NodeClaimStatus,
}

/// `status` of a node that is to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeClaimStatus {
    /// Conditions: `Launched`, `Registered`, `Initialized`.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub conditions: Vec<WorkloadCondition>,
    /// The node, once it is one.
    #[serde(deserialize_with = "null_is_default")]
    pub node_name: String,
    /// The instance, as `aws:///ZONE/ID`.
    #[serde(rename = "providerID", deserialize_with = "null_is_default")]
    pub provider_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_either_api_are_read() {
        let new: NodePool =
            serde_json::from_value(serde_json::json!({"spec": {"limits": {"cpu": 100}}})).unwrap();
        let old: NodePool = serde_json::from_value(
            serde_json::json!({"kind": "Provisioner", "spec": {"limits": {"resources": {"cpu": "100"}}}}),
        )
        .unwrap();
        assert_eq!(new.limits(), old.limits());
        assert_eq!(old.kind(), "Provisioner");
    }

    #[test]
    fn a_selector_holds_by_all_its_tags_and_stars_stand_for_anything() {
        let tags = [crate::aws::Tag {
            key: "Name".to_owned(),
            value: "prod-private-a".to_owned(),
            ..crate::aws::Tag::default()
        }];
        let term = |value: &str| SelectorTerm {
            tags: [("Name".to_owned(), value.to_owned())].into(),
            ..SelectorTerm::default()
        };
        assert!(term("prod-*-a").holds("subnet-1", "", &tags));
        assert!(term("*").holds("subnet-1", "", &tags));
        assert!(!term("prod-*-b").holds("subnet-1", "", &tags));
        assert!(!SelectorTerm::default().holds("subnet-1", "", &tags));
    }
}
