//! What goes wrong on purpose.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{Match, Request};

/// What happens to a request that a [`FaultRule`] hits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Action {
    /// Refused with this status, in the error shape of the protocol that was spoken.
    Status {
        /// HTTP status, such as 503.
        code: u16,
        /// Value of `Retry-After`, in seconds.
        retry_after: Option<u32>,
    },
    /// An error of the protocol by its name, such as `Throttling` (AWS only; the Kubernetes server
    /// answers a 500 with this reason).
    Error {
        /// HTTP status.
        code: u16,
        /// Name of the error.
        error: String,
        /// Text of the error.
        message: String,
    },
    /// Never answered; the connection stays open.
    Hang,
    /// Answered rightly, but the body comes in pieces with a pause before each.
    Slow {
        /// Bytes in one piece.
        chunk: usize,
        /// Pause before each piece.
        pause: Duration,
    },
    /// Headers promise the whole body, the connection ends after this many bytes of it.
    CutAfter(usize),
    /// Headers promise the whole body, nothing more comes after this many bytes of it, and the
    /// connection stays open.
    StallAfter(usize),
    /// The connection is reset (TCP RST) without an answer.
    Reset,
    /// The right status, but the body ends in the middle of its JSON or XML with its length right.
    Malformed,
    /// The right body under another content type.
    ContentType(String),
    /// Something else answers: this status, content type and body.
    Body {
        /// HTTP status.
        code: u16,
        /// Content type.
        content_type: String,
        /// Body.
        body: String,
    },
    /// Kubernetes lists only: the page says that it is followed by itself, for ever.
    RepeatedPage,
    /// Kubernetes lists only: a request with a `continue` token gets 410 Expired.
    ExpiredContinue,
}

impl Action {
    /// Refused with this status.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::Status {
            code,
            retry_after: None,
        }
    }

    /// Refused with 429 and `Retry-After`, in seconds.
    #[must_use]
    pub fn throttled(retry_after: u32) -> Self {
        Self::Status {
            code: 429,
            retry_after: Some(retry_after),
        }
    }

    /// An error of AWS by its code, such as `Action::error(403, "AccessDenied", "...")`.
    #[must_use]
    pub fn error(code: u16, error: &str, message: &str) -> Self {
        Self::Error {
            code,
            error: error.to_owned(),
            message: message.to_owned(),
        }
    }

    /// A body in pieces of `chunk` bytes, `millis` milliseconds apart.
    #[must_use]
    pub fn slow(chunk: usize, millis: u64) -> Self {
        Self::Slow {
            chunk: chunk.max(1),
            pause: Duration::from_millis(millis),
        }
    }

    /// The sign-in page of a proxy where an API was expected: status 200, HTML.
    #[must_use]
    pub fn proxy_page() -> Self {
        Self::Body {
            code: 200,
            content_type: "text/html; charset=utf-8".to_owned(),
            body: "<!DOCTYPE html><html><body>Sign in to the network</body></html>".to_owned(),
        }
    }
}

/// Which of the matching requests are hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Every,
    Only(usize),
    First(usize),
    From(usize),
}

/// One thing that goes wrong: which requests, which of them, and what happens.
///
/// ```
/// use eksnet_testkit::{Action, FaultRule, Match};
///
/// // The second page of pods is throttled once; every log hangs.
/// let throttled = FaultRule::on(Match::verb("list", "pods")).nth(2).then(Action::throttled(1));
/// let hangs = FaultRule::on(Match::verb("get", "pods/log")).then(Action::Hang);
/// ```
#[derive(Clone, Debug)]
pub struct FaultRule {
    which: Match,
    turn: Turn,
    action: Action,
}

impl FaultRule {
    /// Hits the requests of a set; without [`FaultRule::then`] they hang.
    #[must_use]
    pub fn on(which: Match) -> Self {
        Self {
            which,
            turn: Turn::Every,
            action: Action::Hang,
        }
    }

    /// Only the `n`-th of them, from 1.
    #[must_use]
    pub fn nth(mut self, n: usize) -> Self {
        self.turn = Turn::Only(n);
        self
    }

    /// Only the first `n` of them.
    #[must_use]
    pub fn first(mut self, n: usize) -> Self {
        self.turn = Turn::First(n);
        self
    }

    /// The `n`-th of them, from 1, and all later ones.
    #[must_use]
    pub fn from_nth(mut self, n: usize) -> Self {
        self.turn = Turn::From(n);
        self
    }

    /// What happens.
    #[must_use]
    pub fn then(mut self, action: Action) -> Self {
        self.action = action;
        self
    }
}

/// The rules of one server, with how often each has matched.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Vec<(FaultRule, usize)>>);

impl Faults {
    pub(crate) fn add(&self, rule: FaultRule) {
        self.lock().push((rule, 0));
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// The action of the first rule that hits; every matching rule counts the request.
    pub(crate) fn pick(&self, request: &Request) -> Option<Action> {
        let mut hit = None;
        for (rule, count) in self.lock().iter_mut() {
            if !rule.which.holds(request) {
                continue;
            }
            *count += 1;
            let turn = match rule.turn {
                Turn::Every => true,
                Turn::Only(n) => *count == n,
                Turn::First(n) => *count <= n,
                Turn::From(n) => *count >= n,
            };
            if turn && hit.is_none() {
                hit = Some(rule.action.clone());
            }
        }
        hit
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(FaultRule, usize)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_hits_in_its_turn_only() {
        let faults = Faults::default();
        faults.add(FaultRule::on(Match::any()).nth(2).then(Action::Reset));
        faults.add(FaultRule::on(Match::any()).from_nth(4).then(Action::Hang));
        let picked: Vec<String> = (0..5)
            .map(|_| format!("{:?}", faults.pick(&Request::default())))
            .collect();
        assert_eq!(
            picked,
            ["None", "Some(Reset)", "None", "Some(Hang)", "Some(Hang)"]
        );
    }
}
