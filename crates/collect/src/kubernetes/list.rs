//! Lists a resource into narrow objects, page by page.

use eksnet_model::{Evidence, Gap, Source, Text, Why};
use http::StatusCode;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::api::{Api, Ask};
use super::fault::{Fault, closes, excerpt};
use super::items::Splitter;

/// Objects per page, where the server pages: kubectl's number.
const PAGE: usize = 500;
/// Most pages of one list. 150,000 pods are 300 of them; a server that repeats itself must end.
const MAX_PAGES: usize = 4000;
/// Most objects of one list: several times the largest cluster that Kubernetes is tested with.
const MAX_ITEMS: usize = 1_000_000;

/// A resource that is listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resource {
    pub(crate) source: Source,
    /// Paths of its API versions, newest first; a later one is asked where an earlier one is not
    /// served.
    pub(crate) versions: &'static [&'static str],
    pub(crate) plural: &'static str,
    pub(crate) namespaced: bool,
}

/// What is asked of a resource.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope<'a> {
    /// Only this namespace.
    pub(crate) namespace: Option<&'a str>,
    /// `fieldSelector`.
    pub(crate) fields: Option<&'a str>,
    /// `labelSelector`.
    pub(crate) labels: Option<&'a str>,
    /// Whether the state of this moment is wanted, not the cache's of a moment ago.
    pub(crate) fresh: bool,
}

/// What was read of a list, and why not all of it.
#[derive(Debug)]
pub(crate) struct Listed<T> {
    pub(crate) items: Vec<T>,
    pub(crate) ended: Result<(), Stopped>,
}

/// Why a list was not read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// A request failed.
    Fault(Fault),
    /// The server forgot the list twice while it was read.
    Expired(String),
    /// The server repeated itself, or sent items that cannot be read.
    Odd(String),
}

impl Resource {
    fn path(&self, version: &str, scope: &Scope<'_>, next: Option<&str>) -> String {
        let mut path = version.to_owned();
        if let Some(namespace) = scope.namespace {
            path.push_str(&format!("/namespaces/{namespace}"));
        }
        path.push_str(&format!("/{}?limit={PAGE}", self.plural));
        match next {
            Some(token) => path.push_str(&format!("&continue={}", encoded(token))),
            // As informers list: with revision 0 the answer comes from the API server's cache, and
            // etcd is not asked. The cache ignores the limit and sends all in one answer, a third
            // of the time of pages; its state may be a moment old, which a diagnosis can bear. A
            // server without that cache honours the limit, and its pages are followed.
            None if !scope.fresh => path.push_str("&resourceVersion=0"),
            None => {}
        }
        for (name, value) in [
            ("fieldSelector", scope.fields),
            ("labelSelector", scope.labels),
        ] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        path
    }

    /// What was tried, for messages.
    pub(crate) fn tried(&self, scope: &Scope<'_>) -> String {
        match scope.namespace {
            Some(namespace) => format!("list {} in {namespace}", self.plural),
            None => format!("list {}", self.plural),
        }
    }

    /// Lists the resource; each item passes `keep`, which may drop what nobody needs.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        api: &Api,
        scope: &Scope<'_>,
        deadline: Instant,
        mut keep: impl FnMut(T) -> Option<T>,
    ) -> Listed<T> {
        let mut listed = Listed {
            items: Vec::new(),
            ended: Ok(()),
        };
        for (at, version) in self.versions.iter().enumerate() {
            listed = self
                .list_version(api, version, scope, deadline, &mut keep)
                .await;
            let not_served =
                matches!(&listed.ended, Err(Stopped::Fault(fault)) if fault.is_not_found());
            if !not_served || at + 1 == self.versions.len() {
                break;
            }
        }
        listed
    }

    async fn list_version<T: DeserializeOwned>(
        &self,
        api: &Api,
        version: &str,
        scope: &Scope<'_>,
        deadline: Instant,
        keep: &mut impl FnMut(T) -> Option<T>,
    ) -> Listed<T> {
        let mut restarted = false;
        'list: loop {
            let mut items = Vec::new();
            let mut unread = Unread::default();
            let mut next: Option<String> = None;
            for _ in 0..MAX_PAGES {
                let path = self.path(version, scope, next.as_deref());
                let page = read_page(api, &path, deadline, keep, &mut items, &mut unread).await;
                let following = match page {
                    Ok(following) => following,
                    Err(fault) if next.is_some() && fault.status() == Some(StatusCode::GONE) => {
                        if restarted {
                            let ended = Err(Stopped::Expired(fault.says()));
                            return Listed { items, ended };
                        }
                        restarted = true;
                        continue 'list;
                    }
                    Err(fault) => {
                        let ended = Err(Stopped::Fault(fault));
                        return Listed { items, ended };
                    }
                };
                let Some(following) = following else {
                    let ended = unread.verdict();
                    return Listed { items, ended };
                };
                if next.as_deref() == Some(&following) {
                    let ended = Err(Stopped::Odd(
                        "the server sent the same page again".to_owned(),
                    ));
                    return Listed { items, ended };
                }
                next = Some(following);
            }
            let ended = Err(Stopped::Odd(format!("more than {MAX_PAGES} pages")));
            return Listed { items, ended };
        }
    }
}

/// Items that could not be read.
#[derive(Debug, Default)]
struct Unread {
    count: usize,
    first: String,
}

impl Unread {
    fn verdict(&self) -> Result<(), Stopped> {
        if self.count == 0 {
            return Ok(());
        }
        let (count, noun) = (self.count, if self.count == 1 { "item" } else { "items" });
        Err(Stopped::Odd(format!(
            "{count} {noun} could not be read: {}",
            self.first
        )))
    }
}

/// Reads one page; the token of the next one, if there is one.
async fn read_page<T: DeserializeOwned>(
    api: &Api,
    path: &str,
    deadline: Instant,
    keep: &mut impl FnMut(T) -> Option<T>,
    items: &mut Vec<T>,
    unread: &mut Unread,
) -> Result<Option<String>, Fault> {
    let mut answer = api.send(&Ask::get(path), deadline).await?;
    let mut splitter = Splitter::default();
    loop {
        let piece = match answer.piece().await {
            Ok(Some(piece)) => piece,
            Ok(None) => break,
            // A body that broke before it began says nothing of the list.
            Err(fault) => return Err(fault),
        };
        let taken = splitter.push(&piece, |item| match serde_json::from_slice::<T>(item) {
            Ok(item) => items.extend(keep(item)),
            Err(error) => {
                unread.count += 1;
                if unread.first.is_empty() {
                    unread.first = format!("{error} in {:?}", excerpt(item));
                }
            }
        });
        if items.len() > MAX_ITEMS {
            return Err(Fault::Malformed(format!("more than {MAX_ITEMS} items")));
        }
        if let Err(why) = taken {
            return Err(Fault::Malformed(format!(
                "{why}: {:?}",
                excerpt(splitter.envelope())
            )));
        }
    }
    let envelope = splitter.finish().map_err(|why| {
        // With its length right and its JSON not, the body was cut before it was sent.
        if splitter.envelope().first() == Some(&b'{') {
            Fault::Cut(why)
        } else {
            Fault::Malformed(why)
        }
    })?;
    Ok(envelope.metadata.next.filter(|token| !token.is_empty()))
}

/// Percent-encoding of a query value.
pub(crate) fn encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

impl Stopped {
    /// The gap that it leaves.
    pub(crate) fn gap(&self, source: Source, tried: &str) -> Gap {
        match self {
            Self::Fault(fault) => fault.gap(source, tried, tried),
            Self::Expired(said) => {
                let detail = format!("{tried}: the list expired twice while it was read ({said})");
                gap_of(source, Why::Truncated, detail)
            }
            Self::Odd(why) => gap_of(source, Why::Malformed, format!("{tried}: {why}")),
        }
    }

    pub(crate) fn is_denied(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.is_denied())
    }
}

fn gap_of(source: Source, why: Why, detail: String) -> Gap {
    let closes = closes(&why, source);
    Gap {
        closes,
        ..Gap::new(source, why, detail)
    }
}

impl<T> Listed<T> {
    /// As evidence: what was read counts, unless nothing was.
    pub(crate) fn evidence(self, source: Source, tried: &str) -> Evidence<Vec<T>> {
        match self.ended {
            Ok(()) => Evidence::Present(self.items),
            Err(stopped) => {
                let gap = stopped.gap(source, tried);
                if self.items.is_empty() {
                    Evidence::Absent(gap)
                } else {
                    Evidence::Partial {
                        value: self.items,
                        gap,
                    }
                }
            }
        }
    }
}

/// Lists a resource in all namespaces, or in `fallback` where that is refused.
pub(crate) async fn list_anywhere<T: DeserializeOwned>(
    api: &Api,
    resource: &Resource,
    scope: &Scope<'_>,
    fallback: &[String],
    deadline: Instant,
    mut keep: impl FnMut(T) -> Option<T>,
) -> Evidence<Vec<T>> {
    let whole = resource.list(api, scope, deadline, &mut keep).await;
    let refused = match &whole.ended {
        Err(stopped) if stopped.is_denied() && resource.namespaced => stopped.clone(),
        _ => return whole.evidence(resource.source, &resource.tried(scope)),
    };
    let mut items = Vec::new();
    let mut seen: Vec<Text> = Vec::new();
    let mut other: Option<Gap> = None;
    for namespace in fallback {
        let scope = Scope {
            namespace: Some(namespace),
            ..scope.clone()
        };
        let listed = resource.list(api, &scope, deadline, &mut keep).await;
        match listed.ended {
            Ok(()) => seen.push(namespace.as_str().into()),
            Err(stopped) if stopped.is_denied() => {}
            Err(stopped) => {
                other = other.or(Some(stopped.gap(resource.source, &resource.tried(&scope))))
            }
        }
        items.extend(listed.items);
    }
    let gap = match (seen.is_empty(), other) {
        (true, None) => refused.gap(resource.source, &resource.tried(scope)),
        (true, Some(gap)) => gap,
        (false, _) => {
            let detail = refused.gap(resource.source, &resource.tried(scope)).detail;
            gap_of(
                resource.source,
                Why::OnlyNamespaces(seen.clone()),
                detail.to_string(),
            )
        }
    };
    if items.is_empty() && seen.is_empty() {
        Evidence::Absent(gap)
    } else {
        Evidence::Partial { value: items, gap }
    }
}

#[cfg(test)]
mod tests;
