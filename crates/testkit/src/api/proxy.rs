//! `pods/NAME:PORT/proxy/PATH`, and the same of services and nodes.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use crate::api::serve::{Api, Call};
use crate::api::status::Refusal;
use crate::net::audit::Request;
use crate::net::matching::glob;
use crate::net::reply::Reply;

type Handler = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// One thing that listens behind the proxy.
struct Listener {
    resource: String,
    namespace: String,
    name: String,
    port: u16,
    path: String,
    handler: Handler,
}

#[derive(Default)]
pub(crate) struct Proxies(Mutex<Vec<Listener>>);

impl Proxies {
    pub(crate) fn add(
        &self,
        (resource, namespace, name): (&str, &str, &str),
        port: u16,
        path: &str,
        handler: Handler,
    ) {
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.push(Listener {
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            port,
            path: path.to_owned(),
            handler,
        });
    }
}

pub(crate) fn answer(api: &Arc<Api>, call: &Call) -> Result<Reply, Refusal> {
    // [scheme:]name[:port]
    let asked = call.name();
    let parts: Vec<&str> = asked.split(':').collect();
    let (name, port) = match parts.as_slice() {
        [name] => (*name, ""),
        [name, port] => (*name, *port),
        [_, name, port] => (*name, *port),
        _ => {
            return Err(Refusal::bad_request(format!(
                "invalid proxy target {asked:?}"
            )));
        }
    };
    let port: u16 = port.parse().unwrap_or(80);
    let found = api
        .shared
        .read(|store| {
            store
                .get(&call.resource.key(), call.namespace(), name)
                .cloned()
        })
        .ok_or_else(|| Refusal::not_found(&call.resource, name))?;
    let path = if call.route.tail.is_empty() {
        "/"
    } else {
        &call.route.tail
    };
    let listeners = api.proxies.0.lock().unwrap_or_else(PoisonError::into_inner);
    let at_port: Vec<&Listener> = listeners
        .iter()
        .filter(|l| {
            l.resource == call.resource.plural
                && l.namespace == call.namespace()
                && glob(&l.name, name)
                && l.port == port
        })
        .collect();
    let node = found["spec"]["nodeName"].as_str().unwrap_or_default();
    let host = found["status"]["podIP"].as_str().unwrap_or("10.0.0.1");
    if at_port.is_empty() || api.kubelet.is_dead(node) {
        let why = if at_port.is_empty() {
            "connect: connection refused"
        } else {
            "i/o timeout"
        };
        let mut refusal = Refusal::new(
            503,
            "ServiceUnavailable",
            format!("error trying to reach service: dial tcp {host}:{port}: {why}"),
        );
        refusal.details = json!({});
        return Err(refusal);
    }
    match at_port.iter().find(|l| glob(&l.path, path)) {
        Some(listener) => Ok((listener.handler)(&call.request)),
        None => Ok(Reply::text(404, "404 page not found\n")),
    }
}
