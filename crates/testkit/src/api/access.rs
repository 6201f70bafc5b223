//! Who may do what, and how refusals read.

use serde_json::{Value, json};

use crate::api::status::Refusal;
use crate::state::registry::Resource;

/// One rule of RBAC: verbs on resources of groups, or verbs on paths. `*` stands for all.
///
/// ```
/// use eksnet_testkit::Rule;
///
/// let logs_of_the_system = Rule::new(&["get"], &[""], &["pods/log"]).in_namespace("kube-system");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rule {
    verbs: Vec<String>,
    groups: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
    namespace: Option<String>,
    paths: Vec<String>,
}

impl Rule {
    /// Verbs on resources of API groups, in every namespace and at cluster scope.
    #[must_use]
    pub fn new(verbs: &[&str], groups: &[&str], resources: &[&str]) -> Self {
        Self {
            verbs: owned(verbs),
            groups: owned(groups),
            resources: owned(resources),
            ..Self::default()
        }
    }

    /// Verbs on paths that are no resources, such as `/metrics`; a trailing `*` stands for the rest.
    #[must_use]
    pub fn on_paths(verbs: &[&str], paths: &[&str]) -> Self {
        Self {
            verbs: owned(verbs),
            paths: owned(paths),
            ..Self::default()
        }
    }

    /// Only in one namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Only objects with these names.
    #[must_use]
    pub fn named(mut self, names: &[&str]) -> Self {
        self.names = owned(names);
        self
    }

    fn covers(&self, ask: &Ask) -> bool {
        let any = |all: &[String], one: &str| all.iter().any(|each| each == "*" || each == one);
        if !any(&self.verbs, &ask.verb) {
            return false;
        }
        if let Some(path) = &ask.path {
            return self
                .paths
                .iter()
                .any(|pattern| match pattern.strip_suffix('*') {
                    Some(head) => path.starts_with(head),
                    None => pattern == path,
                });
        }
        let subresource = ask
            .resource
            .split_once('/')
            .map(|(_, sub)| format!("*/{sub}"));
        any(&self.groups, &ask.group)
            && (any(&self.resources, &ask.resource)
                || subresource.is_some_and(|all| self.resources.contains(&all)))
            && (self.names.is_empty() || self.names.contains(&ask.name))
            && self
                .namespace
                .as_ref()
                .is_none_or(|only| *only == ask.namespace)
    }

    fn is_about_namespace(&self, namespace: &str) -> bool {
        self.namespace
            .as_deref()
            .is_none_or(|only| only == namespace)
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// What one request wants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    /// Empty at cluster scope.
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// A path that is no resource.
    pub(crate) path: Option<String>,
}

/// What the user of a fake cluster may do.
///
/// ```
/// use eksnet_testkit::{Access, Rule};
///
/// // All but listing nodes.
/// let mostly = Access::everything().except(Rule::new(&["list"], &[""], &["nodes"]));
/// // One namespace only.
/// let little = Access::only([Rule::new(&["*"], &["*"], &["*"]).in_namespace("team-a")]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// `None` allows everything.
    allowed: Option<Vec<Rule>>,
    denied: Vec<Rule>,
}

impl Access {
    /// Everything is allowed, as to the creator of a cluster.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Only what a rule allows. Discovery, `/version`, health paths and reviews of one's own
    /// access stay allowed, as `system:discovery` and `system:basic-user` grant them to all.
    #[must_use]
    pub fn only(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self {
            allowed: Some(rules.into_iter().collect()),
            denied: Vec::new(),
        }
    }

    /// The same without what `rule` covers. (RBAC has no denials: this stands for any set of roles
    /// that grants all else.)
    #[must_use]
    pub fn except(mut self, rule: Rule) -> Self {
        self.denied.push(rule);
        self
    }

    pub(crate) fn allows(&self, ask: &Ask) -> bool {
        if self.denied.iter().any(|rule| rule.covers(ask)) {
            return false;
        }
        self.allowed
            .as_ref()
            .is_none_or(|rules| rules.iter().any(|rule| rule.covers(ask)) || granted_to_all(ask))
    }

    /// The refusal, in the words of the API server's authorizer.
    pub(crate) fn refusal(ask: &Ask, user: &str, resource: Option<&Resource>) -> Refusal {
        if let Some(path) = &ask.path {
            let message = format!(
                "forbidden: User \"{user}\" cannot {} path \"{path}\"",
                ask.verb
            );
            let mut refusal = Refusal::new(403, "Forbidden", message);
            refusal.details = json!({});
            return refusal;
        }
        let place = if ask.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{}\"", ask.namespace)
        };
        let why = format!(
            "User \"{user}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
            ask.verb, ask.resource, ask.group
        );
        match resource {
            Some(resource) => Refusal::forbidden(resource, &ask.name, &why),
            None => {
                let plural = ask.resource.split('/').next().unwrap_or_default();
                let api_version = format!("{}/v1", ask.group);
                let unknown = Resource::custom(api_version.trim_start_matches('/'), plural, "");
                Refusal::forbidden(&unknown, &ask.name, &why)
            }
        }
    }

    /// The status of a `SelfSubjectRulesReview` for a namespace.
    pub(crate) fn rules_in(&self, namespace: &str) -> Value {
        let everything = [
            Rule::new(&["*"], &["*"], &["*"]),
            Rule::on_paths(&["*"], &["*"]),
        ];
        let rules: Vec<&Rule> = match &self.allowed {
            None => everything.iter().collect(),
            Some(rules) => rules.iter().collect(),
        };
        let rules = rules
            .into_iter()
            .filter(|r| r.is_about_namespace(namespace));
        let (paths, resources): (Vec<&Rule>, Vec<&Rule>) =
            rules.partition(|rule| !rule.paths.is_empty());
        // A review lists grants only; where some are taken away again the list cannot say so.
        let incomplete = !self.denied.is_empty();
        json!({
            "resourceRules": resources.iter().map(|rule| {
                let mut shown = json!({
                    "verbs": rule.verbs,
                    "apiGroups": rule.groups,
                    "resources": rule.resources,
                });
                if !rule.names.is_empty() {
                    shown["resourceNames"] = json!(rule.names);
                }
                shown
            }).collect::<Vec<_>>(),
            "nonResourceRules": paths.iter().map(|rule| {
                json!({"verbs": rule.verbs, "nonResourceURLs": rule.paths})
            }).collect::<Vec<_>>(),
            "incomplete": incomplete,
        })
    }
}

fn granted_to_all(ask: &Ask) -> bool {
    match &ask.path {
        Some(path) => {
            ask.verb == "get"
                && [
                    "/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz",
                ]
                .iter()
                .any(|head| {
                    path.strip_prefix(head)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })
        }
        None => ask.verb == "create" && ask.resource.starts_with("selfsubject"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(verb: &str, resource: &str, namespace: &str) -> Ask {
        Ask {
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            ..Ask::default()
        }
    }

    #[test]
    fn a_rule_of_one_namespace_does_not_reach_the_cluster() {
        let access = Access::only([Rule::new(&["list"], &[""], &["pods"]).in_namespace("a")]);
        assert!(access.allows(&ask("list", "pods", "a")));
        assert!(!access.allows(&ask("list", "pods", "")));
        assert!(!access.allows(&ask("get", "pods", "a")));
        assert!(!access.allows(&ask("list", "pods/log", "a")));
    }

    #[test]
    fn what_is_excepted_is_refused_in_the_words_of_the_api_server() {
        let access = Access::everything().except(Rule::new(&["list"], &[""], &["pods"]));
        let listing = ask("list", "pods", "");
        assert!(!access.allows(&listing));
        assert!(access.allows(&ask("get", "pods", "")));
        assert_eq!(
            Access::refusal(&listing, "u", None).message,
            "pods is forbidden: User \"u\" cannot list resource \"pods\" in API group \"\" at the cluster scope"
        );
    }
}
