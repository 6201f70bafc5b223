//! Folders of evidence, and signatures to read them with.

use std::path::Path;

use eksnet_evidence::{LoadError, Loaded, load};
use eksnet_model::{Severity, Signature, SignatureSet};

/// Files below a new folder.
pub(crate) fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, content).expect("a file");
    }
    folder
}

/// A few signatures in the formats of real programs.
pub(crate) fn signatures() -> SignatureSet {
    let signature = |id: &str, component: &str, regex: &str| Signature {
        id: id.to_owned(),
        check: "family/check".to_owned(),
        component: component.to_owned(),
        regex: regex.to_owned(),
        meaning: "m".to_owned(),
        severity: Severity::Error,
        sample: "x".to_owned(),
    };
    SignatureSet::compile(vec![
        signature(
            "asg",
            "cluster-autoscaler",
            r"Failed to regenerate ASG cache: .*https://(?P<host>[a-z0-9.-]+)/: dial tcp: i/o timeout",
        ),
        signature("upstream", "coredns", r"plugin/errors: 2 \S+ A: .*: i/o timeout"),
        signature("credentials", "aws-sdk", "WebIdentityErr: failed to retrieve credentials"),
    ])
    .expect("expressions")
}

/// Reads files, as a folder.
pub(crate) fn read(files: &[(&str, &[u8])]) -> Loaded {
    let folder = folder(files);
    try_read(folder.path()).expect("something that is understood")
}

/// Reads a path.
pub(crate) fn try_read(path: &Path) -> Result<Loaded, LoadError> {
    load(path, &signatures())
}
