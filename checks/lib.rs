//! The checks of kubectl-eksnet: pure functions from a snapshot to findings.
//!
//! One folder per check, in one folder per family: `dns/coredns_no_ready_endpoints/` holds the check
//! `dns/coredns-no-ready-endpoints` as code, runbook (`README.md`), log signatures and cases. A new
//! one is made by `cargo xtask new-check FAMILY SLUG`, which also refreshes the family's `mod.rs`.
//!
//! Symptoms are observed in `symptoms/`: they are findings too, but outside the registry.

mod autoscaler;
mod cni;
mod control_plane;
mod dns;
mod endpoints;
mod iam;
mod isolation;
mod kube_proxy;
mod lb;
mod net;
mod node;
mod say;
mod symptoms;

use eksnet_model::{Check, Meta, Signature, SignatureError, SignatureSet, Symptom};

/// All checks, by id.
#[must_use]
pub fn all() -> Vec<&'static Check> {
    let families = [
        autoscaler::CHECKS,
        cni::CHECKS,
        control_plane::CHECKS,
        dns::CHECKS,
        endpoints::CHECKS,
        iam::CHECKS,
        isolation::CHECKS,
        kube_proxy::CHECKS,
        lb::CHECKS,
        net::CHECKS,
        node::CHECKS,
    ];
    let mut checks: Vec<&Check> = families.into_iter().flatten().copied().collect();
    checks.sort_by_key(|check| check.meta.id);
    checks
}

/// All observers of symptoms, by id.
#[must_use]
pub fn symptoms() -> Vec<&'static Symptom> {
    symptoms::SYMPTOMS.to_vec()
}

/// The check with that id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Check> {
    all().into_iter().find(|check| check.meta.id == id)
}

/// The log signatures of all checks, compiled into one matcher.
///
/// # Errors
/// [`SignatureError`] when an expression is wrong; the tests of this crate rule that out.
pub fn signatures() -> Result<SignatureSet, SignatureError> {
    let mut signatures = Vec::new();
    for check in all() {
        signatures.extend(signatures_of(check)?);
    }
    SignatureSet::compile(signatures)
}

/// The log signatures of one check, compiled: for what the check looks for outside of logs.
pub(crate) fn signature_set(meta: &'static Meta) -> SignatureSet {
    let check = Check {
        meta,
        run: |_| Ok(Vec::new()),
    };
    signatures_of(&check)
        .and_then(SignatureSet::compile)
        .unwrap_or_default()
}

/// The log signatures of one check.
///
/// # Errors
/// [`SignatureError`] when its `signatures.toml` cannot be read; the tests of this crate rule that
/// out.
pub fn signatures_of(check: &Check) -> Result<Vec<Signature>, SignatureError> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        signature: Vec<Signature>,
    }
    let file: File =
        toml::from_str(check.meta.signatures).map_err(|error| SignatureError::Expression {
            id: check.meta.id.to_owned(),
            why: error.to_string(),
        })?;
    Ok(file
        .signature
        .into_iter()
        .map(|signature| Signature {
            check: check.meta.id.to_owned(),
            ..signature
        })
        .collect())
}
