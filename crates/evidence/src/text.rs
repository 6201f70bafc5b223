//! A text, line by line: logs, and in any mix with them what else people paste.

use std::collections::BTreeSet;

use eksnet_model::kubernetes::ObjectReference;
use eksnet_model::{Component, LogScan, Observations, ProbePod, SignatureSet};

use crate::author;
use crate::config::Config;
use crate::describe::Describe;
use crate::documents::{self, Documents, Outcome};
use crate::event;
use crate::fragment::{Fragment, Kind, Step, is_record};
use crate::hand::Hand;
use crate::line::{Line, plain, starts_record};
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::prepare::{Block, Part};
use crate::prompt;
use crate::shown::Shown;
use crate::table::Table;
use crate::values;
use crate::version;

/// A text that is being read.
pub(crate) struct TextReader<'t, 's> {
    file: &'t str,
    documents: &'t mut Documents,
    shown: &'t mut Shown,
    logs: Logs<'s>,
    hand: Hand,
    metrics: Metrics,
    config: Config,
    fragment: Option<Fragment>,
    table: Option<Table>,
    describe: Option<Describe>,
    /// The pod that the name of the file suggests: what a bare event of a kubelet is about.
    named: ObjectReference,
    /// Namespace that the newest command names.
    namespace: String,
    found: Found,
}

/// What came of a text.
#[derive(Default)]
pub(crate) struct Found {
    /// Whether anything but logs was understood.
    pub(crate) understood: bool,
    /// Kinds of objects that no check reads.
    pub(crate) unused: BTreeSet<String>,
    /// Why a document in it could not be read to its end.
    pub(crate) broke: Option<String>,
    /// Why what began as a document is none.
    pub(crate) no_document: Option<String>,
    pub(crate) scans: Vec<LogScan>,
    pub(crate) pod: Option<ProbePod>,
    /// What was tried by hand.
    pub(crate) observations: Observations,
    /// Whether a line of it has several words: it is something to read.
    pub(crate) is_prose: bool,
    /// Lines of pods that were too many to keep apart.
    pub(crate) left_out: u64,
}

impl<'t, 's> TextReader<'t, 's> {
    pub(crate) fn new(
        file: &'t str,
        signatures: &'s SignatureSet,
        documents: &'t mut Documents,
        shown: &'t mut Shown,
    ) -> Self {
        Self {
            file,
            documents,
            shown,
            logs: Logs::new(signatures, file.into()),
            hand: Hand::new(file),
            metrics: Metrics::default(),
            config: Config::default(),
            fragment: None,
            table: None,
            describe: None,
            named: named(file),
            namespace: String::new(),
            found: Found::default(),
        }
    }

    /// Reads lines that were taken apart.
    pub(crate) fn block(&mut self, block: Block) {
        block.each(|Part { raw, record }| match record {
            // Most of a long text are records of a log.
            Some((line, head, matches)) if self.fragment.is_none() => {
                self.logs.begun(&line, &head, matches);
            }
            _ => self.line(raw),
        });
    }

    /// Reads one line as it stands in the file.
    fn line(&mut self, raw: &[u8]) {
        let text = plain(raw);
        if self.fragment.is_none()
            && starts_record(&text)
            && (!text.starts_with('{') || is_record(&text))
        {
            self.logs.line(&Line::of(&text));
            return;
        }
        let is_fence = text.trim_start().starts_with("```") || text.trim_start().starts_with("~~~");
        if let Some(mut fragment) = self.fragment.take() {
            let step = if is_fence {
                Step::Beyond
            } else {
                fragment.line(&text)
            };
            match step {
                Step::Part => {
                    self.fragment = Some(fragment);
                    return;
                }
                Step::Last => return self.document(&fragment),
                Step::Beyond => self.document(&fragment),
            }
        }
        if is_fence {
            self.logs.end_command();
            self.end_block();
            return;
        }
        let fragment = Fragment::begin(&text)
            .filter(|fragment| fragment.kind != Kind::Values || self.describe.is_none());
        if let Some(mut fragment) = fragment {
            self.end_block();
            match fragment.line(&text) {
                Step::Part => self.fragment = Some(fragment),
                Step::Last | Step::Beyond => self.document(&fragment),
            }
            return;
        }
        self.show(&text);
    }

    /// Reads a line that is no part of a document.
    fn show(&mut self, text: &str) {
        if let Some(command) = prompt::command(text).or_else(|| prompt::bare(text)) {
            self.end_block();
            self.namespace = prompt::namespace(command).unwrap_or_default().to_owned();
            self.hand.command(text, command);
            self.logs.command(command);
            self.documents.aws.iam.command(command);
            return;
        }
        if text.trim().is_empty() {
            self.table = None;
            self.logs.line(&Line::of(""));
            return;
        }
        self.found.is_prose |= text.split_whitespace().nth(2).is_some();
        if !starts_record(text) && self.people(text) {
            self.found.understood = true;
        }
        self.logs.line(&Line::of(text));
    }

    /// Reads a line of what is made for people; whether it was understood.
    fn people(&mut self, text: &str) -> bool {
        if let Some(table) = Table::header(text, &self.namespace) {
            self.end_block();
            self.table = Some(table);
            return false;
        }
        if let Some(table) = &self.table {
            if table.row(text, self.shown) {
                return true;
            }
            self.table = None;
        }
        if let Some(describe) = Describe::begin(text) {
            self.end_block();
            self.describe = Some(describe);
            return false;
        }
        if let Some(describe) = &mut self.describe {
            let before = self.shown.events.len();
            if describe.line(text, self.shown) {
                return self.shown.events.len() > before;
            }
            self.end_block();
        }
        if let Some(mut shown) = event::of_line(text, &ObjectReference::default()) {
            if event::is_of_pod(&shown.event.reason) {
                shown.event.involved_object = self.named.clone();
            }
            self.shown.event(shown);
            return true;
        }
        if self.documents.aws.issuer(text) {
            return true;
        }
        if let Some(version) = version::of_server(text) {
            self.shown.server_version = Some(version.to_owned());
            return true;
        }
        // Whether these are understood shows at the end.
        let _ = self.metrics.line(text) || self.hand.line(text) || self.config.line(text);
        false
    }

    /// Ends a table and a description.
    fn end_block(&mut self) {
        self.table = None;
        if let Some(describe) = self.describe.take() {
            self.found.understood |= describe.finish(self.shown);
        }
    }

    /// Reads a document that was put together. What is none after all is read as text.
    fn document(&mut self, fragment: &Fragment) {
        let outcome = match fragment.kind {
            Kind::Json(_) => self.documents.json(fragment.text.as_bytes(), self.file),
            Kind::Yaml => self.documents.yaml(&fragment.text, self.file),
            Kind::Values => Outcome {
                understood: documents::mapping(&fragment.text).is_some_and(|values| {
                    let component = author::of_path(self.file);
                    values::read(&values, component, self.file, self.shown)
                }),
                ..Outcome::default()
            },
        };
        self.found.understood |= outcome.understood;
        let is_known = outcome.understood || !outcome.unused.is_empty();
        self.found.unused.extend(outcome.unused);
        if is_known {
            self.found.broke = outcome.broke.or(self.found.broke.take());
        } else {
            self.found.no_document = outcome.broke.or(self.found.no_document.take());
            for line in fragment.text.lines() {
                self.show(line);
            }
        }
    }

    /// What came of the text.
    pub(crate) fn finish(mut self) -> Found {
        if let Some(fragment) = self.fragment.take() {
            self.document(&fragment);
        }
        self.end_block();
        self.documents.aws.iam.end_text();
        let mut found = self.found;
        found.left_out = self.logs.left_out;
        found.scans = self.logs.finish();
        (found.observations, found.pod) = self.hand.finish();
        found.understood |= self.config.finish(self.file, self.shown);
        found.understood |= !found.observations.is_empty() || !found.scans.is_empty();
        if let Some(metrics) = self.metrics.finish(self.file) {
            self.documents.metrics.push(metrics);
            found.understood = true;
        }
        found
    }
}

fn named(file: &str) -> ObjectReference {
    match author::of_path(file) {
        Some(component) if component != Component::Kubelet => ObjectReference {
            kind: "Pod".to_owned(),
            namespace: String::new(),
            name: component.name().to_owned(),
        },
        _ => ObjectReference::default(),
    }
}
