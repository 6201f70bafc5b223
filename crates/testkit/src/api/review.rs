//! Reviews of one's own access and identity.

use serde_json::{Value, json};

use crate::api::access::Ask;
use crate::api::route::Route;
use crate::api::serve::Api;
use crate::net::audit::Request;
use crate::net::reply::Reply;

/// The answer to a review; `None` for everything else.
pub(crate) fn answer(api: &Api, request: &Request, route: &Route, user: &str) -> Option<Reply> {
    if request.method != "POST" || route.name.is_some() {
        return None;
    }
    let mut review = request.json();
    let status = match (route.group.as_str(), route.resource.as_str()) {
        ("authorization.k8s.io", "selfsubjectaccessreviews") => {
            let allowed = api.access().allows(&ask(&review["spec"]));
            let mut status = json!({"allowed": allowed});
            if allowed {
                status["reason"] = json!("RBAC: allowed by ClusterRoleBinding \"testkit\"");
            }
            status
        }
        ("authorization.k8s.io", "selfsubjectrulesreviews") => {
            let namespace = review["spec"]["namespace"].as_str().unwrap_or("default");
            api.access().rules_in(namespace)
        }
        ("authentication.k8s.io", "selfsubjectreviews") => {
            json!({"userInfo": {"username": user, "groups": ["system:authenticated"]}})
        }
        _ => return None,
    };
    review["status"] = status;
    review["apiVersion"] = json!(format!("{}/{}", route.group, route.version));
    if review["kind"].is_null() {
        review["kind"] = json!(match route.resource.as_str() {
            "selfsubjectaccessreviews" => "SelfSubjectAccessReview",
            "selfsubjectrulesreviews" => "SelfSubjectRulesReview",
            _ => "SelfSubjectReview",
        });
    }
    Some(Reply::json(201, &review))
}

fn ask(spec: &Value) -> Ask {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let attributes = &spec["resourceAttributes"];
    if attributes.is_object() {
        let subresource = text(&attributes["subresource"]);
        let resource = text(&attributes["resource"]);
        return Ask {
            verb: text(&attributes["verb"]),
            group: text(&attributes["group"]),
            resource: if subresource.is_empty() {
                resource
            } else {
                format!("{resource}/{subresource}")
            },
            namespace: text(&attributes["namespace"]),
            name: text(&attributes["name"]),
            path: None,
        };
    }
    Ask {
        verb: text(&spec["nonResourceAttributes"]["verb"]),
        path: Some(text(&spec["nonResourceAttributes"]["path"])),
        ..Ask::default()
    }
}
