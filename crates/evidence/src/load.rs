//! Takes files, and what is packed in them, apart.

use std::io::{self, BufReader, Read};

use eksnet_model::kubernetes::Pod;
use eksnet_model::{
    BundleError, Component, Evidence, Gap, LogScan, Observations, ProbePod, ProbeRun, SignatureSet,
    Snapshot, Source, Text, UnreadFile, Why,
};

use crate::blocks::{Blocks, MAX_LINE_BYTES};
use crate::documents::{Documents, Outcome};
use crate::files::{MAX_FILE_BYTES, MAX_FILES};
use crate::form::{Form, SNIFFED};
use crate::shown::Shown;
use crate::text::TextReader;
use crate::unpack::Utf16;
use crate::{hand, prepare, tarball, unpack, years, zipped};

/// Longest document that is held in memory, in bytes; longer ones are read as a stream.
const MAX_HELD: u64 = 16 << 20;
/// Deepest packing that is opened: a compressed archive of compressed files has three.
const MAX_LAYERS: u8 = 4;

/// What is read so far.
pub(crate) struct Loader<'s> {
    signatures: &'s SignatureSet,
    documents: Documents,
    shown: Shown,
    scans: Vec<LogScan>,
    pods: Vec<ProbePod>,
    observations: Observations,
    /// What was not understood.
    pub(crate) unread: Vec<UnreadFile>,
    /// Pieces of which something was understood.
    pub(crate) understood: usize,
    /// Texts that can be read and in which nothing was recognised.
    pub(crate) readable: usize,
    pieces: usize,
    /// A bundle among the files, which is read alone.
    pub(crate) bundle: Option<(String, Result<Snapshot, BundleError>)>,
}

impl<'s> Loader<'s> {
    pub(crate) fn new(signatures: &'s SignatureSet) -> Self {
        Self {
            signatures,
            documents: Documents::default(),
            shown: Shown::default(),
            scans: Vec::new(),
            pods: Vec::new(),
            observations: Observations::default(),
            unread: Vec::new(),
            understood: 0,
            readable: 0,
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
    fn content(&mut self, name: &str, head: &[u8], mut from: impl Read) -> io::Result<()> {
        if Snapshot::looks_like_bundle(head) {
            let bytes = whole(from)?;
            self.bundle = Some((name.to_owned(), Snapshot::read_bundle(&bytes)));
            return Ok(());
        }
        if !begins_document(head) {
            return self.text(name, from);
        }
        // A document of moderate length is held, so that what turns out to be no document, or a document
        // with text around it, can be read once more as text.
        let mut held = Vec::new();
        (&mut from).take(MAX_HELD).read_to_end(&mut held)?;
        if (held.len() as u64) < MAX_HELD {
            let bytes = held.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&held);
            let outcome = self.documents.json(bytes, name);
            if outcome.broke.is_some() {
                return self.text(name, held.as_slice());
            }
            self.told(name, &outcome);
        } else {
            let outcome = self
                .documents
                .json(BufReader::new(held.as_slice().chain(from)), name);
            self.told(name, &outcome);
        }
        Ok(())
    }

    /// Counts a document, or lists it with the reason why it says nothing.
    fn told(&mut self, name: &str, outcome: &Outcome) {
        self.understood += usize::from(outcome.understood);
        if let Some(why) = &outcome.broke {
            let what = if outcome.understood {
                "read up to where it breaks"
            } else {
                "no JSON"
            };
            self.skip(name, format!("{what}: {why}"));
        } else if !outcome.understood {
            self.skip(name, unused(&outcome.unused));
        }
    }

    /// Reads text line by line.
    fn text(&mut self, name: &str, from: impl Read) -> io::Result<()> {
        let mut blocks = Blocks::new(from);
        let mut reader =
            TextReader::new(name, self.signatures, &mut self.documents, &mut self.shown);
        let ended = prepare::in_order(&mut blocks, self.signatures, |block| reader.block(block));
        let found = reader.finish();
        // Why reading broke off says more.
        if blocks.cut > 0 && ended.is_ok() {
            self.skip(
                name,
                format!(
                    "{} longer than {} MiB: only their beginning was read",
                    count(blocks.cut, "line"),
                    MAX_LINE_BYTES >> 20
                ),
            );
        }
        if found.left_out > 0 {
            let left_out = count(found.left_out, "line");
            self.skip(name, format!("{left_out} of further pods were not read"));
        }
        if let Some(why) = found.broke {
            self.skip(name, format!("read up to where it breaks: {why}"));
        } else if !found.understood && ended.is_ok() {
            let why = match (found.unused.is_empty(), found.no_document) {
                (true, Some(why)) => format!("a document that cannot be read: {why}"),
                (true, None) => "text in which nothing was recognised".to_owned(),
                (false, _) => unused(&found.unused),
            };
            self.readable += usize::from(found.is_prose && !claims_document(name));
            self.skip(name, why);
        }
        self.understood += usize::from(found.understood);
        self.scans.extend(found.scans);
        self.pods.extend(found.pod);
        hand::add(&mut self.observations, found.observations);
        ended
    }

    /// The snapshot of everything that was read, its origin not filled in.
    pub(crate) fn finish(mut self) -> (Snapshot, Vec<UnreadFile>) {
        let mut snapshot = Snapshot {
            taken_at: years::settle(&mut self.scans, self.documents.newest),
            ..Snapshot::default()
        };
        let mut objects = self.documents.objects;
        let version = self.shown.server_version.take();
        self.shown.settle(snapshot.taken_at, &mut objects);
        snapshot.kubernetes = objects.finish();
        snapshot.aws = self.documents.aws.finish(&mut snapshot.cluster);
        // What the server says of itself comes before what its nodes run.
        let told = &mut snapshot.cluster.version;
        *told = told.take().or(version.map(Text::from));
        name_namespaces(&mut self.scans, snapshot.kubernetes.pods.value());
        if !self.scans.is_empty() {
            snapshot.kubernetes.logs = partial(
                self.scans,
                Source::Logs,
                "files show what was saved of a log, not all that was logged",
            );
        }
        if !self.documents.metrics.is_empty() {
            snapshot.kubernetes.cni_metrics = partial(
                self.documents.metrics,
                Source::CniMetrics,
                "files show the metrics of single nodes",
            );
        }
        if !self.pods.is_empty() {
            let run = ProbeRun {
                sampled: "what was tried by hand".into(),
                pods: self.pods,
                ..ProbeRun::default()
            };
            snapshot.probes = partial(run, Source::Probes, "what was tried by hand");
        }
        if !self.observations.is_empty() {
            snapshot.observations = partial(
                self.observations,
                Source::Observations,
                "what was tried by hand",
            );
        }
        snapshot.cluster.learn(&snapshot.kubernetes);
        (snapshot, self.unread)
    }
}

/// Finds the namespaces of pods that `kubectl logs --prefix` names without: by the pods in the evidence, or
/// because EKS runs the component in one namespace alone.
fn name_namespaces(scans: &mut [LogScan], pods: Option<&Vec<Pod>>) {
    for scan in scans {
        if scan.pod.is_empty() || !scan.namespace.is_empty() {
            continue;
        }
        let mut named = pods
            .into_iter()
            .flatten()
            .filter(|pod| *scan.pod == *pod.metadata.name);
        scan.namespace = match (named.next(), named.next()) {
            (Some(pod), None) => pod.metadata.namespace.as_str().into(),
            _ if matches!(
                scan.component,
                Component::CoreDns
                    | Component::KubeProxy
                    | Component::AwsNode
                    | Component::Ipamd
                    | Component::NodeLocalDns
            ) =>
            {
                "kube-system".into()
            }
            _ => Text::default(),
        };
    }
}

fn partial<T>(value: T, source: Source, detail: &str) -> Evidence<T> {
    let gap = Gap::new(source, Why::Truncated, detail);
    Evidence::Partial {
        value,
        gap: match source.saved_by() {
            Some(command) => gap.closed_by(command),
            None => gap,
        },
    }
}

/// Why a document that was recognised says nothing.
fn unused(kinds: &std::collections::BTreeSet<String>) -> String {
    if kinds.is_empty() {
        return "no object of Kubernetes or AWS that a check reads".to_owned();
    }
    let mut names: Vec<&str> = kinds.iter().map(String::as_str).take(4).collect();
    if kinds.len() > names.len() {
        names.push("...");
    }
    format!("no check reads objects of kind {}", names.join(", "))
}

fn count(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// Whether a name promises a document.
fn claims_document(name: &str) -> bool {
    [".json", ".yaml", ".yml"]
        .iter()
        .any(|end| name.to_ascii_lowercase().ends_with(end))
}

/// All bytes of a bundle.
fn whole(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = from.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!(
            "a bundle longer than {} MiB",
            MAX_FILE_BYTES >> 20
        )));
    }
    Ok(bytes)
}

/// Whether text begins as a JSON document does, and not as a log in JSON.
fn begins_document(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let head = head.trim_ascii_start();
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or(head);
    let text = String::from_utf8_lossy(line);
    text.starts_with(['{', '[']) && crate::fragment::is_json(&text)
}
