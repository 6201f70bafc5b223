//! What the server says about itself.

use serde_json::{Value, json};

use crate::api::serve::Api;
use crate::api::status::page_not_found;
use crate::net::audit::Request;
use crate::net::reply::Reply;
use crate::state::registry::Resource;

/// Plural, kind, and whether it lives in namespaces.
type Review = (&'static str, &'static str, bool);

/// Groups that serve reviews only: they have no stored resources.
const REVIEWS: &[(&str, &[Review])] = &[
    (
        "authorization.k8s.io",
        &[
            ("selfsubjectaccessreviews", "SelfSubjectAccessReview", false),
            ("selfsubjectrulesreviews", "SelfSubjectRulesReview", false),
        ],
    ),
    (
        "authentication.k8s.io",
        &[("selfsubjectreviews", "SelfSubjectReview", false)],
    ),
];

/// Answers the paths that are no resources.
pub(crate) fn answer(api: &Api, request: &Request) -> Reply {
    let parts: Vec<&str> = request
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    match parts.as_slice() {
        ["version"] => Reply::json(200, &version(api)),
        ["healthz" | "livez" | "readyz", ..] => Reply::text(200, "ok"),
        ["api"] => Reply::json(
            200,
            &json!({
                "kind": "APIVersions",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": [],
            }),
        ),
        ["apis"] => Reply::json(200, &groups(api)),
        ["apis", group] => one_group(api, group),
        ["api", version] => resources(api, "", version),
        ["apis", group, version] => resources(api, group, version),
        _ => page_not_found(),
    }
}

fn version(api: &Api) -> Value {
    let git = &api.config.version;
    let mut numbers = git.trim_start_matches('v').split('.');
    let major = numbers.next().unwrap_or_default();
    let minor = numbers.next().unwrap_or_default();
    json!({
        "major": major,
        // EKS marks its builds with a plus.
        "minor": if git.contains("eks") { format!("{minor}+") } else { minor.to_owned() },
        "gitVersion": git,
        "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "go1.24.0",
        "compiler": "gc",
        "platform": "linux/amd64",
    })
}

/// Groups beyond the core one, with their versions, in the order in which they were registered.
fn named(api: &Api) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |group: &str, version: &str| match all.iter_mut().find(|(of, _)| of == group) {
        Some((_, versions)) if versions.iter().any(|known| known == version) => {}
        Some((_, versions)) => versions.push(version.to_owned()),
        None => all.push((group.to_owned(), vec![version.to_owned()])),
    };
    api.shared.read(|store| {
        for resource in store.resources().iter().filter(|r| !r.group.is_empty()) {
            add(&resource.group, &resource.version);
        }
    });
    for (group, _) in REVIEWS {
        add(group, "v1");
    }
    all
}

fn group(name: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

fn groups(api: &Api) -> Value {
    json!({
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": named(api).iter().map(|(name, versions)| group(name, versions)).collect::<Vec<_>>(),
    })
}

fn one_group(api: &Api, name: &str) -> Reply {
    match named(api).iter().find(|(of, _)| of == name) {
        Some((name, versions)) => {
            let mut group = group(name, versions);
            group["kind"] = json!("APIGroup");
            group["apiVersion"] = json!("v1");
            Reply::json(200, &group)
        }
        None => page_not_found(),
    }
}

fn resources(api: &Api, group: &str, version: &str) -> Reply {
    let mut shown: Vec<Value> = api.shared.read(|store| {
        store
            .resources()
            .iter()
            .filter(|r| r.group == group && r.version == version)
            .flat_map(entries)
            .collect()
    });
    for (_, reviews) in REVIEWS
        .iter()
        .filter(|(of, _)| *of == group && version == "v1")
    {
        for (plural, kind, namespaced) in *reviews {
            shown.push(json!({
                "name": plural,
                "singularName": kind.to_lowercase(),
                "namespaced": namespaced,
                "kind": kind,
                "verbs": ["create"],
            }));
        }
    }
    if shown.is_empty() {
        return page_not_found();
    }
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    Reply::json(
        200,
        &json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group_version,
            "resources": shown,
        }),
    )
}

fn entries(resource: &Resource) -> Vec<Value> {
    let mut entry = json!({
        "name": resource.plural,
        "singularName": resource.kind.to_lowercase(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    });
    if !resource.short.is_empty() {
        entry["shortNames"] = json!(resource.short);
    }
    let mut all = vec![entry];
    if resource.group.is_empty() {
        let subresources: &[(&str, &str)] = match resource.plural.as_str() {
            "pods" => &[
                ("log", "Pod"),
                ("proxy", "PodProxyOptions"),
                ("status", "Pod"),
            ],
            "services" => &[("proxy", "ServiceProxyOptions")],
            "nodes" => &[("proxy", "NodeProxyOptions")],
            _ => &[],
        };
        all.extend(subresources.iter().map(|(name, kind)| {
            json!({
                "name": format!("{}/{name}", resource.plural),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": kind,
                "verbs": ["get"],
            })
        }));
    }
    all
}
