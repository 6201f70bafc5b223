//! Pods that policies isolate, by the set of policies that do.

use std::collections::{BTreeMap, BTreeSet};

use crate::kubernetes::{NetworkPolicy, Pod};
use crate::netpol::{Labels, isolates_egress};
use crate::{
    Component, Confidence, Cx, Fact, Finding, Running, Severity, Source, Subject, SubjectKind,
};

/// Pods that the same policies select.
#[derive(Clone, Debug)]
pub struct Selected<'a> {
    /// Their namespace.
    pub namespace: &'a str,
    /// The policies that select them, those of ingress alone too.
    pub policies: Vec<&'a NetworkPolicy>,
    /// Workloads that are known to be among them.
    pub workloads: BTreeSet<String>,
    /// Who they are, in words.
    pub what: String,
}

impl<'a> Selected<'a> {
    /// Sets of policies that isolate pods in egress. Where pods are known, those that exist; else one pod
    /// is thought up for each selector, with the labels that it asks for.
    #[must_use]
    pub fn all(cx: &Cx<'a>, policies: &'a [NetworkPolicy]) -> Vec<Self> {
        let pods: Vec<&Pod> = cx
            .topology()
            .pods()
            .filter(|pod| !pod.on_host_network() && !pod.is_terminal())
            .collect();
        let known = cx.pods().is_complete();
        let mut found: BTreeMap<Vec<(&str, &str)>, Self> = BTreeMap::new();
        for policy in policies.iter().filter(|policy| isolates_egress(policy)) {
            let namespace = policy.metadata.namespace.as_str();
            let of_pods: Vec<&Pod> = pods
                .iter()
                .copied()
                .filter(|pod| {
                    pod.metadata.namespace == namespace
                        && policy.spec.pod_selector.matches(&pod.metadata.labels)
                })
                .collect();
            for pod in &of_pods {
                let set = selecting(policies, namespace, &pod.metadata.labels);
                entry(&mut found, namespace, set)
                    .workloads
                    .insert(pod.workload());
            }
            if of_pods.is_empty() && !known {
                let set = selecting(policies, namespace, &policy.spec.pod_selector.match_labels);
                let set = if set.is_empty() { vec![policy] } else { set };
                entry(&mut found, namespace, set);
            }
        }
        found
            .into_values()
            .map(|mut one| {
                one.what = match (one.workloads.len(), one.workloads.first()) {
                    (0, _) => "all pods that it selects".to_owned(),
                    (1, Some(workload)) => workload.clone(),
                    (count, _) => format!("{count} workloads of namespace {}", one.namespace),
                };
                one
            })
            .collect()
    }

    /// The policies that isolate them in egress.
    pub fn isolating(&self) -> impl Iterator<Item = &'a NetworkPolicy> {
        let policies = self.policies.iter().copied();
        policies.filter(|policy| isolates_egress(policy))
    }

    /// Those policies as subjects.
    pub fn subjects(&self) -> impl Iterator<Item = Subject> {
        self.isolating().map(|policy| {
            Subject::namespaced(
                SubjectKind::NetworkPolicy,
                policy.metadata.namespace.as_str(),
                policy.metadata.name.as_str(),
            )
        })
    }

    /// Name of the first of them, which a rule is added to.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.isolating()
            .next()
            .map_or("NAME", |policy| policy.metadata.name.as_str())
    }

    /// That they lack a rule for `flow`, such as `UDP 53`; `value` is what they have instead.
    #[must_use]
    pub fn lacks(&self, flow: &str, value: &str, expected: &str) -> Fact {
        let names: Vec<&str> = self
            .isolating()
            .map(|policy| policy.metadata.name.as_str())
            .collect();
        Fact::new(
            Source::NetworkPolicies,
            format!(
                "policies {} of namespace {}",
                names.join(", "),
                self.namespace
            ),
            format!("egress on {flow}"),
            value,
        )
        .expected(expected)
    }

    /// A command that adds egress rules, each in JSON. A JSON patch appends to a list only where there is one.
    #[must_use]
    pub fn admit(&self, rules: &[&str]) -> String {
        let has_rules = self.isolating().next().is_some_and(|policy| {
            let egress = policy.spec.egress.as_ref();
            egress.is_some_and(|rules| !rules.is_empty())
        });
        let operations = if has_rules {
            let each = rules
                .iter()
                .map(|rule| format!(r#"{{"op":"add","path":"/spec/egress/-","value":{rule}}}"#));
            each.collect::<Vec<_>>().join(",")
        } else {
            let rules = rules.join(",");
            format!(r#"{{"op":"add","path":"/spec/egress","value":[{rules}]}}"#)
        };
        format!(
            "kubectl -n {} patch networkpolicy {} --type=json -p '[{operations}]'",
            self.namespace,
            self.name()
        )
    }
}

/// Says of findings about policies that nothing enforces them, where that is known.
pub fn unless_enforced(cx: &Cx<'_>, findings: &mut [Finding]) {
    if policies_enforced(cx) != Some(false) {
        return;
    }
    for finding in findings {
        finding.severity = Severity::Info;
        finding.confidence = Confidence::Possible;
        finding.signals.insert("not-enforced".into());
        finding.detail = "Nothing enforces NetworkPolicies here: network policies of the VPC CNI are off, and neither Calico nor Cilium runs. It would be blocked once they are switched on.".into();
    }
}

fn entry<'m, 'a>(
    found: &'m mut BTreeMap<Vec<(&'a str, &'a str)>, Selected<'a>>,
    namespace: &'a str,
    policies: Vec<&'a NetworkPolicy>,
) -> &'m mut Selected<'a> {
    // Policies of ingress alone do not tell sets of egress apart.
    let key = policies
        .iter()
        .filter(|policy| isolates_egress(policy))
        .map(|policy| (namespace, policy.metadata.name.as_str()))
        .collect();
    found.entry(key).or_insert_with(|| Selected {
        namespace,
        policies,
        workloads: BTreeSet::new(),
        what: String::new(),
    })
}

fn selecting<'a>(
    policies: &'a [NetworkPolicy],
    namespace: &str,
    labels: &Labels,
) -> Vec<&'a NetworkPolicy> {
    policies
        .iter()
        .filter(|policy| {
            policy.metadata.namespace == namespace && policy.spec.pod_selector.matches(labels)
        })
        .collect()
}

/// Whether anything enforces NetworkPolicies; `None` where that is not known.
#[must_use]
pub fn policies_enforced(cx: &Cx<'_>) -> Option<bool> {
    let daemonsets = cx.daemonsets().optional()?;
    let other = daemonsets.iter().any(|one| {
        let name = one.metadata.name.as_str();
        name.contains("calico")
            || name.contains("cilium")
            || name.contains("antrea")
            || name.contains("weave")
    });
    if other {
        return Some(true);
    }
    let aws_node = daemonsets
        .iter()
        .find(|one| one.metadata.name == "aws-node")?;
    let containers = &aws_node.spec.template.spec.containers;
    if containers.iter().all(|one| one.image.is_empty()) {
        return None;
    }
    let strict = Running::of(Component::AwsNode, &aws_node.spec.template.spec)
        .and_then(|running| running.env("NETWORK_POLICY_ENFORCING_MODE"))
        .is_some_and(|mode| mode.eq_ignore_ascii_case("strict"));
    let on = containers
        .iter()
        .any(|container| Running { container }.flag("enable-network-policy") == Some("true"));
    Some(strict || on)
}
