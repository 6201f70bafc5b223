//! Builds the release archive of this platform, and renders krew-manifest.yaml from it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::build::{self, cargo, package, root, target};
use crate::image::digest;

/// krew's names of the platform that this was built on. Only what was built here is named in the
/// manifest: no invented checksum.
fn platform() -> anyhow::Result<(&'static str, &'static str)> {
    let os = match std::env::consts::OS {
        "linux" => "linux",
        "macos" => "darwin",
        other => anyhow::bail!("no release for {other}"),
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => anyhow::bail!("no release for {other}"),
    };
    Ok((os, arch))
}

pub(crate) fn run(to: &Path) -> anyhow::Result<()> {
    let (os, arch) = platform()?;
    build::run(cargo().args(["build", "--release", "--bin", "kubectl-eksnet", "--locked"]))?;
    let binary = target().join("release/kubectl-eksnet");
    let to = root().join(to);
    fs::create_dir_all(&to)?;
    let version = package("version")?;
    let name = format!("kubectl-eksnet-v{version}-{os}-{arch}.tar.gz");
    let archive = to.join(&name);
    pack(&archive, &binary)?;
    let sum = digest(&fs::read(&archive)?);
    fs::write(
        to.join(format!("{name}.sha256")),
        format!("{sum}  {name}\n"),
    )?;
    let manifest = manifest(&version, &package("repository")?, os, arch, &name, &sum)?;
    fs::write(root().join("krew-manifest.yaml"), manifest)?;
    println!("{}\n{sum}", archive.display());
    Ok(())
}

/// The program and its licence, nothing else; the same input gives the same bytes.
fn pack(archive: &Path, binary: &Path) -> anyhow::Result<()> {
    let gzip = GzEncoder::new(File::create(archive)?, Compression::best());
    let mut tar = tar::Builder::new(gzip);
    for (name, path, mode) in [
        ("kubectl-eksnet", binary, 0o755),
        ("LICENSE", &root().join("LICENSE"), 0o644),
    ] {
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_mtime(0);
        tar.append_data(&mut header, name, content.as_slice())?;
    }
    tar.into_inner()?.finish()?.flush()?;
    Ok(())
}

fn manifest(
    version: &str,
    repository: &str,
    os: &str,
    arch: &str,
    archive: &str,
    sum: &str,
) -> anyhow::Result<String> {
    let short = "Find and prove why EKS networking is broken";
    ensure!(
        short.len() <= 50,
        "krew wants a short description of at most 50 characters"
    );
    Ok(format!(
        "# Rendered by `cargo xtask release`; do not edit. It names only platforms that were built, with the
# checksum of the archive that was built.
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: eksnet
spec:
  version: v{version}
  homepage: {repository}
  shortDescription: {short}
  description: |
    Collects evidence from the Kubernetes API, from AWS and from short-lived
    probe pods, finds the root cause of a networking fault on an Amazon EKS
    cluster, shows the proof, and prints the command that mends it. Works on
    saved evidence as well, without a cluster.
  caveats: |
    AWS credentials are needed for the checks that read AWS; without them the
    others run. Probe pods are created in the namespace default and deleted
    at the end; --no-probe creates none.
  platforms:
  - selector:
      matchLabels:
        os: {os}
        arch: {arch}
    uri: {repository}/releases/download/v{version}/{archive}
    sha256: {sum}
    bin: kubectl-eksnet
"
    ))
}
