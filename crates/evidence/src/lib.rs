//! Reads saved evidence into a snapshot: a bundle made by `collect`, or a folder of the files that
//! come with a support ticket.
//!
//! What a piece is comes from its content; the file name is only a hint. What was not understood is
//! listed, never dropped in silence. Nothing here needs a network or a runtime.
//!
//! Bounds, whatever the files hold: text is read line by line and of a line the first
//! [`MAX_LINE_BYTES`]; JSON is read object by object, whatever its length, a bundle up to
//! [`MAX_FILE_BYTES`], YAML up to 64 MiB. What is packed may unpack to 200 times its length (64 MiB are
//! always allowed, more than [`MAX_UNPACKED_BYTES`] never) and is opened four layers deep. [`MAX_FILES`]
//! files are read in all. Links are not followed, nothing is written.

mod author;
mod aws;
mod blocks;
mod config;
mod describe;
mod documents;
mod event;
mod files;
mod form;
mod fragment;
mod hand;
mod line;
mod load;
mod logs;
mod metrics;
mod objects;
mod prepare;
mod prompt;
mod shown;
mod stamp;
mod table;
mod tarball;
mod text;
mod times;
mod unpack;
mod values;
mod version;
mod words;
mod years;
mod zipped;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use eksnet_model::{
    BundleError, Gap, Origin, OriginKind, SignatureSet, Snapshot, Source, UnreadFile, Why,
};

use crate::load::Loader;

pub use blocks::MAX_LINE_BYTES;
pub use files::{MAX_FILE_BYTES, MAX_FILES};
pub use unpack::MAX_UNPACKED_BYTES;

/// What was read.
#[derive(Debug)]
pub struct Loaded {
    /// The evidence.
    pub snapshot: Snapshot,
    /// What was not understood.
    pub unread: Vec<UnreadFile>,
}

/// Why nothing could be read at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The path cannot be read.
    #[error("cannot read {path}: {why}")]
    Io {
        /// Path.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// A bundle that cannot be used.
    #[error("cannot use {path}: {why}")]
    Bundle {
        /// Path.
        path: PathBuf,
        /// Why.
        why: BundleError,
    },
    /// Nothing in it was understood.
    #[error(
        "{path} holds no evidence that could be understood ({what}): give a bundle made by `kubectl eksnet collect`, logs, or `kubectl get ... -o json` output"
    )]
    Nothing {
        /// Path.
        path: PathBuf,
        /// What was there.
        what: String,
    },
}

/// Reads `path`: a bundle, one file, an archive, or a folder. Lines of logs are looked up in
/// `signatures`.
///
/// # Errors
/// [`LoadError`] when nothing could be read.
pub fn load(path: &Path, signatures: &SignatureSet) -> Result<Loaded, LoadError> {
    let io = |why| LoadError::Io {
        path: path.to_owned(),
        why,
    };
    let found = files::walk(path).map_err(io)?;
    let mut loader = Loader::new(signatures);
    loader.unread = found.skipped;
    for file in &found.files {
        let name = file.to_string_lossy();
        match fs::File::open(found.root.join(file)) {
            Ok(mut content) => loader.file(&name, &mut content),
            // The only file there is: its error says more than "nothing understood".
            Err(why) if found.files.len() == 1 && loader.unread.is_empty() => return Err(io(why)),
            Err(why) => loader.skip(&name, why.to_string()),
        }
    }
    finish(loader, path)
}

/// Reads a stream, such as standard input: a bundle, one file, or an archive. `name` stands for it in
/// the report.
///
/// # Errors
/// [`LoadError`] when nothing could be read.
pub fn load_stream(
    name: &str,
    mut from: impl Read,
    signatures: &SignatureSet,
) -> Result<Loaded, LoadError> {
    let mut loader = Loader::new(signatures);
    loader.file(name, &mut from);
    finish(loader, Path::new(name))
}

fn finish(mut loader: Loader<'_>, path: &Path) -> Result<Loaded, LoadError> {
    let origin = |kind| Origin {
        kind,
        name: path.to_string_lossy().as_ref().into(),
    };
    if let Some((name, bundle)) = loader.bundle.take() {
        let mut snapshot = bundle.map_err(|why| LoadError::Bundle {
            path: if path.is_dir() {
                path.join(name)
            } else {
                path.to_owned()
            },
            why,
        })?;
        snapshot.origin = origin(OriginKind::Bundle);
        return Ok(Loaded {
            snapshot,
            unread: Vec::new(),
        });
    }
    if loader.understood == 0 && loader.readable == 0 {
        let what = match loader.unread.as_slice() {
            [] => "it is empty".to_owned(),
            [one] => format!("{}: {}", one.path, one.why),
            many => format!("{} files, none understood", many.len()),
        };
        return Err(LoadError::Nothing {
            path: path.to_owned(),
            what,
        });
    }
    let (mut snapshot, unread) = loader.finish();
    snapshot.origin = origin(OriginKind::Folder);
    snapshot.fill_gaps(&not_among_the_files);
    Ok(Loaded { snapshot, unread })
}

fn not_among_the_files(source: Source) -> Gap {
    let gap = Gap::new(source, Why::NotRequested, "not among the files");
    match source.saved_by() {
        Some(command) => gap.closed_by(command),
        None => gap,
    }
}
