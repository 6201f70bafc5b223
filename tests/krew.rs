//! krew's published rules for a plugin manifest, and the archive that it names.

use std::collections::BTreeSet;
use std::path::Path;

fn manifest() -> serde_json::Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("krew-manifest.yaml");
    let text = std::fs::read_to_string(path).expect("krew-manifest.yaml");
    serde_saphyr::from_str(&text).expect("YAML")
}

fn text<'a>(value: &'a serde_json::Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} is text"))
}

#[test]
fn the_manifest_keeps_krews_rules() {
    let manifest = manifest();
    assert_eq!(
        text(&manifest, "apiVersion"),
        "krew.googlecontainertools.github.com/v1alpha2"
    );
    assert_eq!(text(&manifest, "kind"), "Plugin");
    assert_eq!(text(&manifest["metadata"], "name"), "eksnet");
    let spec = &manifest["spec"];
    assert_eq!(
        text(spec, "version"),
        concat!("v", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(text(spec, "homepage"), env!("CARGO_PKG_REPOSITORY"));
    let short = text(spec, "shortDescription");
    assert!(
        short.len() <= 50 && !short.contains('\n') && !short.ends_with('.'),
        "{short}"
    );
    let long = text(spec, "description");
    assert!(long.lines().all(|line| line.len() <= 80), "{long}");

    let platforms = spec["platforms"].as_array().expect("platforms");
    assert!(!platforms.is_empty());
    let mut selected = BTreeSet::new();
    for platform in platforms {
        let labels = platform["selector"]["matchLabels"]
            .as_object()
            .expect("a selector");
        assert!(
            labels.keys().all(|key| key == "os" || key == "arch"),
            "{labels:?}"
        );
        let (os, arch) = (
            text(&platform["selector"]["matchLabels"], "os"),
            text(&platform["selector"]["matchLabels"], "arch"),
        );
        assert!(selected.insert((os, arch)), "{os}/{arch} is selected twice");
        assert!(["linux", "darwin", "windows"].contains(&os) && ["amd64", "arm64"].contains(&arch));
        let sum = text(platform, "sha256");
        assert!(
            sum.len() == 64 && sum.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
            "{sum}"
        );
        let uri = text(platform, "uri");
        assert!(
            uri.starts_with("https://") && (uri.ends_with(".tar.gz") || uri.ends_with(".zip")),
            "{uri}"
        );
        assert!(
            uri.contains(concat!("/v", env!("CARGO_PKG_VERSION"), "/")),
            "{uri}"
        );
        let binary = if os == "windows" {
            "kubectl-eksnet.exe"
        } else {
            "kubectl-eksnet"
        };
        assert_eq!(text(platform, "bin"), binary);
    }
}
