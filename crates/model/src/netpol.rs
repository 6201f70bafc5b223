//! What NetworkPolicies let pods send and receive.
//!
//! Rules: <https://kubernetes.io/docs/concepts/services-networking/network-policies/>. A pod that a policy of a
//! direction selects may do what any rule of these policies admits, and no more.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::kubernetes::{
    IntOrString, LabelSelector, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicyRule,
};

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// The other end of a packet.
#[derive(Clone, Copy, Debug)]
pub enum Peer<'a> {
    /// Pods with these labels, in this namespace; with their addresses, where known.
    Pods {
        /// Namespace.
        namespace: &'a str,
        /// Labels.
        labels: &'a Labels,
        /// Addresses.
        ips: &'a [IpAddr],
    },
    /// An address that is no pod's.
    Address(IpAddr),
    /// Some address outside of the cluster that is not known: a rule that admits any block admits it.
    Outside,
}

/// Whether something is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Admitted {
    /// No rule admits it.
    No,
    /// It hangs on labels of namespaces, which are not known.
    NotKnown,
    /// A rule admits it.
    Yes,
}

/// Whether a policy isolates pods in egress: by its types, or by having egress rules where it names none.
#[must_use]
pub fn isolates_egress(policy: &NetworkPolicy) -> bool {
    let types = &policy.spec.policy_types;
    types.iter().any(|kind| kind == "Egress") || (types.is_empty() && policy.spec.egress.is_some())
}

/// Whether a policy isolates pods in ingress: unless its types leave it out.
#[must_use]
pub fn isolates_ingress(policy: &NetworkPolicy) -> bool {
    let types = &policy.spec.policy_types;
    types.is_empty() || types.iter().any(|kind| kind == "Ingress")
}

/// Whether the egress rules of these policies, which select one pod in `namespace`, admit a packet.
#[must_use]
pub fn egress(
    policies: &[&NetworkPolicy],
    namespace: &str,
    peer: Peer<'_>,
    protocol: &str,
    port: u16,
) -> Admitted {
    policies
        .iter()
        .filter(|policy| isolates_egress(policy))
        .flat_map(|policy| policy.spec.egress.iter().flatten())
        .map(|rule| by_rule(rule, &rule.to, namespace, peer, protocol, port))
        .max()
        .unwrap_or(Admitted::No)
}

/// Whether the ingress rules of these policies admit a packet from any pod at all, on that port.
#[must_use]
pub fn ingress_from_pods(policies: &[&NetworkPolicy], protocol: &str, port: u16) -> Admitted {
    policies
        .iter()
        .filter(|policy| isolates_ingress(policy))
        .flat_map(|policy| policy.spec.ingress.iter().flatten())
        .filter(|rule| admits_port(rule, protocol, port))
        .map(|rule| {
            let all = rule.from.is_empty()
                || rule.from.iter().any(|peer| {
                    let every = |selector: &LabelSelector| {
                        selector.match_labels.is_empty() && selector.match_expressions.is_empty()
                    };
                    peer.namespace_selector.as_ref().is_some_and(every)
                        && peer.pod_selector.as_ref().is_none_or(every)
                        || peer.ip_block.is_some()
                });
            if all {
                Admitted::Yes
            } else {
                Admitted::NotKnown
            }
        })
        .max()
        .unwrap_or(Admitted::No)
}

fn by_rule(
    rule: &NetworkPolicyRule,
    peers: &[NetworkPolicyPeer],
    namespace: &str,
    peer: Peer<'_>,
    protocol: &str,
    port: u16,
) -> Admitted {
    if !admits_port(rule, protocol, port) {
        return Admitted::No;
    }
    if peers.is_empty() {
        return Admitted::Yes;
    }
    peers
        .iter()
        .map(|one| by_peer(one, namespace, peer))
        .max()
        .unwrap_or(Admitted::No)
}

fn by_peer(one: &NetworkPolicyPeer, own: &str, peer: Peer<'_>) -> Admitted {
    if let Some(block) = &one.ip_block {
        let holds = |ip: &IpAddr| {
            let inside = |cidr: &String| cidr.parse::<IpNet>().is_ok_and(|net| net.contains(ip));
            inside(&block.cidr) && !block.except.iter().any(inside)
        };
        return match peer {
            Peer::Pods { ips: [], .. } => Admitted::NotKnown,
            Peer::Pods { ips, .. } if ips.iter().all(holds) => Admitted::Yes,
            Peer::Pods { .. } => Admitted::No,
            Peer::Address(ip) if holds(&ip) => Admitted::Yes,
            Peer::Address(_) => Admitted::No,
            Peer::Outside => Admitted::Yes,
        };
    }
    let Peer::Pods {
        namespace, labels, ..
    } = peer
    else {
        return Admitted::No;
    };
    if one
        .pod_selector
        .as_ref()
        .is_some_and(|selector| !selector.matches(labels))
    {
        return Admitted::No;
    }
    match &one.namespace_selector {
        None if namespace == own => Admitted::Yes,
        None => Admitted::No,
        Some(selector) => by_namespace(selector, namespace),
    }
}

/// The one label that every namespace has is its name; others are not known, neither that they are there
/// nor that they are not.
fn by_namespace(selector: &LabelSelector, namespace: &str) -> Admitted {
    const NAME: &str = "kubernetes.io/metadata.name";
    let of_name = LabelSelector {
        match_labels: selector
            .match_labels
            .iter()
            .filter(|(key, _)| *key == NAME)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        match_expressions: selector
            .match_expressions
            .iter()
            .filter(|one| one.key == NAME)
            .cloned()
            .collect(),
    };
    let asked = selector.match_labels.len() + selector.match_expressions.len();
    let known = of_name.match_labels.len() + of_name.match_expressions.len();
    let labels = Labels::from([(NAME.to_owned(), namespace.to_owned())]);
    if !of_name.matches(&labels) {
        Admitted::No
    } else if known == asked {
        Admitted::Yes
    } else {
        Admitted::NotKnown
    }
}

/// Whether a rule admits that port, whoever the peer is.
#[must_use]
pub fn admits_port(rule: &NetworkPolicyRule, protocol: &str, port: u16) -> bool {
    rule.ports.is_empty() || rule.ports.iter().any(|one| is_port(one, protocol, port))
}

/// A port without protocol is TCP alone. Named ports are those of CoreDNS's container.
fn is_port(one: &NetworkPolicyPort, protocol: &str, port: u16) -> bool {
    if one.protocol.as_deref().unwrap_or("TCP") != protocol {
        return false;
    }
    match (&one.port, one.end_port) {
        (None, _) => true,
        (Some(IntOrString::Int(first)), Some(last)) => {
            (*first..=i64::from(last)).contains(&i64::from(port))
        }
        (Some(IntOrString::Int(number)), None) => *number == i64::from(port),
        (Some(IntOrString::String(name)), _) => match port {
            53 => name.starts_with("dns"),
            443 => name == "https",
            80 => name == "http",
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(spec: serde_json::Value) -> NetworkPolicy {
        serde_json::from_value(serde_json::json!({"metadata": {"namespace": "shop"}, "spec": spec}))
            .unwrap()
    }

    fn dns<'a>(labels: &'a Labels, ips: &'a [IpAddr]) -> Peer<'a> {
        Peer::Pods {
            namespace: "kube-system",
            labels,
            ips,
        }
    }

    #[test]
    fn a_port_without_protocol_is_tcp() {
        let labels = Labels::from([("k8s-app".to_owned(), "kube-dns".to_owned())]);
        let one = policy(
            serde_json::json!({"policyTypes": ["Egress"], "egress": [{"ports": [{"port": 53}]}]}),
        );
        let admits = |protocol| egress(&[&one], "shop", dns(&labels, &[]), protocol, 53);
        assert_eq!(
            (admits("UDP"), admits("TCP")),
            (Admitted::No, Admitted::Yes)
        );
    }

    #[test]
    fn selectors_in_one_item_hold_together_and_in_two_apart() {
        let labels = Labels::from([("k8s-app".to_owned(), "kube-dns".to_owned())]);
        let ns = serde_json::json!({"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}});
        let pods = serde_json::json!({"matchLabels": {"k8s-app": "other"}});
        let both = policy(
            serde_json::json!({"policyTypes": ["Egress"], "egress": [{"to": [{"namespaceSelector": ns, "podSelector": pods}]}]}),
        );
        let either = policy(
            serde_json::json!({"policyTypes": ["Egress"], "egress": [{"to": [{"namespaceSelector": ns}, {"podSelector": pods}]}]}),
        );
        assert_eq!(
            egress(&[&both], "shop", dns(&labels, &[]), "UDP", 53),
            Admitted::No
        );
        assert_eq!(
            egress(&[&either], "shop", dns(&labels, &[]), "UDP", 53),
            Admitted::Yes
        );
    }

    #[test]
    fn labels_of_namespaces_other_than_the_name_are_not_known() {
        let labels = Labels::new();
        let one = policy(
            serde_json::json!({"policyTypes": ["Egress"], "egress": [{"to": [{"namespaceSelector": {"matchLabels": {"team": "infra"}}}]}]}),
        );
        assert_eq!(
            egress(&[&one], "shop", dns(&labels, &[]), "UDP", 53),
            Admitted::NotKnown
        );
    }

    #[test]
    fn blocks_hold_but_for_their_exceptions() {
        let one = policy(
            serde_json::json!({"policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}]}]}),
        );
        let to = |ip: &str| {
            egress(
                &[&one],
                "shop",
                Peer::Address(ip.parse().unwrap()),
                "TCP",
                80,
            )
        };
        assert_eq!(
            (to("10.0.0.9"), to("169.254.170.23")),
            (Admitted::Yes, Admitted::No)
        );
        assert!(!isolates_ingress(&one) && isolates_egress(&one));
    }
}
