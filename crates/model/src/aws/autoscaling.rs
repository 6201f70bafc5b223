//! Auto Scaling.

use serde::{Deserialize, Serialize};

use super::{Tag, null_is_default};

/// An Auto Scaling group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AutoScalingGroup {
    /// Name.
    #[serde(deserialize_with = "null_is_default")]
    pub auto_scaling_group_name: String,
    /// ARN.
    #[serde(rename = "AutoScalingGroupARN", deserialize_with = "null_is_default")]
    pub auto_scaling_group_arn: String,
    /// Least instances.
    #[serde(deserialize_with = "null_is_default")]
    pub min_size: u32,
    /// Most instances.
    #[serde(deserialize_with = "null_is_default")]
    pub max_size: u32,
    /// Wanted instances.
    #[serde(deserialize_with = "null_is_default")]
    pub desired_capacity: u32,
    /// Instances.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub instances: Vec<GroupInstance>,
    /// Tags.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub tags: Vec<Tag>,
    /// Processes that are switched off.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub suspended_processes: Vec<SuspendedProcess>,
    /// Subnets, separated by commas.
    #[serde(rename = "VPCZoneIdentifier", deserialize_with = "null_is_default")]
    pub vpc_zone_identifier: String,
    /// Zones.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub availability_zones: Vec<String>,
    /// `Delete in progress` while it is being deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// An instance of a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GroupInstance {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub instance_id: String,
    /// Such as `InService` or `Terminating`.
    #[serde(deserialize_with = "null_is_default")]
    pub lifecycle_state: String,
    /// `Healthy` or `Unhealthy`.
    #[serde(deserialize_with = "null_is_default")]
    pub health_status: String,
    /// Zone.
    #[serde(deserialize_with = "null_is_default")]
    pub availability_zone: String,
    /// Type.
    #[serde(deserialize_with = "null_is_default")]
    pub instance_type: String,
}

/// A process that is switched off.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SuspendedProcess {
    /// Such as `Launch`.
    #[serde(deserialize_with = "null_is_default")]
    pub process_name: String,
    /// Why.
    #[serde(deserialize_with = "null_is_default")]
    pub suspension_reason: String,
}

/// One attempt of a group to change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ScalingActivity {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub activity_id: String,
    /// Group.
    #[serde(deserialize_with = "null_is_default")]
    pub auto_scaling_group_name: String,
    /// Such as `Launching a new EC2 instance`.
    #[serde(deserialize_with = "null_is_default")]
    pub description: String,
    /// Why it was tried.
    #[serde(deserialize_with = "null_is_default")]
    pub cause: String,
    /// Such as `Successful`, `Failed`, `Cancelled` or `InProgress`.
    #[serde(deserialize_with = "null_is_default")]
    pub status_code: String,
    /// What went wrong.
    #[serde(deserialize_with = "null_is_default")]
    pub status_message: String,
    /// When it began.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::time::lenient"
    )]
    pub start_time: Option<crate::Time>,
}

impl AutoScalingGroup {
    /// Instances in service.
    #[must_use]
    pub fn in_service(&self) -> usize {
        self.instances
            .iter()
            .filter(|instance| instance.lifecycle_state == "InService")
            .count()
    }

    /// Its subnets.
    pub fn subnets(&self) -> impl Iterator<Item = &str> {
        self.vpc_zone_identifier
            .split(',')
            .map(str::trim)
            .filter(|id| !id.is_empty())
    }

    /// The managed node group that it belongs to.
    #[must_use]
    pub fn nodegroup(&self) -> Option<&str> {
        super::tag(&self.tags, "eks:nodegroup-name")
    }
}
