//! Documents: Kubernetes objects and lists of them, and what AWS's tools print.
//!
//! JSON is read as a stream: of a list, one object is held at a time.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;

use eksnet_model::kubernetes::CniMetrics;
use eksnet_model::{Source, Time};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::aws::AwsObjects;
use crate::objects::{Objects, source_by_name, source_of};
use crate::times;

/// Most items that wait for the kind that their list names behind them.
const MAX_WAITING: usize = 10_000;

/// Everything that documents are read into.
#[derive(Default)]
pub(crate) struct Documents {
    pub(crate) objects: Objects,
    pub(crate) aws: AwsObjects,
    /// aws-node's metrics.
    pub(crate) metrics: Vec<CniMetrics>,
    /// The newest time in any document.
    pub(crate) newest: Option<Time>,
}

/// What came of reading documents.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// Whether anything in them was understood.
    pub(crate) understood: bool,
    /// Kinds that were recognised and that no check reads.
    pub(crate) unused: BTreeSet<String>,
    /// Where and why reading broke off.
    pub(crate) broke: Option<String>,
}

impl Documents {
    /// Reads JSON documents, one after the other.
    pub(crate) fn json(&mut self, from: impl Read, file: &str) -> Outcome {
        let mut reading = Reading::new(self, file);
        let mut json = serde_json::Deserializer::from_reader(from);
        while json.end().is_err() {
            if let Err(error) = (Top(&mut reading)).deserialize(&mut json) {
                reading.broke(error.to_string());
                break;
            }
        }
        reading.outcome
    }

    /// Reads one value that was parsed elsewhere.
    pub(crate) fn value(&mut self, value: Value, file: &str) -> Outcome {
        let mut reading = Reading::new(self, file);
        if let Err(error) = (Top(&mut reading)).deserialize(value) {
            reading.broke(error.to_string());
        }
        reading.outcome
    }

    /// Reads YAML documents, one after the other.
    pub(crate) fn yaml(&mut self, text: &str, file: &str) -> Outcome {
        let mut all = Outcome::default();
        for document in split(text) {
            match serde_saphyr::from_str_with_options::<Value>(document, options()) {
                Ok(Value::Null) => {}
                Ok(value) => all.add(self.value(value, file)),
                Err(error) => {
                    let error = error.to_string();
                    all.broke = error.lines().next().map(str::to_owned);
                }
            }
        }
        all
    }
}

impl Outcome {
    pub(crate) fn add(&mut self, other: Self) {
        self.understood |= other.understood;
        self.unused.extend(other.unused);
        self.broke = other.broke.or(self.broke.take());
    }
}

/// Reads a YAML document that is no object of Kubernetes or AWS.
pub(crate) fn mapping(text: &str) -> Option<Map<String, Value>> {
    match serde_saphyr::from_str_with_options::<Value>(text, options()) {
        Ok(Value::Object(fields)) => Some(fields),
        _ => None,
    }
}

/// YAML's defences are for small files of configuration; what is read here is bounded by its length,
/// which leaves the expansion of aliases.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 50_000_000,
            max_nodes: 50_000_000,
            max_total_scalar_bytes: 256 << 20,
            max_documents: 1,
        },
    }
}

/// Documents of a YAML stream: what stands between lines of `---`.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let mut from = 0;
        while let Some(at) = text[from..].find("---").map(|at| at + from) {
            let starts_line = at == 0 || text.as_bytes()[at - 1] == b'\n';
            let after = &text[at + 3..];
            if starts_line && (after.is_empty() || after.starts_with(['\n', '\r', ' '])) {
                rest = Some(after);
                return Some(&text[..at]);
            }
            from = at + 3;
        }
        Some(text)
    })
}

/// One run over documents.
struct Reading<'d> {
    into: &'d mut Documents,
    file: &'d str,
    outcome: Outcome,
    /// Sources that the list that is being read holds so far.
    listing: BTreeSet<Source>,
}

impl<'d> Reading<'d> {
    fn new(into: &'d mut Documents, file: &'d str) -> Self {
        Self {
            into,
            file,
            outcome: Outcome::default(),
            listing: BTreeSet::new(),
        }
    }

    fn broke(&mut self, why: String) {
        for source in std::mem::take(&mut self.listing) {
            let why = format!("{} breaks off: {why}", self.file);
            self.into.objects.cut(source, &why);
        }
        self.outcome.broke = Some(why);
    }

    fn see_time(&mut self, value: &Value) {
        self.into.newest = self.into.newest.max(times::newest(value));
    }

    /// An object of that kind; the source that it belongs to.
    fn object(&mut self, kind: &str, object: Value) {
        self.see_time(&object);
        match self.into.objects.object(kind, object) {
            Some(source) => {
                self.outcome.understood = true;
                self.listing.insert(source);
            }
            None => {
                self.outcome.unused.insert(kind.to_owned());
            }
        }
    }

    /// A document, or an element of an array.
    fn single(&mut self, fields: Map<String, Value>) {
        match fields.get("kind").and_then(Value::as_str) {
            Some(kind) if fields.contains_key("apiVersion") || source_of(kind).is_some() => {
                let kind = kind.to_owned();
                self.object(&kind, Value::Object(fields));
                self.listing.clear();
            }
            _ => {
                let value = Value::Object(fields);
                let newest = times::newest(&value);
                if let Value::Object(fields) = value
                    && self.into.aws.document(fields, self.file)
                {
                    self.into.newest = self.into.newest.max(newest);
                    self.outcome.understood = true;
                }
            }
        }
    }

    /// The end of a list, whose fields but `items` are `fields`.
    fn list(&mut self, fields: &Map<String, Value>, waiting: Vec<Value>, count: usize) {
        let kind = fields.get("kind").and_then(Value::as_str).unwrap_or("");
        let item_kind = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
        for item in waiting {
            if let Some(kind) = item_kind {
                self.object(kind, item);
            }
        }
        if count == 0 && fields.contains_key("apiVersion") {
            self.outcome.understood = true;
            self.listing.extend(
                item_kind
                    .and_then(source_of)
                    .or_else(|| source_by_name(self.file)),
            );
        }
        let is_cut = fields
            .get("metadata")
            .and_then(|metadata| metadata.get("continue"))
            .and_then(Value::as_str)
            .is_some_and(|token| !token.is_empty());
        for source in std::mem::take(&mut self.listing) {
            if is_cut {
                let why = format!("{} holds one page of a longer list", self.file);
                self.into.objects.cut(source, &why);
            } else {
                self.into.objects.listed(source);
            }
        }
    }
}

/// A document.
struct Top<'r, 'd>(&'r mut Reading<'d>);

impl<'de> DeserializeSeed<'de> for Top<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut fields = Map::new();
        let mut items = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                let kind = fields
                    .get("kind")
                    .and_then(Value::as_str)
                    .and_then(|kind| kind.strip_suffix("List"))
                    .filter(|kind| !kind.is_empty())
                    .map(str::to_owned);
                items = map.next_value_seed(Items {
                    reading: &mut *self.0,
                    kind,
                })?;
            } else {
                fields.insert(key, map.next_value()?);
            }
        }
        match items {
            Some((waiting, count)) => self.0.list(&fields, waiting, count),
            None => self.0.single(fields),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut tags = Vec::new();
        while let Some(value) = seq.next_element::<Value>()? {
            match value {
                Value::Object(fields) => {
                    // `--query Reservations[].Instances` nests one list per reservation.
                    if fields.contains_key("Key") {
                        tags.push(Value::Object(fields));
                    } else {
                        self.0.single(fields);
                    }
                }
                Value::Array(inner) => {
                    for value in inner {
                        if let Value::Object(fields) = value {
                            self.0.single(fields);
                        }
                    }
                }
                _ => {}
            }
        }
        if !tags.is_empty() && self.0.into.aws.tags(tags) {
            self.0.outcome.understood = true;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// The items of a list: handed on one by one. What waits for the kind that the list names behind them,
/// and how many there were; `None` when it is no list.
struct Items<'r, 'd> {
    reading: &'r mut Reading<'d>,
    kind: Option<String>,
}

impl<'de> DeserializeSeed<'de> for Items<'_, '_> {
    type Value = Option<(Vec<Value>, usize)>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = Option<(Vec<Value>, usize)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut waiting = Vec::new();
        let mut count = 0;
        while let Some(item) = seq.next_element::<Value>()? {
            count += 1;
            let own = item.get("kind").and_then(Value::as_str).map(str::to_owned);
            match own.or_else(|| self.kind.clone()) {
                Some(kind) => self.reading.object(&kind, item),
                None if waiting.len() < MAX_WAITING => waiting.push(item),
                None => {}
            }
        }
        Ok(Some((waiting, count)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    /// `items: null` is what Go writes for an empty list.
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Some((Vec::new(), 0)))
    }
}
