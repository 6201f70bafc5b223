//! Which resources are read, and into which part of the snapshot.

use std::collections::BTreeSet;

use eksnet_model::kubernetes::{
    ApiService, ConfigMap, DaemonSet, Deployment, EndpointSlice, EniConfig, Event, Ingress, Lease,
    NetworkPolicy, Node, NodeClaim, NodeClass, NodePool, PersistentVolume, PodDisruptionBudget,
    SecurityGroupPolicy, Service, ServiceAccount, StorageClass, WebhookConfiguration,
};
use eksnet_model::{Component, Evidence, Gap, Kubernetes, Source};
use futures_util::future::join_all;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::api::Api;
use super::list::{Resource, Scope, list_anywhere};
use super::narrow;
use crate::Request;
use crate::watch::Watch;

macro_rules! resource {
    ($source:ident, [$($version:literal),+], $plural:literal, namespaced: $namespaced:literal) => {
        Resource {
            source: Source::$source,
            versions: &[$($version),+],
            plural: $plural,
            namespaced: $namespaced,
        }
    };
}

// The oldest Kubernetes that is read is 1.21: beta versions are asked where the stable one is not
// served.
const NODES: Resource = resource!(Nodes, ["/api/v1"], "nodes", namespaced: false);
const PODS: Resource = resource!(Pods, ["/api/v1"], "pods", namespaced: true);
const SERVICES: Resource = resource!(Services, ["/api/v1"], "services", namespaced: true);
const EVENTS: Resource = resource!(Events, ["/api/v1"], "events", namespaced: true);
const SERVICE_ACCOUNTS: Resource =
    resource!(ServiceAccounts, ["/api/v1"], "serviceaccounts", namespaced: true);
const DEPLOYMENTS: Resource =
    resource!(Deployments, ["/apis/apps/v1"], "deployments", namespaced: true);
const DAEMON_SETS: Resource =
    resource!(DaemonSets, ["/apis/apps/v1"], "daemonsets", namespaced: true);
const ENDPOINT_SLICES: Resource = resource!(
    EndpointSlices,
    ["/apis/discovery.k8s.io/v1", "/apis/discovery.k8s.io/v1beta1"],
    "endpointslices",
    namespaced: true
);
const LEASES: Resource =
    resource!(Leases, ["/apis/coordination.k8s.io/v1"], "leases", namespaced: true);
const BUDGETS: Resource = resource!(
    PodDisruptionBudgets,
    ["/apis/policy/v1", "/apis/policy/v1beta1"],
    "poddisruptionbudgets",
    namespaced: true
);
const POLICIES: Resource = resource!(
    NetworkPolicies,
    ["/apis/networking.k8s.io/v1"],
    "networkpolicies",
    namespaced: true
);
const INGRESSES: Resource =
    resource!(Ingresses, ["/apis/networking.k8s.io/v1"], "ingresses", namespaced: true);
const ENI_CONFIGS: Resource = resource!(
    EniConfigs,
    ["/apis/crd.k8s.amazonaws.com/v1alpha1"],
    "eniconfigs",
    namespaced: false
);
const VALIDATING_WEBHOOKS: Resource = resource!(
    ValidatingWebhooks,
    ["/apis/admissionregistration.k8s.io/v1"],
    "validatingwebhookconfigurations",
    namespaced: false
);
const MUTATING_WEBHOOKS: Resource = resource!(
    MutatingWebhooks,
    ["/apis/admissionregistration.k8s.io/v1"],
    "mutatingwebhookconfigurations",
    namespaced: false
);
const API_SERVICES: Resource =
    resource!(ApiServices, ["/apis/apiregistration.k8s.io/v1"], "apiservices", namespaced: false);
const SECURITY_GROUP_POLICIES: Resource = resource!(
    SecurityGroupPolicies,
    ["/apis/vpcresources.k8s.aws/v1beta1"],
    "securitygrouppolicies",
    namespaced: true
);
const NODE_POOLS: Resource = resource!(
    NodePools,
    ["/apis/karpenter.sh/v1", "/apis/karpenter.sh/v1beta1"],
    "nodepools",
    namespaced: false
);
const NODE_CLASSES: Resource = resource!(
    NodeClasses,
    ["/apis/karpenter.k8s.aws/v1", "/apis/karpenter.k8s.aws/v1beta1"],
    "ec2nodeclasses",
    namespaced: false
);
const NODE_CLAIMS: Resource = resource!(
    NodeClaims,
    ["/apis/karpenter.sh/v1", "/apis/karpenter.sh/v1beta1"],
    "nodeclaims",
    namespaced: false
);
const VOLUMES: Resource =
    resource!(PersistentVolumes, ["/api/v1"], "persistentvolumes", namespaced: false);
const STORAGE_CLASSES: Resource =
    resource!(StorageClasses, ["/apis/storage.k8s.io/v1"], "storageclasses", namespaced: false);

/// The config maps that checks read, all in `kube-system`; see [`ConfigMap::is_kept`].
const CONFIG_MAPS: [&str; 8] = [
    "coredns",
    "coredns-custom",
    "kube-proxy",
    "kube-proxy-config",
    "node-local-dns",
    "cluster-autoscaler-status",
    "amazon-vpc-cni",
    "aws-auth",
];

/// Where leases of nodes and of leaders are.
const LEASE_NAMESPACES: [&str; 2] = ["kube-node-lease", "kube-system"];

/// Events of type Normal that checks and readers want: what autoscalers and the node controller
/// decided. All others of that type are the hum of a cluster that works.
const NORMAL_REASONS: [&str; 4] = [
    "NodeNotReady",
    "NotTriggerScaleUp",
    "TriggeredScaleUp",
    "ScaleDown",
];

/// Reads the lists.
#[derive(Clone, Copy)]
pub(crate) struct Lists<'a> {
    pub(crate) api: &'a Api,
    pub(crate) request: &'a Request,
    /// Namespaces that are listed where listing all of them is refused.
    pub(crate) fallback: &'a [String],
    pub(crate) deadline: Instant,
    pub(crate) watch: Watch<'a>,
}

impl Lists<'_> {
    /// Reads every list that is wanted, all at one time; `nodes_known` hears of the nodes as soon as
    /// they are there.
    pub(crate) async fn fetch(
        &self,
        kubernetes: &mut Kubernetes,
        nodes_known: impl FnOnce(&[Node]),
    ) {
        // Boxed, each: together they would be a future of many kilobytes on the stack.
        let mut pods = kubernetes.pods.clone();
        let mut accounts = kubernetes.serviceaccounts.clone();
        let pods_then_accounts = Box::pin(async {
            self.into(PODS, &mut pods, narrow::pod).await;
            let namespaces = namespaces_of_callers(&pods);
            self.fetch_service_accounts(&namespaces, &mut accounts)
                .await;
        });
        let nodes = Box::pin(async {
            self.into::<Node>(NODES, &mut kubernetes.nodes, Some).await;
            nodes_known(kubernetes.nodes.value().map_or(&[], Vec::as_slice));
        });
        tokio::join!(
            pods_then_accounts,
            nodes,
            Box::pin(self.into::<Deployment>(DEPLOYMENTS, &mut kubernetes.deployments, Some)),
            Box::pin(self.into::<DaemonSet>(DAEMON_SETS, &mut kubernetes.daemonsets, Some)),
            Box::pin(self.into::<Service>(SERVICES, &mut kubernetes.services, Some)),
            Box::pin(self.into::<EndpointSlice>(
                ENDPOINT_SLICES,
                &mut kubernetes.endpointslices,
                Some
            )),
            Box::pin(self.into::<PodDisruptionBudget>(
                BUDGETS,
                &mut kubernetes.poddisruptionbudgets,
                Some
            )),
            Box::pin(self.into::<NetworkPolicy>(POLICIES, &mut kubernetes.networkpolicies, Some)),
            Box::pin(self.into::<Ingress>(INGRESSES, &mut kubernetes.ingresses, Some)),
            Box::pin(self.into::<EniConfig>(ENI_CONFIGS, &mut kubernetes.eniconfigs, Some)),
            Box::pin(self.into::<WebhookConfiguration>(
                VALIDATING_WEBHOOKS,
                &mut kubernetes.validatingwebhookconfigurations,
                Some
            )),
            Box::pin(self.into::<WebhookConfiguration>(
                MUTATING_WEBHOOKS,
                &mut kubernetes.mutatingwebhookconfigurations,
                Some
            )),
            Box::pin(self.into::<ApiService>(
                API_SERVICES,
                &mut kubernetes.apiservices,
                // Those without a Service are the API server's own.
                |one: ApiService| one.spec.service.is_some().then_some(one)
            )),
            Box::pin(self.into::<SecurityGroupPolicy>(
                SECURITY_GROUP_POLICIES,
                &mut kubernetes.securitygrouppolicies,
                Some
            )),
            Box::pin(self.into::<NodePool>(NODE_POOLS, &mut kubernetes.nodepools, Some)),
            Box::pin(self.into::<NodeClass>(NODE_CLASSES, &mut kubernetes.nodeclasses, Some)),
            Box::pin(self.into::<NodeClaim>(NODE_CLAIMS, &mut kubernetes.nodeclaims, Some)),
            Box::pin(self.into::<PersistentVolume>(
                VOLUMES,
                &mut kubernetes.persistentvolumes,
                Some
            )),
            Box::pin(self.into::<StorageClass>(
                STORAGE_CLASSES,
                &mut kubernetes.storageclasses,
                Some
            )),
            Box::pin(self.fetch_events(&mut kubernetes.events)),
            Box::pin(self.fetch_leases(&mut kubernetes.leases)),
            Box::pin(self.fetch_config_maps(&mut kubernetes.configmaps)),
        );
        kubernetes.pods = pods;
        kubernetes.serviceaccounts = accounts;
    }

    fn wants(&self, source: Source) -> bool {
        self.request.reads(source)
    }

    async fn into<T: DeserializeOwned>(
        &self,
        resource: Resource,
        slot: &mut Evidence<Vec<T>>,
        keep: impl FnMut(T) -> Option<T>,
    ) {
        if self.wants(resource.source) {
            let scope = Scope::default();
            let list = list_anywhere(
                self.api,
                &resource,
                &scope,
                self.fallback,
                self.deadline,
                keep,
            );
            *slot = self.watch.source(resource.source, list).await;
        }
    }

    async fn fetch_events(&self, slot: &mut Evidence<Vec<Event>>) {
        if !self.wants(Source::Events) {
            return;
        }
        let selectors: Vec<String> = std::iter::once("type=Warning".to_owned())
            .chain(
                NORMAL_REASONS
                    .iter()
                    .map(|reason| format!("type=Normal,reason={reason}")),
            )
            .collect();
        let lists = join_all(selectors.iter().map(|fields| async move {
            let scope = Scope {
                fields: Some(fields),
                ..Scope::default()
            };
            list_anywhere(
                self.api,
                &EVENTS,
                &scope,
                self.fallback,
                self.deadline,
                Some,
            )
            .await
        }));
        let all = async { merged(Source::Events, lists.await) };
        *slot = self.watch.source(Source::Events, all).await;
    }

    async fn fetch_leases(&self, slot: &mut Evidence<Vec<Lease>>) {
        if self.wants(Source::Leases) {
            let lists = self.in_namespaces(LEASES, &LEASE_NAMESPACES);
            *slot = self.watch.source(Source::Leases, lists).await;
        }
    }

    async fn fetch_service_accounts(
        &self,
        namespaces: &BTreeSet<String>,
        slot: &mut Evidence<Vec<ServiceAccount>>,
    ) {
        if self.wants(Source::ServiceAccounts) {
            let namespaces: Vec<&str> = namespaces.iter().map(String::as_str).collect();
            let lists = self.in_namespaces(SERVICE_ACCOUNTS, &namespaces);
            *slot = self.watch.source(Source::ServiceAccounts, lists).await;
        }
    }

    async fn in_namespaces<T: DeserializeOwned>(
        &self,
        resource: Resource,
        namespaces: &[&str],
    ) -> Evidence<Vec<T>> {
        let lists = join_all(namespaces.iter().map(|namespace| async move {
            let scope = Scope {
                namespace: Some(namespace),
                ..Scope::default()
            };
            let listed = resource.list(self.api, &scope, self.deadline, Some).await;
            listed.evidence(resource.source, &resource.tried(&scope))
        }));
        merged(resource.source, lists.await)
    }

    /// Gets the maps by name: listing them would bring secrets along that others keep in theirs.
    async fn fetch_config_maps(&self, slot: &mut Evidence<Vec<ConfigMap>>) {
        if !self.wants(Source::ConfigMaps) {
            return;
        }
        let gets = join_all(CONFIG_MAPS.iter().map(|name| async move {
            let path = format!("/api/v1/namespaces/kube-system/configmaps/{name}");
            match self.api.get::<ConfigMap>(&path, self.deadline).await {
                Ok(map) => Evidence::Present(vec![map]),
                Err(fault) if fault.is_not_found() => Evidence::Present(Vec::new()),
                Err(fault) => Evidence::Absent(fault.gap(
                    Source::ConfigMaps,
                    &format!("get configmap kube-system/{name}"),
                    "get configmaps in kube-system",
                )),
            }
        }));
        let all = async { merged(Source::ConfigMaps, gets.await) };
        *slot = self.watch.source(Source::ConfigMaps, all).await;
    }
}

/// Every request that reading the wanted sources makes, such as `GET /api/v1/nodes`; those of logs
/// and metrics depend on the pods that are found.
pub(crate) fn calls_of(request: &Request) -> Vec<String> {
    let lists = [
        NODES,
        PODS,
        DEPLOYMENTS,
        DAEMON_SETS,
        SERVICES,
        ENDPOINT_SLICES,
        BUDGETS,
        POLICIES,
        INGRESSES,
        ENI_CONFIGS,
        VALIDATING_WEBHOOKS,
        MUTATING_WEBHOOKS,
        API_SERVICES,
        SECURITY_GROUP_POLICIES,
        NODE_POOLS,
        NODE_CLASSES,
        NODE_CLAIMS,
        VOLUMES,
        STORAGE_CLASSES,
    ];
    let wants = |source| request.reads(source);
    let mut calls = vec!["GET /version".to_owned()];
    for resource in lists.iter().filter(|resource| wants(resource.source)) {
        calls.push(format!("GET {}/{}", resource.versions[0], resource.plural));
    }
    if wants(Source::Events) {
        calls.push("GET /api/v1/events?fieldSelector=type=Warning".to_owned());
        let of_reason =
            |reason| format!("GET /api/v1/events?fieldSelector=type=Normal,reason={reason}");
        calls.extend(NORMAL_REASONS.iter().map(of_reason));
    }
    if wants(Source::Leases) {
        for namespace in LEASE_NAMESPACES {
            calls.push(format!(
                "GET {}/namespaces/{namespace}/leases",
                LEASES.versions[0]
            ));
        }
    }
    if wants(Source::ServiceAccounts) {
        calls.push(
            "GET /api/v1/namespaces/kube-system/serviceaccounts, and of the components' namespaces"
                .to_owned(),
        );
    }
    if wants(Source::ConfigMaps) {
        let get = |name| format!("GET /api/v1/namespaces/kube-system/configmaps/{name}");
        calls.extend(CONFIG_MAPS.iter().map(get));
    }
    if wants(Source::Logs) {
        calls.push(
            "GET /api/v1/namespaces/../pods/../log of the networking components' pods".to_owned(),
        );
    }
    if wants(Source::CniMetrics) {
        calls.push(
            "GET /api/v1/namespaces/kube-system/pods/aws-node-..:61678/proxy/metrics".to_owned(),
        );
    }
    calls
}

/// The parts of one source as a whole: complete only if every part is.
fn merged<T>(source: Source, parts: Vec<Evidence<Vec<T>>>) -> Evidence<Vec<T>> {
    let mut items = Vec::new();
    let mut seen_any = false;
    let mut gap: Option<Gap> = None;
    for part in parts {
        let (value, missing) = match part {
            Evidence::Present(value) => (Some(value), None),
            Evidence::Partial { value, gap } => (Some(value), Some(gap)),
            Evidence::Absent(gap) => (None, Some(gap)),
        };
        seen_any |= value.is_some();
        items.extend(value.into_iter().flatten());
        gap = gap.or(missing);
    }
    match gap {
        None => Evidence::Present(items),
        Some(gap) if seen_any => Evidence::Partial { value: items, gap },
        Some(gap) => Evidence::Absent(Gap { source, ..gap }),
    }
}

/// Namespaces whose service accounts matter: `kube-system`, and those of the components that call
/// AWS.
fn namespaces_of_callers(pods: &Evidence<Vec<eksnet_model::kubernetes::Pod>>) -> BTreeSet<String> {
    let callers = pods
        .value()
        .into_iter()
        .flatten()
        .filter(|pod| Component::CALLING_AWS.contains(&Component::of_pod(pod)));
    callers
        .map(|pod| pod.metadata.namespace.clone())
        .chain(["kube-system".to_owned()])
        .collect()
}

#[cfg(test)]
mod tests {
    use eksnet_model::Why;

    use super::*;

    #[test]
    fn every_config_map_that_is_asked_for_is_one_that_is_kept() {
        for name in CONFIG_MAPS {
            assert!(ConfigMap::is_kept("kube-system", name), "{name}");
        }
    }

    #[test]
    fn one_missing_part_makes_the_whole_partial() {
        let gap = Gap::new(Source::Leases, Why::Timeout, "");
        let parts = vec![Evidence::Present(vec![1]), Evidence::Absent(gap.clone())];
        let whole = merged(Source::Leases, parts);
        assert_eq!(
            whole,
            Evidence::Partial {
                value: vec![1],
                gap: gap.clone()
            }
        );
        // An empty list that was read is not nothing.
        let parts = vec![
            Evidence::Present(Vec::<u8>::new()),
            Evidence::Absent(gap.clone()),
        ];
        assert!(merged(Source::Leases, parts).value().is_some());
        let nothing = merged(
            Source::Leases,
            vec![Evidence::<Vec<u8>>::Absent(gap.clone())],
        );
        assert_eq!(nothing, Evidence::Absent(gap));
    }
}
