//! Reading objects: one, or lists in pages and in the representation that was asked for.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::api::serve::{Api, Call};
use crate::api::status::Refusal;
use crate::api::table;
use crate::net::faults::Action;
use crate::net::reply::Reply;
use crate::state::registry::Resource;
use crate::state::selectors::{Fields, Labels};

/// What picks objects of a collection.
pub(crate) struct Picks {
    labels: Labels,
    fields: Fields,
}

impl Picks {
    pub(crate) fn of(call: &Call) -> Result<Self, Refusal> {
        let labels_text = call.request.param("labelSelector").unwrap_or_default();
        let fields_text = call.request.param("fieldSelector").unwrap_or_default();
        let labels = Labels::parse(labels_text).map_err(Refusal::bad_request)?;
        let fields = Fields::parse(fields_text, &call.resource.plural).map_err(|why| {
            Refusal::bad_request(format!(
                "Unable to find {:?} that match label selector {labels_text:?}, field selector {fields_text:?}: {why}",
                format!("{}, Resource={}", gv(&call.resource), call.resource.plural)
            ))
        })?;
        Ok(Self { labels, fields })
    }

    pub(crate) fn hold(&self, object: &Value) -> bool {
        self.labels.holds(object) && self.fields.holds(object)
    }

    fn is_all(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

fn gv(resource: &Resource) -> String {
    format!("{}/{}", resource.group, resource.version)
}

/// How objects are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Whole,
    /// Metadata only, under this kind for lists and singles.
    Metadata,
    /// A table whose rows carry what `includeObject` says, of this version of `meta.k8s.io`.
    Table {
        version: String,
        include: String,
    },
}

impl Shape {
    /// The first representation of the `Accept` header that this server has.
    pub(crate) fn of(api: &Api, call: &Call) -> Self {
        let accept = call.request.header("accept").unwrap_or_default();
        if api.config.ignore_accept {
            return Self::Whole;
        }
        for choice in accept.split(',') {
            let mut parts = choice.split(';').map(str::trim);
            if !matches!(parts.next(), Some("application/json" | "*/*")) {
                continue;
            }
            let parts: Vec<&str> = parts.collect();
            let value = |key: &str| parts.iter().find_map(|part| part.strip_prefix(key));
            match (value("as="), value("v=").unwrap_or("v1")) {
                (Some("Table"), version) => {
                    let include = call.request.param("includeObject").unwrap_or("Metadata");
                    return Self::Table {
                        version: version.to_owned(),
                        include: include.to_owned(),
                    };
                }
                (Some("PartialObjectMetadataList" | "PartialObjectMetadata"), _) => {
                    return Self::Metadata;
                }
                (Some(_), _) => {}
                (None, _) => return Self::Whole,
            }
        }
        Self::Whole
    }
}

/// Only kind, version and metadata.
pub(crate) fn metadata_only(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

pub(crate) fn get(api: &Api, call: &Call) -> Result<Reply, Refusal> {
    let object = api
        .shared
        .read(|store| {
            store
                .get(&call.resource.key(), call.namespace(), call.name())
                .cloned()
        })
        .ok_or_else(|| Refusal::not_found(&call.resource, call.name()))?;
    Ok(one(api, call, 200, &object))
}

/// One object in the shape that was asked for.
pub(crate) fn one(api: &Api, call: &Call, code: u16, object: &Arc<Value>) -> Reply {
    match Shape::of(api, call) {
        Shape::Whole => Reply::json(code, object),
        Shape::Metadata => Reply::json(code, &metadata_only(object)),
        Shape::Table { version, include } => {
            let rows = std::slice::from_ref(object);
            let clock = api.config.clock;
            let meta = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            let table = table::render(&call.resource, rows, clock, &version, &include, meta);
            Reply::json(code, &table)
        }
    }
}

/// Where a page begins: the revision of the first page, and the key that it begins after.
struct Continue {
    revision: u64,
    after: (String, String),
}

impl Continue {
    fn token(&self) -> String {
        let start = format!("{}/{}", self.after.0, self.after.1);
        let token = json!({"v": "meta.k8s.io/v1", "rv": self.revision, "start": start});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn parse(token: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let token: Value = serde_json::from_slice(&bytes).ok()?;
        let (namespace, name) = token["start"].as_str()?.split_once('/')?;
        Some(Self {
            revision: token["rv"].as_u64()?,
            after: (namespace.to_owned(), name.to_owned()),
        })
    }
}

pub(crate) fn list(api: &Api, call: &Call) -> Result<Reply, Refusal> {
    let picks = Picks::of(call)?;
    let request = &call.request;
    let from_cache = request.param("resourceVersion") == Some("0");
    let limit: Option<usize> = match request.param("limit").unwrap_or("0").parse() {
        Ok(0) => None,
        // A list from the watch cache is whole: the limit is not honoured.
        Ok(_) if from_cache && request.param("continue").is_none() => None,
        Ok(limit) => Some(limit),
        Err(_) => return Err(Refusal::bad_request("limit: invalid value")),
    };
    let asked = request.param("continue").filter(|token| !token.is_empty());
    let mut begin = None;
    if let Some(token) = asked {
        if !matches!(request.param("resourceVersion"), None | Some("" | "0")) {
            return Err(Refusal::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let parsed = Continue::parse(token)
            .ok_or_else(|| Refusal::bad_request("continue key is not valid"))?;
        let compacted = api.shared.read(|store| store.compacted());
        if matches!(call.fault, Some(Action::ExpiredContinue)) || parsed.revision < compacted {
            return Err(expired(api, &parsed));
        }
        begin = Some(parsed);
    }
    let limit = match (limit, api.config.page_cap) {
        (Some(limit), Some(cap)) => Some(limit.min(cap)),
        (limit, _) => limit,
    };

    let (page, more, revision) = api.shared.read(|store| {
        let key = call.resource.key();
        let mut matching =
            store
                .list(&key, call.route.namespace.as_deref())
                .filter(|(at, object)| {
                    begin.as_ref().is_none_or(|begin| **at > begin.after) && picks.hold(object)
                });
        let page: Vec<Arc<Value>> = matching
            .by_ref()
            .take(limit.unwrap_or(usize::MAX))
            .map(|(_, object)| object.clone())
            .collect();
        let revision = begin.as_ref().map_or(store.revision(), |b| b.revision);
        (page, matching.count(), revision)
    });

    let mut meta = json!({"resourceVersion": revision.to_string()});
    if more > 0
        && let Some(last) = page.last()
    {
        let next = Continue {
            revision,
            after: crate::state::store::place(last),
        };
        meta["continue"] = json!(next.token());
        if picks.is_all() {
            meta["remainingItemCount"] = json!(more);
        }
    }
    if let (Some(Action::RepeatedPage), Some(token)) = (&call.fault, asked) {
        meta["continue"] = json!(token);
    }
    Ok(Reply::new(
        200,
        "application/json",
        body(api, call, &page, meta),
    ))
}

/// 410 with a token that would go on, inconsistently, as the real server offers.
fn expired(api: &Api, at: &Continue) -> Refusal {
    let mut refusal = Refusal::new(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    let fresh = Continue {
        revision: api.shared.read(|store| store.revision()),
        after: at.after.clone(),
    };
    refusal.metadata = json!({"continue": fresh.token()});
    refusal
}

fn body(api: &Api, call: &Call, page: &[Arc<Value>], meta: Value) -> Vec<u8> {
    let head = |kind: &str, api_version: &str| json!({"kind": kind, "apiVersion": api_version, "metadata": meta});
    match Shape::of(api, call) {
        Shape::Whole => {
            let kind = format!("{}List", call.resource.kind);
            let head = head(&kind, &call.resource.api_version());
            // Items of built-in lists carry neither kind nor version.
            if call.resource.custom {
                with_items(&head, page, Value::to_string)
            } else {
                with_items(&head, page, without_kind)
            }
        }
        Shape::Metadata => {
            let head = head("PartialObjectMetadataList", "meta.k8s.io/v1");
            with_items(&head, page, |object| metadata_only(object).to_string())
        }
        Shape::Table { version, include } => {
            let clock = api.config.clock;
            table::render(&call.resource, page, clock, &version, &include, meta)
                .to_string()
                .into_bytes()
        }
    }
}

/// An object without its kind and version, without a copy of it.
fn without_kind(object: &Value) -> String {
    let members: Vec<String> = object
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !matches!(key.as_str(), "kind" | "apiVersion"))
        .map(|(key, value)| format!("{}:{value}", json!(key)))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// A list built item by item: a copy of a large page as one value would double its memory.
fn with_items(head: &Value, page: &[Arc<Value>], show: impl Fn(&Value) -> String) -> Vec<u8> {
    let mut out = head.to_string().into_bytes();
    out.pop();
    out.extend_from_slice(b",\"items\":[");
    for (at, object) in page.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(show(object).as_bytes());
    }
    out.extend_from_slice(b"]}\n");
    out
}
