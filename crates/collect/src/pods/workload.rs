//! As whom an identity probe runs: what it takes over from a workload, and what it must not.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::kubernetes::{LabelSelector, Meta, PodSpec, ServiceAccount};
use eksnet_model::{Gap, Snapshot, Source, Text};
use serde::Deserialize;
use tokio::time::Instant;

use super::hazard::safe_labels;
use super::manifest::{Guise, labels as own_labels};
use crate::Workload;
use crate::kubernetes::api::Api;
use crate::kubernetes::fault::Fault;

/// Annotation of a service account with its IAM role.
const ROLE: &str = "eks.amazonaws.com/role-arn";

/// A workload as a probe pod can pass for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disguise {
    pub(crate) guise: Guise,
    /// Node of one of its pods; `None` when none is placed.
    pub(crate) node: Option<String>,
    /// Role of its service account, by annotation.
    pub(crate) role_arn: Option<String>,
    /// In what the probe differs from the workload.
    pub(crate) notes: Vec<Text>,
}

/// Why there is no disguise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoDisguise {
    /// The workload does not exist.
    NotFound(Text),
    /// It could not be read, or no pod can safely stand in for it.
    Gap(Gap),
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    metadata: Meta,
    #[serde(default)]
    spec: serde_json::Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Template {
    metadata: Meta,
    spec: PodSpec,
}

/// Reads a workload and takes over what policies see of it.
pub(crate) async fn disguise(
    api: &Api,
    snapshot: &Snapshot,
    workload: &Workload,
    run: &str,
    deadline: Instant,
) -> Result<Disguise, NoDisguise> {
    let namespace = workload.namespace.as_str();
    let path = path_of(workload);
    let object: Object = api.get(&path, deadline).await.map_err(|fault| {
        if fault.is_not_found() {
            NoDisguise::NotFound(fault.says().into())
        } else {
            let permission = format!("get {}s in {namespace}", workload.kind.to_lowercase());
            NoDisguise::Gap(fault.gap(Source::IdentityProbes, &format!("GET {path}"), &permission))
        }
    })?;
    let template = template_of(workload, object);
    let mut notes = Vec::new();
    let mut keys = policy_keys(snapshot, namespace);
    keys.extend(group_policy_keys(api, namespace, deadline, &mut notes).await);
    if !snapshot.kubernetes.networkpolicies.is_complete() {
        notes.push(
            "NetworkPolicies were not all listed: labels that they select by may be missing".into(),
        );
    }
    let wanted = selected(&template.metadata.labels, &keys);
    let safe = safe_labels(snapshot, namespace, &own_labels(run), wanted).map_err(|hazard| {
        let detail = format!("{hazard} in {namespace} selects every pod, and would count a probe pod as one of its own");
        let gap = Gap::new(Source::IdentityProbes, eksnet_model::Why::Failed, detail);
        NoDisguise::Gap(gap.closed_by("a selector on that object that names its own pods"))
    })?;
    notes.extend(
        safe.withheld
            .iter()
            .map(|what| Text::from(format!("without {what}"))),
    );
    let account = match template.spec.service_account_name.as_str() {
        "" => "default",
        name => name,
    };
    let role_arn = role_of(api, namespace, account, deadline, &mut notes).await;
    Ok(Disguise {
        guise: Guise {
            service_account: account.to_owned(),
            labels: safe.labels,
            role_arn: None,
        },
        node: node_of(snapshot, workload, &template),
        role_arn,
        notes,
    })
}

pub(crate) fn path_of(workload: &Workload) -> String {
    let Workload {
        namespace,
        kind,
        name,
    } = workload;
    match kind.as_str() {
        "Pod" => format!("/api/v1/namespaces/{namespace}/pods/{name}"),
        _ => {
            let plural = format!("{}s", kind.to_lowercase());
            format!("/apis/apps/v1/namespaces/{namespace}/{plural}/{name}")
        }
    }
}

fn template_of(workload: &Workload, object: Object) -> Template {
    if workload.kind == "Pod" {
        return Template {
            metadata: object.metadata,
            spec: serde_json::from_value(object.spec).unwrap_or_default(),
        };
    }
    object
        .spec
        .get("template")
        .and_then(|template| Template::deserialize(template).ok())
        .unwrap_or_default()
}

/// Labels of the workload that some policy looks at, without those that say which controller a pod
/// belongs to.
fn selected(
    labels: &BTreeMap<String, String>,
    keys: &BTreeSet<String>,
) -> BTreeMap<String, String> {
    const OF_CONTROLLERS: [&str; 7] = [
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/controller-uid",
        "controller-revision-hash",
        "controller-uid",
        "pod-template-generation",
        "pod-template-hash",
        "statefulset.kubernetes.io/pod-name",
    ];
    labels
        .iter()
        .filter(|(key, _)| keys.contains(*key) && !OF_CONTROLLERS.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn keys_of(selector: &LabelSelector) -> impl Iterator<Item = String> {
    let expressions = selector.match_expressions.iter().map(|one| one.key.clone());
    selector.match_labels.keys().cloned().chain(expressions)
}

/// Labels that NetworkPolicies look at: those of the namespace by which they choose their pods, and
/// those of all namespaces by which they choose peers.
fn policy_keys(snapshot: &Snapshot, namespace: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for policy in snapshot
        .kubernetes
        .networkpolicies
        .value()
        .into_iter()
        .flatten()
    {
        if policy.metadata.namespace == namespace {
            keys.extend(keys_of(&policy.spec.pod_selector));
        }
        let rules = policy
            .spec
            .ingress
            .iter()
            .chain(&policy.spec.egress)
            .flatten();
        let peers = rules.flat_map(|rule| rule.from.iter().chain(&rule.to));
        keys.extend(
            peers
                .filter_map(|peer| peer.pod_selector.as_ref())
                .flat_map(keys_of),
        );
    }
    keys
}

/// Labels by which SecurityGroupPolicies of the namespace choose pods. Those that choose by service
/// account choose the probe as well, which runs under the same.
async fn group_policy_keys(
    api: &Api,
    namespace: &str,
    deadline: Instant,
    notes: &mut Vec<Text>,
) -> BTreeSet<String> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Spec {
        pod_selector: LabelSelector,
    }
    #[derive(Deserialize)]
    struct Policy {
        #[serde(default)]
        spec: Spec,
    }
    #[derive(Deserialize)]
    struct Policies {
        #[serde(default)]
        items: Vec<Policy>,
    }
    let path =
        format!("/apis/vpcresources.k8s.aws/v1beta1/namespaces/{namespace}/securitygrouppolicies");
    match api.get::<Policies>(&path, deadline).await {
        Ok(policies) => policies
            .items
            .iter()
            .flat_map(|policy| keys_of(&policy.spec.pod_selector).collect::<Vec<_>>())
            .collect(),
        Err(fault) => {
            // Not served: security groups for pods are not installed.
            if !fault.is_not_found() {
                notes.push(
                    format!(
                        "SecurityGroupPolicies could not be listed: {}",
                        fault.says()
                    )
                    .into(),
                );
            }
            BTreeSet::new()
        }
    }
}

async fn role_of(
    api: &Api,
    namespace: &str,
    account: &str,
    deadline: Instant,
    notes: &mut Vec<Text>,
) -> Option<String> {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}");
    match api.get::<ServiceAccount>(&path, deadline).await {
        Ok(account) => account.metadata.annotations.get(ROLE).cloned(),
        Err(fault) => {
            let why = match &fault {
                Fault::Refused(_) if fault.is_not_found() => "does not exist".to_owned(),
                other => format!("could not be read: {}", other.says()),
            };
            notes.push(format!("service account {namespace}/{account} {why}").into());
            None
        }
    }
}

/// Node of a pod of the workload: of one that is not ready, if there is one, as that is the one that
/// suffers.
fn node_of(snapshot: &Snapshot, workload: &Workload, template: &Template) -> Option<String> {
    if workload.kind == "Pod" {
        return Some(template.spec.node_name.clone()).filter(|node| !node.is_empty());
    }
    let of = format!("{}/{}", workload.namespace, workload.name);
    let pods = snapshot.kubernetes.pods.value().into_iter().flatten();
    pods.filter(|pod| !pod.is_terminal() && !pod.spec.node_name.is_empty() && pod.workload() == of)
        .min_by_key(|pod| (pod.is_ready(), pod.metadata.name.clone()))
        .map(|pod| pod.spec.node_name.clone())
}

#[cfg(test)]
mod tests {
    use eksnet_model::Evidence;
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_that_policies_look_at_are_copied_and_those_of_controllers_never() {
        let mut snapshot = Snapshot::default();
        snapshot.kubernetes.networkpolicies = Evidence::Present(
            serde_json::from_value(json!([
                {"metadata": {"namespace": "shop", "name": "own"}, "spec": {"podSelector": {
                    "matchLabels": {"app": "cart"}, "matchExpressions": [{"key": "pod-template-hash", "operator": "Exists"}]}}},
                {"metadata": {"namespace": "db", "name": "peer"}, "spec": {"podSelector": {"matchLabels": {"only-db": "x"}},
                    "ingress": [{"from": [{"podSelector": {"matchLabels": {"tier": "web"}}}]}]}},
            ]))
            .unwrap(),
        );
        let keys = policy_keys(&snapshot, "shop");
        let labels = ["app", "tier", "only-db", "pod-template-hash", "other"]
            .map(|key| (key.to_owned(), "v".to_owned()));
        let copied = selected(&labels.into(), &keys);
        assert_eq!(copied.keys().collect::<Vec<_>>(), ["app", "tier"]);
    }

    #[test]
    fn the_node_is_that_of_a_pod_that_suffers() {
        let pod = |name: &str, node: &str, ready: &str| {
            json!({"metadata": {"namespace": "shop", "name": name, "labels": {"pod-template-hash": "h"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "cart-h", "controller": true}]},
                "spec": {"nodeName": node}, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}})
        };
        let mut snapshot = Snapshot::default();
        let pods = json!([
            pod("a", "n1", "True"),
            pod("b", "n2", "False"),
            pod("c", "", "False")
        ]);
        snapshot.kubernetes.pods = Evidence::Present(serde_json::from_value(pods).unwrap());
        let workload: Workload = "shop/deployment/cart".parse().unwrap();
        let node = node_of(&snapshot, &workload, &Template::default());
        assert_eq!(node.as_deref(), Some("n2"));
        let other: Workload = "shop/deployment/car".parse().unwrap();
        assert_eq!(node_of(&snapshot, &other, &Template::default()), None);
    }

    #[test]
    fn kinds_are_found_under_their_paths() {
        let path = |text: &str| path_of(&text.parse().unwrap());
        assert_eq!(path("a/pod/x"), "/api/v1/namespaces/a/pods/x");
        assert_eq!(path("a/sts/x"), "/apis/apps/v1/namespaces/a/statefulsets/x");
    }
}
