//! Pieces of configuration: flags and environment of a container, a Corefile.
//!
//! They become the workload that they are of, with nothing said of its state: it counts as running.

use eksnet_model::kubernetes as k8s;
use eksnet_model::{Component, kept_env_value, scrubbed_argument};

use crate::author;
use crate::shown::Shown;
use crate::words::label;

/// Most flags and variables of one text.
const MAX: usize = 500;
/// Longest Corefile, in bytes.
const MAX_COREFILE: usize = 256 * 1024;

/// Flags that tell whose they are. Sources: `cluster-autoscaler/FAQ.md` of kubernetes/autoscaler, and the
/// flag files of kube-proxy, aws-load-balancer-controller and external-dns.
const FLAGS: [(&str, Component); 17] = [
    ("node-group-auto-discovery", Component::ClusterAutoscaler),
    ("expander", Component::ClusterAutoscaler),
    ("skip-nodes-with-", Component::ClusterAutoscaler),
    ("scale-down-", Component::ClusterAutoscaler),
    ("balance-similar-node-groups", Component::ClusterAutoscaler),
    ("balancing-ignore-label", Component::ClusterAutoscaler),
    ("max-node-provision-time", Component::ClusterAutoscaler),
    ("aws-use-static-instance-list", Component::ClusterAutoscaler),
    ("proxy-mode", Component::KubeProxy),
    ("hostname-override", Component::KubeProxy),
    ("ingress-class", Component::LoadBalancerController),
    ("aws-vpc-id", Component::LoadBalancerController),
    ("enable-waf", Component::LoadBalancerController),
    ("enable-shield", Component::LoadBalancerController),
    ("txt-owner-id", Component::ExternalDns),
    ("aws-zone-type", Component::ExternalDns),
    ("localip", Component::NodeLocalDns),
];

/// What was read so far.
#[derive(Default)]
pub(crate) struct Config {
    flags: Vec<String>,
    env: Vec<(String, Option<String>)>,
    image: Option<String>,
    component: Option<Component>,
    corefile: Option<String>,
    /// Open braces of the Corefile.
    depth: i64,
}

impl Config {
    /// Reads a line; whether it is a piece of configuration.
    pub(crate) fn line(&mut self, text: &str) -> bool {
        self.corefile_line(text) || self.flag_line(text) || self.env_line(text)
    }

    fn corefile_line(&mut self, text: &str) -> bool {
        let open = text.matches('{').count();
        let close = text.matches('}').count();
        if self.depth == 0 && !is_server_block(text) {
            return false;
        }
        let corefile = self.corefile.get_or_insert_default();
        if corefile.len() + text.len() > MAX_COREFILE {
            self.depth = 0;
            return false;
        }
        corefile.push_str(text);
        corefile.push('\n');
        self.depth += i64::try_from(open).unwrap_or(0) - i64::try_from(close).unwrap_or(0);
        self.depth = self.depth.max(0);
        true
    }

    fn flag_line(&mut self, text: &str) -> bool {
        let bare = text
            .trim()
            .trim_start_matches("- ")
            .trim_matches(['"', '\'', ',', '\\', ' ']);
        if bare == "./cluster-autoscaler" {
            self.component = Some(Component::ClusterAutoscaler);
            return true;
        }
        if let Some(image) = bare.strip_prefix("image: ") {
            self.image = Some(image.trim_matches(['"', '\'']).to_owned());
            return true;
        }
        let Some(flag) = bare.strip_prefix("--") else {
            return false;
        };
        let name = flag.split(['=', ' ']).next().unwrap_or(flag);
        let is_flag = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && name.starts_with(|c: char| c.is_ascii_lowercase());
        if !is_flag || self.flags.len() == MAX {
            return false;
        }
        if self.component.is_none() {
            self.component = FLAGS
                .iter()
                .find(|(known, _)| name.starts_with(known))
                .map(|(_, component)| *component);
        }
        self.flags.push(scrubbed_argument(bare));
        true
    }

    /// `NAME=value`, `NAME: value`, or `- name: NAME` with `value: ..` in the next line; of the variables
    /// that checks read.
    fn env_line(&mut self, text: &str) -> bool {
        let bare = text.trim().trim_start_matches("- ");
        if self.env.len() == MAX {
            return false;
        }
        if let Some(name) = bare.strip_prefix("name: ") {
            let name = name.trim_matches(['"', '\'', ' ']);
            if kept_env_value(name, "x").is_none() {
                return false;
            }
            self.env.push((name.to_owned(), None));
            return true;
        }
        if let Some(value) = bare.strip_prefix("value: ")
            && let Some((name, into @ None)) = self.env.last_mut()
        {
            *into = kept_env_value(name, value.trim_matches(['"', '\'', ' ']));
            return true;
        }
        let Some((name, value)) = bare.split_once('=').or_else(|| bare.split_once(": ")) else {
            return false;
        };
        let name = name.trim_matches(['"', '\'', ' ']);
        let value = value.trim_matches(['"', '\'', ',', ' ']);
        if value.contains(' ') {
            return false;
        }
        let Some(value) = kept_env_value(name, value) else {
            return false;
        };
        self.env.push((name.to_owned(), Some(value)));
        true
    }

    /// Adds the workload that the pieces are of; whether they tell whose they are.
    pub(crate) fn finish(self, file: &str, shown: &mut Shown) -> bool {
        let mut any = false;
        if let Some(corefile) = self.corefile {
            // NodeLocal DNSCache binds an address of its own.
            let name = if corefile.contains("bind 169.254.") {
                "node-local-dns"
            } else {
                "coredns"
            };
            let mut map = k8s::ConfigMap {
                metadata: meta(name),
                ..k8s::ConfigMap::default()
            };
            map.data.insert("Corefile".to_owned(), corefile);
            shown.configmaps.push(map);
            any = true;
        }
        let is_cni = |name: &str| {
            name.starts_with("AWS_VPC_") || name.starts_with("WARM_") || name.starts_with("ENABLE_")
        };
        let component = self
            .component
            .or_else(|| {
                self.env
                    .iter()
                    .any(|(name, _)| is_cni(name))
                    .then_some(Component::AwsNode)
            })
            .or_else(|| author::of_path(file));
        let (Some(component), false) = (component, self.flags.is_empty() && self.env.is_empty())
        else {
            return any;
        };
        let component = match component {
            // Both run in aws-node's pods.
            Component::Ipamd | Component::CniPlugin | Component::NetworkPolicyAgent => {
                Component::AwsNode
            }
            other => other,
        };
        let name = component.name();
        let container = k8s::Container {
            name: name.to_owned(),
            image: self.image.unwrap_or_default(),
            args: self.flags,
            env: self
                .env
                .into_iter()
                .map(|(name, value)| k8s::EnvVar { name, value })
                .collect(),
            ..k8s::Container::default()
        };
        let template = k8s::PodTemplate {
            metadata: k8s::Meta {
                labels: label(name)
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into_iter()
                    .collect(),
                ..k8s::Meta::default()
            },
            spec: k8s::PodSpec {
                containers: vec![container],
                ..k8s::PodSpec::default()
            },
        };
        if matches!(
            component,
            Component::AwsNode | Component::KubeProxy | Component::NodeLocalDns
        ) {
            let mut daemonset = k8s::DaemonSet {
                metadata: meta(name),
                ..k8s::DaemonSet::default()
            };
            daemonset.spec.template = template;
            shown.daemonsets.push(daemonset);
        } else if component != Component::Kubelet {
            let mut deployment = k8s::Deployment {
                metadata: meta(name),
                ..k8s::Deployment::default()
            };
            deployment.spec.template = template;
            runs(&mut deployment);
            shown.deployments.push(deployment);
        }
        true
    }
}

/// A Deployment that was written down, not read from a cluster, says nothing of its state.
pub(crate) fn runs(deployment: &mut k8s::Deployment) {
    let wanted = deployment.spec.replicas.unwrap_or(1);
    deployment.status.replicas = wanted;
    deployment.status.ready_replicas = wanted;
}

/// Metadata of an object of a component: EKS runs its own in `kube-system`.
pub(crate) fn meta(name: &str) -> k8s::Meta {
    k8s::Meta {
        name: name.to_owned(),
        namespace: "kube-system".to_owned(),
        ..k8s::Meta::default()
    }
}

/// Whether a line opens a server block: `.:53 {`, `example.com:53 {`, `. {`.
fn is_server_block(text: &str) -> bool {
    let Some(zones) = text.trim().strip_suffix('{') else {
        return false;
    };
    let mut zones = zones.split_whitespace().peekable();
    zones.peek().is_some()
        && zones.all(|zone| {
            zone == "."
                || zone.rsplit_once(':').is_some_and(|(name, port)| {
                    !name.is_empty()
                        && !name.contains(['"', '=', '('])
                        && !port.is_empty()
                        && port.bytes().all(|byte| byte.is_ascii_digit())
                })
        })
}

#[cfg(test)]
mod tests {
    use eksnet_model::CniSettings;

    use super::*;

    fn shown(file: &str, text: &str) -> Shown {
        let mut config = Config::default();
        for line in text.lines() {
            config.line(line);
        }
        let mut shown = Shown::default();
        config.finish(file, &mut shown);
        shown
    }

    #[test]
    fn flags_become_the_deployment_that_runs_with_them() {
        let text = "command:\n  - ./cluster-autoscaler\n  - --v=4\n  - \"--skip-nodes-with-system-pods=false\"\n  - --token=abc\n";
        let found = shown("x.txt", text);
        let deployment = &found.deployments[0];
        let template = &deployment.spec.template;
        assert_eq!(
            Component::of(&template.spec, &template.metadata.labels),
            Component::ClusterAutoscaler
        );
        assert_eq!(
            template.spec.containers[0].args,
            [
                "--v=4",
                "--skip-nodes-with-system-pods=false",
                "--token=[removed]"
            ]
        );
        assert_eq!(deployment.status.ready_replicas, 1);
    }

    #[test]
    fn the_environment_of_the_cni_is_its_settings() {
        for text in [
            "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG=true\nWARM_IP_TARGET=5\nSECRET=x\n",
            "- name: AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG\n  value: \"true\"\n- name: WARM_IP_TARGET\n  value: \"5\"\n",
        ] {
            let found = shown("x.txt", text);
            let settings = CniSettings::of(&found.daemonsets).expect("settings");
            assert!(settings.custom_networking, "{text}");
            assert_eq!(settings.warm_ips, Some(5));
        }
    }

    #[test]
    fn a_corefile_is_the_config_map_that_holds_it() {
        let text = "prose: a {\n.:53 {\n    errors\n    kubernetes cluster.local {\n        pods insecure\n    }\n    forward . 10.1.1.1\n}\nprose\n";
        let found = shown("x.txt", text);
        let corefile = &found.configmaps[0].data["Corefile"];
        assert!(corefile.starts_with(".:53 {") && corefile.trim_end().ends_with('}'));
        assert!(!corefile.contains("prose"));
    }

    #[test]
    fn flags_of_nobody_are_no_evidence() {
        let found = shown("x.txt", "--tail=20\nFOO=bar\n");
        assert!(found.deployments.is_empty() && found.daemonsets.is_empty());
    }
}
