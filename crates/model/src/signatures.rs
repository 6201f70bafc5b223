//! Log lines that speak for checks, and which of them a record matches.

use std::collections::BTreeMap;
use std::ops::Range;

use regex::bytes::{CaptureLocations, Regex, RegexBuilder};
use serde::Deserialize;

use crate::matcher::{LiteralHit, Matcher};
use crate::{Component, Severity, Text};

/// Most memory of one expression's automaton, in bytes; it is built anew when it has grown that far. All
/// of them together must fit into what a scan may take.
const MAX_AUTOMATON: usize = 256 * 1024;

/// A log line that speaks for a check. Written in the `signatures.toml` of the check's folder.
///
/// Named groups of the expression, such as `(?P<host>..)`, become captured fields.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Unique over all checks.
    pub id: String,
    /// Id of the check; set from the folder.
    #[serde(default)]
    pub check: String,
    /// Name of the component whose log it is looked for in, or `aws-sdk` for any program that uses
    /// an AWS SDK.
    pub component: String,
    /// The expression, unanchored and case-sensitive; its classes are those of ASCII, and a character that is
    /// not ASCII counts as the bytes of its UTF-8. It sees one record: a line with the lines that continue it
    /// (`caused by:` or indented), joined by a space.
    pub regex: String,
    /// What the line says, as a clause.
    pub meaning: String,
    /// How bad the line alone is.
    pub severity: Severity,
    /// A line in the program's format that matches.
    pub sample: String,
}

/// Why signatures could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// An expression is wrong.
    #[error("signature {id} has an expression that cannot be used: {why}")]
    Expression {
        /// Of which signature.
        id: String,
        /// Why.
        why: String,
    },
}

/// Signatures, compiled into one matcher.
#[derive(Debug, Default)]
pub struct SignatureSet {
    pub(crate) compiled: Vec<Compiled>,
    matcher: Matcher,
}

#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) signature: Signature,
    regex: Regex,
    /// Named groups, with their names.
    pub(crate) groups: Vec<(usize, Text)>,
}

impl SignatureSet {
    /// Compiles signatures.
    ///
    /// # Errors
    /// [`SignatureError`] when an expression is wrong.
    pub fn compile(signatures: Vec<Signature>) -> Result<Self, SignatureError> {
        let matcher = Matcher::new(signatures.iter().map(|signature| signature.regex.as_str()))
            .ok_or_else(|| SignatureError::Expression {
                id: "one of the set".to_owned(),
                why: "too many literals".to_owned(),
            })?;
        let compiled = signatures
            .into_iter()
            .map(|signature| match expression(&signature.regex) {
                Ok(regex) => {
                    let groups = regex.capture_names().enumerate();
                    let groups = groups.filter_map(|(at, name)| Some((at, name?.into())));
                    Ok(Compiled {
                        groups: groups.collect(),
                        signature,
                        regex,
                    })
                }
                Err(error) => Err(SignatureError::Expression {
                    id: signature.id,
                    why: error.to_string(),
                }),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { compiled, matcher })
    }

    /// Appends the literals that stand in `text` and that some signature needs, by where they end: for
    /// [`Judge::matches`].
    pub fn literals(&self, text: &[u8], found: &mut Vec<LiteralHit>) {
        self.matcher.literals(text, found);
    }

    /// The signatures.
    pub fn iter(&self) -> impl Iterator<Item = &Signature> {
        self.compiled.iter().map(|compiled| &compiled.signature)
    }
}

/// Compiles one expression. Logs are ASCII nearly throughout: classes of Unicode would cost most of the time
/// that compiling takes.
fn expression(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text)
        .unicode(false)
        .dfa_size_limit(MAX_AUTOMATON)
        .build()
}

impl Signature {
    /// Whether the signature counts in a log of `component`. An unknown component's log may hold
    /// anything.
    #[must_use]
    pub fn is_of(&self, component: Component) -> bool {
        component == Component::Unknown
            || self.component == "aws-sdk"
            || self.component == component.name()
            // The node-local cache is a CoreDNS.
            || (component == Component::NodeLocalDns && self.component == Component::CoreDns.name())
    }
}

/// A signature that a record matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Number in the set.
    pub(crate) signature: u32,
    /// Named groups, by their number in the signature, with where they stand in the record, in bytes.
    pub(crate) groups: Vec<(usize, Range<usize>)>,
}

/// Finds which signatures of a set records match. It keeps what it needs for that from one to the next.
#[derive(Debug)]
pub struct Judge<'s> {
    set: &'s SignatureSet,
    found: Vec<u32>,
    places: BTreeMap<u32, CaptureLocations>,
}

impl<'s> Judge<'s> {
    /// A judge for these signatures.
    #[must_use]
    pub fn new(set: &'s SignatureSet) -> Self {
        Self {
            set,
            found: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    /// The signatures that a record matches, where its component is known only those that count in its log.
    /// `literals` are those that [`SignatureSet::literals`] found in it, if they were looked for; a literal too
    /// many does no harm.
    pub fn matches(
        &mut self,
        record: &str,
        component: Component,
        literals: Option<&[LiteralHit]>,
    ) -> Vec<Match> {
        let bytes = record.as_bytes();
        let matcher = &self.set.matcher;
        matcher.candidates(bytes, literals, &mut self.found);
        let mut matches = Vec::new();
        for index in &self.found {
            let compiled = &self.set.compiled[*index as usize];
            if !compiled.signature.is_of(component) {
                continue;
            }
            let mut groups = Vec::new();
            if compiled.groups.is_empty() {
                if !compiled.regex.is_match(bytes) {
                    continue;
                }
            } else {
                let places = self
                    .places
                    .entry(*index)
                    .or_insert_with(|| compiled.regex.capture_locations());
                if compiled.regex.captures_read(places, bytes).is_none() {
                    continue;
                }
                let named = compiled.groups.iter().enumerate();
                groups.extend(named.filter_map(|(number, (group, _))| {
                    let (start, end) = places.get(*group)?;
                    Some((number, start..end))
                }));
            }
            matches.push(Match {
                signature: *index,
                groups,
            });
        }
        matches
    }
}
