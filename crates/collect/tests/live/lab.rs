//! A small cluster and a way to it.

use std::path::PathBuf;
use std::time::Duration;

use eksnet_collect::{
    CollectError, Collected, ConnectError, ConnectOptions, Connection, Environment, Request,
    Silent, collect, connect,
};
use eksnet_model::{Snapshot, Source};
use eksnet_probe::{Outcome, ProbeResult};
use eksnet_testkit::{FakeApi, FakeApiBuilder, Kubeconfig, PodScript};
use serde_json::{Value, json};

pub(crate) fn node(name: &str, group: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {
            "eks.amazonaws.com/nodegroup": group,
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/os": "linux",
            "topology.kubernetes.io/region": "us-west-2",
            "topology.kubernetes.io/zone": "us-west-2a",
        }},
        "spec": {"providerID": format!("aws:///us-west-2a/i-{name}")},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"kubeletVersion": "v1.33.1-eks-1", "architecture": "amd64", "operatingSystem": "linux"},
        },
    })
}

pub(crate) fn pod(namespace: &str, name: &str, node: &str, image: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": image}]},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.9",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

pub(crate) fn service(namespace: &str, name: &str, ip: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"clusterIP": ip, "ports": [{"port": 443}]},
    })
}

/// Two node groups of one node each, and CoreDNS on the first.
pub(crate) fn cluster() -> FakeApiBuilder {
    FakeApi::builder()
        .object(node("n1", "c5"))
        .object(node("n2", "t2"))
        .object(pod("kube-system", "coredns-1", "n1", "x/coredns:v1"))
        .object(service("kube-system", "kube-dns", "10.100.0.10"))
        .object(service("default", "kubernetes", "10.100.0.1"))
}

/// Every probe answers that it was asked.
pub(crate) fn answering() -> PodScript {
    PodScript::succeeds().answers(|plan, pod| {
        plan.probes
            .iter()
            .map(|probe| ProbeResult {
                id: probe.id,
                outcome: Outcome::NotRun {
                    why: format!("asked on {}", pod.node()),
                },
            })
            .collect()
    })
}

pub(crate) fn options(kubeconfig: &Kubeconfig) -> ConnectOptions {
    options_with(kubeconfig.path().to_owned())
}

pub(crate) fn options_with(kubeconfig: PathBuf) -> ConnectOptions {
    ConnectOptions {
        kubeconfig: Some(kubeconfig),
        // Nothing of the machine that runs the tests.
        environment: Environment::default(),
        ..ConnectOptions::default()
    }
}

pub(crate) async fn connected(api: &FakeApi) -> Connection {
    let kubeconfig = api.kubeconfig().write();
    connect(&options(&kubeconfig)).await.expect("a connection")
}

pub(crate) async fn refused(options: &ConnectOptions) -> ConnectError {
    match connect(options).await {
        Ok(connection) => panic!("connected: {connection:?}"),
        Err(error) => error,
    }
}

/// Lists only.
pub(crate) fn lists() -> Request {
    Request {
        no_probe: true,
        no_aws: true,
        ..Request::default()
    }
}

/// Probes only.
pub(crate) fn probes() -> Request {
    Request {
        sources: [Source::Probes].into(),
        no_aws: true,
        ..Request::default()
    }
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) async fn snapshot(api: &FakeApi, request: &Request) -> Snapshot {
    run(api, request).await.expect("a snapshot").snapshot
}

pub(crate) async fn run(api: &FakeApi, request: &Request) -> Result<Collected, CollectError> {
    let connection = connected(api).await;
    let cleanup = eksnet_collect::Cleanup::new(&connection);
    collect(&connection, request, &cleanup, &Silent).await
}

/// Probe pods and config maps of runs that are in the cluster.
pub(crate) fn left(api: &FakeApi) -> Vec<String> {
    let ours = |object: &Value| {
        object["metadata"]["labels"]["app.kubernetes.io/name"] == "kubectl-eksnet-probe"
    };
    ["pods", "configmaps"]
        .iter()
        .flat_map(|plural| api.list(plural))
        .filter(ours)
        .map(|object| format!("{}/{}", object["kind"], object["metadata"]["name"]))
        .collect()
}
