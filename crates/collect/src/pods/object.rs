//! Names and labels of what runs create.

use std::fmt;

use eksnet_model::Source;
use eksnet_model::kubernetes::Meta;
use serde::Deserialize;
use tokio::time::Instant;

use crate::kubernetes::api::Api;
use crate::kubernetes::list::{Listed, Resource, Scope};

/// Label whose value is the name of the run that created an object.
pub(crate) const RUN_LABEL: &str = "eksnet.dev/run";
/// Label that all objects of ours carry.
pub(crate) const NAME_LABEL: &str = "app.kubernetes.io/name";
/// Its value.
pub(crate) const NAME: &str = "kubectl-eksnet-probe";

/// Kinds of objects that runs create.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Pod,
    ConfigMap,
}

/// An object by its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Kind {
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Pod => "pods",
            Self::ConfigMap => "configmaps",
        }
    }
}

impl Object {
    /// Path under which objects of its kind and namespace are created.
    pub(crate) fn collection(&self) -> String {
        format!(
            "/api/v1/namespaces/{}/{}",
            self.namespace,
            self.kind.plural()
        )
    }

    /// Its own path.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Pod => "pod",
            Kind::ConfigMap => "configmap",
        };
        write!(f, "{kind}/{}/{}", self.namespace, self.name)
    }
}

/// Lists the metadata of objects that match a label selector, in one namespace or in all.
pub(crate) async fn list_ours(
    api: &Api,
    kind: Kind,
    namespace: Option<&str>,
    selector: &str,
    deadline: Instant,
) -> Listed<Meta> {
    #[derive(Deserialize)]
    struct Any {
        metadata: Meta,
    }
    let resource = Resource {
        source: Source::Probes,
        versions: &["/api/v1"],
        plural: kind.plural(),
        namespaced: true,
    };
    let scope = Scope {
        namespace,
        labels: Some(selector),
        // The cache may not know yet what was just created.
        fresh: true,
        ..Scope::default()
    };
    let listed = resource.list::<Any>(api, &scope, deadline, Some).await;
    Listed {
        items: listed.items.into_iter().map(|any| any.metadata).collect(),
        ended: listed.ended,
    }
}
