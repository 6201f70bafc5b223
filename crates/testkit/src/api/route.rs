//! What a path of the API names.

/// A path of a resource, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) group: String,
    pub(crate) version: String,
    /// Plural; empty for the discovery document of the group and version.
    pub(crate) resource: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: String,
    /// What follows the subresource, with its leading slash: the path behind a proxy.
    pub(crate) tail: String,
}

impl Route {
    /// Takes a path apart; `None` for paths outside `/api/v1` and `/apis/GROUP/VERSION`.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let mut parts = path.trim_start_matches('/').split('/').map(str::to_owned);
        let mut route = Self::default();
        match parts.next()?.as_str() {
            "api" => route.version = parts.next()?,
            "apis" => {
                route.group = parts.next()?;
                route.version = parts.next()?;
            }
            _ => return None,
        }
        let mut rest: Vec<String> = parts.collect();
        if rest.last().is_some_and(String::is_empty) && rest.len() < 4 {
            rest.pop();
        }
        if rest.len() >= 3
            && rest[0] == "namespaces"
            && !matches!(rest[2].as_str(), "status" | "finalize")
        {
            route.namespace = Some(rest[1].clone());
            rest.drain(..2);
        }
        let mut rest = rest.into_iter();
        route.resource = rest.next().unwrap_or_default();
        route.name = rest.next();
        route.subresource = rest.next().unwrap_or_default();
        route.tail = rest.map(|part| format!("/{part}")).collect();
        Some(route)
    }

    /// The verb that RBAC knows for a method on this path.
    pub(crate) fn verb(&self, method: &str, watch: bool) -> &'static str {
        match (method, &self.name) {
            ("GET" | "HEAD", Some(_)) => "get",
            ("GET" | "HEAD", None) if watch => "watch",
            ("GET" | "HEAD", None) => "list",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", Some(_)) => "delete",
            ("DELETE", None) => "deletecollection",
            _ => "",
        }
    }

    /// `pods` or `pods/log`.
    pub(crate) fn resource_path(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Route;

    #[test]
    fn paths_name_what_they_are_about() {
        let route = |path| Route::parse(path).expect("a path of the API");
        let pods = route("/api/v1/pods");
        assert_eq!((pods.resource.as_str(), pods.namespace), ("pods", None));
        let log = route("/api/v1/namespaces/ns/pods/p/log");
        assert_eq!(log.namespace.as_deref(), Some("ns"));
        assert_eq!(log.resource_path(), "pods/log");
        let proxy = route("/api/v1/namespaces/ns/pods/p:61678/proxy/v1/x");
        assert_eq!(
            (proxy.name.as_deref(), proxy.tail.as_str()),
            (Some("p:61678"), "/v1/x")
        );
        let namespace = route("/api/v1/namespaces/ns");
        assert_eq!(
            (namespace.resource.as_str(), namespace.name.as_deref()),
            ("namespaces", Some("ns"))
        );
        let crd = route("/apis/karpenter.sh/v1/nodepools");
        assert_eq!(
            (crd.group.as_str(), crd.version.as_str()),
            ("karpenter.sh", "v1")
        );
        assert_eq!(route("/apis/apps/v1").resource, "");
        assert_eq!(Route::parse("/version"), None);
    }
}
