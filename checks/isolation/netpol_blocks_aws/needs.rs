//! What pods need of the world outside of the cluster.

use std::collections::BTreeSet;
use std::net::IpAddr;

use eksnet_model::kubernetes::{Pod, Service};
use eksnet_model::netpol::isolates_egress;
use eksnet_model::{Component, Cx, Fact, Heard, Selected, Source};

const ROLE: &str = "eks.amazonaws.com/role-arn";
/// Variables that the webhooks of EKS put into containers.
const BY_TOKEN: [&str; 2] = ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"];
const BY_AGENT: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

/// One thing that a pod needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    Https,
    PodIdentity,
    Metadata,
    Api,
}

impl Need {
    pub(super) fn addresses(self) -> &'static [&'static str] {
        match self {
            Self::PodIdentity => &["169.254.170.23", "fd00:ec2::23"],
            Self::Metadata => &["169.254.169.254", "fd00:ec2::254"],
            Self::Https | Self::Api => &[],
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Https => "AWS's endpoints",
            Self::PodIdentity => "the Pod Identity agent",
            Self::Metadata => "instance metadata",
            Self::Api => "the API server",
        }
    }

    pub(super) fn flow(self) -> &'static str {
        match self {
            Self::Https => "TCP 443 to addresses outside of the cluster",
            Self::PodIdentity => "TCP 80 to 169.254.170.23",
            Self::Metadata => "TCP 80 to 169.254.169.254",
            Self::Api => "TCP 443 to the addresses behind Service kubernetes",
        }
    }

    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Https => "a rule with an ipBlock and TCP 443",
            Self::PodIdentity => "a rule for 169.254.170.23/32 and TCP 80",
            Self::Metadata => "a rule for 169.254.169.254/32 and TCP 80",
            Self::Api => "a rule for the control plane's interfaces and TCP 443",
        }
    }

    pub(super) fn signal(self) -> &'static str {
        match self {
            Self::Https => "https-denied",
            Self::PodIdentity => "pod-identity-denied",
            Self::Metadata => "imds-denied",
            Self::Api => "api-denied",
        }
    }

    pub(super) fn rule(self) -> &'static str {
        match self {
            Self::Https | Self::Api => {
                r#"{"to":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["169.254.0.0/16"]}}],"ports":[{"port":443,"protocol":"TCP"}]}"#
            }
            Self::PodIdentity => {
                r#"{"to":[{"ipBlock":{"cidr":"169.254.170.23/32"}}],"ports":[{"port":80,"protocol":"TCP"}]}"#
            }
            Self::Metadata => {
                r#"{"to":[{"ipBlock":{"cidr":"169.254.169.254/32"}}],"ports":[{"port":80,"protocol":"TCP"}]}"#
            }
        }
    }
}

/// What the pods of one set of policies need, and how that is known.
pub(super) struct Needs<'a> {
    pub(super) all: BTreeSet<Need>,
    pub(super) workloads: BTreeSet<String>,
    pub(super) proof: Vec<Fact>,
    pub(super) said: Vec<&'a Heard<'a>>,
}

impl<'a> Needs<'a> {
    pub(super) fn of(cx: &Cx<'_>, selected: &Selected<'_>, said: &'a [Heard<'a>]) -> Self {
        let mut needs = Self {
            all: BTreeSet::new(),
            workloads: BTreeSet::new(),
            proof: Vec::new(),
            said: Vec::new(),
        };
        let pods = cx.topology().pods().filter(|pod| {
            pod.metadata.namespace == selected.namespace
                && !pod.on_host_network()
                && selected.workloads.contains(&pod.workload())
        });
        for pod in pods {
            needs.of_pod(cx, pod);
        }
        if selected.workloads.is_empty() {
            needs.of_selector(selected);
        }
        needs.of_lines(cx, selected, said);
        needs
    }

    fn of_pod(&mut self, cx: &Cx<'_>, pod: &Pod) {
        let account = pod.spec.service_account_name.as_str();
        let namespace = pod.metadata.namespace.as_str();
        let has = |name: &str| {
            pod.spec
                .containers
                .iter()
                .any(|container| container.env.iter().any(|env| env.name == name))
        };
        let accounts = cx.service_accounts().optional();
        let own = accounts
            .into_iter()
            .flatten()
            .find(|one| one.metadata.namespace == namespace && one.metadata.name == account);
        let by_token = BY_TOKEN.iter().any(|name| has(name))
            || own.is_some_and(|one| one.metadata.annotations.contains_key(ROLE));
        let associations = cx.pod_identity_associations().optional();
        let by_agent = has(BY_AGENT)
            || associations
                .into_iter()
                .flatten()
                .any(|one| one.namespace == namespace && one.service_account == account);
        let component = Component::of_pod(pod);
        let calls = Component::CALLING_AWS.contains(&component);
        if !by_token && !by_agent && !calls {
            return;
        }
        let (how, need) = match (by_agent, by_token) {
            (true, _) => ("by Pod Identity", Some(Need::PodIdentity)),
            (_, true) => ("by a role of its service account", None),
            // Without a role of its own it has that of its node, as far as accounts are known.
            _ if own.is_some() && cx.pod_identity_associations().is_complete() => {
                ("by the role of its node", Some(Need::Metadata))
            }
            _ => ("in a way that is not known", None),
        };
        self.all.insert(Need::Https);
        self.all.extend(need);
        if calls && !api_addresses(cx).is_empty() {
            self.all.insert(Need::Api);
        }
        if self.workloads.insert(pod.workload()) && self.proof.len() < 3 {
            let who = match component {
                Component::Unknown => pod.workload(),
                component => format!("{} ({})", pod.workload(), component.name()),
            };
            self.proof
                .push(Fact::new(Source::Pods, who, "calls AWS", how));
        }
    }

    /// Where no pod is known the labels that a selector asks for name a controller that calls AWS.
    fn of_selector(&mut self, selected: &Selected<'_>) {
        let controller = selected
            .policies
            .iter()
            .filter(|policy| isolates_egress(policy))
            .map(|policy| &policy.spec.pod_selector.match_labels)
            .map(|labels| Component::of(&eksnet_model::kubernetes::PodSpec::default(), labels))
            .find(|component| {
                Component::CALLING_AWS.contains(component) && *component != Component::AwsNode
            });
        if let Some(component) = controller {
            self.all.insert(Need::Https);
            self.proof.push(Fact::new(
                Source::NetworkPolicies,
                format!("pods of namespace {}", selected.namespace),
                "podSelector",
                format!("the labels of {}", component.name()),
            ));
        }
    }

    /// Calls that time out, of these pods or of nobody known, tell what is needed.
    fn of_lines(&mut self, cx: &Cx<'_>, selected: &Selected<'_>, said: &'a [Heard<'a>]) {
        for one in said {
            let workload = cx.topology().workload_of_log(one.scan);
            let is_theirs = match &workload {
                Some(workload) => {
                    selected.workloads.contains(workload)
                        || (selected.workloads.is_empty()
                            && workload.split('/').next() == Some(selected.namespace))
                }
                None if one.scan.namespace.is_empty() => true,
                None => *one.scan.namespace == *selected.namespace,
            };
            // Programs of the node's own network no policy holds.
            let on_node = matches!(
                one.scan.component,
                Component::AwsNode | Component::Ipamd | Component::Kubelet | Component::KubeProxy
            );
            if !is_theirs || on_node {
                continue;
            }
            let need = match one.value("ip") {
                Some("169.254.170.23" | "fd00:ec2::23") => Need::PodIdentity,
                Some("169.254.169.254" | "fd00:ec2::254") => Need::Metadata,
                _ => Need::Https,
            };
            self.all.insert(need);
            self.said.push(one);
        }
    }
}

/// Addresses of the API server, as its own endpoints say.
pub(super) fn api_addresses(cx: &Cx<'_>) -> Vec<IpAddr> {
    cx.topology()
        .endpoint_slices()
        .filter(|slice| {
            slice.metadata.namespace == "default" && slice.service() == Some("kubernetes")
        })
        .flat_map(|slice| &slice.endpoints)
        .flat_map(|endpoint| &endpoint.addresses)
        .filter_map(|ip| ip.parse().ok())
        .collect()
}

/// Addresses of Services: no packet leaves the node with them.
pub(super) fn service_addresses(cx: &Cx<'_>) -> BTreeSet<IpAddr> {
    let services = cx.services().optional().into_iter().flatten();
    services
        .flat_map(Service::cluster_ips)
        .filter_map(|ip| ip.parse().ok())
        .collect()
}

pub(super) fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80,
    }
}
