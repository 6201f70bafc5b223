//! What Kubernetes tells of the EKS cluster behind it.

use std::collections::BTreeSet;

use eksnet_model::kubernetes::Node;

/// What the kubeconfig, and then the nodes, tell of the cluster. `None` where they do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterHints {
    /// Name of the context; `in-cluster` for the account of a pod.
    pub context_name: String,
    /// Name of the EKS cluster.
    pub cluster_name: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Account, twelve digits.
    pub account: Option<String>,
    /// Partition, such as `aws` or `aws-cn`.
    pub partition: Option<String>,
    /// AWS profile with which the credential plugin runs.
    pub profile: Option<String>,
    /// Role that the credential plugin assumes.
    pub role_arn: Option<String>,
    /// Host of the API server, without its port.
    pub api_host: String,
    /// Port of the API server.
    pub api_port: u16,
    /// Certificates that the kubeconfig trusts, PEM.
    pub ca_pem: Option<String>,
    /// Instances behind the nodes, from their provider ids: known once nodes are listed.
    pub instance_ids: Vec<String>,
    /// Host names of the nodes inside the VPC, likewise.
    pub private_dns_names: Vec<String>,
    /// Instance types of the nodes, from their labels, likewise.
    pub instance_types: Vec<String>,
}

/// A credential plugin as the kubeconfig writes it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plugin<'a> {
    pub(crate) args: &'a [String],
    pub(crate) env: &'a [(String, String)],
}

impl ClusterHints {
    /// Adds what names of context, cluster and user tell; what is known already stays.
    pub(crate) fn learn_name(&mut self, name: &str) {
        if let Some(arn) = Arn::parse(name) {
            self.partition.get_or_insert(arn.partition);
            self.region.get_or_insert(arn.region);
            self.account.get_or_insert(arn.account);
            self.cluster_name.get_or_insert(arn.cluster);
        } else if let Some(eksctl) = name.strip_suffix(".eksctl.io") {
            // eksctl writes `user@NAME.REGION.eksctl.io`.
            let after_user = eksctl.rsplit('@').next().unwrap_or(eksctl);
            if let Some((cluster, region)) = after_user.rsplit_once('.') {
                self.cluster_name.get_or_insert(cluster.to_owned());
                self.region.get_or_insert(region.to_owned());
            }
        }
    }

    /// Adds what the credential plugin's arguments and variables tell: those of `aws eks get-token`
    /// and of `aws-iam-authenticator token`.
    pub(crate) fn learn_plugin(&mut self, plugin: Plugin<'_>) {
        let flag = |names: &[&str]| flag_value(plugin.args, names);
        let env = |names: &[&str]| {
            plugin
                .env
                .iter()
                .find(|(name, value)| names.contains(&name.as_str()) && !value.is_empty())
                .map(|(_, value)| value.clone())
        };
        set(&mut self.cluster_name, || {
            flag(&["--cluster-name", "--cluster-id", "-i"])
        });
        set(&mut self.region, || {
            flag(&["--region"]).or_else(|| env(&["AWS_REGION", "AWS_DEFAULT_REGION"]))
        });
        set(&mut self.profile, || {
            flag(&["--profile"]).or_else(|| env(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]))
        });
        set(&mut self.role_arn, || flag(&["--role-arn", "--role", "-r"]));
    }

    /// Adds what the nodes tell: the instances behind them, and what labels say.
    pub(crate) fn learn_nodes(&mut self, nodes: &[Node]) {
        let owned = |text: &str| text.to_owned();
        let ids = nodes
            .iter()
            .filter_map(|node| node.instance_id().map(owned));
        self.instance_ids = ids.collect();
        let names = nodes
            .iter()
            .filter_map(|node| node.address("InternalDNS").map(owned));
        self.private_dns_names = names.collect();
        let types: BTreeSet<String> = nodes
            .iter()
            .filter_map(|node| node.instance_type().map(owned))
            .collect();
        self.instance_types = types.into_iter().collect();
        set(&mut self.region, || {
            nodes.iter().find_map(|node| node.region().map(owned))
        });
        set(&mut self.cluster_name, || {
            const LABEL: &str = "alpha.eksctl.io/cluster-name";
            nodes.iter().find_map(|node| node.label(LABEL).map(owned))
        });
    }

    /// Adds what the API server's host tells: EKS endpoints are
    /// `ID.SHARD.REGION.eks.amazonaws.com[.cn]`.
    pub(crate) fn learn_host(&mut self) {
        let host = self.api_host.to_ascii_lowercase();
        let labels: Vec<&str> = host.split('.').collect();
        if let Some(at) = labels.iter().position(|label| *label == "eks")
            && at >= 2
            && matches!(labels.get(at + 1), Some(&("amazonaws" | "api")))
        {
            let region = labels[at - 1];
            if region.contains('-') {
                self.region.get_or_insert(region.to_owned());
            }
        }
    }
}

fn set(slot: &mut Option<String>, value: impl FnOnce() -> Option<String>) {
    if slot.is_none() {
        *slot = value();
    }
}

/// The value of a flag in `--name value` or `--name=value`.
fn flag_value(args: &[String], names: &[&str]) -> Option<String> {
    args.iter().enumerate().find_map(|(at, word)| {
        if names.contains(&word.as_str()) {
            return args.get(at + 1).cloned();
        }
        let (name, value) = word.split_once('=')?;
        names.contains(&name).then(|| value.to_owned())
    })
}

struct Arn {
    partition: String,
    region: String,
    account: String,
    cluster: String,
}

impl Arn {
    /// Reads `arn:PARTITION:eks:REGION:ACCOUNT:cluster/NAME`, also as the end of a longer name.
    fn parse(name: &str) -> Option<Self> {
        let mut parts = name[name.find("arn:")?..].splitn(6, ':').skip(1);
        let partition = parts.next()?;
        let service = parts.next()?;
        let (region, account) = (parts.next()?, parts.next()?);
        let cluster = parts.next()?.strip_prefix("cluster/")?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        (service == "eks" && is_account && !region.is_empty() && !cluster.is_empty()).then(|| {
            Self {
                partition: partition.to_owned(),
                region: region.to_owned(),
                account: account.to_owned(),
                cluster: cluster.to_owned(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_tells_everything_also_where_the_context_was_renamed() {
        let mut hints = ClusterHints::default();
        hints.learn_name("prod");
        hints.learn_name("arn:aws-cn:eks:cn-north-1:123456789012:cluster/shop");
        assert_eq!(hints.cluster_name.as_deref(), Some("shop"));
        assert_eq!(hints.region.as_deref(), Some("cn-north-1"));
        assert_eq!(hints.account.as_deref(), Some("123456789012"));
        assert_eq!(hints.partition.as_deref(), Some("aws-cn"));
    }

    #[test]
    fn names_that_are_no_arn_of_a_cluster_tell_nothing() {
        for name in [
            "arn:aws:iam::123456789012:role/x",
            "arn:aws:eks:us-west-2:12345:cluster/x",
            "arn:aws:eks",
            "ärn:",
        ] {
            let mut hints = ClusterHints::default();
            hints.learn_name(name);
            assert_eq!(hints, ClusterHints::default(), "{name}");
        }
    }

    #[test]
    fn eksctl_names_tell_cluster_and_region() {
        let mut hints = ClusterHints::default();
        hints.learn_name("me@company.com@my.shop.eu-west-1.eksctl.io");
        assert_eq!(hints.cluster_name.as_deref(), Some("my.shop"));
        assert_eq!(hints.region.as_deref(), Some("eu-west-1"));
    }

    #[test]
    fn the_plugin_tells_cluster_region_and_profile_in_either_spelling() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let env = [("AWS_PROFILE".to_owned(), "ops".to_owned())];
        let args = words("--region us-east-1 eks get-token --cluster-name=shop --role-arn r");
        let mut aws = ClusterHints::default();
        aws.learn_plugin(Plugin {
            args: &args,
            env: &env,
        });
        assert_eq!(aws.cluster_name.as_deref(), Some("shop"));
        assert_eq!(aws.region.as_deref(), Some("us-east-1"));
        assert_eq!(aws.profile.as_deref(), Some("ops"));
        assert_eq!(aws.role_arn.as_deref(), Some("r"));
        let args = words("token -i old");
        let mut authenticator = ClusterHints::default();
        authenticator.learn_plugin(Plugin {
            args: &args,
            env: &[],
        });
        assert_eq!(authenticator.cluster_name.as_deref(), Some("old"));
    }

    #[test]
    fn nodes_tell_their_instances_and_fill_what_is_not_known() {
        let node = |id: &str| -> Node {
            serde_json::from_value(serde_json::json!({
                "metadata": {"labels": {"topology.kubernetes.io/region": "eu-west-1",
                    "node.kubernetes.io/instance-type": "c5.large"}},
                "spec": {"providerID": format!("aws:///eu-west-1a/{id}")},
                "status": {"addresses": [{"type": "InternalDNS", "address": format!("{id}.internal")}]},
            }))
            .unwrap()
        };
        let mut hints = ClusterHints::default();
        hints.learn_nodes(&[node("i-1"), node("fargate-2")]);
        assert_eq!(hints.instance_ids, ["i-1"]);
        assert_eq!(
            hints.private_dns_names,
            ["i-1.internal", "fargate-2.internal"]
        );
        assert_eq!(hints.instance_types, ["c5.large"]);
        assert_eq!(hints.region.as_deref(), Some("eu-west-1"));
        hints.region = Some("us-east-1".to_owned());
        hints.learn_nodes(&[node("i-1")]);
        assert_eq!(hints.region.as_deref(), Some("us-east-1"));
    }

    #[test]
    fn an_eks_endpoint_tells_its_region() {
        let region = |host: &str| {
            let mut hints = ClusterHints {
                api_host: host.to_owned(),
                ..ClusterHints::default()
            };
            hints.learn_host();
            hints.region
        };
        let eks = region("0A1B.gr7.us-west-2.eks.amazonaws.com");
        assert_eq!(eks.as_deref(), Some("us-west-2"));
        let china = region("0A1B.yl4.cn-north-1.eks.amazonaws.com.cn");
        assert_eq!(china.as_deref(), Some("cn-north-1"));
        assert_eq!(region("127.0.0.1"), None);
        assert_eq!(region("eks.example.com"), None);
    }
}
