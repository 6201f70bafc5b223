//! Objects that texts made for people show: kubectl's tables and descriptions. Their ages count back
//! from the newest time in the evidence.

use eksnet_model::Time;
use eksnet_model::kubernetes as k8s;

use crate::objects::Objects;

/// What the texts showed, its ages not yet times.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) events: Vec<ShownEvent>,
    pub(crate) pods: Vec<(k8s::Pod, Option<i64>)>,
    pub(crate) nodes: Vec<(k8s::Node, Option<i64>)>,
    pub(crate) services: Vec<k8s::Service>,
    pub(crate) ingresses: Vec<k8s::Ingress>,
    pub(crate) deployments: Vec<k8s::Deployment>,
    pub(crate) daemonsets: Vec<k8s::DaemonSet>,
    pub(crate) endpointslices: Vec<k8s::EndpointSlice>,
    pub(crate) configmaps: Vec<k8s::ConfigMap>,
    pub(crate) serviceaccounts: Vec<k8s::ServiceAccount>,
    /// `1.33`, as `kubectl version` names the server's.
    pub(crate) server_version: Option<String>,
}

/// An event, with its ages in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ShownEvent {
    pub(crate) event: k8s::Event,
    pub(crate) last: Option<i64>,
    pub(crate) first: Option<i64>,
}

/// Most events that are kept of texts.
const MAX_EVENTS: usize = 50_000;

impl Shown {
    pub(crate) fn event(&mut self, event: ShownEvent) {
        if self.events.len() < MAX_EVENTS && !self.events.contains(&event) {
            self.events.push(event);
        }
    }

    /// Adds everything to the objects; `now` is the newest time in the evidence, if there is any.
    pub(crate) fn settle(self, now: Option<Time>, objects: &mut Objects) {
        let before = |age: Option<i64>| Some(now?.minus_seconds(age?));
        for ShownEvent {
            mut event,
            last,
            first,
        } in self.events
        {
            event.last_timestamp = before(last);
            event.first_timestamp = before(first.or(last));
            let name = format!("{}.{}", event.involved_object.name, objects.events.shown());
            let namespace = event.involved_object.namespace.clone();
            event.metadata.name.clone_from(&name);
            event.metadata.namespace.clone_from(&namespace);
            objects.events.show(&namespace, &name, event);
        }
        for (mut pod, age) in self.pods {
            pod.metadata.creation_timestamp = pod.metadata.creation_timestamp.or(before(age));
            let meta = pod.metadata.clone();
            objects.pods.show(&meta.namespace, &meta.name, pod);
        }
        for (mut node, age) in self.nodes {
            node.metadata.creation_timestamp = node.metadata.creation_timestamp.or(before(age));
            let name = node.metadata.name.clone();
            objects.nodes.show("", &name, node);
        }
        for object in self.services {
            let meta = object.metadata.clone();
            objects.services.show(&meta.namespace, &meta.name, object);
        }
        for object in self.ingresses {
            let meta = object.metadata.clone();
            objects.ingresses.show(&meta.namespace, &meta.name, object);
        }
        for object in self.deployments {
            let meta = object.metadata.clone();
            objects
                .deployments
                .show(&meta.namespace, &meta.name, object);
        }
        for object in self.daemonsets {
            let meta = object.metadata.clone();
            objects.daemonsets.show(&meta.namespace, &meta.name, object);
        }
        for object in self.serviceaccounts {
            let meta = object.metadata.clone();
            objects
                .serviceaccounts
                .show(&meta.namespace, &meta.name, object);
        }
        for object in self.configmaps {
            let meta = object.metadata.clone();
            objects.configmaps.show(&meta.namespace, &meta.name, object);
        }
        for object in self.endpointslices {
            let meta = object.metadata.clone();
            objects
                .endpointslices
                .show(&meta.namespace, &meta.name, object);
        }
    }
}
