//! Answers about a part of an object: a rule, an attribute, a tag, a decision.

use eksnet_model::aws;
use eksnet_model::iam::SimulatedRole;
use serde_json::{Map, Value};

use super::AwsObjects;
use crate::author;

impl AwsObjects {
    /// `eks list-access-entries`: the principals alone.
    pub(super) fn names_of_entries(&mut self, fields: &Map<String, Value>) -> Option<bool> {
        let entries = fields.get("accessEntries")?.as_array()?;
        let names: Vec<&str> = entries.iter().filter_map(Value::as_str).collect();
        if names.len() < entries.len() {
            return None;
        }
        for name in names {
            let entry = self.access_entries.by_id.entry(name.to_owned());
            entry.or_insert_with(|| aws::AccessEntry {
                principal_arn: name.to_owned(),
                ..aws::AccessEntry::default()
            });
        }
        self.access_entries.listed = true;
        Some(true)
    }

    /// The issuer of the cluster, alone in a line: `describe-cluster --query cluster.identity.oidc.issuer`.
    pub(crate) fn issuer(&mut self, text: &str) -> bool {
        let url = text.trim().trim_matches(['"', '\'', ',']);
        let is_issuer = url.starts_with("https://oidc.eks.")
            && url.contains("/id/")
            && !url.contains(char::is_whitespace);
        if is_issuer {
            let cluster = self.cluster.get_or_insert_default();
            if cluster.identity.oidc.issuer.is_empty() {
                url.clone_into(&mut cluster.identity.oidc.issuer);
            }
        }
        is_issuer
    }

    pub(super) fn caller(&mut self, fields: &Map<String, Value>) -> bool {
        if !(fields.contains_key("Account") && fields.contains_key("Arn")) {
            return false;
        }
        self.caller = serde_json::from_value(Value::Object(fields.clone())).ok();
        self.caller.is_some()
    }

    /// `describe-vpc-attribute`: one attribute of one VPC.
    pub(super) fn vpc_attribute(&mut self, fields: &Map<String, Value>) -> bool {
        let Some(id) = fields.get("VpcId").and_then(Value::as_str) else {
            return false;
        };
        let attribute = |key: &str| fields.get(key)?.get("Value")?.as_bool();
        let (support, names) = (
            attribute("EnableDnsSupport"),
            attribute("EnableDnsHostnames"),
        );
        if support.is_none() && names.is_none() {
            return false;
        }
        let vpc = self
            .vpcs
            .by_id
            .entry(id.to_owned())
            .or_insert_with(|| aws::Vpc {
                vpc_id: id.to_owned(),
                ..aws::Vpc::default()
            });
        vpc.enable_dns_support = support.or(vpc.enable_dns_support);
        vpc.enable_dns_hostnames = names.or(vpc.enable_dns_hostnames);
        true
    }

    pub(super) fn simulation(&mut self, fields: &mut Map<String, Value>, file: &str) -> bool {
        let results = fields.remove("EvaluationResults").unwrap_or_default();
        let Ok(results) = serde_json::from_value(results) else {
            return false;
        };
        // The answer does not say whose role it is about: the name of its file may.
        self.roles.push(SimulatedRole {
            component: author::of_path(file).unwrap_or_default(),
            results,
            ..SimulatedRole::default()
        });
        true
    }

    /// A rule of `describe-security-group-rules`, as the permission that `describe-security-groups` has
    /// for it.
    pub(super) fn rule(&mut self, rule: &Value) -> bool {
        let text = |key: &str| rule.get(key).and_then(Value::as_str).map(str::to_owned);
        let number = |key: &str| {
            rule.get(key)
                .and_then(Value::as_i64)
                .and_then(|number| i32::try_from(number).ok())
        };
        let Some(group_id) = text("GroupId") else {
            return false;
        };
        let mut permission = aws::IpPermission {
            ip_protocol: text("IpProtocol").unwrap_or_default(),
            from_port: number("FromPort"),
            to_port: number("ToPort"),
            ..aws::IpPermission::default()
        };
        permission
            .ip_ranges
            .extend(text("CidrIpv4").map(|cidr_ip| aws::CidrIp { cidr_ip }));
        permission
            .ipv6_ranges
            .extend(text("CidrIpv6").map(|cidr_ipv6| aws::CidrIpv6 { cidr_ipv6 }));
        permission.prefix_list_ids.extend(
            text("PrefixListId").map(|prefix_list_id| aws::PrefixListId { prefix_list_id }),
        );
        let peer = rule.get("ReferencedGroupInfo");
        if let Some(id) = peer
            .and_then(|peer| peer.get("GroupId"))
            .and_then(Value::as_str)
        {
            permission.user_id_group_pairs.push(aws::GroupPair {
                group_id: id.to_owned(),
                ..aws::GroupPair::default()
            });
        }
        let group = self
            .security_groups
            .by_id
            .entry(group_id.clone())
            .or_insert_with(|| aws::SecurityGroup {
                group_id,
                ..aws::SecurityGroup::default()
            });
        let rules = if rule.get("IsEgress").and_then(Value::as_bool) == Some(true) {
            &mut group.ip_permissions_egress
        } else {
            &mut group.ip_permissions
        };
        if !rules.contains(&permission) {
            rules.push(permission);
        }
        true
    }

    /// A list of tags that says what each belongs to; whether anything was.
    pub(crate) fn tags(&mut self, tags: Vec<Value>) -> bool {
        let mut any = false;
        for tag in tags {
            let of = |key: &str| tag.get(key).and_then(Value::as_str).unwrap_or_default();
            let (id, kind) = (of("ResourceId").to_owned(), of("ResourceType"));
            let own: aws::Tag = match serde_json::from_value(tag.clone()) {
                Ok(own) => own,
                Err(_) => continue,
            };
            let into = match kind {
                "auto-scaling-group" => {
                    &mut self
                        .auto_scaling_groups
                        .by_id
                        .entry(id.clone())
                        .or_insert_with(|| aws::AutoScalingGroup {
                            auto_scaling_group_name: id,
                            ..aws::AutoScalingGroup::default()
                        })
                        .tags
                }
                "subnet" => {
                    &mut self
                        .subnets
                        .by_id
                        .entry(id.clone())
                        .or_insert_with(|| aws::Subnet {
                            subnet_id: id,
                            ..aws::Subnet::default()
                        })
                        .tags
                }
                "security-group" => {
                    &mut self
                        .security_groups
                        .by_id
                        .entry(id.clone())
                        .or_insert_with(|| aws::SecurityGroup {
                            group_id: id,
                            ..aws::SecurityGroup::default()
                        })
                        .tags
                }
                _ => continue,
            };
            if !into.contains(&own) {
                into.push(own);
            }
            any = true;
        }
        any
    }
}
