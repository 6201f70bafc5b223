//! Kubernetes objects, by kind, in the narrow form that checks read.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::kubernetes as k8s;
use eksnet_model::{Evidence, Gap, Kubernetes, Source, Text, Why};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Namespace and name.
type Key = (String, String);

/// Objects of one kind.
pub(crate) struct Found<T> {
    /// By namespace and name: the same object may stand in several files.
    objects: BTreeMap<Key, T>,
    /// Objects that only a text shows, with little of what they hold.
    shown: BTreeMap<Key, T>,
    /// Whether a whole list was among the files.
    listed: bool,
    /// What was cut off.
    cut: Option<Text>,
    /// What could not be read.
    malformed: Option<Text>,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            shown: BTreeMap::new(),
            listed: false,
            cut: None,
            malformed: None,
        }
    }
}

macro_rules! kinds {
    ($($kind:literal $field:ident: $type:ty = $source:ident [$($name:literal),*];)*) => {
        /// Objects as they were found.
        #[derive(Default)]
        pub(crate) struct Objects {
            $(pub(crate) $field: Found<$type>,)*
        }

        /// The source that objects of a kind belong to.
        pub(crate) fn source_of(kind: &str) -> Option<Source> {
            Some(match of_today(kind) {
                $($kind => Source::$source,)*
                _ => return None,
            })
        }

        /// The source that an empty list was asked for, by the name of its file.
        pub(crate) fn source_by_name(file: &str) -> Option<Source> {
            let file = file.rsplit('/').next().unwrap_or(file).to_ascii_lowercase();
            let words: Vec<&str> = file.split(['-', '_', '.', ' ']).collect();
            $(if words.iter().any(|word| [$($name),*].contains(word)) {
                return Some(Source::$source);
            })*
            None
        }

        impl Objects {
            /// Keeps an object; `None` when no check reads its kind.
            pub(crate) fn object(&mut self, kind: &str, mut object: Value) -> Option<Source> {
                if kind == "Deployment" {
                    say_that_it_runs(&mut object);
                }
                match of_today(kind) {
                    $($kind => self.$field.add(object),)*
                    _ => return None,
                }
                source_of(kind)
            }

            /// Says that a whole list of `source` was read.
            pub(crate) fn listed(&mut self, source: Source) {
                match source {
                    $(Source::$source => self.$field.listed = true,)*
                    _ => {}
                }
            }

            /// Says that a list of `source` was read in part.
            pub(crate) fn cut(&mut self, source: Source, why: &str) {
                match source {
                    $(Source::$source => self.$field.cut = Some(why.into()),)*
                    _ => {}
                }
            }

            /// Whether any list holds objects of several namespaces, and so was made with `-A`: an
            /// empty list beside it was too.
            fn all_namespaces(&self) -> bool {
                false $(|| (!is_cluster_wide(Source::$source) && self.$field.listed && self.$field.namespaces().len() > 1))*
            }

            /// Sorts the objects into their sources.
            pub(crate) fn finish(self) -> Kubernetes {
                let all_namespaces = self.all_namespaces();
                let mut kubernetes = Kubernetes::default();
                $(if let Some(found) = self.$field.finish(Source::$source, all_namespaces) {
                    kubernetes.$field = found;
                })*
                if let Some(maps) = kubernetes.configmaps.value_mut() {
                    maps.retain(|map| k8s::ConfigMap::is_kept(&map.metadata.namespace, &map.metadata.name));
                }
                kubernetes
            }
        }
    };
}

kinds! {
    "Node" nodes: k8s::Node = Nodes ["nodes", "node", "no"];
    "Pod" pods: k8s::Pod = Pods ["pods", "pod", "po"];
    "Deployment" deployments: k8s::Deployment = Deployments ["deployments", "deployment", "deploy"];
    "DaemonSet" daemonsets: k8s::DaemonSet = DaemonSets ["daemonsets", "daemonset", "ds"];
    "Service" services: k8s::Service = Services ["services", "service", "svc"];
    "Ingress" ingresses: k8s::Ingress = Ingresses ["ingresses", "ingress", "ing"];
    "EndpointSlice" endpointslices: k8s::EndpointSlice = EndpointSlices ["endpointslices", "endpointslice"];
    "Event" events: k8s::Event = Events ["events", "event", "ev"];
    "ConfigMap" configmaps: k8s::ConfigMap = ConfigMaps ["configmaps", "configmap", "cm"];
    "Lease" leases: k8s::Lease = Leases ["leases", "lease"];
    "PodDisruptionBudget" poddisruptionbudgets: k8s::PodDisruptionBudget = PodDisruptionBudgets ["pdb", "pdbs", "poddisruptionbudgets"];
    "NetworkPolicy" networkpolicies: k8s::NetworkPolicy = NetworkPolicies ["networkpolicies", "networkpolicy", "netpol"];
    "ServiceAccount" serviceaccounts: k8s::ServiceAccount = ServiceAccounts ["serviceaccounts", "serviceaccount", "sa"];
    "ValidatingWebhookConfiguration" validatingwebhookconfigurations: k8s::WebhookConfiguration = ValidatingWebhooks ["validatingwebhookconfigurations", "validatingwebhookconfiguration"];
    "MutatingWebhookConfiguration" mutatingwebhookconfigurations: k8s::WebhookConfiguration = MutatingWebhooks ["mutatingwebhookconfigurations", "mutatingwebhookconfiguration"];
    "APIService" apiservices: k8s::ApiService = ApiServices ["apiservices", "apiservice"];
    "SecurityGroupPolicy" securitygrouppolicies: k8s::SecurityGroupPolicy = SecurityGroupPolicies ["securitygrouppolicies", "securitygrouppolicy", "sgp"];
    "NodePool" nodepools: k8s::NodePool = NodePools ["nodepools", "nodepool", "provisioners", "provisioner"];
    "EC2NodeClass" nodeclasses: k8s::NodeClass = NodeClasses ["ec2nodeclasses", "ec2nodeclass", "nodeclasses", "awsnodetemplates"];
    "NodeClaim" nodeclaims: k8s::NodeClaim = NodeClaims ["nodeclaims", "nodeclaim"];
    "PersistentVolume" persistentvolumes: k8s::PersistentVolume = PersistentVolumes ["persistentvolumes", "persistentvolume", "pv", "pvs"];
    "StorageClass" storageclasses: k8s::StorageClass = StorageClasses ["storageclasses", "storageclass", "sc"];
    "ENIConfig" eniconfigs: k8s::EniConfig = EniConfigs ["eniconfigs", "eniconfig"];
}

fn is_cluster_wide(source: Source) -> bool {
    matches!(
        source,
        Source::Nodes
            | Source::EniConfigs
            | Source::ValidatingWebhooks
            | Source::MutatingWebhooks
            | Source::ApiServices
            | Source::NodePools
            | Source::NodeClasses
            | Source::NodeClaims
            | Source::PersistentVolumes
            | Source::StorageClasses
    )
}

/// The kind under which objects of an older or a sibling API are kept: what they say is the same.
fn of_today(kind: &str) -> &str {
    match kind {
        "Provisioner" => "NodePool",
        "AWSNodeTemplate" | "NodeClass" => "EC2NodeClass",
        other => other,
    }
}

/// A Deployment that was written down, not read from a cluster, has no status: that says nothing of its
/// pods, and must not be taken for a Deployment without any.
fn say_that_it_runs(object: &mut Value) {
    let Value::Object(fields) = object else {
        return;
    };
    if !fields.contains_key("status") {
        let wanted = fields
            .get("spec")
            .and_then(|spec| spec.get("replicas"))
            .and_then(Value::as_u64)
            .unwrap_or(1);
        fields.insert(
            "status".to_owned(),
            serde_json::json!({"replicas": wanted, "readyReplicas": wanted}),
        );
    }
}

fn key_of(object: &Value) -> Key {
    let text = |key: &str| {
        let value = object
            .get("metadata")
            .and_then(|metadata| metadata.get(key));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    (text("namespace"), text("name"))
}

impl<T: DeserializeOwned> Found<T> {
    fn add(&mut self, object: Value) {
        let key = key_of(&object);
        match serde_json::from_value(object) {
            Ok(object) => {
                self.objects.insert(key, object);
            }
            Err(error) => self.malformed = Some(format!("{}/{}: {error}", key.0, key.1).into()),
        }
    }
}

impl<T> Found<T> {
    /// Keeps an object that only a text shows; a second text adds nothing to it.
    pub(crate) fn show(&mut self, namespace: &str, name: &str, object: T) {
        self.shown
            .entry((namespace.to_owned(), name.to_owned()))
            .or_insert(object);
    }

    /// How many objects texts have shown.
    pub(crate) fn shown(&self) -> usize {
        self.shown.len()
    }

    fn namespaces(&self) -> BTreeSet<&str> {
        self.objects.keys().map(|(ns, _)| ns.as_str()).collect()
    }

    fn finish(mut self, source: Source, all_namespaces: bool) -> Option<Evidence<Vec<T>>> {
        let namespaces: BTreeSet<String> =
            self.namespaces().into_iter().map(str::to_owned).collect();
        let is_text = !self.listed && !self.shown.is_empty();
        if is_text {
            // A table without -A does not say in which namespace its objects are.
            let known: BTreeSet<String> =
                self.objects.keys().map(|(_, name)| name.clone()).collect();
            for (key, object) in std::mem::take(&mut self.shown) {
                if !known.contains(&key.1) {
                    self.objects.insert(key, object);
                }
            }
        }
        if self.objects.is_empty() && !self.listed && self.cut.is_none() && self.malformed.is_none()
        {
            return None;
        }
        let value: Vec<T> = self.objects.into_values().collect();
        let gap = |why, detail: &str| {
            let gap = Gap::new(source, why, detail);
            match source.saved_by() {
                Some(command) => gap.closed_by(command),
                None => gap,
            }
        };
        let gap = if let Some(malformed) = self.malformed {
            gap(Why::Malformed, &malformed)
        } else if let Some(cut) = self.cut {
            gap(Why::Truncated, &cut)
        } else if is_text {
            gap(
                Why::Truncated,
                "a text made for people, which shows few of the fields; labels of EKS's own add-ons are taken from the names of their pods",
            )
        } else if !self.listed {
            gap(Why::Truncated, "single objects, not the whole list")
        } else if !is_cluster_wide(source)
            && namespaces.len() < 2
            && !(namespaces.is_empty() && all_namespaces)
        {
            let names = namespaces.iter().map(Text::from).collect();
            gap(Why::OnlyNamespaces(names), "the list holds one namespace")
        } else {
            return Some(Evidence::Present(value));
        };
        Some(Evidence::Partial { value, gap })
    }
}
