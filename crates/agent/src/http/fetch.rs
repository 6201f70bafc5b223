//! One request, one answer, over one connection: what all probes that speak HTTP share.

use std::sync::Arc;

use eksnet_probe::{DnsOutcome, TcpState};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::http::uri::Scheme;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use crate::connect::{Unconnected, connect, word};
use crate::surroundings::Surroundings;
use crate::text::bounded;
use crate::tls::{roots, shake_hands};

/// Longest head and longest body of an answer, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Why no answer came. Its text is the one of [`eksnet_probe::HttpOutcome::error`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Unanswered {
    #[error("dns {}", word(.0))]
    Dns(DnsOutcome),
    #[error("connect {}", word(.0))]
    Connect(TcpState),
    #[error("tls {state}{}", issued_by(.issuer.as_deref()))]
    Tls {
        state: &'static str,
        issuer: Option<String>,
    },
    #[error("timeout")]
    Timeout,
    #[error("no http: {0}")]
    NoHttp(String),
    /// The agent could not ask.
    #[error("{0}")]
    NotAsked(String),
}

fn issued_by(issuer: Option<&str>) -> String {
    issuer.map_or_else(String::new, |issuer| {
        format!(", certificate issued by {issuer}")
    })
}

/// Sends `request` to the host of its URI and returns the answer with its body.
pub(crate) async fn fetch(
    request: Request<Full<Bytes>>,
    deadline: Instant,
    surroundings: &Arc<Surroundings>,
) -> Result<Response<Bytes>, Unanswered> {
    send(request, deadline, surroundings, async |answer| {
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| Unanswered::NoHttp(bounded(&error.to_string())))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    })
    .await
}

/// [`fetch`] without the body.
pub(crate) async fn fetch_head(
    request: Request<Full<Bytes>>,
    deadline: Instant,
    surroundings: &Arc<Surroundings>,
) -> Result<Response<()>, Unanswered> {
    send(request, deadline, surroundings, async |answer| {
        Ok(answer.map(drop))
    })
    .await
}

async fn send<T>(
    request: Request<Full<Bytes>>,
    deadline: Instant,
    surroundings: &Arc<Surroundings>,
    take: impl AsyncFnOnce(Response<Incoming>) -> Result<T, Unanswered>,
) -> Result<T, Unanswered> {
    let encrypted = request.uri().scheme() == Some(&Scheme::HTTPS);
    let Some(host) = request.uri().host().map(str::to_owned) else {
        let why = format!("{} names no host", bounded(&request.uri().to_string()));
        return Err(Unanswered::NotAsked(why));
    };
    let port = match request.uri().port_u16() {
        Some(port) => port,
        None if encrypted => 443,
        None => 80,
    };
    let request = as_origin(request);
    let stream =
        connect(&host, port, deadline, surroundings)
            .await
            .map_err(|failure| match failure {
                Unconnected::Dns(outcome) => Unanswered::Dns(outcome),
                Unconnected::Tcp(state) => Unanswered::Connect(state),
                Unconnected::NotTried(why) => Unanswered::NotAsked(why),
            })?;
    if !encrypted {
        return timeout_at(deadline, talk(stream, request, take))
            .await
            .unwrap_or(Err(Unanswered::Timeout));
    }
    let roots = roots([surroundings.ca_pem.as_deref()]).map_err(Unanswered::NotAsked)?;
    let shown = shake_hands(stream, &host, roots, deadline).await;
    let stream = shown.ended.map_err(|unshaken| Unanswered::Tls {
        state: unshaken.state,
        issuer: shown.issuer,
    })?;
    timeout_at(deadline, talk(stream, request, take))
        .await
        .unwrap_or(Err(Unanswered::Timeout))
}

/// The request as its host wants it: the path in the first line, the host in a header.
fn as_origin(mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let authority = request.uri().authority().map(|authority| {
        let default = if request.uri().scheme() == Some(&Scheme::HTTPS) {
            443
        } else {
            80
        };
        let host = authority.host().trim_end_matches('.');
        match authority.port_u16() {
            Some(port) if port != default => format!("{host}:{port}"),
            _ => host.to_owned(),
        }
    });
    if let Some(path) = request.uri().path_and_query() {
        *request.uri_mut() = Uri::from(path.clone());
    }
    let headers = request.headers_mut();
    if let Some(authority) = authority.and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.entry(HOST).or_insert(authority);
    }
    headers
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static("eksnet-agent"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    request
}

/// Speaks HTTP/1.1 over `stream` for one request, driving the connection until `take` has what it
/// wants.
async fn talk<S, T>(
    stream: S,
    request: Request<Full<Bytes>>,
    take: impl AsyncFnOnce(Response<Incoming>) -> Result<T, Unanswered>,
) -> Result<T, Unanswered>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let no_http = |error: hyper::Error| Unanswered::NoHttp(bounded(&error.to_string()));
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_ANSWER_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(no_http)?;
    let taken = async {
        let answer = sender.send_request(request).await.map_err(no_http)?;
        take(answer).await
    };
    tokio::pin!(connection);
    tokio::select! {
        biased;
        Err(error) = &mut connection => Err(no_http(error)),
        taken = taken => taken,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn get(uri: &str) -> Request<Full<Bytes>> {
        Request::get(uri).body(Full::default()).unwrap()
    }

    #[test]
    fn the_host_header_names_a_port_only_where_it_is_not_the_schemes_own() {
        for (uri, host, path) in [
            (
                "https://sts.amazonaws.com./?Action=A",
                "sts.amazonaws.com",
                "/?Action=A",
            ),
            ("https://10.0.0.1:6443/", "10.0.0.1:6443", "/"),
            (
                "http://169.254.170.23:80/v1/credentials",
                "169.254.170.23",
                "/v1/credentials",
            ),
            (
                "http://[fd00:ec2::23]/v1/credentials",
                "[fd00:ec2::23]",
                "/v1/credentials",
            ),
        ] {
            let request = as_origin(get(uri));
            assert_eq!(request.headers()[HOST], host);
            assert_eq!(request.uri().to_string(), path);
        }
    }

    async fn answered(reply: &[u8]) -> Result<Response<Bytes>, Unanswered> {
        let (client, mut server) = tokio::io::duplex(1024);
        let reply = reply.to_vec();
        let served = async move {
            let mut request = [0; 512];
            let _ = server.read(&mut request).await;
            let _ = server.write_all(&reply).await;
        };
        let whole = talk(client, get("/"), async |answer| {
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| Unanswered::NoHttp(error.to_string()))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        });
        tokio::join!(whole, served).0
    }

    #[tokio::test]
    async fn an_answer_in_chunks_and_one_that_ends_with_the_connection_are_read_whole() {
        let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(answered(chunks).await.unwrap().body(), "abcde");
        let answer = answered(b"HTTP/1.1 401 Unauthorized\r\n\r\nno")
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 401);
        assert_eq!(answer.body(), "no");
    }

    #[tokio::test]
    async fn what_is_no_http_or_does_not_end_is_told() {
        let no_http = async |reply: &[u8]| match answered(reply).await {
            Err(Unanswered::NoHttp(why)) => why,
            other => panic!("{other:?}"),
        };
        no_http(b"SSH-2.0-OpenSSH_9.2\r\n").await;
        no_http(b"").await;
        no_http(&[b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 1_000_000]].concat()).await;
        let long = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'a'; 1_000_000]].concat();
        assert!(no_http(&long).await.contains("length limit"));
    }

    #[test]
    fn failures_read_as_words_of_the_protocol() {
        let dns = Unanswered::Dns(DnsOutcome::ConnRefused);
        assert_eq!(dns.to_string(), "dns conn-refused");
        let tls = Unanswered::Tls {
            state: "unknown-ca",
            issuer: Some("CN=Proxy".to_owned()),
        };
        assert_eq!(
            tls.to_string(),
            "tls unknown-ca, certificate issued by CN=Proxy"
        );
    }
}
