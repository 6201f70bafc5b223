//! The objects that a run creates, as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use eksnet_probe::MAX_ARGUMENT_BYTES;
use serde_json::{Value, json};

use super::object::{Kind, NAME, NAME_LABEL, Object, RUN_LABEL};

/// Name of the only container.
pub(crate) const CONTAINER: &str = "agent";
/// Condition that nothing ever sets: with it as a readiness gate the pod never becomes ready, and
/// no Service sends traffic to it.
const GATE: &str = "eksnet.dev/never-ready";
/// Where a plan is mounted that is too long for an argument.
const PLAN_FOLDER: &str = "/plan";
/// File of the plan.
const PLAN_FILE: &str = "plan";
/// User and group of the agent; any number but 0 would do.
const USER: u32 = 65532;

/// Annotations that switch sidecar injectors off, and one that keeps a probe from holding a node
/// back. A sidecar would send probes through its own proxy, and would keep the pod from ending.
const ANNOTATIONS: [(&str, &str); 11] = [
    ("appmesh.k8s.aws/sidecarInjectorWebhook", "disabled"),
    ("cluster-autoscaler.kubernetes.io/safe-to-evict", "true"),
    ("consul.hashicorp.com/connect-inject", "false"),
    ("dapr.io/enabled", "false"),
    ("kuma.io/sidecar-injection", "disabled"),
    ("linkerd.io/inject", "disabled"),
    ("openservicemesh.io/sidecar-injection", "disabled"),
    ("sidecar.istio.io/inject", "false"),
    ("sidecar.jaegertracing.io/inject", "false"),
    ("sidecar.opentelemetry.io/inject", "false"),
    ("vault.hashicorp.com/agent-inject", "false"),
];

/// What is the same for all pods of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mold {
    pub(crate) run: String,
    pub(crate) image: String,
    pub(crate) pull_secret: Option<String>,
    /// Time after which kubelet ends the pod, whatever became of the run.
    pub(crate) active_deadline: Duration,
    /// The run's own config map, once it exists.
    pub(crate) owner: Option<Owner>,
}

/// The config map that owns the pods of a run: with it they are collected, and a pod with a
/// controller is adopted by none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// What a pod that runs as a workload has of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guise {
    pub(crate) service_account: String,
    /// Labels by which policies select the workload.
    pub(crate) labels: BTreeMap<String, String>,
    /// Role for which the pod brings a token of its own, because no webhook injects one.
    pub(crate) role_arn: Option<String>,
}

/// One pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cast<'a> {
    pub(crate) object: &'a Object,
    pub(crate) node: &'a str,
    /// The plan, encoded.
    pub(crate) plan: &'a str,
    pub(crate) guise: Option<&'a Guise>,
}

/// Labels of all objects of a run.
pub(crate) fn labels(run: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (NAME_LABEL.to_owned(), NAME.to_owned()),
        (RUN_LABEL.to_owned(), run.to_owned()),
    ])
}

/// Whether a plan travels in a config map of its own.
pub(crate) fn needs_config_map(plan: &str) -> bool {
    plan.len() > MAX_ARGUMENT_BYTES
}

/// The config map of a run, which owns its pods, or of one long plan.
pub(crate) fn config_map(object: &Object, mold: &Mold, plan: Option<&str>) -> Value {
    debug_assert_eq!(object.kind, Kind::ConfigMap);
    let mut map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": object.name,
            "namespace": object.namespace,
            "labels": labels(&mold.run),
        },
    });
    if let Some(plan) = plan {
        map["data"] = json!({PLAN_FILE: plan});
        if let Some(owner) = &mold.owner {
            map["metadata"]["ownerReferences"] = json!([reference(owner)]);
        }
    }
    map
}

fn reference(owner: &Owner) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": owner.name,
        "uid": owner.uid,
        "controller": true,
        "blockOwnerDeletion": false,
    })
}

/// A probe pod. It passes the Pod Security standard `restricted`.
pub(crate) fn pod(cast: &Cast<'_>, mold: &Mold) -> Value {
    let mut all_labels = labels(&mold.run);
    let mut container = json!({
        "name": CONTAINER,
        "image": mold.image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["run", cast.plan],
        "resources": {
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "limits": {"cpu": "500m", "memory": "64Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "privileged": false,
            "readOnlyRootFilesystem": true,
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    });
    let mut volumes = Vec::new();
    let mut mounts = Vec::new();
    if needs_config_map(cast.plan) {
        container["args"] = json!(["run", format!("@{PLAN_FOLDER}/{PLAN_FILE}")]);
        volumes.push(json!({"name": "plan", "configMap": {"name": cast.object.name}}));
        mounts.push(json!({"name": "plan", "mountPath": PLAN_FOLDER, "readOnly": true}));
    }
    let mut spec = json!({
        "nodeName": cast.node,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": mold.active_deadline.as_secs(),
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "dnsPolicy": "ClusterFirst",
        "tolerations": [{"operator": "Exists"}],
        "readinessGates": [{"conditionType": GATE}],
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    });
    if let Some(secret) = &mold.pull_secret {
        spec["imagePullSecrets"] = json!([{"name": secret}]);
    }
    if let Some(guise) = cast.guise {
        for (key, value) in &guise.labels {
            all_labels
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
        if !guise.service_account.is_empty() {
            spec["serviceAccountName"] = json!(guise.service_account);
        }
        if let Some(role) = &guise.role_arn {
            const FOLDER: &str = "/var/run/secrets/eksnet.dev/sts";
            volumes.push(json!({"name": "sts-token", "projected": {"sources": [
                {"serviceAccountToken": {"audience": "sts.amazonaws.com", "expirationSeconds": 600, "path": "token"}},
            ]}}));
            mounts.push(json!({"name": "sts-token", "mountPath": FOLDER, "readOnly": true}));
            container["env"] = json!([
                {"name": "AWS_ROLE_ARN", "value": role},
                {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": format!("{FOLDER}/token")},
            ]);
        }
    }
    if !volumes.is_empty() {
        spec["volumes"] = json!(volumes);
        container["volumeMounts"] = json!(mounts);
    }
    spec["containers"] = json!([container]);
    let mut metadata = json!({
        "name": cast.object.name,
        "namespace": cast.object.namespace,
        "labels": all_labels,
        "annotations": BTreeMap::from(ANNOTATIONS),
    });
    if let Some(owner) = &mold.owner {
        metadata["ownerReferences"] = json!([reference(owner)]);
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mold() -> Mold {
        Mold {
            run: "0123456789".to_owned(),
            image: "ghcr.io/x/eksnet-agent:0.1.0".to_owned(),
            pull_secret: None,
            active_deadline: Duration::from_secs(120),
            owner: Some(Owner {
                name: "eksnet-probe-0123456789".to_owned(),
                uid: "u-1".to_owned(),
            }),
        }
    }

    fn object() -> Object {
        Object {
            kind: Kind::Pod,
            namespace: "default".to_owned(),
            name: "eksnet-probe-0123456789-0".to_owned(),
        }
    }

    fn cast<'a>(object: &'a Object, plan: &'a str, guise: Option<&'a Guise>) -> Cast<'a> {
        Cast {
            object,
            node: "ip-10-0-1-23.us-west-2.compute.internal",
            plan,
            guise,
        }
    }

    #[test]
    fn a_probe_pod_reads_as_it_did() {
        let pod = pod(&cast(&object(), "7b7d", None), &mold());
        let golden: Value = serde_json::from_str(include_str!("manifest.golden.json")).unwrap();
        assert_eq!(pod, golden, "{pod:#}");
    }

    #[test]
    fn a_long_plan_travels_in_a_config_map_of_the_pods_name() {
        let long = "7b".repeat(MAX_ARGUMENT_BYTES / 2 + 1);
        let pod = pod(&cast(&object(), &long, None), &mold());
        assert_eq!(
            pod["spec"]["containers"][0]["args"],
            json!(["run", "@/plan/plan"])
        );
        assert_eq!(
            pod["spec"]["volumes"][0]["configMap"]["name"],
            object().name
        );
        let map = Object {
            kind: Kind::ConfigMap,
            ..object()
        };
        let map = config_map(&map, &mold(), Some(&long));
        assert_eq!(map["data"]["plan"], long);
        assert_eq!(map["metadata"]["ownerReferences"][0]["uid"], "u-1");
        assert!(!needs_config_map(&long[..MAX_ARGUMENT_BYTES]));
    }

    #[test]
    fn a_guise_adds_account_and_labels_and_never_replaces_ours() {
        let guise = Guise {
            service_account: "cart".to_owned(),
            labels: BTreeMap::from([
                ("app".to_owned(), "cart".to_owned()),
                (NAME_LABEL.to_owned(), "cart".to_owned()),
            ]),
            role_arn: Some("arn:aws:iam::123456789012:role/cart".to_owned()),
        };
        let object = object();
        let pod = pod(&cast(&object, "7b7d", Some(&guise)), &mold());
        let labels = &pod["metadata"]["labels"];
        assert_eq!(
            (&labels["app"], &labels[NAME_LABEL]),
            (&json!("cart"), &json!(NAME))
        );
        assert_eq!(pod["spec"]["serviceAccountName"], "cart");
        let token = &pod["spec"]["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"];
        assert_eq!(token["audience"], "sts.amazonaws.com");
        assert_eq!(token["expirationSeconds"], 600);
        // The token of the API server stays out in any case.
        assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    }

    #[test]
    fn a_pull_secret_is_named() {
        let mold = Mold {
            pull_secret: Some("regcred".to_owned()),
            ..mold()
        };
        let pod = pod(&cast(&object(), "7b7d", None), &mold);
        assert_eq!(
            pod["spec"]["imagePullSecrets"],
            json!([{"name": "regcred"}])
        );
    }
}
