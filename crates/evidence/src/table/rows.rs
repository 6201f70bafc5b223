//! What one row of a table tells of an object.

use eksnet_model::kubernetes as k8s;

use crate::words::{label, owner, ratio};

pub(super) fn containers<'c>(cell: &impl Fn(&str) -> Option<&'c str>) -> Vec<k8s::Container> {
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
pub(super) fn pod<'c>(
    meta: &k8s::Meta,
    cell: &impl Fn(&str) -> Option<&'c str>,
) -> Option<k8s::Pod> {
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

pub(super) fn node<'c>(
    meta: k8s::Meta,
    cell: &impl Fn(&str) -> Option<&'c str>,
) -> Option<k8s::Node> {
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
    node.status.node_info.kernel_version = cell("KERNEL-VERSION").unwrap_or_default().to_owned();
    node.status.node_info.os_image = cell("OS-IMAGE").unwrap_or_default().to_owned();
    Some(node)
}

pub(super) fn service<'c>(cell: &impl Fn(&str) -> Option<&'c str>) -> k8s::ServiceSpec {
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
                // `80:31234/TCP`: port and node port.
                let mut numbers = number.split(':');
                Some(k8s::ServicePort {
                    port: numbers.next()?.parse().ok()?,
                    node_port: numbers.next().and_then(|port| port.parse().ok()),
                    protocol: protocol.to_owned(),
                    ..k8s::ServicePort::default()
                })
            })
            .collect(),
        ..k8s::ServiceSpec::default()
    }
}

/// The load balancer of a Service, by its column `EXTERNAL-IP`; `None` where it has no such column, or no
/// load balancer is wanted.
pub(super) fn load_balanced<'c>(
    spec: &k8s::ServiceSpec,
    cell: &impl Fn(&str) -> Option<&'c str>,
) -> Option<k8s::LoadBalanced> {
    let shown = cell("EXTERNAL-IP").filter(|_| spec.kind == "LoadBalancer")?;
    let host = shown.split(',').next().unwrap_or_default();
    Some(k8s::LoadBalanced::at(if host.starts_with('<') {
        ""
    } else {
        host
    }))
}

/// What `kubectl get endpoints` shows, as a slice: `10.0.1.5:53,10.0.2.6:53 + 4 more...`.
pub(crate) fn endpoints(mut meta: k8s::Meta, addresses: Option<&str>) -> k8s::EndpointSlice {
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
