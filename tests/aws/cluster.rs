//! The Kubernetes side: the demo's objects in a fake API server, whose probe pods meet what the
//! demo's pods met.

use eksnet_model::{ProbePod, ProbeRun};
use eksnet_probe::{Outcome, Plan, ProbeResult, ProbeSpec};
use eksnet_testkit::{FakeApi, PodScript, PodView};
use serde_json::{Value, json};

use crate::past::autoscaler_log;

/// Source of the bundle, and version and kind of its objects.
const KINDS: [(&str, &str, &str); 10] = [
    ("nodes", "v1", "Node"),
    ("pods", "v1", "Pod"),
    ("deployments", "apps/v1", "Deployment"),
    ("daemonsets", "apps/v1", "DaemonSet"),
    ("services", "v1", "Service"),
    ("endpointslices", "discovery.k8s.io/v1", "EndpointSlice"),
    ("events", "v1", "Event"),
    ("configmaps", "v1", "ConfigMap"),
    ("leases", "coordination.k8s.io/v1", "Lease"),
    ("serviceaccounts", "v1", "ServiceAccount"),
];

/// Whether the cluster is in the demo's outage, or past it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// Nodes of the first group reach no CoreDNS pod, and the autoscaler fails for it.
    Outage,
    /// All nodes reach what the demo's healthy nodes reached; the autoscaler does its rounds.
    Cured,
}

/// A server that holds the objects of a snapshot.
pub(crate) fn start(snapshot: &Value, health: Health) -> FakeApi {
    let mut builder = FakeApi::builder().version("v1.33.4-eks-99d6cc0");
    for (source, version, kind) in KINDS {
        let objects = snapshot["kubernetes"][source].as_array();
        for object in objects.into_iter().flatten() {
            let mut object = object.clone();
            object["apiVersion"] = version.into();
            object["kind"] = kind.into();
            builder = builder.object(object);
        }
    }
    let run: ProbeRun = serde_json::from_value(snapshot["probes"].clone()).expect("probes");
    let nodes = snapshot["kubernetes"]["nodes"].clone();
    let script =
        PodScript::succeeds().answers(move |plan, pod| answers(&run, &nodes, health, plan, pod));
    let api = builder.script(script).start();
    let log = autoscaler_log();
    let calm: String = log
        .lines()
        .filter(|line| line.contains("Starting main loop"))
        .map(|line| format!("{line}\n"))
        .collect();
    let text = match health {
        Health::Outage => &log,
        Health::Cured => &calm,
    };
    let name = "cluster-autoscaler";
    let pods = api.list("pods");
    let pod = pods
        .iter()
        .filter_map(|pod| pod["metadata"]["name"].as_str())
        .find(|pod| pod.starts_with(name))
        .expect("an autoscaler");
    api.set_log("kube-system", pod, name, text);
    api
}

/// What the agent answers: what the demo's pod on this node met, or one on a node of its type.
fn answers(
    run: &ProbeRun,
    nodes: &Value,
    health: Health,
    plan: &Plan,
    pod: &PodView,
) -> Vec<ProbeResult> {
    let node = |name: &str| {
        let all = nodes.as_array().expect("nodes");
        all.iter()
            .find(|node| node["metadata"]["name"] == name)
            .expect("a node of the cluster")
    };
    let kind = |name: &str| &node(name)["metadata"]["labels"]["node.kubernetes.io/instance-type"];
    let healthy = &run.pods[1];
    let met = match health {
        Health::Cured => healthy,
        Health::Outage => run
            .pods
            .iter()
            .find(|met| kind(&met.at.node) == kind(pod.node()))
            .expect("a pod on a node of each type"),
    };
    let instance = |name: &str| {
        let id = node(name)["spec"]["providerID"].as_str();
        id.and_then(|id| id.rsplit('/').next())
            .expect("an instance")
    };
    let (theirs, own) = (instance(&met.at.node), instance(pod.node()));
    plan.probes
        .iter()
        .map(|spec| {
            let outcome = serde_json::to_string(&outcome(met, spec)).expect("plain data");
            let outcome = serde_json::from_str(&outcome.replace(theirs, own)).expect("an outcome");
            ProbeResult {
                id: spec.id,
                outcome,
            }
        })
        .collect()
}

/// What came of the probe that asked the same of the same.
fn outcome(met: &ProbePod, spec: &ProbeSpec) -> Outcome {
    let mut asked = serde_json::to_value(&spec.kind).expect("plain data");
    // How long and how often is the planner's business.
    for limit in ["tries", "gapMs", "timeoutMs", "query", "caPem"] {
        asked.as_object_mut().expect("an object").remove(limit);
    }
    let asked = asked.as_object().expect("an object");
    let same = |kind: &eksnet_probe::ProbeKind| {
        let kind = serde_json::to_value(kind).expect("plain data");
        asked.iter().all(|(key, value)| kind[key] == *value)
    };
    met.answers().find(|(kind, _)| same(kind)).map_or_else(
        || Outcome::NotRun {
            why: "the demo did not ask it".to_owned(),
        },
        |(_, outcome)| outcome.clone(),
    )
}

/// Everything in the cluster that a run of the plugin made.
pub(crate) fn ours(api: &FakeApi) -> Vec<Value> {
    ["pods", "configmaps"]
        .iter()
        .flat_map(|plural| api.list(plural))
        .filter(|object| {
            object["metadata"]["labels"]["app.kubernetes.io/name"] == json!("kubectl-eksnet-probe")
        })
        .map(|object| json!([object["kind"], object["metadata"]["name"]]))
        .collect()
}
