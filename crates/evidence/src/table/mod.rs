//! Tables of `kubectl get`.

mod rows;

use eksnet_model::kubernetes as k8s;

use crate::shown::{Shown, ShownEvent};
use crate::words::{age, columns, ratio, row};

pub(crate) use rows::endpoints;
use rows::{containers, load_balanced, node, pod, service};

/// A table whose header was read.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    kind: Kind,
    columns: Vec<String>,
    /// Namespace, where the command names it.
    namespace: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pods,
    Nodes,
    Services,
    Ingresses,
    Deployments,
    DaemonSets,
    Endpoints,
    Events,
}

impl Table {
    /// A table, if the line is the header of one that is read.
    pub(crate) fn header(text: &str, namespace: &str) -> Option<Self> {
        let text = text.trim();
        if !["NAME", "LAST SEEN", "LASTSEEN"]
            .iter()
            .any(|start| text.starts_with(start))
            || text.chars().any(|c| c.is_ascii_lowercase())
        {
            return None;
        }
        let names: Vec<String> = match columns(text) {
            names if names.len() > 1 => names.into_iter().map(str::to_owned).collect(),
            // An editor made one space of many.
            _ => text
                .replace("LAST SEEN", "LAST\u{0}SEEN")
                .replace("NODE SELECTOR", "NODE\u{0}SELECTOR")
                .replace("FIRST SEEN", "FIRST\u{0}SEEN")
                .split_whitespace()
                .map(|name| name.replace('\u{0}', " "))
                .collect(),
        };
        let has = |wanted: &[&str]| {
            wanted
                .iter()
                .all(|wanted| names.iter().any(|name| name == wanted))
        };
        let kind = if has(&["REASON", "MESSAGE"]) {
            Kind::Events
        } else if has(&["STATUS", "ROLES", "VERSION"]) {
            Kind::Nodes
        } else if has(&["READY", "STATUS", "RESTARTS"]) {
            Kind::Pods
        } else if has(&["TYPE", "CLUSTER-IP"]) {
            Kind::Services
        } else if has(&["HOSTS", "ADDRESS", "PORTS"]) {
            Kind::Ingresses
        } else if has(&["DESIRED", "CURRENT", "READY", "UP-TO-DATE"]) {
            Kind::DaemonSets
        } else if has(&["READY", "UP-TO-DATE", "AVAILABLE"]) {
            Kind::Deployments
        } else if has(&["NAME", "ENDPOINTS"]) {
            Kind::Endpoints
        } else {
            return None;
        };
        Some(Self {
            kind,
            columns: names,
            namespace: namespace.to_owned(),
        })
    }

    /// Reads a row; `false` when the line is none.
    pub(crate) fn row(&self, text: &str, shown: &mut Shown) -> bool {
        let cells = row(text, self.columns.len());
        if cells.len() < 3.min(self.columns.len()) {
            return false;
        }
        let cell = |name: &str| {
            let at = self.columns.iter().position(|column| column == name)?;
            let value = cells.get(at)?.as_str();
            (!matches!(value, "<none>" | "<unset>")).then_some(value)
        };
        match self.kind {
            Kind::Events => return self.event(&cell, shown),
            Kind::Pods => {
                let Some(pod) = pod(&self.meta(&cell), &cell) else {
                    return false;
                };
                shown.pods.push((pod, cell("AGE").and_then(age)));
            }
            Kind::Nodes => {
                let Some(node) = node(self.meta(&cell), &cell) else {
                    return false;
                };
                shown.nodes.push((node, cell("AGE").and_then(age)));
            }
            Kind::Services => {
                let spec = service(&cell);
                shown.services.push(k8s::Service {
                    metadata: self.meta(&cell),
                    status: load_balanced(&spec, &cell),
                    spec,
                });
            }
            Kind::Ingresses => {
                let address = cell("ADDRESS").unwrap_or_default();
                // Without an address the cells behind it stand one column further left.
                let address = if address.contains(['.', ':']) {
                    address
                } else {
                    ""
                };
                shown.ingresses.push(k8s::Ingress {
                    metadata: self.meta(&cell),
                    spec: k8s::IngressSpec {
                        ingress_class_name: cell("CLASS").unwrap_or_default().to_owned(),
                    },
                    status: Some(k8s::LoadBalanced::at(address)),
                });
            }
            Kind::Deployments => {
                let Some((ready, wanted)) = cell("READY").and_then(ratio) else {
                    return false;
                };
                let mut deployment = k8s::Deployment {
                    metadata: self.meta(&cell),
                    ..k8s::Deployment::default()
                };
                deployment.spec.replicas = Some(wanted);
                deployment.status.ready_replicas = ready;
                deployment.status.replicas = wanted;
                deployment.spec.template.spec.containers = containers(&cell);
                shown.deployments.push(deployment);
            }
            Kind::DaemonSets => {
                let number = |name: &str| cell(name)?.parse().ok();
                let (Some(desired), Some(ready)) = (number("DESIRED"), number("READY")) else {
                    return false;
                };
                let mut daemonset = k8s::DaemonSet {
                    metadata: self.meta(&cell),
                    ..k8s::DaemonSet::default()
                };
                daemonset.status.desired_number_scheduled = desired;
                daemonset.status.number_ready = ready;
                daemonset.spec.template.spec.containers = containers(&cell);
                shown.daemonsets.push(daemonset);
            }
            Kind::Endpoints => {
                let slice = endpoints(self.meta(&cell), cell("ENDPOINTS"));
                shown.endpointslices.push(slice);
            }
        }
        true
    }

    fn meta<'c>(&self, cell: &impl Fn(&str) -> Option<&'c str>) -> k8s::Meta {
        let name = cell("NAME").unwrap_or_default();
        k8s::Meta {
            name: name.to_owned(),
            namespace: cell("NAMESPACE").unwrap_or(&self.namespace).to_owned(),
            ..k8s::Meta::default()
        }
    }

    fn event<'c>(&self, cell: &impl Fn(&str) -> Option<&'c str>, shown: &mut Shown) -> bool {
        let (Some(reason), Some(message)) = (cell("REASON"), cell("MESSAGE")) else {
            return false;
        };
        // Old kubectl has NAME and KIND, newer has OBJECT.
        let (kind, name) = match cell("OBJECT").and_then(|object| object.split_once('/')) {
            Some(object) => object,
            None => (
                cell("KIND").unwrap_or_default(),
                cell("NAME")
                    .map(|name| name.split('.').next().unwrap_or(name))
                    .unwrap_or_default(),
            ),
        };
        let last = cell("LAST SEEN").or(cell("LASTSEEN")).unwrap_or_default();
        let (last, repeated) = last.split_once(" (").unwrap_or((last, ""));
        let (count, first) = repetition(repeated);
        shown.event(ShownEvent {
            event: k8s::Event {
                involved_object: k8s::ObjectReference {
                    kind: kind_name(kind),
                    namespace: cell("NAMESPACE").unwrap_or(&self.namespace).to_owned(),
                    name: name.to_owned(),
                },
                reason: reason.to_owned(),
                message: message.to_owned(),
                kind: cell("TYPE").unwrap_or_default().to_owned(),
                count: count.or_else(|| cell("COUNT")?.parse().ok()),
                ..k8s::Event::default()
            },
            last: age(last),
            first: first.or_else(|| age(cell("FIRST SEEN")?)),
        });
        true
    }
}

/// `x5 over 10m)`: how often, and since when.
pub(crate) fn repetition(text: &str) -> (Option<u32>, Option<i64>) {
    let text = text.trim_start_matches(['(', 'x']).trim_end_matches(')');
    match text.split_once(" over ") {
        Some((count, since)) => (count.parse().ok(), age(since)),
        None => (None, None),
    }
}

/// `pod` as `Pod`: how objects name kinds.
fn kind_name(kind: &str) -> String {
    const KINDS: [&str; 14] = [
        "Pod",
        "Node",
        "Deployment",
        "ReplicaSet",
        "DaemonSet",
        "StatefulSet",
        "Service",
        "Ingress",
        "Job",
        "CronJob",
        "NodeClaim",
        "NodePool",
        "TargetGroupBinding",
        "PersistentVolumeClaim",
    ];
    KINDS
        .iter()
        .find(|known| known.eq_ignore_ascii_case(kind))
        .map_or_else(|| kind.to_owned(), |known| (*known).to_owned())
}
