//! Which files there are, and their content, within bounds.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use eksnet_model::UnreadFile;

/// Longest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 30;
/// Most files that are read.
pub const MAX_FILES: usize = 100_000;
/// Deepest folder that is entered.
const MAX_DEPTH: usize = 16;

/// The files below a path.
pub(crate) struct Found {
    pub(crate) root: PathBuf,
    /// Relative to `root`, in the order of their names.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) skipped: Vec<UnreadFile>,
}

/// Lists the files below `path`, or `path` itself. Links are not followed: one could lead out of the
/// folder, or into a circle.
pub(crate) fn walk(path: &Path) -> io::Result<Found> {
    if !fs::metadata(path)?.is_dir() {
        let file = path.file_name().map(PathBuf::from).unwrap_or_default();
        let root = path.parent().map(Path::to_owned).unwrap_or_default();
        return Ok(Found {
            root,
            files: vec![file],
            skipped: Vec::new(),
        });
    }
    let mut found = Found {
        root: path.to_owned(),
        files: Vec::new(),
        skipped: Vec::new(),
    };
    enter(path, Path::new(""), 0, &mut found)?;
    Ok(found)
}

fn enter(folder: &Path, relative: &Path, depth: usize, found: &mut Found) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let here = relative.join(entry.file_name());
        let mut skip = |why: &str| {
            let path = here.to_string_lossy().as_ref().into();
            found.skipped.push(UnreadFile {
                path,
                why: why.into(),
            });
        };
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            skip("a link, which is not followed");
        } else if kind.is_dir() {
            if depth == MAX_DEPTH {
                skip("a folder too deep");
            } else if let Err(error) = enter(&entry.path(), &here, depth + 1, found) {
                let path = here.to_string_lossy().as_ref().into();
                found.skipped.push(UnreadFile {
                    path,
                    why: error.to_string().into(),
                });
            }
        } else if !kind.is_file() {
            skip("neither a file nor a folder");
        } else if found.files.len() == MAX_FILES {
            skip("too many files");
            return Ok(());
        } else {
            found.files.push(here);
        }
    }
    Ok(())
}

/// Reads a file of [`Found`].
pub(crate) fn read(root: &Path, file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = fs::File::open(root.join(file))?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!(
            "longer than {MAX_FILE_BYTES} bytes"
        )));
    }
    Ok(bytes)
}
