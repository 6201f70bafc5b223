//! `kubectl describe` of pods, nodes and services.

use eksnet_model::kubernetes as k8s;
use eksnet_model::{kept_annotation, kept_env_value, scrubbed_argument};

use crate::event;
use crate::shown::Shown;
use crate::table::endpoints;
use crate::words::columns;

/// A description that is being read.
#[derive(Default)]
pub(crate) struct Describe {
    name: String,
    namespace: String,
    /// Newest key without indentation: the section.
    section: String,
    /// Newest key with an indentation of four, within a container.
    part: String,
    is_pod: bool,
    is_node: bool,
    is_account: bool,
    /// What `kubectl describe service` shows as `Endpoints`.
    endpoints: Option<String>,
    service: k8s::Service,
    /// Where `kubectl describe ingress` says that it is reached.
    address: String,
    /// Class, of an Ingress alone.
    ingress: Option<String>,
    pod: k8s::Pod,
    node: k8s::Node,
}

impl Describe {
    /// A description, if the line begins one: `Name:         coredns-5d78c9869d-abcde`.
    pub(crate) fn begin(text: &str) -> Option<Self> {
        let name = text.strip_prefix("Name:")?;
        let value = name.trim();
        // `Name: x` with one space is what nslookup prints.
        if !name.starts_with("  ") || value.is_empty() || value.contains(' ') {
            return None;
        }
        Some(Self {
            name: value.to_owned(),
            ..Self::default()
        })
    }

    /// Reads a line of the description; `false` when it is none.
    pub(crate) fn line(&mut self, text: &str, shown: &mut Shown) -> bool {
        let indent = text.len() - text.trim_start().len();
        let bare = text.trim();
        if indent == 0 {
            return self.key(bare, shown);
        }
        match self.section.as_str() {
            "Labels" => pair(bare, &mut self.pod.metadata.labels),
            "Annotations" => self.annotation(bare),
            "Containers" | "Init Containers" => self.container(bare, indent),
            "Conditions" => self.condition(bare),
            "Addresses" => {
                if let Some((kind, address)) = bare.split_once(':') {
                    self.node.status.addresses.push(k8s::NodeAddress {
                        kind: kind.to_owned(),
                        address: address.trim().to_owned(),
                    });
                }
            }
            "Capacity" => quantity(bare, &mut self.node.status.capacity),
            "Allocatable" => quantity(bare, &mut self.node.status.allocatable),
            "System Info" => self.system(bare),
            "Events" => return self.event(text, shown),
            _ => {}
        }
        true
    }

    fn key(&mut self, text: &str, shown: &mut Shown) -> bool {
        let Some((key, value)) = text.split_once(':') else {
            // Events that were pasted without their indentation.
            return self.section == "Events" && self.event(text, shown);
        };
        let is_key = key.len() < 40
            && key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-' | b'_'))
            && key.starts_with(|c: char| c.is_ascii_uppercase());
        if !is_key || (self.section == "Events" && self.event(text, shown)) {
            return is_key;
        }
        self.section = key.to_owned();
        self.part.clear();
        let value = value.trim();
        let value = if value == "<none>" { "" } else { value };
        match key {
            "Namespace" => self.namespace = value.to_owned(),
            "Labels" => pair(value, &mut self.pod.metadata.labels),
            "Annotations" => self.annotation(value),
            "Service Account" => self.pod.spec.service_account_name = value.to_owned(),
            "Node" => {
                let (node, ip) = value.split_once('/').unwrap_or((value, ""));
                self.pod.spec.node_name = node.to_owned();
                self.pod.status.host_ip = ip.to_owned();
            }
            "Status" => {
                let (phase, reason) = value.split_once(' ').unwrap_or((value, ""));
                if phase == "Terminating" {
                    self.pod.status.phase = "Running".to_owned();
                } else {
                    self.pod.status.phase = phase.to_owned();
                }
                self.pod.status.reason = reason.trim_matches(['(', ')']).to_owned();
            }
            "Reason" => self.pod.status.reason = value.to_owned(),
            "Message" => self.pod.status.message = value.to_owned(),
            "IP" => self.pod.status.pod_ip = value.to_owned(),
            "Controlled By" => {
                if let Some((kind, name)) = value.split_once('/') {
                    self.pod
                        .metadata
                        .owner_references
                        .push(k8s::OwnerReference {
                            kind: kind.to_owned(),
                            name: name.to_owned(),
                            controller: true,
                        });
                }
            }
            "Endpoints" => {
                let shown = self.endpoints.get_or_insert_default();
                if !shown.is_empty() && !value.is_empty() {
                    shown.push(',');
                }
                shown.push_str(value);
            }
            "Address" => self.address = value.to_owned(),
            "Ingress Class" => self.ingress = Some(value.to_owned()),
            "Default backend" => {
                self.ingress.get_or_insert_default();
            }
            "LoadBalancer Ingress" => self.service.status = Some(k8s::LoadBalanced::at(value)),
            "Type" => self.service.spec.kind = value.to_owned(),
            "Selector" => {
                for each in value.split(',') {
                    pair(each, &mut self.service.spec.selector);
                }
            }
            "Port" => self.service.spec.ports.extend(port(value)),
            "Containers" => self.is_pod = true,
            "Capacity" | "Allocatable" | "Roles" => self.is_node = true,
            "Mountable secrets" | "Image pull secrets" | "Tokens" => self.is_account = true,
            "Unschedulable" => self.node.spec.unschedulable = value == "true",
            "ProviderID" => self.node.spec.provider_id = Some(value.to_owned()),
            _ => {}
        }
        true
    }

    fn annotation(&mut self, text: &str) {
        if let Some((key, value)) = text.split_once(": ")
            && kept_annotation(key)
        {
            self.pod
                .metadata
                .annotations
                .insert(key.to_owned(), value.trim().to_owned());
        }
    }

    fn container(&mut self, text: &str, indent: usize) {
        let init = self.section == "Init Containers";
        let (specs, statuses) = if init {
            (
                &mut self.pod.spec.init_containers,
                &mut self.pod.status.init_container_statuses,
            )
        } else {
            (
                &mut self.pod.spec.containers,
                &mut self.pod.status.container_statuses,
            )
        };
        if indent <= 2 {
            let name = text.trim_end_matches(':').to_owned();
            specs.push(k8s::Container {
                name: name.clone(),
                ..k8s::Container::default()
            });
            statuses.push(k8s::ContainerStatus {
                name,
                ..k8s::ContainerStatus::default()
            });
            self.part.clear();
            return;
        }
        let (Some(spec), Some(status)) = (specs.last_mut(), statuses.last_mut()) else {
            return;
        };
        let (key, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.trim();
        if indent <= 4 {
            self.part = key.to_owned();
            match key {
                "Image" => spec.image = value.to_owned(),
                "Ready" => status.ready = value == "True",
                "Restart Count" => status.restart_count = value.parse().unwrap_or(0),
                "State" => set_state(&mut status.state, value),
                "Last State" => set_state(&mut status.last_state, value),
                _ => {}
            }
            return;
        }
        match self.part.as_str() {
            "Command" => spec.command.push(scrubbed_argument(text)),
            "Args" => spec.args.push(scrubbed_argument(text)),
            "State" => set_detail(&mut status.state, key, value),
            "Last State" => set_detail(&mut status.last_state, key, value),
            "Environment" => {
                let is_written = !value.starts_with('<');
                spec.env.push(k8s::EnvVar {
                    name: key.to_owned(),
                    value: kept_env_value(key, value).filter(|_| is_written),
                });
            }
            "Limits" => quantity(text, &mut spec.resources.limits),
            "Requests" => quantity(text, &mut spec.resources.requests),
            _ => {}
        }
    }

    fn condition(&mut self, text: &str) {
        let cells = columns(text);
        let (Some(kind), Some(status)) = (cells.first(), cells.get(1)) else {
            return;
        };
        if !matches!(*status, "True" | "False" | "Unknown") {
            return;
        }
        // A pod's conditions show type and status alone.
        if self.is_pod || cells.len() < 4 {
            self.pod.status.conditions.push(k8s::PodCondition {
                kind: (*kind).to_owned(),
                status: (*status).to_owned(),
                ..k8s::PodCondition::default()
            });
        }
        self.node.status.conditions.push(k8s::NodeCondition {
            kind: (*kind).to_owned(),
            status: (*status).to_owned(),
            reason: cells.get(4).copied().unwrap_or_default().to_owned(),
            message: cells.get(5..).unwrap_or_default().join(" "),
            ..k8s::NodeCondition::default()
        });
    }

    fn system(&mut self, text: &str) {
        let (key, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.trim().to_owned();
        let info = &mut self.node.status.node_info;
        match key {
            "Kubelet Version" => info.kubelet_version = value,
            "OS Image" => info.os_image = value,
            "Kernel Version" => info.kernel_version = value,
            "Operating System" => info.operating_system = value,
            "Architecture" => info.architecture = value,
            _ => {}
        }
    }

    fn event(&self, text: &str, shown: &mut Shown) -> bool {
        let kind = if self.is_pod {
            "Pod"
        } else if self.is_node {
            "Node"
        } else if self.ingress.is_some() {
            "Ingress"
        } else if !self.service.spec.kind.is_empty() {
            "Service"
        } else {
            ""
        };
        let about = k8s::ObjectReference {
            kind: kind.to_owned(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        };
        match event::of_line(text, &about) {
            Some(event) => shown.event(event),
            None => return text.trim().starts_with("Type ") || text.trim().starts_with("----"),
        }
        true
    }

    /// Ends the description; `true` when an object came of it.
    pub(crate) fn finish(mut self, shown: &mut Shown) -> bool {
        if self.is_pod {
            self.pod.metadata.name = self.name;
            self.pod.metadata.namespace = self.namespace;
            shown.pods.push((self.pod, None));
            true
        } else if self.is_node {
            self.node.metadata.name = self.name;
            self.node.metadata.labels = self.pod.metadata.labels;
            shown.nodes.push((self.node, None));
            true
        } else if self.is_account {
            self.pod.metadata.name = self.name;
            self.pod.metadata.namespace = self.namespace;
            shown.serviceaccounts.push(k8s::ServiceAccount {
                metadata: self.pod.metadata,
            });
            true
        } else if let Some(class) = self.ingress {
            self.pod.metadata.name = self.name;
            self.pod.metadata.namespace = self.namespace;
            shown.ingresses.push(k8s::Ingress {
                metadata: self.pod.metadata,
                spec: k8s::IngressSpec {
                    ingress_class_name: class,
                },
                status: Some(k8s::LoadBalanced::at(&self.address)),
            });
            true
        } else if let Some(addresses) = self
            .endpoints
            .filter(|_| !self.service.spec.kind.is_empty())
        {
            let meta = k8s::Meta {
                name: self.name,
                namespace: self.namespace,
                ..k8s::Meta::default()
            };
            shown
                .endpointslices
                .push(endpoints(meta.clone(), Some(&addresses)));
            self.service.metadata = meta;
            self.service.metadata.annotations = self.pod.metadata.annotations;
            self.service.spec.cluster_ip = self.pod.status.pod_ip;
            if self.service.spec.kind == "LoadBalancer" {
                self.service.status.get_or_insert_default();
            }
            shown.services.push(self.service);
            true
        } else {
            false
        }
    }
}

/// `dns  53/UDP`, or `<unset>  80/TCP`.
fn port(text: &str) -> Option<k8s::ServicePort> {
    let mut words = text.split_whitespace().rev();
    let (port, protocol) = words.next()?.split_once('/')?;
    Some(k8s::ServicePort {
        name: words
            .next()
            .filter(|name| !name.starts_with('<'))
            .unwrap_or_default()
            .to_owned(),
        port: port.parse().ok()?,
        protocol: protocol.to_owned(),
        ..k8s::ServicePort::default()
    })
}

fn pair(text: &str, into: &mut std::collections::BTreeMap<String, String>) {
    if let Some((key, value)) = text.split_once('=') {
        into.insert(key.trim().to_owned(), value.trim().to_owned());
    }
}

fn quantity(text: &str, into: &mut std::collections::BTreeMap<String, String>) {
    if let Some((key, value)) = text.split_once(':') {
        into.insert(key.trim().to_owned(), value.trim().to_owned());
    }
}

fn set_state(state: &mut k8s::ContainerState, word: &str) {
    *state = k8s::ContainerState::default();
    match word {
        "Waiting" => state.waiting = Some(k8s::StateWaiting::default()),
        "Running" => state.running = Some(k8s::StateRunning::default()),
        "Terminated" => state.terminated = Some(k8s::StateTerminated::default()),
        _ => {}
    }
}

fn set_detail(state: &mut k8s::ContainerState, key: &str, value: &str) {
    if let Some(waiting) = &mut state.waiting {
        match key {
            "Reason" => waiting.reason = value.to_owned(),
            "Message" => waiting.message = value.to_owned(),
            _ => {}
        }
    }
    if let Some(terminated) = &mut state.terminated {
        match key {
            "Reason" => terminated.reason = value.to_owned(),
            "Message" => terminated.message = value.to_owned(),
            "Exit Code" => terminated.exit_code = value.parse().unwrap_or(0),
            _ => {}
        }
    }
}
