//! EKS: the cluster, its node groups and Pod Identity associations.

use std::future::Future;

use aws_sdk_eks::Client;
use aws_sdk_eks::primitives::DateTimeFormat as Format;
use aws_sdk_eks::types as sdk;
use tokio::time::Instant;

use eksnet_model::{Time, Why, aws};

use super::failure::Failure;
use super::paging::{Gathered, Page, gather, side_by_side, within};

/// Describe calls that run at the same time. EKS allows a few a second and account.
const AT_ONCE: usize = 8;

/// Most access entries that are described.
const MOST_ENTRIES: usize = 200;

/// Most Pod Identity associations that are described: the list has no roles, so each is a call.
const MOST_ASSOCIATIONS: usize = 200;

/// Largest page of EKS's lists.
const PAGE: i32 = 100;

pub(crate) const DESCRIBE_CLUSTER: &str = "eks:DescribeCluster";
pub(crate) const LIST_CLUSTERS: &str = "eks:ListClusters";
const LIST_NODEGROUPS: &str = "eks:ListNodegroups";
const DESCRIBE_NODEGROUP: &str = "eks:DescribeNodegroup";
const LIST_ADDONS: &str = "eks:ListAddons";
const DESCRIBE_ADDON: &str = "eks:DescribeAddon";
const LIST_ENTRIES: &str = "eks:ListAccessEntries";
const DESCRIBE_ENTRY: &str = "eks:DescribeAccessEntry";
const LIST_ASSOCIATIONS: &str = "eks:ListPodIdentityAssociations";
const DESCRIBE_ASSOCIATION: &str = "eks:DescribePodIdentityAssociation";

/// The cluster called `name`.
pub(crate) async fn fetch_cluster(client: &Client, name: &str) -> Result<aws::Cluster, Failure> {
    let answer = client.describe_cluster().name(name).send().await;
    let output = answer.map_err(|error| Failure::of_sdk(DESCRIBE_CLUSTER, &error))?;
    output.cluster.map(cluster).ok_or_else(|| {
        Failure::new(
            DESCRIBE_CLUSTER,
            Why::Malformed,
            "an answer without a cluster",
        )
    })
}

/// Names of the clusters of the region.
pub(crate) async fn list_clusters(client: &Client, deadline: Instant) -> Gathered<String> {
    gather(LIST_CLUSTERS, deadline, |token| async {
        let answer = client
            .list_clusters()
            .max_results(PAGE)
            .set_next_token(token)
            .send()
            .await;
        let output = answer.map_err(|error| Failure::of_sdk(LIST_CLUSTERS, &error))?;
        Ok(Page {
            items: output.clusters.unwrap_or_default(),
            next: output.next_token,
        })
    })
    .await
}

/// Clusters of the region, described; at most `most`.
pub(crate) async fn fetch_clusters(
    client: &Client,
    names: Vec<String>,
    deadline: Instant,
) -> Gathered<aws::Cluster> {
    describe_each(names, DESCRIBE_CLUSTER, deadline, |name| async move {
        fetch_cluster(client, &name).await
    })
    .await
}

/// Managed node groups of a cluster.
pub(crate) async fn fetch_nodegroups(
    client: &Client,
    cluster: &str,
    deadline: Instant,
) -> Gathered<aws::Nodegroup> {
    let names = gather(LIST_NODEGROUPS, deadline, |token| async {
        let answer = client
            .list_nodegroups()
            .cluster_name(cluster)
            .max_results(PAGE)
            .set_next_token(token)
            .send()
            .await;
        let output = answer.map_err(|error| Failure::of_sdk(LIST_NODEGROUPS, &error))?;
        Ok(Page {
            items: output.nodegroups.unwrap_or_default(),
            next: output.next_token,
        })
    })
    .await;
    described(names, DESCRIBE_NODEGROUP, deadline, |name| async move {
        let answer = client
            .describe_nodegroup()
            .cluster_name(cluster)
            .nodegroup_name(&name)
            .send()
            .await;
        let output = answer.map_err(|error| Failure::of_sdk(DESCRIBE_NODEGROUP, &error))?;
        output.nodegroup.map(nodegroup).ok_or_else(|| {
            Failure::new(
                DESCRIBE_NODEGROUP,
                Why::Malformed,
                "an answer without a node group",
            )
        })
    })
    .await
}

/// Pod Identity associations of a cluster, those of `kube-system` first; at most 200.
pub(crate) async fn fetch_pod_identity_associations(
    client: &Client,
    cluster: &str,
    deadline: Instant,
) -> Gathered<aws::PodIdentityAssociation> {
    let mut found = gather(LIST_ASSOCIATIONS, deadline, |token| async {
        let answer = client
            .list_pod_identity_associations()
            .cluster_name(cluster)
            .max_results(PAGE)
            .set_next_token(token)
            .send()
            .await;
        let output = answer.map_err(|error| Failure::of_sdk(LIST_ASSOCIATIONS, &error))?;
        Ok(Page {
            items: output.associations.unwrap_or_default(),
            next: output.next_token,
        })
    })
    .await;
    found
        .items
        .sort_by_key(|association| association.namespace() != Some("kube-system"));
    keep_first(
        &mut found,
        MOST_ASSOCIATIONS,
        DESCRIBE_ASSOCIATION,
        "associations",
    );
    let ids = found.map(|association| association.association_id.unwrap_or_default());
    described(ids, DESCRIBE_ASSOCIATION, deadline, |id| async move {
        let answer = client
            .describe_pod_identity_association()
            .cluster_name(cluster)
            .association_id(&id)
            .send()
            .await;
        let output = answer.map_err(|error| Failure::of_sdk(DESCRIBE_ASSOCIATION, &error))?;
        output.association.map(association).ok_or_else(|| {
            Failure::new(
                DESCRIBE_ASSOCIATION,
                Why::Malformed,
                "an answer without an association",
            )
        })
    })
    .await
}

/// Add-ons that EKS manages in a cluster.
pub(crate) async fn fetch_addons(
    client: &Client,
    cluster: &str,
    deadline: Instant,
) -> Gathered<aws::Addon> {
    let names = gather(LIST_ADDONS, deadline, |token| async {
        let answer = client
            .list_addons()
            .cluster_name(cluster)
            .max_results(PAGE)
            .set_next_token(token)
            .send()
            .await;
        let output = answer.map_err(|error| Failure::of_sdk(LIST_ADDONS, &error))?;
        Ok(Page {
            items: output.addons.unwrap_or_default(),
            next: output.next_token,
        })
    })
    .await;
    described(names, DESCRIBE_ADDON, deadline, |name| async move {
        let answer = client
            .describe_addon()
            .cluster_name(cluster)
            .addon_name(&name)
            .send()
            .await;
        let output = answer.map_err(|error| Failure::of_sdk(DESCRIBE_ADDON, &error))?;
        output.addon.map(addon).ok_or_else(|| {
            Failure::new(
                DESCRIBE_ADDON,
                Why::Malformed,
                "an answer without an add-on",
            )
        })
    })
    .await
}

/// Access entries of a cluster; at most 200. A cluster whose authentication mode is the config map
/// alone has none: EKS refuses the list then, which is no failure.
pub(crate) async fn fetch_access_entries(
    client: &Client,
    cluster: &str,
    deadline: Instant,
) -> Gathered<aws::AccessEntry> {
    let mut principals = gather(LIST_ENTRIES, deadline, |token| async {
        let answer = client
            .list_access_entries()
            .cluster_name(cluster)
            .max_results(PAGE)
            .set_next_token(token)
            .send()
            .await;
        let output = match answer.map_err(|error| Failure::of_sdk(LIST_ENTRIES, &error)) {
            Err(failure) if of_config_map_alone(&failure) => {
                return Ok(Page {
                    items: Vec::new(),
                    next: None,
                });
            }
            answer => answer?,
        };
        Ok(Page {
            items: output.access_entries.unwrap_or_default(),
            next: output.next_token,
        })
    })
    .await;
    keep_first(
        &mut principals,
        MOST_ENTRIES,
        DESCRIBE_ENTRY,
        "access entries",
    );
    described(principals, DESCRIBE_ENTRY, deadline, |arn| async move {
        let answer = client
            .describe_access_entry()
            .cluster_name(cluster)
            .principal_arn(&arn)
            .send()
            .await;
        let output = answer.map_err(|error| Failure::of_sdk(DESCRIBE_ENTRY, &error))?;
        output.access_entry.map(access_entry).ok_or_else(|| {
            Failure::new(DESCRIBE_ENTRY, Why::Malformed, "an answer without an entry")
        })
    })
    .await
}

/// `InvalidRequestException: The cluster's authentication mode must be set to one of [API,
/// API_AND_CONFIG_MAP] to perform this operation.`
fn of_config_map_alone(failure: &Failure) -> bool {
    failure.code.as_deref() == Some("InvalidRequestException")
        && failure.detail.contains("authentication mode")
}

/// The first `most` items; that there are more is said.
fn keep_first<T>(found: &mut Gathered<T>, most: usize, action: &'static str, what: &str) {
    let all = found.items.len();
    if all > most {
        let said = format!("{most} of {all} {what} were described");
        found.fail(Failure::new(action, Why::Sampled, said));
        found.items.truncate(most);
    }
}

/// The objects behind a list of names; what went wrong with the list stays noted. One that was
/// deleted in between is no failure.
async fn described<T, Fut>(
    names: Gathered<String>,
    action: &'static str,
    deadline: Instant,
    describe: impl Fn(String) -> Fut,
) -> Gathered<T>
where
    Fut: Future<Output = Result<T, Failure>>,
{
    let (names, mut gathered) = names.split();
    gathered.join(describe_each(names, action, deadline, describe).await);
    gathered
}

async fn describe_each<T, Fut>(
    names: Vec<String>,
    action: &'static str,
    deadline: Instant,
    describe: impl Fn(String) -> Fut,
) -> Gathered<T>
where
    Fut: Future<Output = Result<T, Failure>>,
{
    let calls = names
        .into_iter()
        .map(|name| within(deadline, action, describe(name)));
    let answers = side_by_side(AT_ONCE, calls).await;
    let mut gathered = Gathered::default();
    for answer in answers {
        match answer {
            Err(failure) if failure.not_found() => {}
            answer => gathered.add(answer.map(|item| [item])),
        }
    }
    gathered
}

fn cluster(from: sdk::Cluster) -> aws::Cluster {
    let vpc = from.resources_vpc_config;
    let network = from.kubernetes_network_config;
    let authority = from.certificate_authority.and_then(|ca| ca.data);
    let issuer = from
        .identity
        .and_then(|identity| identity.oidc)
        .and_then(|oidc| oidc.issuer);
    aws::Cluster {
        name: from.name.unwrap_or_default(),
        arn: from.arn.unwrap_or_default(),
        version: from.version.unwrap_or_default(),
        status: text(from.status),
        endpoint: from.endpoint.unwrap_or_default(),
        certificate_authority: aws::CertificateAuthority {
            data: authority.unwrap_or_default(),
        },
        role_arn: from.role_arn.unwrap_or_default(),
        platform_version: from.platform_version.unwrap_or_default(),
        kubernetes_network_config: network.map(network_config).unwrap_or_default(),
        resources_vpc_config: vpc.map(vpc_config).unwrap_or_default(),
        compute_config: aws::ComputeConfig {
            enabled: from
                .compute_config
                .and_then(|compute| compute.enabled)
                .unwrap_or_default(),
        },
        health: aws::NodegroupHealth {
            issues: from
                .health
                .and_then(|health| health.issues)
                .unwrap_or_default()
                .into_iter()
                .map(|one| issue(one.code, one.message, one.resource_ids))
                .collect(),
        },
        upgrade_policy: aws::UpgradePolicy {
            support_type: from
                .upgrade_policy
                .map(|policy| text(policy.support_type))
                .unwrap_or_default(),
        },
        access_config: aws::AccessConfig {
            authentication_mode: from
                .access_config
                .and_then(|access| access.authentication_mode)
                .map(|mode| text(Some(mode))),
        },
        identity: aws::Identity {
            oidc: aws::Oidc {
                issuer: issuer.unwrap_or_default(),
            },
        },
    }
}

fn network_config(from: sdk::KubernetesNetworkConfigResponse) -> aws::KubernetesNetworkConfig {
    aws::KubernetesNetworkConfig {
        service_ipv4_cidr: from.service_ipv4_cidr,
        service_ipv6_cidr: from.service_ipv6_cidr,
        ip_family: from.ip_family.map(|family| text(Some(family))),
    }
}

fn vpc_config(from: sdk::VpcConfigResponse) -> aws::ResourcesVpcConfig {
    aws::ResourcesVpcConfig {
        vpc_id: from.vpc_id.unwrap_or_default(),
        subnet_ids: from.subnet_ids.unwrap_or_default(),
        security_group_ids: from.security_group_ids.unwrap_or_default(),
        cluster_security_group_id: from.cluster_security_group_id.unwrap_or_default(),
        endpoint_public_access: from.endpoint_public_access,
        endpoint_private_access: from.endpoint_private_access,
        public_access_cidrs: from.public_access_cidrs.unwrap_or_default(),
    }
}

fn nodegroup(from: sdk::Nodegroup) -> aws::Nodegroup {
    let scaling = from.scaling_config;
    let size = |size: Option<i32>| size.and_then(|size| u32::try_from(size).ok());
    let groups = from
        .resources
        .and_then(|resources| resources.auto_scaling_groups)
        .unwrap_or_default();
    let issues = from
        .health
        .and_then(|health| health.issues)
        .unwrap_or_default();
    aws::Nodegroup {
        nodegroup_name: from.nodegroup_name.unwrap_or_default(),
        nodegroup_arn: from.nodegroup_arn.unwrap_or_default(),
        status: text(from.status),
        version: from.version,
        ami_type: from.ami_type.map(|ami| text(Some(ami))),
        capacity_type: from.capacity_type.map(|kind| text(Some(kind))),
        instance_types: from.instance_types.unwrap_or_default(),
        subnets: from.subnets.unwrap_or_default(),
        node_role: from.node_role.unwrap_or_default(),
        scaling_config: aws::ScalingConfig {
            min_size: size(scaling.as_ref().and_then(|s| s.min_size)).unwrap_or_default(),
            max_size: size(scaling.as_ref().and_then(|s| s.max_size)).unwrap_or_default(),
            desired_size: size(scaling.as_ref().and_then(|s| s.desired_size)).unwrap_or_default(),
        },
        resources: aws::NodegroupResources {
            auto_scaling_groups: groups
                .into_iter()
                .map(|group| aws::GroupName {
                    name: group.name.unwrap_or_default(),
                })
                .collect(),
        },
        health: aws::NodegroupHealth {
            issues: issues
                .into_iter()
                .map(|one| issue(one.code, one.message, one.resource_ids))
                .collect(),
        },
        labels: from.labels.unwrap_or_default().into_iter().collect(),
        taints: from
            .taints
            .unwrap_or_default()
            .into_iter()
            .map(|taint| aws::NodegroupTaint {
                key: taint.key.unwrap_or_default(),
                value: taint.value.unwrap_or_default(),
                effect: text(taint.effect),
            })
            .collect(),
    }
}

/// The SDK has a type of its own for the issues of clusters, of node groups and of add-ons.
fn issue(
    code: Option<impl AsRef<str>>,
    message: Option<String>,
    resource_ids: Option<Vec<String>>,
) -> aws::HealthIssue {
    aws::HealthIssue {
        code: text(code),
        message: message.unwrap_or_default(),
        resource_ids: resource_ids.unwrap_or_default(),
    }
}

fn addon(from: sdk::Addon) -> aws::Addon {
    let issues = from
        .health
        .and_then(|health| health.issues)
        .unwrap_or_default();
    aws::Addon {
        addon_name: from.addon_name.unwrap_or_default(),
        addon_version: from.addon_version.unwrap_or_default(),
        status: text(from.status),
        health: aws::NodegroupHealth {
            issues: issues
                .into_iter()
                .map(|one| issue(one.code, one.message, one.resource_ids))
                .collect(),
        },
        configuration_values: from.configuration_values,
        service_account_role_arn: from.service_account_role_arn,
        pod_identity_associations: from.pod_identity_associations.unwrap_or_default(),
    }
}

fn access_entry(from: sdk::AccessEntry) -> aws::AccessEntry {
    aws::AccessEntry {
        principal_arn: from.principal_arn.unwrap_or_default(),
        kind: from.r#type.unwrap_or_default(),
        kubernetes_groups: from.kubernetes_groups.unwrap_or_default(),
        username: from.username.unwrap_or_default(),
    }
}

fn association(from: sdk::PodIdentityAssociation) -> aws::PodIdentityAssociation {
    aws::PodIdentityAssociation {
        namespace: from.namespace.unwrap_or_default(),
        service_account: from.service_account.unwrap_or_default(),
        role_arn: from.role_arn.unwrap_or_default(),
        association_id: from.association_id.unwrap_or_default(),
        created_at: from
            .created_at
            .and_then(|at| Time::parse(&at.fmt(Format::DateTime).ok()?)),
    }
}

/// An enumeration of the SDK as the text that AWS sent, values that the SDK does not know included.
fn text<T: AsRef<str>>(value: Option<T>) -> String {
    value
        .map(|value| value.as_ref().to_owned())
        .unwrap_or_default()
}
