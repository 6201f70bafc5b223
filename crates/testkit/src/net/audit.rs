//! What was asked, in the order of arrival.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use serde_json::Value;
use tokio::sync::Notify;

use crate::Match;

/// How long waits last before they give up and say what came instead. Long, because it only
/// matters to tests that fail.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Position in the order of arrival, from 0.
    pub number: usize,
    /// When it arrived, since the server started. Sound for lower bounds only: that a client
    /// waited at least as long as it was told to.
    pub arrived: Duration,
    /// HTTP method.
    pub method: String,
    /// Path, percent-encoding undone, without the query.
    pub path: String,
    /// Path as sent.
    pub raw_path: String,
    /// Query as sent, without the question mark.
    pub query: String,
    /// Decoded query parameters and, for AWS, form fields, in the order sent.
    pub params: Vec<(String, String)>,
    /// Headers by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: Bytes,
    /// Verb of RBAC, or action of AWS; empty when the path names no resource.
    pub verb: String,
    /// Plural of the resource with its subresource (`pods/log`), or service of AWS.
    pub resource: String,
    /// API group of the resource; empty for the core group.
    pub group: String,
    /// Namespace in the path.
    pub namespace: Option<String>,
    /// Name of the object in the path.
    pub name: Option<String>,
    /// Status that was answered; `None` while none was: the request hangs, was cut, or its sender
    /// went away.
    pub status: Option<u16>,
}

impl Request {
    /// Value of a query or form parameter; the first where several were sent.
    #[must_use]
    pub fn param(&self, key: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Value of a header, by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// The audit log of one fake server.
///
/// Waits are woken by the arrival itself: a test never has to sleep.
pub struct Audit {
    started: Instant,
    requests: Mutex<Vec<Request>>,
    numbers: AtomicUsize,
    in_flight: Mutex<InFlight>,
    arrived: Condvar,
    notify: Notify,
}

#[derive(Clone, Copy, Default)]
struct InFlight {
    now: usize,
    most: usize,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            requests: Mutex::default(),
            numbers: AtomicUsize::new(0),
            in_flight: Mutex::default(),
            arrived: Condvar::new(),
            notify: Notify::new(),
        }
    }
}

impl Audit {
    /// Everything that arrived so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.lock().clone()
    }

    /// The requests of a set, in the order of arrival.
    #[must_use]
    pub fn of(&self, which: &Match) -> Vec<Request> {
        let requests = self.lock();
        requests
            .iter()
            .filter(|r| which.holds(r))
            .cloned()
            .collect()
    }

    /// Number of requests of a set.
    #[must_use]
    pub fn count(&self, which: &Match) -> usize {
        self.lock().iter().filter(|r| which.holds(r)).count()
    }

    /// Number of requests by verb and resource; requests without a resource are not in it.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<(String, String), usize> {
        let mut counts = BTreeMap::new();
        for request in self.lock().iter().filter(|r| !r.verb.is_empty()) {
            *counts
                .entry((request.verb.clone(), request.resource.clone()))
                .or_default() += 1;
        }
        counts
    }

    /// Most requests that were waiting for their answer at the same time. (A body that is still on
    /// its way out counts as answered.)
    #[must_use]
    pub fn most_in_flight(&self) -> usize {
        self.flight().most
    }

    /// Forgets what arrived so far.
    pub fn clear(&self) {
        self.lock().clear();
        let mut flight = self.flight();
        flight.most = flight.now;
    }

    /// Blocks until the `n`-th request (from 1) of the set has arrived and returns it.
    ///
    /// # Panics
    /// After a minute, naming what arrived instead.
    #[must_use]
    pub fn wait_for(&self, n: usize, which: &Match) -> Request {
        self.wait_while(n, which, |_| true)
    }

    /// Blocks until the `n`-th request (from 1) of the set was answered and returns it.
    ///
    /// # Panics
    /// After a minute, naming what arrived instead.
    #[must_use]
    pub fn wait_answered(&self, n: usize, which: &Match) -> Request {
        self.wait_while(n, which, |request| request.status.is_some())
    }

    fn wait_while(&self, n: usize, which: &Match, is: impl Fn(&Request) -> bool) -> Request {
        let until = Instant::now() + PATIENCE;
        let mut requests = self.lock();
        loop {
            if let Some(found) = nth(&requests, n, which).filter(|found| is(found)) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{}", never_came(&requests, n, which));
            requests = self
                .arrived
                .wait_timeout(requests, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// As [`Audit::wait_for`], for async tests.
    ///
    /// # Panics
    /// After a minute, naming what arrived instead.
    pub async fn arrival(&self, n: usize, which: &Match) -> Request {
        let seen = async {
            loop {
                let woken = self.notify.notified();
                if let Some(found) = nth(&self.lock(), n, which) {
                    return found;
                }
                woken.await;
            }
        };
        match tokio::time::timeout(PATIENCE, seen).await {
            Ok(found) => found,
            Err(_) => panic!("{}", never_came(&self.lock(), n, which)),
        }
    }

    pub(crate) fn record(&self, mut request: Request) -> Request {
        request.arrived = self.started.elapsed();
        let mut requests = self.lock();
        request.number = self.numbers.fetch_add(1, Ordering::SeqCst);
        requests.push(request.clone());
        drop(requests);
        self.wake();
        request
    }

    pub(crate) fn answered(&self, number: usize, status: u16) {
        // It may have been forgotten in the meantime.
        if let Some(request) = self.lock().iter_mut().rfind(|r| r.number == number) {
            request.status = Some(status);
        }
        self.wake();
    }

    /// Counts a request as waiting until the guard is dropped: answered, or its sender left.
    pub(crate) fn waiting(&self) -> Waiting<'_> {
        let mut flight = self.flight();
        flight.now += 1;
        flight.most = flight.most.max(flight.now);
        Waiting(self)
    }

    fn flight(&self) -> std::sync::MutexGuard<'_, InFlight> {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.arrived.notify_all();
        self.notify.notify_waiters();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request that waits for its answer.
pub(crate) struct Waiting<'a>(&'a Audit);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.flight().now -= 1;
    }
}

fn nth(requests: &[Request], n: usize, which: &Match) -> Option<Request> {
    requests
        .iter()
        .filter(|r| which.holds(r))
        .nth(n.saturating_sub(1))
        .cloned()
}

fn never_came(requests: &[Request], n: usize, which: &Match) -> String {
    let seen: Vec<String> = requests
        .iter()
        .map(|r| format!("  {} {}?{} -> {:?}", r.method, r.path, r.query, r.status))
        .collect();
    format!(
        "request {n} of [{which:?}] did not come within {} s; {} requests came:\n{}",
        PATIENCE.as_secs(),
        seen.len(),
        seen.join("\n")
    )
}
