//! A plain hyper client, so that what the servers send is seen as sent.
#![allow(dead_code)]

use std::io;
use std::sync::Arc;

use eksnet_testkit::FakeApi;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Sends one request over a connection of its own and returns the answer with its body unread.
pub(crate) async fn open(
    addr: std::net::SocketAddr,
    ca_pem: Option<&str>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Failure> {
    let stream = TcpStream::connect(addr).await?;
    match ca_pem {
        None => exchange(stream, request).await,
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
            let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth();
            let name = ServerName::try_from("127.0.0.1")?;
            let stream = TlsConnector::from(Arc::new(config))
                .connect(name, stream)
                .await?;
            exchange(stream, request).await
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Failure> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender.send_request(request).await?)
}

/// Reads an answer to its end.
pub(crate) async fn whole(response: Response<Incoming>) -> Result<Answer, Failure> {
    let (parts, body) = response.into_parts();
    Ok(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: body.collect().await?.to_bytes(),
    })
}

/// A request to a fake API server with its own token.
pub(crate) struct Ask<'a> {
    api: &'a FakeApi,
    request: hyper::http::request::Builder,
    body: Bytes,
}

pub(crate) fn ask<'a>(api: &'a FakeApi, method: &str, path: &str) -> Ask<'a> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "127.0.0.1");
    if let Some(token) = api.token() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    Ask {
        api,
        request,
        body: Bytes::new(),
    }
}

impl Ask<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into();
        self.header("content-type", "application/json")
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = Bytes::copy_from_slice(body.as_bytes());
        self
    }

    pub(crate) async fn open(self) -> Result<Response<Incoming>, Failure> {
        let request = self.request.body(Full::new(self.body))?;
        open(self.api.addr(), self.api.ca_pem(), request).await
    }

    pub(crate) async fn attempt(self) -> Result<Answer, Failure> {
        whole(self.open().await?).await
    }

    pub(crate) async fn send(self) -> Answer {
        self.attempt().await.expect("an answer")
    }
}

pub(crate) async fn get(api: &FakeApi, path: &str) -> Answer {
    ask(api, "GET", path).send().await
}

/// Next piece of a body; `None` at its end.
pub(crate) async fn piece(
    body: &mut (impl Body<Data = Bytes, Error = hyper::Error> + Unpin),
) -> Option<Bytes> {
    body.frame().await?.ok()?.into_data().ok()
}

pub(crate) fn names(list: &Value) -> Vec<&str> {
    list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item["metadata"]["name"].as_str())
        .collect()
}

/// What io errors lie under a failure.
pub(crate) fn io_kind(failure: &Failure) -> Option<io::ErrorKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(failure.as_ref());
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}
