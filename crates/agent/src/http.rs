//! `P.http`: one GET over HTTPS, and the exchange that the other probes over HTTP share.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use eksnet_probe::{HttpOutcome, Outcome};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, DATE, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use crate::connect::{Unconnected, connect};
use crate::dns::milliseconds;
use crate::surroundings::Surroundings;
use crate::text::bounded;
use crate::tls::{roots, shake_hands};

/// Longest head and longest body of an answer, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Asks `https://host:port/path` once, without redirects, and reads no body.
pub(crate) async fn probe(
    host: &str,
    port: u16,
    path: &str,
    limit: Duration,
    surroundings: Arc<Surroundings>,
) -> Outcome {
    let start = Instant::now();
    let request = Request::get(path)
        .header(HOST, authority(host, port))
        .body(Full::default());
    let request = match request {
        Ok(request) => request,
        Err(error) => {
            let why = format!("{:?} is no path: {error}", bounded(path));
            return Outcome::NotRun { why };
        }
    };
    let asked = ask(request, host, port, start + limit, &surroundings).await;
    let elapsed_ms = milliseconds(start.elapsed());
    let mut outcome = HttpOutcome {
        status: None,
        date: None,
        skew_s: None,
        aws_request_id: false,
        error: None,
        elapsed_ms,
    };
    match asked {
        Err(Unanswered::NotAsked(why)) => return Outcome::NotRun { why },
        Err(Unanswered::Because(error)) => outcome.error = Some(error),
        Ok(answer) => {
            let date = answer.headers().get(DATE).and_then(|at| at.to_str().ok());
            outcome.status = Some(answer.status().as_u16());
            outcome.skew_s = date.and_then(|date| skew(date, SystemTime::now()));
            outcome.date = date.map(bounded);
            outcome.aws_request_id = answer.headers().contains_key("x-amzn-requestid");
        }
    }
    Outcome::Http(outcome)
}

enum Unanswered {
    Because(String),
    NotAsked(String),
}

async fn ask(
    request: Request<Full<Bytes>>,
    host: &str,
    port: u16,
    deadline: Instant,
    surroundings: &Arc<Surroundings>,
) -> Result<Response<()>, Unanswered> {
    let stream =
        connect(host, port, deadline, surroundings)
            .await
            .map_err(|failure| match failure {
                Unconnected::NotTried(why) => Unanswered::NotAsked(why),
                told => Unanswered::Because(told.to_string()),
            })?;
    let roots = roots([surroundings.ca_pem.as_deref()]).map_err(Unanswered::NotAsked)?;
    let shown = shake_hands(stream, host, roots, deadline).await;
    let stream = shown.ended.map_err(|unshaken| {
        let issuer = shown
            .issuer
            .map(|issuer| format!(", certificate issued by {issuer}"));
        Unanswered::Because(format!(
            "tls {}{}",
            unshaken.state,
            issuer.unwrap_or_default()
        ))
    })?;
    timeout_at(deadline, head(stream, request))
        .await
        .map_err(|_| Unanswered::Because("timeout".to_owned()))?
        .map_err(|error| Unanswered::Because(no_http(&error)))
}

/// Sends a request and returns the head of the answer.
async fn head<S>(stream: S, request: Request<Full<Bytes>>) -> hyper::Result<Response<()>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    talk(stream, request, async |answer| Ok(answer.map(drop))).await
}

/// Sends a request and returns the answer, of whose body no more than [`MAX_ANSWER_BYTES`].
///
/// # Errors
/// A sentence about an answer that is no HTTP, or too long.
pub(crate) async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let whole = talk(stream, request, async |answer| {
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        Ok(body.map(|body| Response::from_parts(head, body.to_bytes())))
    });
    whole
        .await
        .map_err(|error| no_http(&error))?
        .map_err(|error| bounded(&format!("no http: {error}")))
}

/// Speaks HTTP/1.1 over `stream` for one request, driving the connection until `take` has what it
/// wants.
async fn talk<S, T>(
    stream: S,
    mut request: Request<Full<Bytes>>,
    take: impl AsyncFnOnce(Response<Incoming>) -> hyper::Result<T>,
) -> hyper::Result<T>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let headers = request.headers_mut();
    headers.insert(
        CONNECTION,
        const { hyper::header::HeaderValue::from_static("close") },
    );
    headers
        .entry(USER_AGENT)
        .or_insert(hyper::header::HeaderValue::from_static("eksnet-agent"));
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_ANSWER_BYTES)
        .handshake(TokioIo::new(stream))
        .await?;
    let taken = async { take(sender.send_request(request).await?).await };
    tokio::pin!(connection);
    tokio::select! {
        biased;
        Err(error) = &mut connection => Err(error),
        taken = taken => taken,
    }
}

fn no_http(error: &hyper::Error) -> String {
    bounded(&format!("no http: {error}"))
}

/// The `Host` header of a request to `host`.
fn authority(host: &str, port: u16) -> String {
    let bare = host.trim_end_matches('.');
    match port {
        443 => bare.to_owned(),
        port => format!("{bare}:{port}"),
    }
}

/// Seconds by which `now` is ahead of an HTTP date.
fn skew(date: &str, now: SystemTime) -> Option<i64> {
    let date = httpdate::parse_http_date(date).ok()?;
    let seconds = |ahead: Duration| i64::try_from(ahead.as_secs()).ok();
    match now.duration_since(date) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => seconds(behind.duration()).map(|behind| -behind),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn a_clock_that_is_ahead_has_a_positive_skew() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let at = httpdate::parse_http_date(date).unwrap();
        assert_eq!(skew(date, at + Duration::from_secs(301)), Some(301));
        assert_eq!(skew(date, at - Duration::from_secs(61)), Some(-61));
        assert_eq!(skew("yesterday", at), None);
    }

    #[test]
    fn the_host_header_names_a_port_only_where_it_is_not_443() {
        assert_eq!(authority("sts.amazonaws.com.", 443), "sts.amazonaws.com");
        assert_eq!(authority("10.0.0.1", 6443), "10.0.0.1:6443");
    }

    async fn answered(reply: &[u8]) -> Result<Response<Bytes>, String> {
        let (client, mut server) = tokio::io::duplex(1024);
        let reply = reply.to_vec();
        let served = async move {
            let mut request = [0; 512];
            let _ = server.read(&mut request).await;
            let _ = server.write_all(&reply).await;
        };
        let request = Request::get("/").body(Full::default()).unwrap();
        tokio::join!(exchange(client, request), served).0
    }

    #[tokio::test]
    async fn an_answer_in_chunks_and_one_that_ends_with_the_connection_are_read_whole() {
        let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(answered(chunks).await.unwrap().body(), "abcde");
        let open_end = b"HTTP/1.1 401 Unauthorized\r\n\r\nno";
        let answer = answered(open_end).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.body().as_ref()),
            (401, b"no".as_slice())
        );
    }

    #[tokio::test]
    async fn what_is_no_http_or_does_not_end_is_told() {
        assert!(
            answered(b"SSH-2.0-OpenSSH_9.2\r\n")
                .await
                .unwrap_err()
                .starts_with("no http")
        );
        assert!(answered(b"").await.unwrap_err().starts_with("no http"));
        let endless = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 1_000_000]].concat();
        assert!(answered(&endless).await.is_err());
        let long = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'a'; 1_000_000]].concat();
        assert!(answered(&long).await.unwrap_err().contains("length limit"));
    }
}
