//! The demo's cluster as a fake API server, with probe pods that meet what the demo's pods met.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use eksnet_model::{ProbePod, Snapshot};
use eksnet_probe::{Outcome, Plan, ProbeResult};
use eksnet_testkit::{FakeApi, FakeApiBuilder, Kubeconfig, PodScript, PodView};
use serde_json::{Value, json};

/// Group, version and kind of a source of the bundle.
const KINDS: [(&str, &str, &str); 13] = [
    ("nodes", "v1", "Node"),
    ("pods", "v1", "Pod"),
    ("deployments", "apps/v1", "Deployment"),
    ("daemonsets", "apps/v1", "DaemonSet"),
    ("services", "v1", "Service"),
    ("endpointslices", "discovery.k8s.io/v1", "EndpointSlice"),
    ("events", "v1", "Event"),
    ("configmaps", "v1", "ConfigMap"),
    ("leases", "coordination.k8s.io/v1", "Lease"),
    ("poddisruptionbudgets", "policy/v1", "PodDisruptionBudget"),
    ("networkpolicies", "networking.k8s.io/v1", "NetworkPolicy"),
    ("serviceaccounts", "v1", "ServiceAccount"),
    ("eniconfigs", "crd.k8s.amazonaws.com/v1alpha1", "ENIConfig"),
];

pub(crate) fn demo() -> Snapshot {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/outage.json");
    Snapshot::read_bundle(&std::fs::read(path).expect("the demo")).expect("a bundle")
}

/// A server that holds the demo's objects.
pub(crate) fn cluster() -> FakeApiBuilder {
    let snapshot = serde_json::to_value(demo()).expect("plain data");
    let mut builder = FakeApi::builder().version("v1.33.4-eks-99d6cc0");
    for (source, version, kind) in KINDS {
        for object in snapshot["kubernetes"][source]
            .as_array()
            .into_iter()
            .flatten()
        {
            let mut object = object.clone();
            object["apiVersion"] = version.into();
            object["kind"] = kind.into();
            builder = builder.object(object);
        }
    }
    builder.script(PodScript::succeeds().answers(answers))
}

/// What the agent would answer on the pod's node: what the demo's probe pod of that node met, or one
/// of a node of the same instance type.
pub(crate) fn answers(plan: &Plan, pod: &PodView) -> Vec<ProbeResult> {
    let demo = demo();
    let run = demo.probes.value().expect("the demo has probes");
    let met = run
        .pods
        .iter()
        .find(|met| met.at.node == pod.node())
        .unwrap_or(&run.pods[1]);
    plan.probes
        .iter()
        .map(|spec| ProbeResult {
            id: spec.id,
            outcome: outcome(met, spec),
        })
        .collect()
}

fn outcome(met: &ProbePod, spec: &eksnet_probe::ProbeSpec) -> Outcome {
    let mut asked = serde_json::to_value(&spec.kind).expect("plain data");
    // Limits are the planner's business; the story is told by who was asked for what.
    for limit in ["tries", "gapMs", "timeoutMs", "query", "caPem"] {
        asked.as_object_mut().expect("an object").remove(limit);
    }
    let like = |kind: &eksnet_probe::ProbeKind| {
        let kind = serde_json::to_value(kind).expect("plain data");
        asked
            .as_object()
            .is_some_and(|asked| asked.iter().all(|(key, value)| kind[key] == *value))
    };
    met.answers().find(|(kind, _)| like(kind)).map_or_else(
        || Outcome::NotRun {
            why: "not part of the demo".to_owned(),
        },
        |(_, outcome)| outcome.clone(),
    )
}

/// The plugin, told of nothing but this cluster.
pub(crate) fn plugin(kubeconfig: &Kubeconfig, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-eksnet"));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("KUBECONFIG", kubeconfig.path())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Exit code, standard output and standard error of a run.
pub(crate) fn finish(child: Child) -> (i32, String, String) {
    let output = child.wait_with_output().expect("an end");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

pub(crate) fn run(kubeconfig: &Kubeconfig, arguments: &[&str]) -> (i32, String, String) {
    finish(
        plugin(kubeconfig, arguments)
            .spawn()
            .expect("the plugin can be started"),
    )
}

pub(crate) fn report(stdout: &str, stderr: &str) -> Value {
    serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"))
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
