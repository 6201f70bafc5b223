//! What AWS's tools print: whole answers, and parts of them that `--query` or a reporter left.

mod iam;
mod parts;

use std::collections::BTreeMap;

use eksnet_model::aws;
use eksnet_model::iam::SimulatedRole;
use eksnet_model::{Aws, ClusterFacts, Evidence, Gap, Source, Text, Why};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Objects of one kind.
struct List<T> {
    by_id: BTreeMap<String, T>,
    /// Whether a whole answer was among the files.
    listed: bool,
    cut: Option<&'static str>,
    malformed: Option<Text>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            by_id: BTreeMap::new(),
            listed: false,
            cut: None,
            malformed: None,
        }
    }
}

macro_rules! lists {
    ($($key:literal $field:ident: $type:ty = $source:ident, id $($id:ident).+, alone [$([$($alone:literal)*])*];)*) => {
        /// Everything of AWS that was found.
        #[derive(Default)]
        pub(crate) struct AwsObjects {
            $($field: List<$type>,)*
            caller: Option<aws::CallerIdentity>,
            cluster: Option<aws::Cluster>,
            /// Whether all of the cluster's description was there.
            cluster_whole: bool,
            roles: Vec<SimulatedRole>,
            pub(crate) iam: iam::IamObjects,
        }

        impl AwsObjects {
            /// Reads a list under its key.
            fn answer(&mut self, key: &str, value: Value, is_cut: bool) -> bool {
                match key {
                    $($key => self.$field.answer(value, is_cut, |object| object.$($id).+.clone()),)*
                    _ => false,
                }
            }

            /// Reads a single object, known by the keys that only its kind has together.
            fn alone(&mut self, fields: Map<String, Value>) -> bool {
                let has = |keys: &[&str]| keys.iter().all(|key| fields.contains_key(*key));
                $(if $(has(&[$($alone),*]))||* {
                    return self.$field.insert(Value::Object(fields), &|object| object.$($id).+.clone());
                })*
                false
            }

            /// Whether [`AwsObjects::alone`] reads it.
            fn is_alone(fields: &Map<String, Value>) -> bool {
                let has = |keys: &[&str]| keys.iter().all(|key| fields.contains_key(*key));
                false $($(|| has(&[$($alone),*]))*)*
            }

            fn is_list(key: &str) -> bool {
                matches!(key, $($key)|*)
            }

            /// Sorts everything into its source.
            pub(crate) fn finish(self, facts: &mut ClusterFacts) -> Aws {
                let mut found = Aws::default();
                $(if let Some(list) = self.$field.finish(Source::$source) {
                    found.$field = list;
                })*
                if let Some(caller) = self.caller {
                    found.caller_identity = Evidence::Present(caller);
                }
                if let Some(cluster) = self.cluster {
                    learn(facts, &cluster);
                    found.cluster = if self.cluster_whole {
                        Evidence::Present(cluster)
                    } else {
                        partial(cluster, Source::Cluster)
                    };
                }
                self.iam.finish(&mut found);
                if !self.roles.is_empty() {
                    found.simulated_policies = partial(self.roles, Source::SimulatedPolicies);
                }
                found
            }
        }
    };
}

lists! {
    "Subnets" subnets: aws::Subnet = Subnets, id subnet_id, alone [["SubnetId" "CidrBlock" "AvailabilityZone"] ["SubnetId" "AvailableIpAddressCount"]];
    "SubnetIpv4CidrReservations" subnet_cidr_reservations: aws::SubnetCidrReservation = SubnetCidrReservations, id subnet_cidr_reservation_id, alone [["SubnetCidrReservationId" "Cidr"]];
    "NetworkInterfaces" network_interfaces: aws::NetworkInterface = NetworkInterfaces, id network_interface_id, alone [["NetworkInterfaceId" "SubnetId" "PrivateIpAddress"]];
    "SecurityGroups" security_groups: aws::SecurityGroup = SecurityGroups, id group_id, alone [["GroupId" "IpPermissions"]];
    "NetworkAcls" network_acls: aws::NetworkAcl = NetworkAcls, id network_acl_id, alone [["NetworkAclId" "Entries"]];
    "Instances" instances: aws::Instance = Instances, id instance_id, alone [["InstanceId" "InstanceType" "SubnetId"]];
    "InstanceTypes" instance_types: aws::InstanceType = InstanceTypes, id instance_type, alone [["InstanceType" "NetworkInfo"]];
    "RouteTables" route_tables: aws::RouteTable = RouteTables, id route_table_id, alone [["RouteTableId" "Routes"]];
    "NatGateways" nat_gateways: aws::NatGateway = NatGateways, id nat_gateway_id, alone [["NatGatewayId" "State" "SubnetId"]];
    "VpcEndpoints" vpc_endpoints: aws::VpcEndpoint = VpcEndpoints, id vpc_endpoint_id, alone [["VpcEndpointId" "ServiceName"]];
    "Vpcs" vpcs: aws::Vpc = Vpcs, id vpc_id, alone [["VpcId" "CidrBlock" "DhcpOptionsId"]];
    "DhcpOptions" dhcp_options: aws::DhcpOptions = DhcpOptions, id dhcp_options_id, alone [["DhcpOptionsId" "DhcpConfigurations"]];
    "PrefixLists" prefix_lists: aws::PrefixList = PrefixLists, id prefix_list_id, alone [["PrefixListId" "Entries"]];
    "AutoScalingGroups" auto_scaling_groups: aws::AutoScalingGroup = AutoScalingGroups, id auto_scaling_group_name, alone [["AutoScalingGroupName" "MaxSize"]];
    "Activities" scaling_activities: aws::ScalingActivity = ScalingActivities, id activity_id, alone [["AutoScalingGroupName" "StatusCode"] ["StatusCode" "StatusMessage" "Description"]];
    "TargetHealthDescriptions" target_health: aws::TargetHealthDescription = TargetHealth, id target.id, alone [["Target" "TargetHealth"]];
    "nodegroups" nodegroups: aws::Nodegroup = Nodegroups, id nodegroup_name, alone [["nodegroupName" "nodegroupArn"]];
    "addons" addons: aws::Addon = Addons, id addon_name, alone [["addonName" "addonArn"] ["addonName" "status" "health"] ["addonName" "addonVersion" "status"]];
    "accessEntries" access_entries: aws::AccessEntry = AccessEntries, id principal_arn, alone [["principalArn" "kubernetesGroups"]];
    "associations" pod_identity_associations: aws::PodIdentityAssociation = PodIdentityAssociations, id association_id, alone [["associationId" "serviceAccount"]];
}

impl<T: DeserializeOwned> List<T> {
    /// A whole answer: an array, or what was cut off one.
    fn answer(&mut self, value: Value, is_cut: bool, id: impl Fn(&T) -> String) -> bool {
        let Value::Array(objects) = value else {
            return false;
        };
        // `eks list-nodegroups` and `list-access-entries` have names under the key of the objects.
        if objects.iter().any(|object| !object.is_object()) {
            return false;
        }
        for object in objects {
            self.insert(object, &id);
        }
        if is_cut {
            self.cut = Some("one page of a longer answer");
        } else {
            self.listed = true;
        }
        true
    }

    fn insert(&mut self, object: Value, id: &impl Fn(&T) -> String) -> bool {
        match serde_json::from_value::<T>(object) {
            Ok(object) => {
                let mut key = id(&object);
                if key.is_empty() {
                    key = format!("#{}", self.by_id.len());
                }
                self.by_id.insert(key, object);
                true
            }
            Err(error) => {
                self.malformed = Some(error.to_string().into());
                false
            }
        }
    }

    fn finish(self, source: Source) -> Option<Evidence<Vec<T>>> {
        if self.by_id.is_empty() && !self.listed {
            return None;
        }
        let value = self.by_id.into_values().collect();
        let gap = if let Some(malformed) = self.malformed {
            Gap::new(source, Why::Malformed, malformed)
        } else if let Some(cut) = self.cut {
            Gap::new(source, Why::Truncated, cut)
        } else if self.listed {
            return Some(Evidence::Present(value));
        } else {
            return Some(partial(value, source));
        };
        Some(Evidence::Partial {
            value,
            gap: closed(gap),
        })
    }
}

fn partial<T>(value: T, source: Source) -> Evidence<T> {
    Evidence::Partial {
        value,
        gap: closed(Gap::new(
            source,
            Why::Truncated,
            "parts, not the whole answer",
        )),
    }
}

fn closed(gap: Gap) -> Gap {
    match gap.source.saved_by() {
        Some(command) => gap.closed_by(command),
        None => gap,
    }
}

impl AwsObjects {
    /// Whether a key is that of an answer, or of the one object in it.
    pub(crate) fn is_key(key: &str) -> bool {
        Self::is_list(key)
            || iam::IamObjects::is_key(key)
            || matches!(
                key,
                "Reservations"
                    | "EvaluationResults"
                    | "SecurityGroupRules"
                    | "cluster"
                    | "nodegroup"
                    | "association"
                    | "accessEntry"
                    | "Tags"
            )
    }

    /// Reads one document or one element of an array; whether it was understood.
    pub(crate) fn document(&mut self, mut fields: Map<String, Value>, file: &str) -> bool {
        let is_cut = ["NextToken", "nextToken"]
            .iter()
            .any(|key| fields.get(*key).is_some_and(|token| !token.is_null()));
        if let Some(Value::Array(reservations)) = fields.remove("Reservations") {
            let instances = reservations
                .into_iter()
                .filter_map(|mut reservation| reservation.get_mut("Instances").map(Value::take))
                .flat_map(|instances| match instances {
                    Value::Array(instances) => instances,
                    _ => Vec::new(),
                })
                .collect();
            return self.answer("Instances", Value::Array(instances), is_cut);
        }
        if let Some(understood) = self.names_of_entries(&fields) {
            return understood;
        }
        if let Some(understood) = self.iam.document(&mut fields, file) {
            return understood;
        }
        if fields.contains_key("EvaluationResults") {
            return self.simulation(&mut fields, file);
        }
        if let Some(Value::Array(rules)) = fields.remove("SecurityGroupRules") {
            let mut any = false;
            for rule in rules {
                any |= self.rule(&rule);
            }
            return any;
        }
        if let Some(understood) = self.cluster_parts(&mut fields) {
            return understood;
        }
        for (key, wrapped) in [
            ("nodegroup", "nodegroups"),
            ("association", "associations"),
            ("accessEntry", "accessEntries"),
            ("addon", "addons"),
        ] {
            if let Some(object @ Value::Object(_)) = fields.remove(key) {
                return match wrapped {
                    "addons" => self
                        .addons
                        .insert(object, &|addon| addon.addon_name.clone()),
                    "accessEntries" => self
                        .access_entries
                        .insert(object, &|entry| entry.principal_arn.clone()),
                    "nodegroups" => self
                        .nodegroups
                        .insert(object, &|group| group.nodegroup_name.clone()),
                    _ => self
                        .pod_identity_associations
                        .insert(object, &|found| found.association_id.clone()),
                };
            }
        }
        if let Some(Value::Array(tags)) = fields.get_mut("Tags")
            && tags.iter().any(|tag| tag.get("ResourceId").is_some())
        {
            let tags = std::mem::take(tags);
            return self.tags(tags);
        }
        // Before lists: an instance alone has lists of its own under the keys of whole answers.
        if Self::is_alone(&fields) {
            return self.alone(fields);
        }
        let keys: Vec<String> = fields.keys().cloned().collect();
        let mut understood = false;
        for key in keys.iter().filter(|key| Self::is_list(key)) {
            if let Some(value) = fields.remove(key) {
                understood |= self.answer(key, value, is_cut);
            }
        }
        understood || self.vpc_attribute(&fields) || self.caller(&fields)
    }

    /// What `eks describe-cluster` prints, whole or the part that `--query` names.
    fn cluster_parts(&mut self, fields: &mut Map<String, Value>) -> Option<bool> {
        let whole = match fields.remove("cluster") {
            Some(cluster @ Value::Object(_)) => Some(cluster),
            Some(other) => {
                fields.insert("cluster".to_owned(), other);
                None
            }
            None if fields.contains_key("resourcesVpcConfig") && fields.contains_key("arn") => {
                Some(Value::Object(std::mem::take(fields)))
            }
            None => None,
        };
        if let Some(whole) = whole {
            let Ok(cluster) = serde_json::from_value::<aws::Cluster>(whole) else {
                return Some(false);
            };
            self.cluster_whole = !cluster.name.is_empty() && !cluster.arn.is_empty();
            self.cluster = Some(cluster);
            return Some(true);
        }
        let has = |key: &str| fields.contains_key(key);
        let part = if has("serviceIpv4Cidr") || has("serviceIpv6Cidr") {
            "kubernetesNetworkConfig"
        } else if has("clusterSecurityGroupId") || (has("subnetIds") && has("vpcId")) {
            "resourcesVpcConfig"
        } else if has("oidc") {
            "identity"
        } else if ["kubernetesNetworkConfig", "resourcesVpcConfig"]
            .iter()
            .any(|key| has(key))
        {
            ""
        } else {
            return None;
        };
        if self.cluster_whole {
            return Some(true);
        }
        let fields = std::mem::take(fields);
        let fields = if part.is_empty() {
            fields
        } else {
            Map::from_iter([(part.to_owned(), Value::Object(fields))])
        };
        let mut known = self
            .cluster
            .take()
            .and_then(|cluster| serde_json::to_value(cluster).ok())
            .unwrap_or_else(|| Value::Object(Map::new()));
        if let Value::Object(known) = &mut known {
            known.extend(fields);
        }
        self.cluster = serde_json::from_value(known).ok();
        Some(self.cluster.is_some())
    }
}

/// What the description of the cluster tells of it as a whole.
fn learn(facts: &mut ClusterFacts, cluster: &aws::Cluster) {
    let set = |fact: &mut Option<Text>, value: &str| {
        if !value.is_empty() && fact.is_none() {
            *fact = Some(value.into());
        }
    };
    set(&mut facts.name, &cluster.name);
    set(&mut facts.version, &cluster.version);
    // arn:PARTITION:eks:REGION:ACCOUNT:cluster/NAME
    let mut parts = cluster.arn.split(':').skip(1);
    set(&mut facts.partition, parts.next().unwrap_or_default());
    let mut parts = parts.skip(1);
    set(&mut facts.region, parts.next().unwrap_or_default());
    set(&mut facts.account, parts.next().unwrap_or_default());
    if !cluster.arn.is_empty() {
        facts.eks = facts.eks.or(Some(true));
    }
}
