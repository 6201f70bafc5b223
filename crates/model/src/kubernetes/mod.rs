//! Kubernetes objects in the parts that checks read, in the shape of the API's JSON: a fixture is a
//! paste of `kubectl get -o json`.
//!
//! Fields that may hold secrets are dropped when an object is read (see [`crate::kept_annotation`]
//! and [`crate::kept_env_value`]).

mod affinity;
mod calls;
mod event;
mod ingress;
mod karpenter;
mod meta;
mod metrics;
mod network;
mod node;
mod pod;
mod policy;
mod quantity;
mod requests;
mod storage;
mod workload;

pub use affinity::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorTerm, PodAffinity, PodAffinityTerm,
    TopologySpreadConstraint,
};
pub use calls::{
    ApiService, ApiServiceSpec, ApiServiceStatus, GroupIds, SecurityGroupPolicy,
    SecurityGroupPolicySpec, ServiceReference, Webhook, WebhookClientConfig, WebhookConfiguration,
    WebhookRule,
};
pub use event::{Event, ObjectReference, Series};
pub use ingress::{Ingress, IngressSpec, LoadBalanced, LoadBalancerIngress, LoadBalancerStatus};
pub use karpenter::{
    NodeClaim, NodeClaimSpec, NodeClaimStatus, NodeClass, NodeClassRef, NodeClassSpec,
    NodeClassStatus, NodePool, NodePoolSpec, NodePoolStatus, NodePoolTemplate, Selected,
    SelectorTerm,
};
pub use meta::{LabelSelector, LabelSelectorRequirement, Meta, OwnerReference};
pub use metrics::CniMetrics;
pub use network::{
    Endpoint, EndpointConditions, EndpointPort, EndpointSlice, EniConfig, EniConfigSpec, Service,
    ServicePort, ServiceSpec,
};
pub use node::{Node, NodeAddress, NodeCondition, NodeInfo, NodeSpec, NodeStatus, Taint};
pub use pod::{
    Container, ContainerPort, ContainerState, ContainerStatus, EnvVar, Pod, PodCondition, PodIp,
    PodSpec, PodStatus, Resources, SecurityContext, StateRunning, StateTerminated, StateWaiting,
    Toleration,
};
pub use policy::{
    IntOrString, IpBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicyRule,
    NetworkPolicySpec, PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus,
};
pub use quantity::{bytes, milli_cpu};
pub use requests::PodRequests;
pub use storage::{PersistentVolume, PersistentVolumeSpec, StorageClass, VolumeNodeAffinity};
pub use workload::{
    ConfigMap, DaemonSet, DaemonSetStatus, Deployment, DeploymentSpec, DeploymentStatus, Lease,
    LeaseSpec, PodTemplate, ServiceAccount, WorkloadCondition, WorkloadSpec,
};
