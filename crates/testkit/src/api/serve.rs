//! From a request to the part of the server that answers it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::api::access::{Access, Ask};
use crate::api::builder::Config;
use crate::api::logs::Logs;
use crate::api::proxy::Proxies;
use crate::api::route::Route;
use crate::api::status::{Refusal, page_not_found};
use crate::api::{collection, create, delete, discovery, logs, proxy, review, update, watch};
use crate::kubelet::Kubelet;
use crate::net::audit::Request;
use crate::net::faults::Action;
use crate::net::matching::Match;
use crate::net::reply::{Payload, Reply};
use crate::net::server::Serve;
use crate::state::registry::Resource;
use crate::state::store::{Shared, place};

/// Above this size the real server compresses for clients that ask for it.
const GZIP_FROM: usize = 128 * 1024;

type Handler = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// One fake API server, shared by its connections, its kubelets and the test.
pub(crate) struct Api {
    pub(crate) config: Config,
    pub(crate) shared: Shared,
    pub(crate) access: Mutex<Access>,
    pub(crate) logs: Logs,
    pub(crate) proxies: Proxies,
    pub(crate) kubelet: Kubelet,
    /// What the test answers itself.
    pub(crate) responders: Mutex<Vec<(Match, Handler)>>,
}

/// A request on a resource that exists, by someone who may.
pub(crate) struct Call {
    pub(crate) request: Request,
    pub(crate) route: Route,
    pub(crate) resource: Resource,
    pub(crate) fault: Option<Action>,
}

impl Call {
    pub(crate) fn namespace(&self) -> &str {
        self.route.namespace.as_deref().unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.route.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn is_dry_run(&self) -> bool {
        self.request.param("dryRun") == Some("All") || self.request.json()["dryRun"][0] == "All"
    }
}

impl Serve for Api {
    fn classify(&self, request: &mut Request) {
        let watch = matches!(request.param("watch"), Some("true" | "1"));
        if let Some(route) = Route::parse(&request.path).filter(|r| !r.resource.is_empty()) {
            request.verb = route.verb(&request.method, watch).to_owned();
            request.resource = route.resource_path();
            request.group = route.group;
            request.namespace = route.namespace;
            request.name = route.name;
        }
    }

    fn answer(
        self: Arc<Self>,
        request: Request,
        fault: Option<Action>,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send>> {
        Box::pin(async move {
            let wants_gzip = self.config.gzip
                && request
                    .header("accept-encoding")
                    .is_some_and(|names| names.contains("gzip"));
            let reply = self
                .dispatch(request, fault)
                .await
                .unwrap_or_else(Reply::from);
            match &reply.body {
                Payload::Whole(body) if wants_gzip && body.len() >= GZIP_FROM => reply.gzip(),
                _ => reply,
            }
        })
    }

    fn refusal(&self, _: &Request, code: u16, error: Option<(&str, &str)>) -> Reply {
        match error {
            Some((reason, message)) => Refusal::new(code, reason, message).into(),
            None => Refusal::of_code(code).into(),
        }
    }
}

/// Bodies in protobuf (as some typed clients send) or YAML are refused, rather than misread.
fn speaks_json(request: &Request) -> Result<(), Refusal> {
    let kind = request.header("content-type").unwrap_or("application/json");
    let kind = kind.split(';').next().unwrap_or_default();
    let writes = matches!(request.method.as_str(), "POST" | "PUT");
    if !writes || kind == "application/json" {
        return Ok(());
    }
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: application/json, not {kind}"
    );
    Err(Refusal::new(415, "UnsupportedMediaType", message))
}

impl Api {
    async fn dispatch(
        self: Arc<Self>,
        request: Request,
        fault: Option<Action>,
    ) -> Result<Reply, Refusal> {
        let user = self.authenticate(&request)?;
        if let Some(handler) = self.responder(&request) {
            return Ok(handler(&request));
        }
        let route = Route::parse(&request.path).filter(|route| !route.resource.is_empty());
        let Some(route) = route else {
            let ask = Ask {
                verb: request.method.to_lowercase(),
                path: Some(request.path.clone()),
                ..Ask::default()
            };
            if !self.access().allows(&ask) {
                return Err(Access::refusal(&ask, &user, None));
            }
            return Ok(discovery::answer(&self, &request));
        };
        let ask = Ask {
            verb: request.verb.clone(),
            group: route.group.clone(),
            resource: request.resource.clone(),
            namespace: route.namespace.clone().unwrap_or_default(),
            name: route.name.clone().unwrap_or_default(),
            path: None,
        };
        let resource = self.shared.read(|store| {
            store
                .resource(&route.group, &route.version, &route.resource)
                .cloned()
        });
        if !self.access().allows(&ask) {
            return Err(Access::refusal(&ask, &user, resource.as_ref()));
        }
        speaks_json(&request)?;
        if let Some(reply) = review::answer(&self, &request, &route, &user) {
            return Ok(reply);
        }
        let Some(resource) = resource else {
            let known = self.shared.read(|store| {
                let mut of_group = store.resources().iter().filter(|r| r.group == route.group);
                of_group.any(|r| !r.custom && r.version == route.version)
            });
            return if known {
                Err(Refusal::no_such_resource())
            } else {
                Ok(page_not_found())
            };
        };
        let call = Call {
            request,
            route,
            resource,
            fault,
        };
        self.resource_call(call).await
    }

    async fn resource_call(self: Arc<Self>, call: Call) -> Result<Reply, Refusal> {
        match (call.request.verb.as_str(), call.route.subresource.as_str()) {
            ("get", "log") if call.resource.plural == "pods" => logs::answer(&self, &call).await,
            (_, "proxy") => proxy::answer(&self, &call),
            ("list", "") => collection::list(&self, &call),
            ("watch", "") => watch::answer(self.clone(), &call),
            ("get", "" | "status") => collection::get(&self, &call),
            ("create", "") => create::create(self.clone(), &call).await,
            ("update", "" | "status") => update::replace(&self, &call),
            ("patch", "" | "status") => update::patch(&self, &call),
            ("delete", "") => delete::one(&self, &call),
            ("deletecollection", "") => delete::collection(&self, &call),
            ("", _) => Err(Refusal::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )),
            _ => Err(Refusal::no_such_resource()),
        }
    }

    /// The last responder added that is for the request.
    fn responder(&self, request: &Request) -> Option<Handler> {
        let responders = self
            .responders
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut for_it = responders.iter().rev().filter(|(of, _)| of.holds(request));
        for_it.next().map(|(_, handler)| handler.clone())
    }

    /// Who asks; impersonation is taken at its word.
    fn authenticate(&self, request: &Request) -> Result<String, Refusal> {
        if let Some(token) = &self.config.token {
            let shown = request.header("authorization");
            if shown != Some(&format!("Bearer {token}")) {
                return Err(Refusal::unauthorized());
            }
        }
        Ok(request
            .header("impersonate-user")
            .unwrap_or(&self.config.user)
            .to_owned())
    }

    pub(crate) fn access(&self) -> MutexGuard<'_, Access> {
        self.access.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the status of a pod that still exists.
    pub(crate) fn set_status(&self, pod: &Value, change: impl FnOnce(&mut Value)) -> bool {
        let (namespace, name) = place(pod);
        self.shared.write(|store| {
            let key = crate::state::store::pods();
            let Some(now) = store.get(&key, &namespace, &name) else {
                return false;
            };
            if now["metadata"]["uid"] != pod["metadata"]["uid"] {
                return false;
            }
            let mut now = Value::clone(now);
            if !now["status"].is_object() {
                now["status"] = json!({});
            }
            change(&mut now["status"]);
            store.insert(&key, now);
            true
        })
    }
}
