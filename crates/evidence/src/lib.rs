//! Reads saved evidence into a snapshot: a bundle made by `collect`, or a folder of the files that
//! come with a support ticket.
//!
//! What a piece is comes from its content; the file name is only a hint. What was not understood is
//! listed, never dropped in silence. Nothing here needs a network or a runtime.

mod files;
mod objects;
mod times;

use std::path::{Path, PathBuf};

use eksnet_model::{BundleError, Gap, Origin, OriginKind, Snapshot, Source, Text, UnreadFile, Why};

pub use files::{MAX_FILE_BYTES, MAX_FILES};

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
        "{path} holds no evidence that could be understood ({what}): give a bundle made by `kubectl eksnet collect`, or `kubectl get ... -o json` output"
    )]
    Nothing {
        /// Path.
        path: PathBuf,
        /// What was there.
        what: String,
    },
}

/// Reads `path`: a bundle, one file, or a folder.
///
/// # Errors
/// [`LoadError`] when nothing could be read.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let io = |why| LoadError::Io {
        path: path.to_owned(),
        why,
    };
    let found = files::walk(path).map_err(io)?;
    let mut unread = found.skipped;
    let mut objects = objects::Objects::default();
    let mut understood = 0;
    for file in &found.files {
        let bytes = match files::read(&found.root, file) {
            Ok(bytes) => bytes,
            Err(why) => {
                unread.push(UnreadFile {
                    path: name(file),
                    why: why.to_string().into(),
                });
                continue;
            }
        };
        if Snapshot::looks_like_bundle(&bytes) {
            let bundle = |why| LoadError::Bundle {
                path: found.root.join(file),
                why,
            };
            let mut snapshot = Snapshot::read_bundle(&bytes).map_err(bundle)?;
            snapshot.origin = Origin {
                kind: OriginKind::Bundle,
                name: path.to_string_lossy().as_ref().into(),
            };
            return Ok(Loaded {
                snapshot,
                unread: Vec::new(),
            });
        }
        match objects.read(&bytes, file) {
            Ok(()) => understood += 1,
            Err(why) => unread.push(UnreadFile {
                path: name(file),
                why,
            }),
        }
    }
    if understood == 0 {
        let what = match unread.as_slice() {
            [] => "it is empty".to_owned(),
            [one] => format!("{}: {}", one.path, one.why),
            many => format!("{} files, none understood", many.len()),
        };
        return Err(LoadError::Nothing {
            path: path.to_owned(),
            what,
        });
    }
    let mut snapshot = Snapshot {
        origin: Origin {
            kind: OriginKind::Folder,
            name: path.to_string_lossy().as_ref().into(),
        },
        taken_at: objects.newest(),
        kubernetes: objects.finish(),
        ..Snapshot::default()
    };
    snapshot.cluster.learn(&snapshot.kubernetes);
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

fn name(path: &Path) -> Text {
    path.to_string_lossy().as_ref().into()
}
