//! Kubernetes objects from JSON, as `kubectl get -o json` writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use eksnet_model::kubernetes::ConfigMap;
use eksnet_model::{Evidence, Gap, Kubernetes, Source, Text, Time, Why};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::times;

/// Objects as they were found, by kind.
#[derive(Default)]
pub(crate) struct Objects {
    kinds: BTreeMap<Source, Found>,
    newest: Option<Time>,
}

/// Objects of one kind.
#[derive(Default)]
struct Found {
    /// By namespace and name: the same object may stand in several files.
    objects: BTreeMap<(String, String), Value>,
    /// Whether a whole list was among the files.
    listed: bool,
    /// What was cut off.
    cut: Option<Text>,
}

/// The source that objects of a kind belong to.
fn source_of(kind: &str) -> Option<Source> {
    Some(match kind {
        "Node" => Source::Nodes,
        "Pod" => Source::Pods,
        "Deployment" => Source::Deployments,
        "DaemonSet" => Source::DaemonSets,
        "Service" => Source::Services,
        "EndpointSlice" => Source::EndpointSlices,
        "Event" => Source::Events,
        "ConfigMap" => Source::ConfigMaps,
        "Lease" => Source::Leases,
        "PodDisruptionBudget" => Source::PodDisruptionBudgets,
        "NetworkPolicy" => Source::NetworkPolicies,
        "ServiceAccount" => Source::ServiceAccounts,
        "ENIConfig" => Source::EniConfigs,
        _ => return None,
    })
}

/// The source that an empty list was asked for, by the name of its file.
fn source_by_name(file: &Path) -> Option<Source> {
    let stem = file.file_stem()?.to_string_lossy().to_ascii_lowercase();
    let word = |names: &[&str]| {
        stem.split(['-', '_', '.', ' '])
            .any(|part| names.contains(&part))
    };
    const NAMES: [(&[&str], Source); 13] = [
        (&["nodes", "node", "no"], Source::Nodes),
        (&["pods", "pod", "po"], Source::Pods),
        (
            &["deployments", "deployment", "deploy"],
            Source::Deployments,
        ),
        (&["daemonsets", "daemonset", "ds"], Source::DaemonSets),
        (&["services", "service", "svc"], Source::Services),
        (&["endpointslices", "endpointslice"], Source::EndpointSlices),
        (&["events", "event", "ev"], Source::Events),
        (&["configmaps", "configmap", "cm"], Source::ConfigMaps),
        (&["leases", "lease"], Source::Leases),
        (
            &["pdb", "pdbs", "poddisruptionbudgets"],
            Source::PodDisruptionBudgets,
        ),
        (
            &["networkpolicies", "networkpolicy", "netpol"],
            Source::NetworkPolicies,
        ),
        (
            &["serviceaccounts", "serviceaccount", "sa"],
            Source::ServiceAccounts,
        ),
        (&["eniconfigs", "eniconfig"], Source::EniConfigs),
    ];
    NAMES
        .iter()
        .find(|(names, _)| word(names))
        .map(|(_, source)| *source)
}

fn is_cluster_wide(source: Source) -> bool {
    matches!(source, Source::Nodes | Source::EniConfigs)
}

impl Objects {
    /// Reads one file: one or several JSON documents.
    pub(crate) fn read(&mut self, bytes: &[u8], file: &Path) -> Result<(), Text> {
        let documents = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
        let mut understood = false;
        for document in documents {
            match document {
                Ok(document) => understood |= self.document(document, file),
                Err(error) if understood => {
                    return Err(format!("read up to where it breaks: {error}").into());
                }
                Err(error) => return Err(format!("no JSON: {error}").into()),
            }
        }
        if understood {
            Ok(())
        } else {
            Err("no Kubernetes object in it".into())
        }
    }

    fn document(&mut self, document: Value, file: &Path) -> bool {
        let Value::Object(mut fields) = document else {
            return false;
        };
        let Some(kind) = fields
            .get("kind")
            .and_then(Value::as_str)
            .map(str::to_owned)
        else {
            return false;
        };
        let Some(Value::Array(items)) = fields.remove("items") else {
            self.newest = self
                .newest
                .max(times::newest(&Value::Object(fields.clone())));
            self.object(&kind, Value::Object(fields));
            return true;
        };
        let metadata = fields.get("metadata");
        let is_cut = metadata
            .and_then(|metadata| metadata.get("continue"))
            .and_then(Value::as_str);
        let item_kind = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
        let mut sources = BTreeSet::new();
        if items.is_empty() {
            sources.extend(
                item_kind
                    .and_then(source_of)
                    .or_else(|| source_by_name(file)),
            );
        }
        for item in items {
            self.newest = self.newest.max(times::newest(&item));
            let own = item.get("kind").and_then(Value::as_str).map(str::to_owned);
            if let Some(kind) = own.as_deref().or(item_kind) {
                sources.extend(self.object(kind, item));
            }
        }
        for source in sources {
            let found = self.kinds.entry(source).or_default();
            match is_cut {
                Some(token) if !token.is_empty() => {
                    found.cut =
                        Some(format!("{} holds one page of a longer list", file.display()).into());
                }
                _ => found.listed = true,
            }
        }
        true
    }

    fn object(&mut self, kind: &str, object: Value) -> Option<Source> {
        let source = source_of(kind)?;
        let text = |key: &str| {
            let value = object
                .get("metadata")
                .and_then(|metadata| metadata.get(key));
            value.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let key = (text("namespace"), text("name"));
        self.kinds
            .entry(source)
            .or_default()
            .objects
            .insert(key, object);
        Some(source)
    }

    /// The newest time in any object.
    pub(crate) fn newest(&self) -> Option<Time> {
        self.newest
    }

    /// Sorts the objects into their sources.
    pub(crate) fn finish(mut self) -> Kubernetes {
        // One list over several namespaces was made with -A: an empty list beside it was too.
        let all_namespaces = self.kinds.iter().any(|(source, found)| {
            let namespaces: BTreeSet<&str> =
                found.objects.keys().map(|(ns, _)| ns.as_str()).collect();
            !is_cluster_wide(*source) && found.listed && namespaces.len() > 1
        });
        let kubernetes = Kubernetes::default();
        let mut configmaps: Evidence<Vec<ConfigMap>> =
            self.take(Source::ConfigMaps, kubernetes.configmaps, all_namespaces);
        if let Some(maps) = configmaps.value_mut() {
            maps.retain(|map| ConfigMap::is_kept(&map.metadata.namespace, &map.metadata.name));
        }
        Kubernetes {
            nodes: self.take(Source::Nodes, kubernetes.nodes, all_namespaces),
            pods: self.take(Source::Pods, kubernetes.pods, all_namespaces),
            deployments: self.take(Source::Deployments, kubernetes.deployments, all_namespaces),
            daemonsets: self.take(Source::DaemonSets, kubernetes.daemonsets, all_namespaces),
            services: self.take(Source::Services, kubernetes.services, all_namespaces),
            endpointslices: self.take(
                Source::EndpointSlices,
                kubernetes.endpointslices,
                all_namespaces,
            ),
            events: self.take(Source::Events, kubernetes.events, all_namespaces),
            configmaps,
            leases: self.take(Source::Leases, kubernetes.leases, all_namespaces),
            poddisruptionbudgets: self.take(
                Source::PodDisruptionBudgets,
                kubernetes.poddisruptionbudgets,
                all_namespaces,
            ),
            networkpolicies: self.take(
                Source::NetworkPolicies,
                kubernetes.networkpolicies,
                all_namespaces,
            ),
            serviceaccounts: self.take(
                Source::ServiceAccounts,
                kubernetes.serviceaccounts,
                all_namespaces,
            ),
            eniconfigs: self.take(Source::EniConfigs, kubernetes.eniconfigs, all_namespaces),
            ..Kubernetes::default()
        }
    }

    fn take<T: DeserializeOwned>(
        &mut self,
        source: Source,
        otherwise: Evidence<Vec<T>>,
        all_namespaces: bool,
    ) -> Evidence<Vec<T>> {
        let Some(found) = self.kinds.remove(&source) else {
            return otherwise;
        };
        let namespaces: BTreeSet<String> = found.objects.keys().map(|(ns, _)| ns.clone()).collect();
        let mut malformed = None;
        let mut value = Vec::with_capacity(found.objects.len());
        for ((namespace, name), object) in found.objects {
            match serde_json::from_value(object) {
                Ok(object) => value.push(object),
                Err(error) => malformed = Some(format!("{namespace}/{name}: {error}")),
            }
        }
        let gap = |why, detail: &str| {
            let gap = Gap::new(source, why, detail);
            match source.saved_by() {
                Some(command) => gap.closed_by(command),
                None => gap,
            }
        };
        let gap = if let Some(malformed) = malformed {
            gap(Why::Malformed, &malformed)
        } else if let Some(cut) = found.cut {
            gap(Why::Truncated, &cut)
        } else if !found.listed {
            gap(Why::Truncated, "single objects, not the whole list")
        } else if !is_cluster_wide(source)
            && namespaces.len() < 2
            && !(namespaces.is_empty() && all_namespaces)
        {
            let names = namespaces.iter().map(Text::from).collect();
            gap(Why::OnlyNamespaces(names), "the list holds one namespace")
        } else {
            return Evidence::Present(value);
        };
        Evidence::Partial { value, gap }
    }
}
