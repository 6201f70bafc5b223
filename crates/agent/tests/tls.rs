//! TLS and HTTPS against servers with certificates of every kind.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use eksnet_agent::{Surroundings, run};
use eksnet_probe::{HttpOutcome, Outcome, PROTOCOL, Plan, ProbeKind, ProbeSpec, TlsOutcome};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

const HOST: &str = "sts.us-west-2.amazonaws.com";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A private authority, as an intercepting proxy or an API server has one.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "Proxy\u{1b}[31m CA");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Example");
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("a root")
}

/// A server certificate for `name`, valid between these distances from now, in days.
fn server(
    authority: &CertifiedIssuer<'_, KeyPair>,
    name: &str,
    (from, to): (i32, i32),
) -> ServerConfig {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let day = |days: i32| {
        let distance = DAY * days.unsigned_abs();
        let now = SystemTime::now();
        let at = if days < 0 {
            now - distance
        } else {
            now + distance
        };
        at.into()
    };
    (params.not_before, params.not_after) = (day(from), day(to));
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a configuration")
}

/// What a server does with a connection.
#[derive(Clone)]
enum Manner {
    /// Shakes hands, reads a request, and answers with these bytes.
    Tls(ServerConfig, &'static str),
    /// Shakes hands, and never answers.
    TlsThenSilence(ServerConfig),
    /// Keeps the connection, and says nothing.
    Silent,
    /// Speaks another protocol.
    Ssh,
    /// Closes.
    Close,
}

fn start(manner: Manner) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    listener.set_nonblocking(true).expect("it is a socket");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(manner.clone(), stream));
        }
    });
    address
}

async fn answer(manner: Manner, mut stream: tokio::net::TcpStream) -> std::io::Result<()> {
    let (config, reply) = match manner {
        Manner::Close => return Ok(()),
        Manner::Silent => std::future::pending().await,
        Manner::Ssh => {
            stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await?;
            std::future::pending().await
        }
        Manner::Tls(config, reply) => (config, Some(reply)),
        Manner::TlsThenSilence(config) => (config, None),
    };
    let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await?;
    match reply {
        Some(reply) => stream.write_all(reply.as_bytes()).await?,
        None => std::future::pending().await,
    }
    stream.shutdown().await
}

/// A host table that leads every name of these tests to the loopback.
struct Hosts(PathBuf);

impl Hosts {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("eksnet-tls-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, format!("127.0.0.1 {HOST}\n")).expect("a file");
        Self(path)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn outcome(kind: ProbeKind, ca_pem: Option<String>) -> Outcome {
    let hosts = Hosts::new();
    let mut surroundings = Surroundings::with_files("/nonexistent".into(), hosts.0.clone());
    surroundings.ca_pem = ca_pem;
    let plan = Plan {
        protocol: PROTOCOL,
        nonce: "tls".to_owned(),
        deadline_ms: 60_000,
        probes: vec![ProbeSpec { id: 1, kind }],
    };
    let report = run(
        plan,
        Arc::new(surroundings),
        Instant::now(),
        std::io::sink(),
        std::future::pending(),
    );
    report.await.expect("the plan is sound").results[0]
        .outcome
        .clone()
}

async fn tls(server: SocketAddr, ca_pem: Option<String>, timeout_ms: u64) -> TlsOutcome {
    let kind = ProbeKind::Tls {
        host: HOST.to_owned(),
        port: server.port(),
        ca_pem,
        timeout_ms,
    };
    match outcome(kind, None).await {
        Outcome::Tls(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

async fn http(server: SocketAddr, ca_pem: Option<String>, timeout_ms: u64) -> HttpOutcome {
    let kind = ProbeKind::Http {
        host: HOST.to_owned(),
        port: server.port(),
        path: "/".to_owned(),
        timeout_ms,
    };
    match outcome(kind, ca_pem).await {
        Outcome::Http(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_certificate_of_a_given_root_is_ok_and_its_issuer_named() {
    let root = authority();
    let address = start(Manner::Tls(server(&root, HOST, (-1, 90)), ""));
    let outcome = tls(address, Some(root.pem()), 30_000).await;
    assert_eq!(outcome.state, "ok", "{outcome:?}");
    assert_eq!(outcome.detail, None);
    let issuer = outcome.issuer.unwrap();
    assert!(
        issuer.contains("CN=Proxy") && issuer.contains("O=Example"),
        "{issuer}"
    );
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_still_names_its_issuer() {
    let root = authority();
    let address = start(Manner::Tls(server(&root, HOST, (-1, 90)), ""));
    let outcome = tls(address, None, 30_000).await;
    assert_eq!(outcome.state, "unknown-ca", "{outcome:?}");
    assert!(outcome.issuer.unwrap().contains("O=Example"));
    assert!(outcome.detail.is_some());
}

#[tokio::test]
async fn a_certificate_that_is_expired_early_or_for_another_name_is_told_apart() {
    let root = authority();
    for (name, valid, state) in [
        (HOST, (-90, -1), "expired"),
        (HOST, (1, 90), "not-yet-valid"),
        ("ec2.us-west-2.amazonaws.com", (-1, 90), "name-mismatch"),
    ] {
        let address = start(Manner::Tls(server(&root, name, valid), ""));
        let outcome = tls(address, Some(root.pem()), 30_000).await;
        assert_eq!(outcome.state, state, "{outcome:?}");
        assert!(outcome.issuer.is_some());
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_from_one_that_is_silent_and_one_that_is_not_there() {
    let silent = tls(start(Manner::Silent), None, 300).await;
    assert_eq!(silent.state, "handshake-timeout", "{silent:?}");
    let ssh = tls(start(Manner::Ssh), None, 30_000).await;
    assert_eq!(ssh.state, "failed", "{ssh:?}");
    assert!(ssh.detail.is_some());
    let closing = tls(start(Manner::Close), None, 30_000).await;
    assert_eq!(closing.state, "failed", "{closing:?}");
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let absent = tls(gone, None, 30_000).await;
    assert_eq!(absent.state, "not-connected");
    assert_eq!(absent.detail.as_deref(), Some("connect refused"));
    assert_eq!(absent.issuer, None);
}

#[tokio::test]
async fn a_root_that_is_no_certificate_means_that_the_probe_was_not_run() {
    let kind = ProbeKind::Tls {
        host: HOST.to_owned(),
        port: 443,
        ca_pem: Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned()),
        timeout_ms: 1000,
    };
    assert!(matches!(outcome(kind, None).await, Outcome::NotRun { why } if why.contains("root")));
}

#[tokio::test]
async fn an_answer_of_aws_shows_status_request_id_and_clock_skew() {
    let root = authority();
    let reply = "HTTP/1.1 302 Found\r\nLocation: https://aws.amazon.com/iam\r\n\
                 Date: Thu, 01 Jan 2015 00:00:00 GMT\r\nX-Amzn-RequestId: 1-2-3\r\n\
                 Content-Length: 99999999\r\n\r\n";
    let address = start(Manner::Tls(server(&root, HOST, (-1, 90)), reply));
    let outcome = http(address, Some(root.pem()), 30_000).await;
    assert_eq!(outcome.status, Some(302), "{outcome:?}");
    assert!(outcome.aws_request_id);
    assert_eq!(
        outcome.date.as_deref(),
        Some("Thu, 01 Jan 2015 00:00:00 GMT")
    );
    assert!(outcome.skew_s.unwrap() > 300_000_000);
    assert_eq!(outcome.error, None);
}

#[tokio::test]
async fn an_answer_of_something_else_has_no_request_id() {
    let root = authority();
    let reply = "HTTP/1.1 403 Forbidden\r\nServer: proxy\r\n\r\n";
    let address = start(Manner::Tls(server(&root, HOST, (-1, 90)), reply));
    let outcome = http(address, Some(root.pem()), 30_000).await;
    assert_eq!(outcome.status, Some(403));
    assert!(!outcome.aws_request_id);
    assert_eq!((outcome.date, outcome.skew_s), (None, None));
}

#[tokio::test]
async fn no_answer_says_which_step_failed() {
    let root = authority();
    let trusted = || Some(root.pem());
    let config = server(&root, HOST, (-1, 90));

    let untrusted = http(start(Manner::Tls(config.clone(), "")), None, 30_000).await;
    let error = untrusted.error.unwrap();
    assert!(
        error.starts_with("tls unknown-ca, certificate issued by"),
        "{error}"
    );

    let silent = http(
        start(Manner::TlsThenSilence(config.clone())),
        trusted(),
        1000,
    )
    .await;
    assert_eq!(silent.error.as_deref(), Some("timeout"));

    let strange = http(
        start(Manner::Tls(config, "220 mail ready\r\n")),
        trusted(),
        30_000,
    )
    .await;
    assert!(strange.error.unwrap().starts_with("no http"));

    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let absent = http(gone, trusted(), 30_000).await;
    assert_eq!(absent.error.as_deref(), Some("connect refused"));
    assert_eq!(absent.status, None);
}
