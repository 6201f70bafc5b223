//! Who issued a certificate.

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::text::bounded;

/// The issuer's distinguished name as RFC 4514 writes it, such as
/// `CN=Amazon RSA 2048 M02,O=Amazon,C=US`; `None` when the certificate cannot be read.
pub(super) fn issuer(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    Some(bounded(&certificate.tbs_certificate().issuer().to_string()))
}
