//! Writes the agent's image without a container engine: an archive that is an OCI layout and, by its
//! `manifest.json`, a docker archive as well.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::agent;
use crate::build::{cargo, output, root};

/// The user that the agent runs as: a number, so that `runAsNonRoot` can be verified.
const USER: &str = "65532:65532";
const ENTRYPOINT: &str = "/eksnet-agent";

pub(crate) fn run(to: &Path, binary: Option<PathBuf>) -> anyhow::Result<()> {
    let binary = match binary {
        Some(binary) => binary,
        None => agent::build()?,
    };
    let program = fs::read(&binary).with_context(|| format!("cannot read {}", binary.display()))?;
    ensure!(
        is_static(&program),
        "{} is not statically linked: it cannot run in an image made from scratch",
        binary.display()
    );
    let to = root().join(to);
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    write(&to, &name()?, &program)?;
    println!("{}", to.display());
    Ok(())
}

/// The default image, as the plugin names it: it is named in one place.
fn name() -> anyhow::Result<String> {
    let text = output(cargo().args([
        "run",
        "--quiet",
        "--bin",
        "kubectl-eksnet",
        "--",
        "generate",
        "agent-image",
    ]))?;
    Ok(text.trim().to_owned())
}

/// Whether an ELF file asks for no interpreter: program headers hold no PT_INTERP (type 3).
fn is_static(elf: &[u8]) -> bool {
    let at = |offset: usize, length: usize| -> Option<u64> {
        let bytes = elf.get(offset..offset + length)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    };
    let headers = (|| {
        ensure_elf64(elf)?;
        let (offset, size, count) = (at(32, 8)?, at(54, 2)?, at(56, 2)?);
        (0..count)
            .map(|index| at(usize::try_from(offset + index * size).ok()?, 4))
            .collect::<Option<Vec<u64>>>()
    })();
    headers.is_some_and(|types| !types.contains(&3))
}

/// Little-endian ELF of 64 bits.
fn ensure_elf64(elf: &[u8]) -> Option<()> {
    (elf.get(..6)? == b"\x7fELF\x02\x01").then_some(())
}

fn write(to: &Path, image: &str, program: &[u8]) -> anyhow::Result<()> {
    let layer = layer(program)?;
    let layer_digest = digest(&layer);
    let config = serde_json::to_vec(&json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"User": USER, "Entrypoint": [ENTRYPOINT], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
        "history": [{"created_by": "cargo xtask agent-image"}],
    }))?;
    let config_digest = digest(&config);
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": format!("sha256:{config_digest}"), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": format!("sha256:{layer_digest}"), "size": layer.len()}],
    }))?;
    let manifest_digest = digest(&manifest);
    let tag = image.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    let index = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": format!("sha256:{manifest_digest}"),
            "size": manifest.len(),
            "platform": {"architecture": "amd64", "os": "linux"},
            "annotations": {"io.containerd.image.name": image, "org.opencontainers.image.ref.name": tag},
        }],
    }))?;
    let docker = serde_json::to_vec(&json!([{
        "Config": format!("blobs/sha256/{config_digest}"),
        "RepoTags": [image],
        "Layers": [format!("blobs/sha256/{layer_digest}")],
    }]))?;

    let mut archive = tar::Builder::new(File::create(to)?);
    add(
        &mut archive,
        "oci-layout",
        br#"{"imageLayoutVersion":"1.0.0"}"#,
        0o644,
    )?;
    add(&mut archive, "index.json", &index, 0o644)?;
    add(&mut archive, "manifest.json", &docker, 0o644)?;
    for (digest, blob) in [
        (config_digest, &config),
        (manifest_digest, &manifest),
        (layer_digest, &layer),
    ] {
        add(&mut archive, &format!("blobs/sha256/{digest}"), blob, 0o644)?;
    }
    archive.into_inner()?;
    Ok(())
}

/// The one layer: the program alone. The same program gives the same bytes.
fn layer(program: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut layer = tar::Builder::new(Vec::new());
    add(
        &mut layer,
        ENTRYPOINT.trim_start_matches('/'),
        program,
        0o755,
    )?;
    Ok(layer.into_inner()?)
}

fn add<W: std::io::Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    content: &[u8],
    mode: u32,
) -> anyhow::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    archive.append_data(&mut header, path, content)?;
    Ok(())
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
