//! Pages of a list, with a deadline, and what was seen when it ended early.

use std::collections::HashSet;
use std::future::Future;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::{Instant, timeout_at};

use eksnet_model::{Evidence, Gap, Why};

use super::failure::Failure;

/// One page.
#[derive(Debug)]
pub(crate) struct Page<T> {
    /// What is on it.
    pub(crate) items: Vec<T>,
    /// Token of the next one; empty counts as none.
    pub(crate) next: Option<String>,
}

/// What was gathered, and what ended it early.
#[derive(Debug)]
pub(crate) struct Gathered<T> {
    pub(crate) items: Vec<T>,
    /// Whether anything was answered at all: an empty answer is one.
    answered: bool,
    /// What went wrong first.
    pub(crate) failure: Option<Failure>,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            answered: false,
            failure: None,
        }
    }
}

impl<T> Gathered<T> {
    /// Adds an answer.
    pub(crate) fn add(&mut self, answer: Result<impl IntoIterator<Item = T>, Failure>) {
        match answer {
            Ok(items) => {
                self.items.extend(items);
                self.answered = true;
            }
            Err(failure) => self.fail(failure),
        }
    }

    /// Notes a failure; the first one is kept.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    /// Adds what another list gathered.
    pub(crate) fn join(&mut self, other: Self) {
        self.items.extend(other.items);
        self.answered |= other.answered;
        if let Some(failure) = other.failure {
            self.fail(failure);
        }
    }

    /// The items, and a list that stands for the objects behind them: it starts with the same
    /// failure, and counts as answered only when there is nothing behind.
    pub(crate) fn split<U>(self) -> (Vec<T>, Gathered<U>) {
        let rest = Gathered {
            items: Vec::new(),
            answered: self.answered && self.items.is_empty(),
            failure: self.failure,
        };
        (self.items, rest)
    }

    /// The same list with its items turned into something else.
    pub(crate) fn map<U>(self, turn: impl FnMut(T) -> U) -> Gathered<U> {
        Gathered {
            items: self.items.into_iter().map(turn).collect(),
            answered: self.answered,
            failure: self.failure,
        }
    }

    /// As evidence: partial when it ended early with something in hand.
    pub(crate) fn into_evidence(self, gap: impl FnOnce(&Failure) -> Gap) -> Evidence<Vec<T>> {
        match self.failure {
            None => Evidence::Present(self.items),
            Some(failure) if self.answered => Evidence::Partial {
                value: self.items,
                gap: gap(&failure),
            },
            Some(failure) => Evidence::Absent(gap(&failure)),
        }
    }
}

/// The answer of one call, or a timeout at `deadline`. The call is boxed: futures of the SDK are tens
/// of kilobytes each, and a dozen of them side by side would not fit a thread's stack.
pub(crate) async fn within<T>(
    deadline: Instant,
    action: &str,
    call: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout_at(deadline, Box::pin(call))
        .await
        .unwrap_or_else(|_| Err(Failure::timeout(action)))
}

/// The answers of `calls` in their order, with at most `most` of them under way.
pub(crate) async fn side_by_side<Fut: Future>(
    most: usize,
    calls: impl Iterator<Item = Fut>,
) -> Vec<Fut::Output> {
    // The calls are made before the stream is, as a closure that lives across an await would keep
    // the whole from being sent to another thread.
    let calls: Vec<Fut> = calls.collect();
    stream::iter(calls).buffered(most).collect().await
}

/// Reads all pages, one after the other. A token that was seen before would go on for ever: it ends
/// the list as cut off.
pub(crate) async fn gather<T, F, Fut>(action: &str, deadline: Instant, mut page: F) -> Gathered<T>
where
    F: FnMut(Option<String>) -> Fut,
    Fut: Future<Output = Result<Page<T>, Failure>>,
{
    let mut gathered = Gathered::default();
    let mut seen = HashSet::new();
    let mut token = None;
    loop {
        match within(deadline, action, page(token)).await {
            Ok(Page { items, next }) => {
                gathered.add(Ok(items));
                let Some(next) = next.filter(|next| !next.is_empty()) else {
                    return gathered;
                };
                if !seen.insert(next.clone()) {
                    gathered.fail(Failure::new(
                        action,
                        Why::Truncated,
                        format!(
                            "the same page token came twice, after {} items on {} pages",
                            gathered.items.len(),
                            seen.len() + 1
                        ),
                    ));
                    return gathered;
                }
                token = Some(next);
            }
            Err(failure) => {
                gathered.fail(failure);
                return gathered;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use eksnet_model::Source;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn numbered(items: Vec<u32>, next: Option<&str>) -> Result<Page<u32>, Failure> {
        Ok(Page {
            items,
            next: next.map(str::to_owned),
        })
    }

    #[tokio::test]
    async fn pages_are_read_until_there_is_no_token() {
        let gathered = gather("x:Y", soon(), async |token: Option<String>| {
            match token.as_deref() {
                None => numbered(vec![1, 2], Some("a")),
                Some("a") => numbered(vec![], Some("b")),
                _ => numbered(vec![3], Some("")),
            }
        })
        .await;
        assert_eq!(
            gathered.into_evidence(|failure| failure.gap(Source::Subnets)),
            Evidence::Present(vec![1, 2, 3])
        );
    }

    #[tokio::test]
    async fn a_token_that_repeats_ends_the_list_as_cut_off() {
        let gathered = gather("x:Y", soon(), async |token: Option<String>| {
            match token.as_deref() {
                Some("a") => numbered(vec![2], Some("b")),
                _ => numbered(vec![1], Some("a")),
            }
        })
        .await;
        let evidence = gathered.into_evidence(|failure| failure.gap(Source::Subnets));
        assert_eq!(evidence.value(), Some(&vec![1, 2, 1]));
        assert_eq!(evidence.gap().unwrap().why, Why::Truncated);
    }

    #[tokio::test]
    async fn pages_before_a_failure_are_kept() {
        let gathered = gather("x:Y", soon(), async |token: Option<String>| match token {
            None => numbered(vec![1], Some("a")),
            Some(_) => Err(Failure::new("x:Y", Why::Throttled, "slow down")),
        })
        .await;
        let evidence = gathered.into_evidence(|failure| failure.gap(Source::Subnets));
        assert_eq!(evidence.value(), Some(&vec![1]));
        assert_eq!(evidence.gap().unwrap().why, Why::Throttled);
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_never_comes_ends_at_the_deadline() {
        let gathered: Gathered<u32> = gather("x:Y", soon(), |_| pending()).await;
        let evidence = gathered.into_evidence(|failure| failure.gap(Source::Subnets));
        assert_eq!(evidence.value(), None);
        assert_eq!(evidence.gap().unwrap().why, Why::Timeout);
    }
}
