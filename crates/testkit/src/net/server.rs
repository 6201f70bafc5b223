//! Connections on loopback.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::net::audit::{Audit, Request};
use crate::net::faults::{Action, Faults};
use crate::net::reply::{Cut, Outgoing, Pace, Payload, Reply};

/// What a server answers.
pub(crate) trait Serve: Send + Sync + 'static {
    /// Fills in verb, resource, namespace and name, for faults and the audit log.
    fn classify(&self, request: &mut Request);

    /// The right answer. Faults of lists come along because only the list knows how to do them.
    fn answer(
        self: Arc<Self>,
        request: Request,
        fault: Option<Action>,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send>>;

    /// A refusal in the shape of the protocol that `request` speaks.
    fn refusal(&self, request: &Request, code: u16, error: Option<(&str, &str)>) -> Reply;
}

/// A running server; it ends when dropped.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What all connections of a server share.
pub(crate) struct Common<S> {
    pub(crate) serve: Arc<S>,
    pub(crate) audit: Arc<Audit>,
    pub(crate) faults: Arc<Faults>,
}

impl Server {
    /// Listens on a loopback port (0 for any free one) from a runtime and a thread of its own, so
    /// that tests may block.
    pub(crate) fn start<S: Serve>(
        port: u16,
        tls: Option<TlsAcceptor>,
        common: Common<S>,
    ) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("eksnet-testkit")
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let common = Arc::new(common);
        let thread = std::thread::Builder::new()
            .name("eksnet-testkit".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    tokio::select! {
                        _ = stopped => {}
                        _ = accept(listener, tls, common) => {}
                    }
                });
                runtime.shutdown_background();
            })?;
        Ok(Self {
            addr,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was already printed; panicking again while a test unwinds aborts.
            let _ = thread.join();
        }
    }
}

async fn accept<S: Serve>(
    listener: std::net::TcpListener,
    tls: Option<TlsAcceptor>,
    common: Arc<Common<S>>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, or the peer left before it was accepted.
            tokio::task::yield_now().await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (tls, common) = (tls.clone(), common.clone());
        tokio::spawn(async move {
            let reset = Arc::new(AtomicBool::new(false));
            let stream = Resettable {
                stream,
                reset: reset.clone(),
            };
            match tls {
                None => connection(stream, reset, common).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, reset, common).await;
                    }
                }
            }
        });
    }
}

async fn connection<S: Serve>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    reset: Arc<AtomicBool>,
    common: Arc<Common<S>>,
) {
    let service = service_fn(move |request| exchange(request, reset.clone(), common.clone()));
    // An error here is a client that left, or a fault that did its work.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn exchange<S: Serve>(
    request: hyper::Request<Incoming>,
    reset: Arc<AtomicBool>,
    common: Arc<Common<S>>,
) -> Result<hyper::Response<Outgoing>, Cut> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let mut request = Request {
        method: parts.method.to_string(),
        path: decode(parts.uri.path(), false),
        raw_path: parts.uri.path().to_owned(),
        params: pairs(&query),
        query,
        body,
        ..Request::default()
    };
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        request
            .headers
            .entry(name.as_str().to_owned())
            .and_modify(|all| {
                all.push(',');
                all.push_str(&value);
            })
            .or_insert(value);
    }
    common.serve.classify(&mut request);
    let request = common.audit.record(request);
    let number = request.number;
    let _waiting = common.audit.waiting();
    let mut pace = Pace::Steady;
    let reply = match common.faults.pick(&request) {
        Some(Action::Hang) => std::future::pending().await,
        Some(Action::Reset) => {
            reset.store(true, Ordering::Relaxed);
            return Err(Cut);
        }
        Some(Action::Status { code, retry_after }) => {
            let reply = common.serve.refusal(&request, code, None);
            match retry_after {
                Some(seconds) => reply.header("retry-after", &seconds.to_string()),
                None => reply,
            }
        }
        Some(Action::Error {
            code,
            error,
            message,
        }) => common
            .serve
            .refusal(&request, code, Some((&error, &message))),
        Some(Action::Body {
            code,
            content_type,
            body,
        }) => Reply::new(code, &content_type, body),
        fault => {
            let mut reply = common.serve.clone().answer(request, fault.clone()).await;
            match fault {
                Some(Action::Slow { chunk, pause }) => pace = Pace::Slow { chunk, pause },
                Some(Action::CutAfter(bytes)) => pace = Pace::CutAfter(bytes),
                Some(Action::StallAfter(bytes)) => pace = Pace::StallAfter(bytes),
                Some(Action::ContentType(name)) => reply.set_content_type(&name),
                Some(Action::Malformed) => spoil(&mut reply),
                _ => {}
            }
            reply
        }
    };
    common.audit.answered(number, reply.status);
    Ok(reply.into_response(pace))
}

/// Half of the body, and then what cannot follow.
fn spoil(reply: &mut Reply) {
    if let Payload::Whole(body) = &mut reply.body {
        let mut spoilt = body[..body.len() / 2].to_vec();
        spoilt.extend_from_slice(b"\x01}]<");
        *body = spoilt.into();
    }
}

/// Undoes percent-encoding; in forms a plus is a space.
pub(crate) fn decode(text: &str, form: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let hex = |byte: Option<&u8>| byte.and_then(|b| (*b as char).to_digit(16));
        match (bytes[at], hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            (b'+', ..) if form => out.push(b' '),
            (byte, ..) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The decoded pairs of a query or a form.
pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key, true), decode(value, true))
        })
        .collect()
}

/// A TCP stream that can end with a reset instead of a proper close.
struct Resettable {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            // Closing with a linger of zero sends RST. Were it refused, a FIN is the next best.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.load(Ordering::Relaxed) {
            // A FIN first would make the close an orderly one.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
