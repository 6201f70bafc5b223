//! Which files there are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use eksnet_model::UnreadFile;

/// Longest bundle that is read, in bytes; text is read line by line and JSON object by object, whatever
/// their length.
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
    let mut entries: Vec<fs::DirEntry> = fs::read_dir(folder)?.flatten().collect();
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
        // What is gone by now is told when it is opened.
        let Ok(kind) = entry.file_type() else {
            skip("it cannot be looked at");
            continue;
        };
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
