//! Tables of `kubectl get`.

use eksnet_model::kubernetes as k8s;

use crate::shown::{Shown, ShownEvent};
use crate::words::{age, columns, label, owner, ratio, row};

/// A table whose header was read.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    kind: Kind,
    columns: Vec<String>,
    /// Namespace, where the command names it.
    namespace: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pods,
    Nodes,
    Services,
    Deployments,
    DaemonSets,
    Endpoints,
    Events,
}

impl Table {
    /// A table, if the line is the header of one that is read.
    pub(crate) fn header(text: &str, namespace: &str) -> Option<Self> {
        let text = text.trim();
        if !["NAME", "LAST SEEN", "LASTSEEN"]
            .iter()
            .any(|start| text.starts_with(start))
            || text.chars().any(|c| c.is_ascii_lowercase())
        {
            return None;
        }
        let names: Vec<String> = match columns(text) {
            names if names.len() > 1 => names.into_iter().map(str::to_owned).collect(),
            // An editor made one space of many.
            _ => text
                .replace("LAST SEEN", "LAST\u{0}SEEN")
                .replace("NODE SELECTOR", "NODE\u{0}SELECTOR")
                .replace("FIRST SEEN", "FIRST\u{0}SEEN")
                .split_whitespace()
                .map(|name| name.replace('\u{0}', " "))
                .collect(),
        };
        let has = |wanted: &[&str]| {
            wanted
                .iter()
                .all(|wanted| names.iter().any(|name| name == wanted))
        };
        let kind = if has(&["REASON", "MESSAGE"]) {
            Kind::Events
        } else if has(&["STATUS", "ROLES", "VERSION"]) {
            Kind::Nodes
        } else if has(&["READY", "STATUS", "RESTARTS"]) {
            Kind::Pods
        } else if has(&["TYPE", "CLUSTER-IP"]) {
            Kind::Services
        } else if has(&["DESIRED", "CURRENT", "READY", "UP-TO-DATE"]) {
            Kind::DaemonSets
        } else if has(&["READY", "UP-TO-DATE", "AVAILABLE"]) {
            Kind::Deployments
        } else if has(&["NAME", "ENDPOINTS"]) {
            Kind::Endpoints
        } else {
            return None;
        };
        Some(Self {
            kind,
            columns: names,
            namespace: namespace.to_owned(),
        })
    }

    /// Reads a row; `false` when the line is none.
    pub(crate) fn row(&self, text: &str, shown: &mut Shown) -> bool {
        let cells = row(text, self.columns.len());
        if cells.len() < 3.min(self.columns.len()) {
            return false;
        }
        let cell = |name: &str| {
            let at = self.columns.iter().position(|column| column == name)?;
            let value = cells.get(at)?.as_str();
            (!matches!(value, "<none>" | "<unset>")).then_some(value)
        };
        match self.kind {
            Kind::Events => return self.event(&cell, shown),
            Kind::Pods => {
                let Some(pod) = pod(&self.meta(&cell), &cell) else {
                    return false;
                };
                shown.pods.push((pod, cell("AGE").and_then(age)));
            }
            Kind::Nodes => {
                let Some(node) = node(self.meta(&cell), &cell) else {
                    return false;
                };
                shown.nodes.push((node, cell("AGE").and_then(age)));
            }
            Kind::Services => {
                let spec = service(&cell);
                shown.services.push(k8s::Service {
                    metadata: self.meta(&cell),
                    spec,
                });
            }
            Kind::Deployments => {
                let Some((ready, wanted)) = cell("READY").and_then(ratio) else {
                    return false;
                };
                let mut deployment = k8s::Deployment {
                    metadata: self.meta(&cell),
                    ..k8s::Deployment::default()
                };
                deployment.spec.replicas = Some(wanted);
                deployment.status.ready_replicas = ready;
                deployment.status.replicas = wanted;
                deployment.spec.template.spec.containers = containers(&cell);
                shown.deployments.push(deployment);
            }
            Kind::DaemonSets => {
                let number = |name: &str| cell(name)?.parse().ok();
                let (Some(desired), Some(ready)) = (number("DESIRED"), number("READY")) else {
                    return false;
                };
                let mut daemonset = k8s::DaemonSet {
                    metadata: self.meta(&cell),
                    ..k8s::DaemonSet::default()
                };
                daemonset.status.desired_number_scheduled = desired;
                daemonset.status.number_ready = ready;
                daemonset.spec.template.spec.containers = containers(&cell);
                shown.daemonsets.push(daemonset);
            }
            Kind::Endpoints => {
                let slice = endpoints(self.meta(&cell), cell("ENDPOINTS"));
                shown.endpointslices.push(slice);
            }
        }
        true
    }

    fn meta<'c>(&self, cell: &impl Fn(&str) -> Option<&'c str>) -> k8s::Meta {
        let name = cell("NAME").unwrap_or_default();
        k8s::Meta {
            name: name.to_owned(),
            namespace: cell("NAMESPACE").unwrap_or(&self.namespace).to_owned(),
            ..k8s::Meta::default()
        }
    }

    fn event<'c>(&self, cell: &impl Fn(&str) -> Option<&'c str>, shown: &mut Shown) -> bool {
        let (Some(reason), Some(message)) = (cell("REASON"), cell("MESSAGE")) else {
            return false;
        };
        // Old kubectl has NAME and KIND, newer has OBJECT.
        let (kind, name) = match cell("OBJECT").and_then(|object| object.split_once('/')) {
            Some(object) => object,
            None => (
                cell("KIND").unwrap_or_default(),
                cell("NAME")
                    .map(|name| name.split('.').next().unwrap_or(name))
                    .unwrap_or_default(),
            ),
        };
        let last = cell("LAST SEEN").or(cell("LASTSEEN")).unwrap_or_default();
        let (last, repeated) = last.split_once(" (").unwrap_or((last, ""));
        let (count, first) = repetition(repeated);
        shown.event(ShownEvent {
            event: k8s::Event {
                involved_object: k8s::ObjectReference {
                    kind: kind_name(kind),
                    namespace: cell("NAMESPACE").unwrap_or(&self.namespace).to_owned(),
                    name: name.to_owned(),
                },
                reason: reason.to_owned(),
                message: message.to_owned(),
                kind: cell("TYPE").unwrap_or_default().to_owned(),
                count: count.or_else(|| cell("COUNT")?.parse().ok()),
                ..k8s::Event::default()
            },
            last: age(last),
            first: first.or_else(|| age(cell("FIRST SEEN")?)),
        });
        true
    }
}

/// `x5 over 10m)`: how often, and since when.
pub(crate) fn repetition(text: &str) -> (Option<u32>, Option<i64>) {
    let text = text.trim_start_matches(['(', 'x']).trim_end_matches(')');
    match text.split_once(" over ") {
        Some((count, since)) => (count.parse().ok(), age(since)),
        None => (None, None),
    }
}

/// `pod` as `Pod`: how objects name kinds.
fn kind_name(kind: &str) -> String {
    const KINDS: [&str; 14] = [
        "Pod",
        "Node",
        "Deployment",
        "ReplicaSet",
        "DaemonSet",
        "StatefulSet",
        "Service",
        "Ingress",
        "Job",
        "CronJob",
        "NodeClaim",
        "NodePool",
        "TargetGroupBinding",
        "PersistentVolumeClaim",
    ];
    KINDS
        .iter()
        .find(|known| known.eq_ignore_ascii_case(kind))
        .map_or_else(|| kind.to_owned(), |known| (*known).to_owned())
}

fn containers<'c>(cell: &impl Fn(&str) -> Option<&'c str>) -> Vec<k8s::Container> {
    let names = cell("CONTAINERS").unwrap_or_default().split(',');
    let images = cell("IMAGES").unwrap_or_default().split(',');
    names
        .zip(images)
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, image)| k8s::Container {
            name: name.to_owned(),
            image: image.to_owned(),
            ..k8s::Container::default()
        })
        .collect()
}

/// A pod, as far as its row tells.
fn pod<'c>(meta: &k8s::Meta, cell: &impl Fn(&str) -> Option<&'c str>) -> Option<k8s::Pod> {
    let (ready, wanted) = ratio(cell("READY")?)?;
    let status = cell("STATUS")?;
    let restarts = cell("RESTARTS")
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    let mut pod = k8s::Pod {
        metadata: meta.clone(),
        ..k8s::Pod::default()
    };
    let workload = owner(&meta.name);
    pod.metadata
        .labels
        .extend(label(workload).map(|(key, value)| (key.to_owned(), value.to_owned())));
    pod.spec.node_name = cell("NODE").unwrap_or_default().to_owned();
    pod.status.pod_ip = cell("IP").unwrap_or_default().to_owned();
    pod.status.phase = phase(status).to_owned();
    if pod.status.phase == "Failed" {
        pod.status.reason = status.to_owned();
    }
    let is_ready = ready == wanted && pod.status.phase == "Running";
    pod.status.conditions.push(k8s::PodCondition {
        kind: "Ready".to_owned(),
        status: if is_ready { "True" } else { "False" }.to_owned(),
        ..k8s::PodCondition::default()
    });
    let (init, reason) = match status.strip_prefix("Init:") {
        Some(reason) => (true, reason),
        None => (false, status),
    };
    for at in 0..wanted {
        let is_ready = at < ready;
        let mut container = k8s::ContainerStatus {
            name: workload.to_owned(),
            ready: is_ready,
            // kubectl adds up the restarts of all containers.
            restart_count: if at + 1 == wanted { restarts } else { 0 },
            ..k8s::ContainerStatus::default()
        };
        if is_ready {
            container.state.running = Some(k8s::StateRunning::default());
        } else if !init {
            container.state = state(reason);
        }
        pod.status.container_statuses.push(container);
    }
    if init {
        pod.status
            .init_container_statuses
            .push(k8s::ContainerStatus {
                name: format!("{workload}-init"),
                restart_count: restarts,
                state: state(reason),
                ..k8s::ContainerStatus::default()
            });
    }
    Some(pod)
}

fn phase(status: &str) -> &'static str {
    match status {
        "Completed" | "Succeeded" => "Succeeded",
        "Evicted"
        | "Failed"
        | "OutOfpods"
        | "OutOfcpu"
        | "OutOfmemory"
        | "NodeAffinity"
        | "NodeShutdown"
        | "Terminated"
        | "UnexpectedAdmissionError" => "Failed",
        "Unknown" => "Unknown",
        "Pending"
        | "ContainerCreating"
        | "PodInitializing"
        | "ImagePullBackOff"
        | "ErrImagePull"
        | "SchedulingGated"
        | "CreateContainerConfigError"
        | "InvalidImageName" => "Pending",
        _ if status.starts_with("Init:") => "Pending",
        _ => "Running",
    }
}

/// The state of a container behind the one word that kubectl shows.
fn state(reason: &str) -> k8s::ContainerState {
    let mut state = k8s::ContainerState::default();
    match reason {
        "Running" | "Terminating" => state.running = Some(k8s::StateRunning::default()),
        "OOMKilled" | "Error" | "ContainerCannotRun" | "StartError" => {
            state.terminated = Some(k8s::StateTerminated {
                reason: reason.to_owned(),
                // The kernel ends what is out of memory with signal 9.
                exit_code: if reason == "OOMKilled" { 137 } else { 1 },
                ..k8s::StateTerminated::default()
            });
        }
        "Completed" => {
            state.terminated = Some(k8s::StateTerminated {
                reason: reason.to_owned(),
                ..k8s::StateTerminated::default()
            });
        }
        "Pending" | "Unknown" => {}
        _ => {
            state.waiting = Some(k8s::StateWaiting {
                reason: reason.to_owned(),
                ..k8s::StateWaiting::default()
            });
        }
    }
    state
}

fn node<'c>(meta: k8s::Meta, cell: &impl Fn(&str) -> Option<&'c str>) -> Option<k8s::Node> {
    let status = cell("STATUS")?;
    let ready = match status.split(',').next()? {
        "Ready" => "True",
        // `NotReady` is both: the node says no, or says nothing any more.
        "NotReady" => "False",
        "Unknown" => "Unknown",
        _ => return None,
    };
    let mut node = k8s::Node {
        metadata: meta,
        ..k8s::Node::default()
    };
    node.spec.unschedulable = status.contains("SchedulingDisabled");
    node.status.conditions.push(k8s::NodeCondition {
        kind: "Ready".to_owned(),
        status: ready.to_owned(),
        ..k8s::NodeCondition::default()
    });
    let address = |kind: &str, ip: Option<&str>| {
        ip.map(|ip| k8s::NodeAddress {
            kind: kind.to_owned(),
            address: ip.to_owned(),
        })
    };
    node.status
        .addresses
        .extend(address("InternalIP", cell("INTERNAL-IP")));
    node.status
        .addresses
        .extend(address("ExternalIP", cell("EXTERNAL-IP")));
    node.status.node_info.kubelet_version = cell("VERSION").unwrap_or_default().to_owned();
    node.status.node_info.os_image = cell("OS-IMAGE").unwrap_or_default().to_owned();
    Some(node)
}

fn service<'c>(cell: &impl Fn(&str) -> Option<&'c str>) -> k8s::ServiceSpec {
    let ports = cell("PORT(S)").unwrap_or_default().split(',');
    k8s::ServiceSpec {
        cluster_ip: cell("CLUSTER-IP").unwrap_or_default().to_owned(),
        kind: cell("TYPE").unwrap_or_default().to_owned(),
        selector: cell("SELECTOR")
            .unwrap_or_default()
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        ports: ports
            .filter_map(|port| {
                let (number, protocol) = port.split_once('/')?;
                Some(k8s::ServicePort {
                    // `80:31234/TCP`: port and node port.
                    port: number.split(':').next()?.parse().ok()?,
                    protocol: protocol.to_owned(),
                    ..k8s::ServicePort::default()
                })
            })
            .collect(),
        ..k8s::ServiceSpec::default()
    }
}

/// What `kubectl get endpoints` shows, as a slice: `10.0.1.5:53,10.0.2.6:53 + 4 more...`.
fn endpoints(mut meta: k8s::Meta, addresses: Option<&str>) -> k8s::EndpointSlice {
    meta.labels
        .insert("kubernetes.io/service-name".to_owned(), meta.name.clone());
    let shown = addresses.unwrap_or_default();
    let shown = shown.split(" + ").next().unwrap_or(shown);
    let mut slice = k8s::EndpointSlice {
        metadata: meta,
        ..k8s::EndpointSlice::default()
    };
    for (address, port) in shown.split(',').filter_map(|pair| pair.rsplit_once(':')) {
        let address = address.trim_matches(['[', ']']).to_owned();
        if !slice
            .endpoints
            .iter()
            .any(|known| known.addresses.contains(&address))
        {
            slice.endpoints.push(k8s::Endpoint {
                addresses: vec![address],
                ..k8s::Endpoint::default()
            });
        }
        let port = port.parse().ok();
        if !slice.ports.iter().any(|known| known.port == port) {
            slice.ports.push(k8s::EndpointPort {
                port,
                ..k8s::EndpointPort::default()
            });
        }
    }
    slice
}
