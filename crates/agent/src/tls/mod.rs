//! `P.tls`: a handshake, and what the server's certificate says, valid or not.

mod certificate;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use eksnet_probe::{Outcome, TlsOutcome};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::connect::{Unconnected, connect};
use crate::dns::milliseconds;
use crate::surroundings::Surroundings;
use crate::text::bounded;

use verify::Recorder;

/// Connects, shakes hands, and says how that went.
pub(crate) async fn probe(
    host: &str,
    port: u16,
    ca_pem: Option<&str>,
    limit: Duration,
    surroundings: Arc<Surroundings>,
) -> Outcome {
    let start = Instant::now();
    let roots = match roots([ca_pem, surroundings.ca_pem.as_deref()]) {
        Ok(roots) => roots,
        Err(why) => return Outcome::NotRun { why },
    };
    let deadline = start + limit;
    let shown = match connect(host, port, deadline, &surroundings).await {
        Err(Unconnected::NotTried(why)) => return Outcome::NotRun { why },
        Err(failure) => Shown {
            ended: Err(Unshaken {
                state: "not-connected",
                detail: Some(failure.to_string()),
            }),
            issuer: None,
        },
        Ok(stream) => shake_hands(stream, host, roots, deadline).await,
    };
    let elapsed_ms = milliseconds(start.elapsed());
    let (state, detail) = match shown.ended {
        Ok(_) => ("ok", None),
        Err(unshaken) => (unshaken.state, unshaken.detail),
    };
    Outcome::Tls(TlsOutcome {
        state: state.to_owned(),
        issuer: shown.issuer,
        detail,
        elapsed_ms,
    })
}

/// A handshake that has ended, and the issuer of the certificate that it showed.
pub(crate) struct Shown {
    pub(crate) ended: Result<TlsStream<TcpStream>, Unshaken>,
    pub(crate) issuer: Option<String>,
}

/// Why there is no TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unshaken {
    /// `expired`, `not-yet-valid`, `name-mismatch`, `unknown-ca`, `handshake-timeout` or `failed`.
    pub(crate) state: &'static str,
    pub(crate) detail: Option<String>,
}

/// The public roots that come with the agent (an image made from scratch has none) and those of
/// `further`, PEM.
pub(crate) fn roots<'a>(
    further: impl IntoIterator<Item = Option<&'a str>>,
) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    for pem in further.into_iter().flatten() {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            certificate
                .map_err(|error| error.to_string())
                .and_then(|der| roots.add(der).map_err(|error| error.to_string()))
                .map_err(|error| format!("a root of the plan is no certificate: {error}"))?;
        }
    }
    Ok(roots)
}

/// Shakes hands over `stream` as a client of `host`, verified against `roots`.
pub(crate) async fn shake_hands(
    stream: TcpStream,
    host: &str,
    roots: RootCertStore,
    deadline: Instant,
) -> Shown {
    let failed = |detail: String| Shown {
        ended: Err(Unshaken {
            state: "failed",
            detail: Some(bounded(&detail)),
        }),
        issuer: None,
    };
    let bare = host.trim_matches(['[', ']']).trim_end_matches('.');
    let Ok(name) = ServerName::try_from(bare.to_owned()) else {
        return failed(format!("{host:?} is no name that a certificate can have"));
    };
    let (recorder, config) = match configuration(roots) {
        Ok(configured) => configured,
        Err(error) => return failed(error.to_string()),
    };
    let connector = TlsConnector::from(Arc::new(config));
    let ended = timeout_at(deadline, connector.connect(name, stream)).await;
    let (issuer, refused) = recorder.taken();
    let ended = match ended {
        Ok(Ok(stream)) => Ok(stream),
        Err(_) => Err(Unshaken {
            state: "handshake-timeout",
            detail: None,
        }),
        Ok(Err(error)) => {
            let cause = error.get_ref().and_then(|inner| inner.downcast_ref());
            let state = refused.as_ref().or(cause).map_or("failed", verify::state);
            let detail = refused.map_or(error.to_string(), |refused| refused.to_string());
            Err(Unshaken {
                state,
                detail: Some(bounded(&detail)),
            })
        }
    };
    Shown { ended, issuer }
}

fn configuration(roots: RootCertStore) -> Result<(Arc<Recorder>, ClientConfig), rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let recorder = Arc::new(Recorder::new(roots, Arc::clone(&provider))?);
    let verifier: Arc<Recorder> = Arc::clone(&recorder);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok((recorder, config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_roots_are_there_without_a_file() {
        assert!(roots([None]).unwrap().len() > 100);
    }

    #[test]
    fn a_ca_that_is_none_is_told() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(
            roots([Some(broken)])
                .unwrap_err()
                .contains("no certificate")
        );
    }
}
