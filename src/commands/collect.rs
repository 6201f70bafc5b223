//! `kubectl eksnet collect`: evidence into a file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use eksnet_model::Snapshot;

use crate::args::Collect;
use crate::commands::live;
use crate::exit::{Failure, OK};
use crate::progress::Line;
use crate::selection::select;

pub(crate) fn run(options: Collect, verbose: u8) -> Result<u8, Failure> {
    let checks = select(&options.select)?;
    let request = live::request(&checks, &options.kubectl, &options.aws, &options.probes)?;
    let line = Line::new(verbose);
    let live = live::block_on(live::run(&options.kubectl, &request, &line));
    line.clear();
    let snapshot = live?.collected.snapshot;
    write(&snapshot, &options.file).map_err(|error| {
        Failure::no_verdict(format!("cannot write {}: {error}", options.file.display()))
    })?;
    let gaps = snapshot.gaps();
    if !gaps.is_empty() {
        eprintln!(
            "{} sources could not be read whole; `kubectl eksnet doctor --from {}` names them",
            gaps.len(),
            options.file.display()
        );
    }
    Ok(OK)
}

/// A bundle appears whole or not at all: it is written beside its place and then moved.
fn write(snapshot: &Snapshot, path: &Path) -> io::Result<()> {
    if path == Path::new("-") {
        let mut out = BufWriter::new(io::stdout().lock());
        snapshot.write_bundle(&mut out)?;
        return out.flush();
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".part");
    let partial = PathBuf::from(partial);
    let written = (|| {
        let mut file = BufWriter::new(create(&partial)?);
        snapshot.write_bundle(&mut file)?;
        file.flush()?;
        fs::rename(&partial, path)
    })();
    if written.is_err() {
        // The error that matters is the one above.
        let _ = fs::remove_file(&partial);
    }
    written
}

/// Evidence names a customer's hosts and accounts: the file is for its owner alone.
fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}
