//! How a fake API server is set up.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::access::Access;
use crate::api::admission::Admission;
use crate::api::handle::FakeApi;
use crate::api::logs::Logs;
use crate::api::proxy::Proxies;
use crate::api::serve::Api;
use crate::clock::Clock;
use crate::kubelet::Kubelet;
use crate::kubelet::script::PodScript;
use crate::net::audit::Audit;
use crate::net::faults::{FaultRule, Faults};
use crate::net::server::{Common, Server};
use crate::net::tls;
use crate::state::registry::Resource;
use crate::state::store::{Shared, Store};

/// What stays the same while a server runs.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) clock: Clock,
    pub(crate) version: String,
    pub(crate) user: String,
    pub(crate) token: Option<String>,
    pub(crate) page_cap: Option<usize>,
    pub(crate) ignore_accept: bool,
    pub(crate) gzip: bool,
}

/// Settings of a fake API server; [`FakeApiBuilder::start`] starts it.
#[must_use]
pub struct FakeApiBuilder {
    config: Config,
    plain: bool,
    port: u16,
    names: Vec<String>,
    objects: Vec<Value>,
    resources: Vec<Resource>,
    absent: Vec<String>,
    access: Access,
    kubelet: Kubelet,
    faults: Faults,
}

impl Default for FakeApiBuilder {
    fn default() -> Self {
        Self {
            config: Config {
                clock: Clock::default(),
                version: "v1.33.5-eks-113cf36".to_owned(),
                user: "testkit".to_owned(),
                token: Some("testkit-token".to_owned()),
                page_cap: None,
                ignore_accept: false,
                gzip: true,
            },
            plain: false,
            port: 0,
            names: Vec::new(),
            objects: Vec::new(),
            resources: Vec::new(),
            absent: Vec::new(),
            access: Access::everything(),
            kubelet: Kubelet::default(),
            faults: Faults::default(),
        }
    }
}

impl FakeApiBuilder {
    /// Adds an object, or the items of a `List`, as `kubectl get -o json` prints them. Resources
    /// that the server does not know come into being with it.
    pub fn object(mut self, object: Value) -> Self {
        self.objects.extend(items(object));
        self
    }

    /// Adds the objects of a JSON file, or of every `*.json` in a folder.
    ///
    /// # Errors
    /// When a file cannot be read or is no JSON.
    pub fn load(mut self, path: &Path) -> io::Result<Self> {
        let mut files = vec![path.to_owned()];
        if path.is_dir() {
            files = std::fs::read_dir(path)?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<io::Result<_>>()?;
            files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
            files.sort();
        }
        for file in files {
            let text = std::fs::read(&file)?;
            let value = serde_json::from_slice(&text)
                .map_err(|error| io::Error::other(format!("{}: {error}", file.display())))?;
            self.objects.extend(items(value));
        }
        Ok(self)
    }

    /// Serves a custom resource, with or without objects.
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resources.push(resource);
        self
    }

    /// Serves one of the custom resources that EKS and Karpenter bring, by its plural, such as
    /// `eniconfigs` or `nodepools`.
    ///
    /// # Panics
    /// When the plural is none of those.
    pub fn custom_resource(self, plural: &str) -> Self {
        match Resource::well_known(plural) {
            Some(resource) => self.resource(resource),
            None => panic!("{plural} is no well-known custom resource: register it by `resource`"),
        }
    }

    /// Does not serve a resource: as on an old cluster, or without its definition.
    pub fn without(mut self, plural: &str) -> Self {
        self.absent.push(plural.to_owned());
        self
    }

    /// Labels a namespace (which comes into being) with a Pod Security level that it enforces:
    /// `baseline` or `restricted`.
    pub fn pod_security(self, namespace: &str, level: &str) -> Self {
        self.object(json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {
                "kubernetes.io/metadata.name": namespace,
                "pod-security.kubernetes.io/enforce": level,
            }},
            "status": {"phase": "Active"},
        }))
    }

    /// What the user may do.
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// What becomes of created pods; the last script that is for a pod decides.
    pub fn script(self, script: PodScript) -> Self {
        self.kubelet.script(script);
        self
    }

    /// Refuses pods at creation.
    pub fn admission(self, rule: Admission) -> Self {
        self.kubelet.admission(rule);
        self
    }

    /// Runs this program, the real agent, for every created pod whose script writes no log.
    pub fn agent(self, program: &Path) -> Self {
        self.kubelet.agent(program.to_owned());
        self
    }

    /// Makes something go wrong.
    pub fn fault(self, rule: FaultRule) -> Self {
        self.faults.add(rule);
        self
    }

    /// Plain HTTP instead of HTTPS.
    pub fn plain_http(mut self) -> Self {
        self.plain = true;
        self
    }

    /// A port of its own instead of any free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// One more name that the server certificate is valid for.
    pub fn certificate_name(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self
    }

    /// `gitVersion` of `/version`.
    pub fn version(mut self, git_version: &str) -> Self {
        self.config.version = git_version.to_owned();
        self
    }

    /// Name of the user in refusals.
    pub fn user(mut self, user: &str) -> Self {
        self.config.user = user.to_owned();
        self
    }

    /// The only bearer token that is let in; `None` lets everyone in.
    pub fn token(mut self, token: Option<&str>) -> Self {
        self.config.token = token.map(str::to_owned);
        self
    }

    /// No page is longer, whatever `limit` says.
    pub fn page_cap(mut self, objects: usize) -> Self {
        self.config.page_cap = Some(objects);
        self
    }

    /// Whole objects whatever `Accept` asks for, as an aggregated or a very old server.
    pub fn ignore_accept(mut self) -> Self {
        self.config.ignore_accept = true;
        self
    }

    /// Whether large answers are compressed for clients that ask for it (they are by default).
    pub fn gzip(mut self, on: bool) -> Self {
        self.config.gzip = on;
        self
    }

    /// A clock that stands still, where tests compare ages.
    pub fn now(mut self, at: Timestamp) -> Self {
        self.config.clock = Clock::fixed(at);
        self
    }

    /// Starts the server.
    ///
    /// # Panics
    /// When no loopback port can be had.
    #[must_use]
    pub fn start(self) -> FakeApi {
        match self.try_start() {
            Ok(api) => api,
            Err(error) => panic!("the fake API server did not start: {error}"),
        }
    }

    /// Starts the server.
    ///
    /// # Errors
    /// When no loopback port can be had.
    pub fn try_start(self) -> io::Result<FakeApi> {
        let mut store = Store::new(self.config.clock);
        for resource in self.resources {
            store.register(resource);
        }
        for object in self.objects {
            store.put(object);
        }
        for plural in &self.absent {
            store.unregister(plural);
        }
        // What was there before the server began is no news to any watch.
        store.compact();
        let identity = if self.plain {
            None
        } else {
            Some(tls::identity(&self.names)?)
        };
        let api = Arc::new(Api {
            config: self.config,
            shared: Shared::new(store),
            access: Mutex::new(self.access),
            logs: Logs::default(),
            proxies: Proxies::default(),
            responders: Mutex::default(),
            kubelet: self.kubelet,
        });
        let (audit, faults) = (Arc::new(Audit::default()), Arc::new(self.faults));
        let common = Common {
            serve: api.clone(),
            audit: audit.clone(),
            faults: faults.clone(),
        };
        let (acceptor, ca_pem) = identity.map(|id| (id.acceptor, id.ca_pem)).unzip();
        let server = Server::start(self.port, acceptor, common)?;
        Ok(FakeApi::new(api, audit, faults, ca_pem, server))
    }
}

/// The items of a list, else the object itself. Items of a typed list may lack their kind.
pub(crate) fn items(value: Value) -> Vec<Value> {
    let kind = value["kind"].as_str().unwrap_or_default().to_owned();
    let Some(items) = value["items"].as_array().filter(|_| kind.ends_with("List")) else {
        return vec![value];
    };
    let of = kind.trim_end_matches("List");
    items
        .iter()
        .cloned()
        .map(|mut item| {
            if item["kind"].is_null() && !of.is_empty() {
                item["kind"] = json!(of);
                item["apiVersion"] = value["apiVersion"].clone();
            }
            item
        })
        .collect()
}
