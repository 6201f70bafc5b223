//! Which resources a server knows.

/// One kind of object that a server serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: String,
    /// Version within the group.
    pub version: String,
    /// Plural, as in paths.
    pub plural: String,
    /// Kind, as in objects.
    pub kind: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether a custom resource definition made it: its list items name their kind, and its
    /// absence is a plain 404.
    pub custom: bool,
    /// Short names for kubectl.
    pub short: Vec<String>,
}

impl Resource {
    /// A custom resource in namespaces, such as
    /// `Resource::custom("vpcresources.k8s.aws/v1beta1", "securitygrouppolicies", "SecurityGroupPolicy")`.
    #[must_use]
    pub fn custom(api_version: &str, plural: &str, kind: &str) -> Self {
        let (group, version) = group_version(api_version);
        Self {
            group,
            version,
            plural: plural.to_owned(),
            kind: kind.to_owned(),
            namespaced: true,
            custom: true,
            short: Vec::new(),
        }
    }

    /// One of the custom resources that EKS and Karpenter bring, by its plural, such as
    /// `eniconfigs` or `nodepools`; `None` for others.
    #[must_use]
    pub fn well_known(plural: &str) -> Option<Self> {
        let (api_version, plural, kind, namespaced) =
            WELL_KNOWN.iter().find(|(_, known, ..)| *known == plural)?;
        let resource = Self::custom(api_version, plural, kind);
        Some(Self {
            namespaced: *namespaced,
            ..resource
        })
    }

    /// The same, at cluster scope.
    #[must_use]
    pub fn at_cluster_scope(mut self) -> Self {
        self.namespaced = false;
        self
    }

    /// `v1` or `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        join(&self.group, &self.version)
    }

    /// `pods` or `deployments.apps`, as messages name it.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    pub(crate) fn key(&self) -> Key {
        (self.group.clone(), self.plural.clone())
    }
}

/// Group and plural: what objects are stored under.
pub(crate) type Key = (String, String);

/// `apps/v1` into group and version.
pub(crate) fn group_version(api_version: &str) -> (String, String) {
    match api_version.split_once('/') {
        Some((group, version)) => (group.to_owned(), version.to_owned()),
        None => (String::new(), api_version.to_owned()),
    }
}

fn join(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// What every cluster serves, as far as a doctor of networking may ask for it.
const BUILT_IN: &[(&str, &str, &str, bool, &str)] = &[
    ("v1", "bindings", "Binding", true, ""),
    ("v1", "configmaps", "ConfigMap", true, "cm"),
    ("v1", "endpoints", "Endpoints", true, "ep"),
    ("v1", "events", "Event", true, "ev"),
    ("v1", "limitranges", "LimitRange", true, "limits"),
    ("v1", "namespaces", "Namespace", false, "ns"),
    ("v1", "nodes", "Node", false, "no"),
    (
        "v1",
        "persistentvolumeclaims",
        "PersistentVolumeClaim",
        true,
        "pvc",
    ),
    ("v1", "persistentvolumes", "PersistentVolume", false, "pv"),
    ("v1", "pods", "Pod", true, "po"),
    (
        "v1",
        "replicationcontrollers",
        "ReplicationController",
        true,
        "rc",
    ),
    ("v1", "resourcequotas", "ResourceQuota", true, "quota"),
    ("v1", "secrets", "Secret", true, ""),
    ("v1", "serviceaccounts", "ServiceAccount", true, "sa"),
    ("v1", "services", "Service", true, "svc"),
    (
        "apps/v1",
        "controllerrevisions",
        "ControllerRevision",
        true,
        "",
    ),
    ("apps/v1", "daemonsets", "DaemonSet", true, "ds"),
    ("apps/v1", "deployments", "Deployment", true, "deploy"),
    ("apps/v1", "replicasets", "ReplicaSet", true, "rs"),
    ("apps/v1", "statefulsets", "StatefulSet", true, "sts"),
    ("batch/v1", "cronjobs", "CronJob", true, "cj"),
    ("batch/v1", "jobs", "Job", true, ""),
    (
        "autoscaling/v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        true,
        "hpa",
    ),
    (
        "policy/v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        true,
        "pdb",
    ),
    (
        "networking.k8s.io/v1",
        "ingressclasses",
        "IngressClass",
        false,
        "",
    ),
    ("networking.k8s.io/v1", "ingresses", "Ingress", true, "ing"),
    (
        "networking.k8s.io/v1",
        "networkpolicies",
        "NetworkPolicy",
        true,
        "netpol",
    ),
    (
        "discovery.k8s.io/v1",
        "endpointslices",
        "EndpointSlice",
        true,
        "",
    ),
    ("coordination.k8s.io/v1", "leases", "Lease", true, ""),
    (
        "rbac.authorization.k8s.io/v1",
        "clusterrolebindings",
        "ClusterRoleBinding",
        false,
        "",
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "clusterroles",
        "ClusterRole",
        false,
        "",
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "rolebindings",
        "RoleBinding",
        true,
        "",
    ),
    ("rbac.authorization.k8s.io/v1", "roles", "Role", true, ""),
    (
        "admissionregistration.k8s.io/v1",
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        false,
        "",
    ),
    (
        "admissionregistration.k8s.io/v1",
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        false,
        "",
    ),
    (
        "apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        false,
        "crd,crds",
    ),
    (
        "apiregistration.k8s.io/v1",
        "apiservices",
        "APIService",
        false,
        "",
    ),
    (
        "scheduling.k8s.io/v1",
        "priorityclasses",
        "PriorityClass",
        false,
        "pc",
    ),
    (
        "storage.k8s.io/v1",
        "storageclasses",
        "StorageClass",
        false,
        "sc",
    ),
];

/// Custom resources of EKS and Karpenter: served once registered or once an object of theirs is
/// put, absent until then.
const WELL_KNOWN: &[(&str, &str, &str, bool)] = &[
    (
        "crd.k8s.amazonaws.com/v1alpha1",
        "eniconfigs",
        "ENIConfig",
        false,
    ),
    (
        "vpcresources.k8s.aws/v1alpha1",
        "cninodes",
        "CNINode",
        false,
    ),
    (
        "vpcresources.k8s.aws/v1beta1",
        "securitygrouppolicies",
        "SecurityGroupPolicy",
        true,
    ),
    (
        "networking.k8s.aws/v1alpha1",
        "policyendpoints",
        "PolicyEndpoint",
        true,
    ),
    ("karpenter.sh/v1", "nodepools", "NodePool", false),
    ("karpenter.sh/v1", "nodeclaims", "NodeClaim", false),
    (
        "karpenter.k8s.aws/v1",
        "ec2nodeclasses",
        "EC2NodeClass",
        false,
    ),
    ("eks.amazonaws.com/v1", "nodeclasses", "NodeClass", false),
    (
        "elbv2.k8s.aws/v1beta1",
        "targetgroupbindings",
        "TargetGroupBinding",
        true,
    ),
    (
        "elbv2.k8s.aws/v1beta1",
        "ingressclassparams",
        "IngressClassParams",
        false,
    ),
    ("gateway.networking.k8s.io/v1", "gateways", "Gateway", true),
];

pub(crate) fn built_in() -> Vec<Resource> {
    BUILT_IN
        .iter()
        .map(|(api, plural, kind, namespaced, short)| {
            let (group, version) = group_version(api);
            Resource {
                group,
                version,
                plural: (*plural).to_owned(),
                kind: (*kind).to_owned(),
                namespaced: *namespaced,
                custom: false,
                short: short
                    .split(',')
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect(),
            }
        })
        .collect()
}

/// What serves an object of a kind that nobody registered: the well-known plural, else the
/// lower-case kind in the plural of plain English, as controller-gen derives it.
pub(crate) fn guess(api_version: &str, kind: &str, namespaced: bool) -> Resource {
    let known = WELL_KNOWN.iter().find(|(api, _, known, _)| {
        *known == kind && group_version(api).0 == group_version(api_version).0
    });
    if let Some((_, plural, _, namespaced)) = known {
        let resource = Resource::custom(api_version, plural, kind);
        return Resource {
            namespaced: *namespaced,
            ..resource
        };
    }
    let lower = kind.to_lowercase();
    let plural = match lower.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if lower.ends_with(['s', 'x']) || lower.ends_with("ch") => format!("{lower}es"),
        _ => format!("{lower}s"),
    };
    let resource = Resource::custom(api_version, &plural, kind);
    Resource {
        namespaced,
        ..resource
    }
}
