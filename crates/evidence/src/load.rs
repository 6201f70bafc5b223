//! Takes files, and what is packed in them, apart.

use std::io::{self, BufReader, Read};

use eksnet_model::{
    BundleError, Evidence, Gap, LogScan, SignatureSet, Snapshot, Source, Text, UnreadFile, Why,
};

use crate::files::{MAX_FILE_BYTES, MAX_FILES};
use crate::form::{Form, SNIFFED};
use crate::line::{Line, plain};
use crate::lines::{Lines, MAX_LINE_BYTES};
use crate::logs::Logs;
use crate::objects::Objects;
use crate::unpack::Utf16;
use crate::{tarball, unpack, years, zipped};

/// Deepest packing that is opened: a compressed archive of compressed files has three.
const MAX_LAYERS: u8 = 4;

/// What is read so far.
pub(crate) struct Loader<'s> {
    signatures: &'s SignatureSet,
    objects: Objects,
    scans: Vec<LogScan>,
    /// What was not understood.
    pub(crate) unread: Vec<UnreadFile>,
    /// Pieces of which something was understood.
    pub(crate) understood: usize,
    pieces: usize,
    /// A bundle among the files, which is read alone.
    pub(crate) bundle: Option<(String, Result<Snapshot, BundleError>)>,
}

impl<'s> Loader<'s> {
    pub(crate) fn new(signatures: &'s SignatureSet) -> Self {
        Self {
            signatures,
            objects: Objects::default(),
            scans: Vec::new(),
            unread: Vec::new(),
            understood: 0,
            pieces: 0,
            bundle: None,
        }
    }

    pub(crate) fn skip(&mut self, name: &str, why: impl Into<Text>) {
        self.unread.push(UnreadFile {
            path: name.into(),
            why: why.into(),
        });
    }

    /// Reads one file, whatever it is.
    pub(crate) fn file(&mut self, name: &str, from: &mut dyn Read) {
        if let Err(error) = self.piece(name, from, 0) {
            self.skip(name, error.to_string());
        }
    }

    /// Reads one piece: a file, or a member of an archive. An error tells that reading broke off; what
    /// was understood before stays.
    fn piece(&mut self, name: &str, from: &mut dyn Read, layers: u8) -> io::Result<()> {
        if self.bundle.is_some() {
            return Ok(());
        }
        let mut head = Vec::new();
        from.take(SNIFFED as u64).read_to_end(&mut head)?;
        if head.is_empty() {
            self.skip(name, "it is empty");
            return Ok(());
        }
        let form = Form::of(&head);
        let packed = matches!(form, Form::Gzip | Form::Zstd | Form::Tar | Form::Zip);
        if packed && layers == MAX_LAYERS {
            self.skip(name, "packed too many times");
            return Ok(());
        }
        let from = head.as_slice().chain(from);
        match form {
            Form::Gzip => self.piece(name, &mut unpack::gzip(from), layers + 1),
            Form::Zstd => self.piece(name, &mut unpack::zstd(from)?, layers + 1),
            Form::Tar => tarball::members(from, |member, content| {
                let name = format!("{name}/{}", member.name.trim_start_matches("./"));
                match member.kind {
                    tarball::Kind::File => self.member(&name, content, layers + 1),
                    tarball::Kind::Folder => Ok(()),
                    tarball::Kind::Link => {
                        self.skip(&name, "a link, which is not followed");
                        Ok(())
                    }
                    tarball::Kind::Other => {
                        self.skip(&name, "neither a file nor a folder");
                        Ok(())
                    }
                }
            }),
            Form::Zip => zipped::members(BufReader::new(from), |member, content| {
                let name = format!("{name}/{member}");
                match content {
                    Ok(content) => self.member(&name, content, layers + 1),
                    Err(why) => {
                        self.skip(&name, why);
                        Ok(())
                    }
                }
            }),
            Form::Utf16 { big_endian } => self.text(name, Utf16::new(from, big_endian)),
            Form::Other(what) => {
                self.skip(name, what);
                Ok(())
            }
            Form::Text => self.content(name, &head, from),
        }
    }

    fn member(&mut self, name: &str, content: &mut dyn Read, layers: u8) -> io::Result<()> {
        self.pieces += 1;
        if self.pieces > MAX_FILES {
            return Err(io::Error::other(format!("more than {MAX_FILES} files")));
        }
        self.piece(name, content, layers)
    }

    /// Reads what is not packed; `head` is how `from` begins.
    fn content(&mut self, name: &str, head: &[u8], from: impl Read) -> io::Result<()> {
        let is_bundle = Snapshot::looks_like_bundle(head);
        if !is_bundle && !begins_document(head) {
            return self.text(name, from);
        }
        let bytes = whole(from)?;
        if is_bundle {
            self.bundle = Some((name.to_owned(), Snapshot::read_bundle(&bytes)));
            return Ok(());
        }
        match self.objects.read(&bytes, name.as_ref()) {
            Ok(()) => self.understood += 1,
            Err(why) => self.skip(name, why),
        }
        Ok(())
    }

    /// Reads text line by line.
    fn text(&mut self, name: &str, from: impl Read) -> io::Result<()> {
        let mut lines = Lines::new(BufReader::with_capacity(64 * 1024, from));
        let mut logs = Logs::new(self.signatures, name.into(), String::new());
        let ended = loop {
            match lines.next() {
                Ok(Some(raw)) => logs.line(&Line::of(&plain(raw))),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if lines.cut > 0 {
            self.skip(
                name,
                format!(
                    "{} longer than {} MiB: only their beginning was read",
                    count(lines.cut, "line"),
                    MAX_LINE_BYTES >> 20
                ),
            );
        }
        if logs.left_out > 0 {
            let left_out = count(logs.left_out, "line");
            self.skip(name, format!("{left_out} of further pods were not read"));
        }
        let scans = logs.finish();
        if !scans.is_empty() {
            self.understood += 1;
            self.scans.extend(scans);
        } else if ended.is_ok() {
            self.skip(name, "text in which nothing was recognised");
        }
        ended
    }

    /// The snapshot of everything that was read, its origin not filled in.
    pub(crate) fn finish(mut self) -> (Snapshot, Vec<UnreadFile>) {
        let taken_at = years::settle(&mut self.scans, self.objects.newest());
        let mut snapshot = Snapshot {
            taken_at,
            kubernetes: self.objects.finish(),
            ..Snapshot::default()
        };
        if !self.scans.is_empty() {
            let gap = Gap::new(
                Source::Logs,
                Why::Truncated,
                "files show what was saved of a log, not all that was logged",
            );
            snapshot.kubernetes.logs = Evidence::Partial {
                value: self.scans,
                gap: match Source::Logs.saved_by() {
                    Some(command) => gap.closed_by(command),
                    None => gap,
                },
            };
        }
        snapshot.cluster.learn(&snapshot.kubernetes);
        (snapshot, self.unread)
    }
}

fn count(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// All bytes of a document.
fn whole(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = from.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!(
            "a document longer than {} MiB",
            MAX_FILE_BYTES >> 20
        )));
    }
    Ok(bytes)
}

/// Whether text begins as a JSON document does, and not as a log in JSON: its first line is no record
/// with a level or a message.
fn begins_document(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let head = head.trim_ascii_start();
    if !head.starts_with(b"{") && !head.starts_with(b"[") {
        return false;
    }
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or(head);
    let text = String::from_utf8_lossy(line);
    let is_object = text.starts_with('{') && !text.contains("\"apiVersion\"");
    let is_record = is_object
        && [
            "\"level\":",
            "\"msg\":",
            "\"ts\":",
            "\"log\":",
            "\"severity\":",
        ]
        .iter()
        .any(|key| text.contains(key));
    let is_bracketed = crate::line::starts_record(&text) && !text.starts_with('{');
    !is_record && !is_bracketed
}
