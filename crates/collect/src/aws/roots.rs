//! Whom the client trusts: the platform's roots, and those of `AWS_CA_BUNDLE`, which companies set
//! where a proxy looks into TLS.

use std::fmt::Write as _;

use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::identity::certificates;

/// The trust for calls to AWS. Certificates of `bundle` (PEM) that cannot be read are passed over:
/// the client would panic on them, and the others may be the ones that count.
pub(crate) fn trust(bundle: Option<&str>) -> TlsContext {
    let mut store = TrustStore::default();
    for pem in usable(bundle.unwrap_or("")) {
        store.add_pem_certificate(pem);
    }
    TlsContext::builder()
        .with_trust_store(store)
        .build()
        .unwrap_or_default()
}

/// Each certificate that can be a root, PEM.
fn usable(bundle: &str) -> Vec<String> {
    certificates(bundle)
        .into_iter()
        .filter(|der| {
            RootCertStore::empty()
                .add(CertificateDer::from(der.as_slice()))
                .is_ok()
        })
        .map(|der| pem(&der))
        .collect()
}

fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII, so any cut is one between characters.
        let (line, after) = rest.split_at(rest.len().min(64));
        let _ = writeln!(pem, "{line}");
        rest = after;
    }
    pem + "-----END CERTIFICATE-----\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate that can be a root, made for this test with
    /// `openssl req -x509 -newkey ed25519 -nodes -subj /CN=eksnet -days 36500`.
    const ROOT: &str = include_str!("root.pem");

    #[test]
    fn what_is_no_certificate_is_passed_over_and_the_others_are_kept() {
        let garbage = pem(b"no certificate at all");
        let bundle = format!("# corporate\n{garbage}{ROOT}{garbage}");
        let usable = usable(&bundle);
        assert_eq!(usable.len(), 1);
        assert_eq!(certificates(&usable[0]), certificates(ROOT));
    }

    #[test]
    fn a_bundle_of_garbage_does_not_keep_the_client_from_being_made() {
        trust(Some(
            "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----",
        ));
        trust(None);
    }
}
