//! Requests to the API server, each with a deadline.
//!
//! kube's own client has no read timeout, and its retries (15, up to 1,000 s apart) would outlast a
//! run: both are done here.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::fault::{Fault, Refusal, excerpt};

/// Largest single object that is read, in bytes. etcd holds 1.5 MiB per object unless told otherwise.
const MAX_OBJECT: usize = 16 * 1024 * 1024;
/// Most of the body of a refusal that is read, in bytes.
const MAX_REFUSAL: usize = 64 * 1024;
/// Requests at one time, unless said otherwise.
const AT_ONCE: usize = 10;
/// Tries of one request that the server wants to be repeated.
const TRIES: u32 = 4;

/// The API server, for requests in bounded number at one time.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    permits: Arc<Semaphore>,
    request_timeout: Option<Duration>,
}

/// One request, without a deadline.
#[derive(Clone, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: &'a str,
    pub(crate) accept: &'a str,
    /// Whether a server that is overloaded is asked again. What passes through to a kubelet or a pod
    /// is not: there, 503 means that nothing listens.
    pub(crate) is_patient: bool,
    pub(crate) body: Option<&'a Value>,
}

impl<'a> Ask<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            accept: "application/json",
            is_patient: true,
            body: None,
        }
    }
}

/// An answer whose body is still to be read. The permit is held until then.
pub(crate) struct Answer<'a> {
    pub(crate) response: Response<Body>,
    pub(crate) deadline: Instant,
    started: Instant,
    _permit: SemaphorePermit<'a>,
}

impl Api {
    pub(crate) fn new(client: Client, request_timeout: Option<Duration>) -> Self {
        Self {
            client,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            request_timeout: request_timeout.filter(|limit| !limit.is_zero()),
        }
    }

    /// The same API server with a number of requests at one time of its own, for what must not
    /// wait behind others.
    pub(crate) fn with_permits(&self, concurrency: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(concurrency.clamp(1, 1000))),
            ..self.clone()
        }
    }

    /// Sends a request and reads the head of the answer; a success is handed out. A server that
    /// asks for patience gets it, as far as the deadline allows.
    pub(crate) async fn send(&self, ask: &Ask<'_>, deadline: Instant) -> Result<Answer<'_>, Fault> {
        let mut tries = 0;
        loop {
            tries += 1;
            let fault = match self.send_once(ask, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            // What may have been done already must not be done twice: a creation is repeated only if
            // it was turned away before it was looked at.
            let is_harmless =
                ask.method != Method::POST || fault.status() == Some(StatusCode::TOO_MANY_REQUESTS);
            let Some(wait) = fault
                .may_pass()
                .filter(|_| ask.is_patient && is_harmless && tries < TRIES)
            else {
                return Err(fault);
            };
            let until = Instant::now() + wait;
            if until >= deadline {
                return Err(fault);
            }
            tokio::time::sleep_until(until).await;
        }
    }

    async fn send_once(&self, ask: &Ask<'_>, deadline: Instant) -> Result<Answer<'_>, Fault> {
        let started = Instant::now();
        let deadline = match self.request_timeout {
            Some(limit) => deadline.min(started + limit),
            None => deadline,
        };
        let late = || Fault::Timeout(started.elapsed());
        let permit = timeout_at(deadline, self.permits.acquire())
            .await
            .map_err(|_| late())?
            .map_err(|_| Fault::Unreachable("the run has ended".to_owned()))?;
        let response = timeout_at(deadline, self.client.send(request(ask)?))
            .await
            .map_err(|_| late())?
            .map_err(|error| Fault::of_client(&error))?;
        let answer = Answer {
            response,
            deadline,
            started,
            _permit: permit,
        };
        if answer.response.status().is_success() {
            return Ok(answer);
        }
        let status = answer.response.status();
        let retry_after = answer
            .response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let body = answer.bytes(MAX_REFUSAL).await.unwrap_or_default();
        Err(Fault::Refused(Refusal::read(status, retry_after, &body)))
    }

    /// Gets one object.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        deadline: Instant,
    ) -> Result<T, Fault> {
        let bytes = self
            .send(&Ask::get(path), deadline)
            .await?
            .bytes(MAX_OBJECT)
            .await?;
        serde_json::from_slice(&bytes).map_err(|error| not_understood(&error, &bytes))
    }

    /// Creates an object.
    pub(crate) async fn create(
        &self,
        path: &str,
        object: &Value,
        deadline: Instant,
    ) -> Result<Value, Fault> {
        let ask = Ask {
            method: Method::POST,
            body: Some(object),
            ..Ask::get(path)
        };
        let bytes = self.send(&ask, deadline).await?.bytes(MAX_OBJECT).await?;
        serde_json::from_slice(&bytes).map_err(|error| not_understood(&error, &bytes))
    }

    /// Deletes an object at once, grace period 0. `Ok(false)` when there is none.
    pub(crate) async fn delete(&self, path: &str, deadline: Instant) -> Result<bool, Fault> {
        let options = serde_json::json!({
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "gracePeriodSeconds": 0,
            "propagationPolicy": "Background",
        });
        let ask = Ask {
            method: Method::DELETE,
            body: Some(&options),
            ..Ask::get(path)
        };
        match self.send(&ask, deadline).await {
            Ok(_) => Ok(true),
            Err(fault) if fault.is_not_found() => Ok(false),
            Err(fault) => Err(fault),
        }
    }
}

fn request(ask: &Ask<'_>) -> Result<Request<Body>, Fault> {
    let body = match ask.body {
        Some(body) => Body::from(body.to_string().into_bytes()),
        None => Body::empty(),
    };
    Request::builder()
        .method(ask.method.clone())
        .uri(ask.path)
        .header(ACCEPT, ask.accept)
        .header(CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(|error| Fault::Malformed(format!("{:?} is no path: {error}", ask.path)))
}

/// Where a body stopped making sense, and how it begins.
pub(crate) fn not_understood(error: &serde_json::Error, body: &[u8]) -> Fault {
    Fault::Malformed(format!("{error} in {:?}", excerpt(body)))
}

impl Answer<'_> {
    /// The next piece of the body; `None` at its end.
    pub(crate) async fn piece(&mut self) -> Result<Option<bytes::Bytes>, Fault> {
        loop {
            let frame = timeout_at(self.deadline, self.response.body_mut().frame())
                .await
                .map_err(|_| Fault::Timeout(self.started.elapsed()))?;
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                // A body that breaks has begun: whatever the cause, it was cut.
                Some(Err(error)) => {
                    return Err(match Fault::of_client(&error) {
                        Fault::Unreachable(why) => Fault::Cut(why),
                        other => other,
                    });
                }
            }
        }
    }

    /// The whole body, up to `most` bytes.
    pub(crate) async fn bytes(mut self, most: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            if bytes.len() + piece.len() > most {
                return Err(Fault::Malformed(format!(
                    "the answer is longer than {most} bytes"
                )));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}
