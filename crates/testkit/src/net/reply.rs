//! One answer and how its body leaves.

use std::convert::Infallible;
use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Response;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::sync::mpsc;

/// How long a cut connection stays open after its last byte, so that this byte still leaves.
const LINGER: Duration = Duration::from_millis(50);

/// An answer of a fake server.
#[derive(Debug)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Payload,
}

#[derive(Debug)]
pub(crate) enum Payload {
    Whole(Bytes),
    Stream(mpsc::Receiver<Bytes>),
}

impl Reply {
    /// A body of this content type.
    #[must_use]
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: Payload::Whole(body.into()),
        }
    }

    /// A JSON document.
    #[must_use]
    pub fn json(status: u16, value: &Value) -> Self {
        Self::new(status, "application/json", value.to_string())
    }

    /// An XML document with status 200, as the query protocols of AWS answer.
    #[must_use]
    pub fn xml(text: impl Into<Bytes>) -> Self {
        Self::new(200, "text/xml;charset=UTF-8", text)
    }

    /// Plain text.
    #[must_use]
    pub fn text(status: u16, text: impl Into<Bytes>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text)
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn stream(content_type: &str, pieces: mpsc::Receiver<Bytes>) -> Self {
        let mut reply = Self::new(200, content_type, Bytes::new());
        reply.body = Payload::Stream(pieces);
        reply
    }

    pub(crate) fn set_content_type(&mut self, content_type: &str) {
        self.headers
            .retain(|(name, _)| !name.eq_ignore_ascii_case(CONTENT_TYPE.as_str()));
        self.headers
            .push((CONTENT_TYPE.to_string(), content_type.to_owned()));
    }

    /// Compresses a whole body, as a client with `Accept-Encoding: gzip` asked for.
    pub(crate) fn gzip(mut self) -> Self {
        if let Payload::Whole(body) = &self.body {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            // Writing into memory does not fail; were it to, the body stays as it is.
            if out.write_all(body).is_ok()
                && let Ok(packed) = out.finish()
            {
                self.body = Payload::Whole(packed.into());
                self.headers
                    .push((CONTENT_ENCODING.to_string(), "gzip".to_owned()));
            }
        }
        self
    }

    /// The response as hyper sends it; `pace` says how the body leaves.
    pub(crate) fn into_response(self, pace: Pace) -> Response<Outgoing> {
        let length = match &self.body {
            Payload::Whole(bytes) => Some(bytes.len()),
            Payload::Stream(_) => None,
        };
        let mut response = Response::new(Outgoing::new(self.body, pace));
        *response.status_mut() =
            hyper::StatusCode::from_u16(self.status).unwrap_or(hyper::StatusCode::OK);
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (
                HeaderName::try_from(name.as_str()),
                HeaderValue::try_from(value.as_str()),
            ) {
                response.headers_mut().append(name, value);
            }
        }
        if let Some(length) = length {
            response
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        response
    }
}

/// How a body leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Steady,
    Slow { chunk: usize, pause: Duration },
    CutAfter(usize),
    StallAfter(usize),
}

/// The body was cut on purpose: hyper closes the connection on it.
#[derive(Debug)]
pub(crate) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body was cut by a fault rule")
    }
}

impl std::error::Error for Cut {}

/// A body on its way out: a channel that a task of its own fills at the given pace.
pub(crate) struct Outgoing {
    pieces: mpsc::Receiver<Result<Bytes, Cut>>,
}

impl Outgoing {
    fn new(payload: Payload, pace: Pace) -> Self {
        let (out, pieces) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut left = match pace {
                Pace::CutAfter(bytes) | Pace::StallAfter(bytes) => bytes,
                _ => usize::MAX,
            };
            let (whole, mut stream) = match payload {
                Payload::Whole(bytes) => (Some(bytes), None),
                Payload::Stream(stream) => (None, Some(stream)),
            };
            let mut next = whole.filter(|bytes| !bytes.is_empty());
            loop {
                let bytes = match (next.take(), stream.as_mut()) {
                    (Some(bytes), _) => bytes,
                    (None, Some(stream)) => match stream.recv().await {
                        Some(bytes) => bytes,
                        None => break,
                    },
                    (None, None) => break,
                };
                if send(&out, bytes, pace, &mut left).await.is_err() {
                    return;
                }
                if left == 0 {
                    break;
                }
            }
            match pace {
                Pace::CutAfter(_) => {
                    tokio::time::sleep(LINGER).await;
                    let _ = out.send(Err(Cut)).await;
                }
                // The sender is kept for as long as anyone waits for more.
                Pace::StallAfter(_) => out.closed().await,
                Pace::Steady | Pace::Slow { .. } => {}
            }
        });
        Self { pieces }
    }
}

async fn send(
    out: &mpsc::Sender<Result<Bytes, Cut>>,
    mut bytes: Bytes,
    pace: Pace,
    left: &mut usize,
) -> Result<(), mpsc::error::SendError<Result<Bytes, Cut>>> {
    match pace {
        Pace::Steady => out.send(Ok(bytes)).await,
        Pace::CutAfter(_) | Pace::StallAfter(_) => {
            bytes.truncate(*left);
            *left -= bytes.len();
            out.send(Ok(bytes)).await
        }
        Pace::Slow { chunk, pause } => {
            while !bytes.is_empty() {
                let piece = bytes.split_to(chunk.min(bytes.len()));
                tokio::time::sleep(pause).await;
                out.send(Ok(piece)).await?;
            }
            Ok(())
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.pieces
            .poll_recv(cx)
            .map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
