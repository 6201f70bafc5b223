//! Volumes, in what ties them to a zone.

use serde::{Deserialize, Serialize};

use super::meta::null_is_default;
use super::{LabelSelectorRequirement, Meta, NodeSelector, ObjectReference};

/// A PersistentVolume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PersistentVolume {
    /// Metadata.
    pub metadata: Meta,
    /// Wanted state.
    pub spec: PersistentVolumeSpec,
}

/// `spec` of a PersistentVolume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PersistentVolumeSpec {
    /// Its claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_ref: Option<ObjectReference>,
    /// Which nodes reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_affinity: Option<VolumeNodeAffinity>,
    /// Its class.
    #[serde(deserialize_with = "null_is_default")]
    pub storage_class_name: String,
}

/// Which nodes reach a volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeNodeAffinity {
    /// The terms, of which one must hold.
    #[serde(deserialize_with = "null_is_default")]
    pub required: NodeSelector,
}

impl PersistentVolume {
    /// The zones from which it can be reached; empty when it is bound to none.
    #[must_use]
    pub fn zones(&self) -> Vec<&str> {
        const KEYS: [&str; 3] = [
            "topology.kubernetes.io/zone",
            "topology.ebs.csi.aws.com/zone",
            "failure-domain.beta.kubernetes.io/zone",
        ];
        let is_zone = |one: &&LabelSelectorRequirement| KEYS.contains(&one.key.as_str());
        let mut zones: Vec<&str> = self
            .spec
            .node_affinity
            .iter()
            .flat_map(|affinity| &affinity.required.node_selector_terms)
            .flat_map(|term| term.match_expressions.iter().filter(is_zone))
            .flat_map(|one| one.values.iter().map(String::as_str))
            .collect();
        zones.sort_unstable();
        zones.dedup();
        zones
    }
}

/// A StorageClass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StorageClass {
    /// Metadata.
    pub metadata: Meta,
    /// Who makes its volumes.
    #[serde(deserialize_with = "null_is_default")]
    pub provisioner: String,
    /// `Immediate` (unless set) or `WaitForFirstConsumer`.
    #[serde(deserialize_with = "null_is_default")]
    pub volume_binding_mode: String,
}
