//! The AWS endpoints that a cluster's components call.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::kubernetes::Container;
use crate::{ClusterFacts, Component, Text, Topology};

/// One AWS endpoint that something in the cluster calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsEndpoint {
    /// Host name, such as `autoscaling.us-west-2.amazonaws.com`.
    pub host: Text,
    /// Service, as in the host name, such as `autoscaling`.
    pub service: Text,
    /// Who calls it, such as `cluster-autoscaler`.
    pub wanted_by: Text,
}

/// Services without which nothing scales and no credentials are had.
const CORE: [&str; 4] = ["sts", "ec2", "eks", "autoscaling"];

impl AwsEndpoint {
    /// The endpoints that this cluster's components call, by host; empty where the region is not
    /// known. Derived from what runs in the cluster, so a pod list that is missing makes it shorter.
    ///
    /// Services that exist in few regions (`pricing`) or have one global name (`iam`) are left out:
    /// their absence in a region is no fault.
    #[must_use]
    pub fn expected(cluster: &ClusterFacts, topology: &Topology<'_>) -> Vec<Self> {
        let Some(region) = cluster.region.as_deref().filter(|region| is_region(region)) else {
            return Vec::new();
        };
        let suffix = cluster.dns_suffix();
        let mut found = BTreeMap::new();
        let mut want = |label: &str, wanted_by: &str| {
            let host = Text::from(format!("{label}.{region}.{suffix}"));
            let service = service_of(&host).unwrap_or(label).to_owned();
            found.entry(host.clone()).or_insert_with(|| Self {
                host,
                service: service.into(),
                wanted_by: wanted_by.into(),
            });
        };
        for (service, wanted_by) in [
            ("sts", "credentials of pods"),
            ("ec2", "aws-node"),
            ("eks", "nodes that join"),
        ] {
            want(service, wanted_by);
        }
        if topology.uses_pod_identity() {
            want("eks-auth", "eks-pod-identity-agent");
        }
        for pod in topology.pods().filter(|pod| !pod.is_terminal()) {
            let component = Component::of_pod(pod);
            for service in services_of(component) {
                want(service, component.name());
            }
            for container in &pod.spec.containers {
                for service in services_of_image(container) {
                    want(service, name_of_image(&container.image));
                }
                if let Some(account) = registry_account(&container.image, region, suffix) {
                    want("api.ecr", "kubelet (images)");
                    want(&format!("{account}.dkr.ecr"), "kubelet (images)");
                    want("s3", "kubelet (images)");
                }
            }
        }
        found.into_values().collect()
    }

    /// Whether everything hangs on it: credentials, nodes, scaling.
    #[must_use]
    pub fn is_core(host: &str) -> bool {
        service_of(host).is_some_and(|service| CORE.contains(&service))
    }

    /// Whether a host name is one of AWS's.
    #[must_use]
    pub fn is_aws(host: &str) -> bool {
        service_of(host).is_some()
    }
}

impl Topology<'_> {
    /// Whether an address lies in a block of the VPC, or in a range that never leaves a private
    /// network. 100.64.0.0/10 counts: VPCs use it as secondary range.
    #[must_use]
    pub fn is_private(&self, address: IpAddr) -> bool {
        let in_vpc = self.vpc().is_some_and(|vpc| {
            vpc.cidr_block_association_set
                .iter()
                .map(|one| &one.cidr_block)
                .chain([&vpc.cidr_block])
                .any(|block| {
                    block
                        .parse::<IpNet>()
                        .is_ok_and(|net| net.contains(&address))
                })
        });
        in_vpc
            || match address {
                IpAddr::V4(v4) => {
                    let [first, second, ..] = v4.octets();
                    v4.is_private() || v4.is_link_local() || (first == 100 && second & 0xc0 == 64)
                }
                IpAddr::V6(v6) => v6.segments()[0] & 0xfe00 == 0xfc00,
            }
    }
}

/// The service in the host name of an AWS endpoint: `ec2` of `ec2.us-west-2.amazonaws.com`.
#[must_use]
pub fn service_of(host: &str) -> Option<&str> {
    const SUFFIXES: [&str; 5] = [
        ".amazonaws.com",
        ".amazonaws.com.cn",
        ".api.aws",
        ".c2s.ic.gov",
        ".sc2s.sgov.gov",
    ];
    let host = host.trim_end_matches('.');
    let labels = SUFFIXES
        .iter()
        .find_map(|suffix| host.strip_suffix(suffix))?;
    match labels.split('.').collect::<Vec<&str>>().as_slice() {
        // `123456789012.dkr.ecr.REGION`, `api.ecr.REGION`, `api.pricing.REGION`
        [_, "dkr", "ecr", ..] => Some("ecr"),
        ["api", service, ..] => Some(service),
        [first, ..] if !first.is_empty() => Some(first),
        _ => None,
    }
}

/// The region in the host name of an AWS endpoint: `us-west-2` of `ec2.us-west-2.amazonaws.com`; `None`
/// for global names.
#[must_use]
pub fn region_of(host: &str) -> Option<&str> {
    host.split('.').find(|label| is_region(label))
}

/// Whether a host name cannot exist, because the service is not offered under it: `pricing` outside a
/// few regions, and global services with a region in their name. Source: the service endpoint pages of
/// the AWS General Reference, read November 2026.
#[must_use]
pub fn is_not_offered(host: &str) -> bool {
    const PRICING: [&str; 4] = ["us-east-1", "eu-central-1", "ap-south-1", "cn-northwest-1"];
    match (service_of(host), region_of(host)) {
        (Some("pricing"), Some(region)) => !PRICING.contains(&region),
        (Some("iam" | "route53" | "cloudfront" | "organizations"), Some(_)) => true,
        _ => false,
    }
}

/// The availability zone that stands in a host name where the region belongs: `us-east-1a` of
/// `sts.us-east-1a.amazonaws.com`. No such name exists.
#[must_use]
pub fn zone_in(host: &str) -> Option<&str> {
    host.split('.').find(|label| {
        let zone = label.strip_suffix(|c: char| c.is_ascii_lowercase());
        zone.is_some_and(is_region)
    })
}

fn services_of(component: Component) -> &'static [&'static str] {
    match component {
        Component::ClusterAutoscaler => &["autoscaling"],
        Component::Karpenter => &["ssm", "sqs"],
        Component::LoadBalancerController => &["elasticloadbalancing"],
        _ => &[],
    }
}

/// Drivers and agents that are no component of networking but call AWS all the same.
fn services_of_image(container: &Container) -> &'static [&'static str] {
    match name_of_image(&container.image) {
        "aws-efs-csi-driver" => &["elasticfilesystem"],
        "aws-fsx-csi-driver" => &["fsx"],
        "aws-for-fluent-bit" | "cloudwatch-agent" => &["logs"],
        _ => &[],
    }
}

fn name_of_image(image: &str) -> &str {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split(['@', ':']).next().unwrap_or(last)
}

/// The account of an image in the region's own registry.
fn registry_account<'i>(image: &'i str, region: &str, suffix: &str) -> Option<&'i str> {
    let host = image.split('/').next()?;
    let account = host.strip_suffix(&format!(".dkr.ecr.{region}.{suffix}"))?;
    (account.len() == 12 && account.bytes().all(|c| c.is_ascii_digit())).then_some(account)
}

/// Whether a word has the form of an AWS region, such as `us-gov-west-1`.
fn is_region(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    parts.len() >= 3
        && parts
            .last()
            .is_some_and(|last| !last.is_empty() && last.bytes().all(|c| c.is_ascii_digit()))
        && parts[..parts.len() - 1]
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|c| c.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Snapshot;

    fn hosts(region: &str, images: &[&str]) -> Vec<String> {
        let pods: Vec<serde_json::Value> = images
            .iter()
            .enumerate()
            .map(|(at, image)| {
                serde_json::json!({"metadata": {"namespace": "n", "name": format!("p{at}")},
                    "spec": {"containers": [{"name": "c", "image": image}]}})
            })
            .collect();
        let snapshot: Snapshot = serde_json::from_value(serde_json::json!({
            "cluster": {"region": region}, "kubernetes": {"pods": pods}}))
        .expect("a snapshot");
        let topology = Topology::of(&snapshot);
        AwsEndpoint::expected(&snapshot.cluster, &topology)
            .into_iter()
            .map(|one| one.host.to_string())
            .collect()
    }

    #[test]
    fn the_set_follows_what_runs_in_the_cluster() {
        assert_eq!(
            hosts("us-west-2", &[]),
            [
                "ec2.us-west-2.amazonaws.com",
                "eks.us-west-2.amazonaws.com",
                "sts.us-west-2.amazonaws.com"
            ]
        );
        let more = hosts(
            "us-west-2",
            &[
                "registry.k8s.io/autoscaling/cluster-autoscaler:v1.33.0",
                "602401143452.dkr.ecr.us-west-2.amazonaws.com/eks/coredns:v1.11.1",
            ],
        );
        for host in [
            "autoscaling.us-west-2.amazonaws.com",
            "602401143452.dkr.ecr.us-west-2.amazonaws.com",
            "api.ecr.us-west-2.amazonaws.com",
            "s3.us-west-2.amazonaws.com",
        ] {
            assert!(more.contains(&host.to_owned()), "{host} in {more:?}");
        }
    }

    #[test]
    fn names_carry_the_suffix_of_their_partition() {
        assert!(hosts("cn-north-1", &[]).contains(&"sts.cn-north-1.amazonaws.com.cn".to_owned()));
    }

    #[test]
    fn a_cluster_outside_aws_calls_no_endpoint() {
        assert_eq!(hosts("lab", &[]), [""; 0]);
    }

    #[test]
    fn services_are_read_from_host_names() {
        assert_eq!(service_of("sts.amazonaws.com"), Some("sts"));
        assert_eq!(service_of("api.ecr.eu-west-1.amazonaws.com."), Some("ecr"));
        assert_eq!(service_of("eks.us-west-2.api.aws"), Some("eks"));
        assert_eq!(service_of("example.com"), None);
        assert_eq!(
            region_of("sts.us-gov-west-1.amazonaws.com"),
            Some("us-gov-west-1")
        );
        assert_eq!(region_of("sts.amazonaws.com"), None);
        assert!(is_not_offered("api.pricing.eu-west-1.amazonaws.com"));
        assert!(!is_not_offered("api.pricing.us-east-1.amazonaws.com"));
        assert!(!is_not_offered("iam.amazonaws.com"));
        assert_eq!(zone_in("sts.us-east-1a.amazonaws.com"), Some("us-east-1a"));
        assert_eq!(zone_in("sts.us-east-1.amazonaws.com"), None);
        assert!(AwsEndpoint::is_core("autoscaling.us-west-2.amazonaws.com"));
        assert!(!AwsEndpoint::is_core("logs.us-west-2.amazonaws.com"));
    }
}
