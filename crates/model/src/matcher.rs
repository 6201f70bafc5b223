//! Which signatures a record matches: one pass for literals over all of them, expressions only where a
//! literal of theirs stands.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex::Regex;

use crate::literals::required;

/// Expressions behind one automaton of the literals that they need.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    /// `None` where no expression needs a literal.
    literals: Option<AhoCorasick>,
    /// Expressions that need a literal, by its number.
    of_literal: Vec<Vec<u32>>,
    /// Expressions without a literal of use: they are tried on every record.
    always: Vec<u32>,
}

impl Matcher {
    /// A matcher; `None` when the literals are too many for one automaton.
    pub(crate) fn new<'e>(expressions: impl Iterator<Item = &'e str>) -> Option<Self> {
        let mut literals: Vec<Vec<u8>> = Vec::new();
        let mut matcher = Self::default();
        for (index, expression) in expressions.enumerate() {
            let index = u32::try_from(index).ok()?;
            let Some(needed) = required(expression) else {
                matcher.always.push(index);
                continue;
            };
            for literal in needed {
                let at = literals
                    .iter()
                    .position(|known| *known == literal)
                    .unwrap_or_else(|| {
                        literals.push(literal);
                        matcher.of_literal.push(Vec::new());
                        literals.len() - 1
                    });
                matcher.of_literal[at].push(index);
            }
        }
        if !literals.is_empty() {
            let automaton = AhoCorasick::builder()
                .kind(Some(AhoCorasickKind::DFA))
                .match_kind(MatchKind::Standard)
                .prefilter(false)
                .build(&literals)
                .ok()?;
            matcher.literals = Some(automaton);
        }
        Some(matcher)
    }

    /// Numbers of the expressions that match, in their order.
    pub(crate) fn matches(&self, text: &str, regexes: &[impl AsRef<Regex>], found: &mut Vec<u32>) {
        found.clear();
        if let Some(literals) = &self.literals {
            for hit in literals.find_overlapping_iter(text) {
                found.extend_from_slice(&self.of_literal[hit.pattern().as_usize()]);
            }
        }
        if found.is_empty() && self.always.is_empty() {
            return;
        }
        found.extend_from_slice(&self.always);
        found.sort_unstable();
        found.dedup();
        found.retain(|index| {
            regexes
                .get(*index as usize)
                .is_some_and(|regex| regex.as_ref().is_match(text))
        });
    }
}
