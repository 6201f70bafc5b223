//! Which requests a fault or an assertion is about.

use std::fmt;
use std::sync::Arc;

use crate::Request;

type Condition = Arc<dyn Fn(&Request) -> bool + Send + Sync>;

/// A set of requests, narrowed step by step; [`Match::any`] holds them all.
///
/// ```
/// use eksnet_testkit::Match;
///
/// let second_pages = Match::verb("list", "pods").has_param("continue");
/// let logs = Match::path("/api/v1/namespaces/*/pods/*/log").method("GET");
/// ```
#[derive(Clone, Default)]
pub struct Match {
    said: Vec<String>,
    conditions: Vec<Condition>,
}

impl Match {
    /// Every request.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests with this verb on this resource. For Kubernetes the verbs are those of RBAC
    /// (`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`) and the
    /// resource is the plural, with its subresource (`pods/log`); for AWS the verb is the action
    /// and the resource the service (`("DescribeSubnets", "ec2")`). `*` stands for any text.
    #[must_use]
    pub fn verb(verb: &str, resource: &str) -> Self {
        let (of, on) = (verb.to_owned(), resource.to_owned());
        Self::any().when(&format!("{verb} {resource}"), move |request| {
            glob(&of, &request.verb) && glob(&on, &request.resource)
        })
    }

    /// Requests whose path, without its query, fits the pattern; `*` stands for any text.
    #[must_use]
    pub fn path(pattern: &str) -> Self {
        let of = pattern.to_owned();
        Self::any().when(pattern, move |request| glob(&of, &request.path))
    }

    /// Only those with this HTTP method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        let of = method.to_owned();
        self.when(method, move |request| request.method == of)
    }

    /// Only those in this namespace.
    #[must_use]
    pub fn namespace(self, namespace: &str) -> Self {
        let of = namespace.to_owned();
        self.when(&format!("in namespace {namespace}"), move |request| {
            request.namespace.as_deref() == Some(&of)
        })
    }

    /// Only those about the object with this name; `*` stands for any text.
    #[must_use]
    pub fn name(self, pattern: &str) -> Self {
        let of = pattern.to_owned();
        self.when(&format!("named {pattern}"), move |request| {
            request.name.as_deref().is_some_and(|name| glob(&of, name))
        })
    }

    /// Only those with this query parameter (for AWS: form parameter), whatever its value.
    #[must_use]
    pub fn has_param(self, key: &str) -> Self {
        let of = key.to_owned();
        self.when(&format!("with {key}"), move |request| {
            request.param(&of).is_some()
        })
    }

    /// Only those where this query or form parameter has this value.
    #[must_use]
    pub fn param(self, key: &str, value: &str) -> Self {
        let (of, is) = (key.to_owned(), value.to_owned());
        self.when(&format!("with {key}={value}"), move |request| {
            request.param(&of) == Some(&is)
        })
    }

    /// Only those for which `condition` holds; `said` describes it in failures.
    #[must_use]
    pub fn when(
        mut self,
        said: &str,
        condition: impl Fn(&Request) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.said.push(said.to_owned());
        self.conditions.push(Arc::new(condition));
        self
    }

    /// Whether the request belongs to the set.
    #[must_use]
    pub fn holds(&self, request: &Request) -> bool {
        self.conditions.iter().all(|condition| condition(request))
    }
}

impl fmt::Debug for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.said.is_empty() {
            f.write_str("any request")
        } else {
            f.write_str(&self.said.join(" "))
        }
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any text, also none.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    while let Some((middle, after)) = rest.split_once('*') {
        let Some(at) = text.find(middle) else {
            return false;
        };
        text = &text[at + middle.len()..];
        rest = after;
    }
    text.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(glob("/api/*/pods", "/api/v1/pods"));
        assert!(glob("*", ""));
        assert!(glob("a*b*c", "a--b--c"));
        assert!(!glob("a*b*c", "a--c--b"));
        assert!(!glob("/api/v1/pods", "/api/v1/pods/x"));
    }
}
