//! Which signatures a record matches: one pass for literals over all of them, expressions only where a
//! literal of theirs stands.

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::{Anchored, MatchKind, StartKind, dfa};

use crate::literals::required;

/// Parts of a long text that are searched side by side: a step of the automaton waits for the one before it,
/// and the steps of other parts fill the wait.
const LANES: usize = 4;
/// Shortest text that is searched in parts, in bytes.
const WORTH_PARTS: usize = 4 * 1024;

/// Expressions behind one automaton of the literals that they need.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    /// `None` where no expression needs a literal.
    literals: Option<dfa::DFA>,
    /// Expressions that need a literal, by its number, with the set that it is of, as a bit.
    of_literal: Vec<Vec<(u32, u8)>>,
    /// The sets of each expression, as bits.
    sets: Vec<u8>,
    /// Expressions without a literal of use: they are tried on every record.
    always: Vec<u32>,
}

/// A literal that stands in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiteralHit {
    /// Where it ends, in bytes from the start of the text.
    pub end: usize,
    /// Its number in the set.
    literal: u32,
}

impl Matcher {
    /// A matcher; `None` when the literals are too many for one automaton.
    pub(crate) fn new<'e>(expressions: impl Iterator<Item = &'e str>) -> Option<Self> {
        let mut literals: Vec<Vec<u8>> = Vec::new();
        let mut matcher = Self::default();
        for (index, expression) in expressions.enumerate() {
            let index = u32::try_from(index).ok()?;
            let sets = required(expression);
            matcher.sets.push((1 << sets.len()) - 1);
            if sets.is_empty() {
                matcher.always.push(index);
            }
            let needed = sets
                .into_iter()
                .enumerate()
                .flat_map(|(set, literals)| literals.into_iter().map(move |one| (1 << set, one)));
            for (set, literal) in needed {
                let at = literals
                    .iter()
                    .position(|known| *known == literal)
                    .unwrap_or_else(|| {
                        literals.push(literal);
                        matcher.of_literal.push(Vec::new());
                        literals.len() - 1
                    });
                matcher.of_literal[at].push((index, set));
            }
        }
        if !literals.is_empty() {
            let automaton = dfa::Builder::new()
                .match_kind(MatchKind::Standard)
                .start_kind(StartKind::Unanchored)
                .prefilter(false)
                .ascii_case_insensitive(true)
                .build(&literals)
                .ok()?;
            matcher.literals = Some(automaton);
        }
        Some(matcher)
    }

    /// Appends the literals that stand in `text`, by where they end.
    pub(crate) fn literals(&self, text: &[u8], found: &mut Vec<LiteralHit>) {
        let Some(dfa) = &self.literals else { return };
        let Ok(start) = dfa.start_state(Anchored::No) else {
            return;
        };
        if text.len() < WORTH_PARTS {
            walk(dfa, start, text, 0, found);
            return;
        }
        // No literal holds a line feed: parts that begin behind one lose none. A part without any is joined
        // to the one before it.
        let mut starts = [0; LANES + 1];
        starts[LANES] = text.len();
        for lane in 1..LANES {
            let near = (text.len() / LANES * lane).max(starts[lane - 1]);
            starts[lane] =
                memchr::memchr(b'\n', &text[near..]).map_or(text.len(), |at| near + at + 1);
        }
        let parts: [&[u8]; LANES] =
            std::array::from_fn(|lane| &text[starts[lane]..starts[lane + 1]]);
        let together = parts.iter().map(|part| part.len()).min().unwrap_or(0);
        let [a, b, c, d] = parts.map(|part| &part[..together]);
        let mut states = [start; LANES];
        let mut hits: [Vec<LiteralHit>; LANES] = Default::default();
        for (at, (((a, b), c), d)) in a.iter().zip(b).zip(c).zip(d).enumerate() {
            states[0] = dfa.next_state(Anchored::No, states[0], *a);
            states[1] = dfa.next_state(Anchored::No, states[1], *b);
            states[2] = dfa.next_state(Anchored::No, states[2], *c);
            states[3] = dfa.next_state(Anchored::No, states[3], *d);
            if states.iter().any(|state| dfa.is_special(*state)) {
                for (lane, state) in states.iter().enumerate() {
                    note(dfa, *state, starts[lane] + at + 1, &mut hits[lane]);
                }
            }
        }
        for (lane, mut hits) in hits.into_iter().enumerate() {
            let at = starts[lane] + together;
            walk(dfa, states[lane], &parts[lane][together..], at, &mut hits);
            found.append(&mut hits);
        }
    }

    /// Numbers of the expressions that may match `text`, in their order. `known` are the literals that stand in
    /// it, if they were looked for already; there may be more of them.
    pub(crate) fn candidates(
        &self,
        text: &[u8],
        known: Option<&[LiteralHit]>,
        found: &mut Vec<u32>,
    ) {
        found.clear();
        let mut own = Vec::new();
        let literals = known.unwrap_or_else(|| {
            self.literals(text, &mut own);
            &own
        });
        let mut seen: Vec<(u32, u8)> = literals
            .iter()
            .flat_map(|hit| self.of_literal[hit.literal as usize].iter().copied())
            .collect();
        seen.sort_unstable();
        for one in seen.chunk_by(|one, other| one.0 == other.0) {
            let (index, _) = one[0];
            let sets = one.iter().fold(0, |sets, (_, set)| sets | set);
            if self.sets[index as usize] == sets {
                found.push(index);
            }
        }
        if !self.always.is_empty() {
            found.extend_from_slice(&self.always);
            found.sort_unstable();
        }
    }
}

/// Searches one part from `state` on; it begins at `offset` of the text.
fn walk(
    dfa: &dfa::DFA,
    mut state: StateID,
    part: &[u8],
    offset: usize,
    found: &mut Vec<LiteralHit>,
) {
    for (at, byte) in part.iter().enumerate() {
        state = dfa.next_state(Anchored::No, state, *byte);
        if dfa.is_special(state) {
            note(dfa, state, offset + at + 1, found);
        }
    }
}

/// Notes the literals that end in a state.
fn note(dfa: &dfa::DFA, state: StateID, end: usize, found: &mut Vec<LiteralHit>) {
    if !dfa.is_match(state) {
        return;
    }
    for index in 0..dfa.match_len(state) {
        let literal = dfa.match_pattern(state, index).as_u32();
        found.push(LiteralHit { end, literal });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_in_parts_holds_what_it_holds_line_by_line() {
        let matcher = Matcher::new(["lost master", "ast mas|aster", r"x\d+y: timeout"].into_iter())
            .expect("a matcher");
        let mut text = String::new();
        for number in 0..4000_u32 {
            // Lines of very different length, so that parts end at different times.
            let filler = "ab ".repeat((number * 7919 % 97) as usize);
            let hit = ["lost master", "timeout", "x1y: timeout", ""][(number * 31 % 4) as usize];
            text.push_str(&format!("{filler}{hit}{filler}\n"));
        }
        for text in [text.as_str(), &"lost master".repeat(1000), &text[..5000]] {
            let mut by_line = Vec::new();
            let mut offset = 0;
            for line in text.split_inclusive('\n') {
                let mut found = Vec::new();
                matcher.literals(line.as_bytes(), &mut found);
                by_line.extend(found.iter().map(|hit| LiteralHit {
                    end: hit.end + offset,
                    ..*hit
                }));
                offset += line.len();
            }
            let mut whole = Vec::new();
            matcher.literals(text.as_bytes(), &mut whole);
            assert!(!whole.is_empty());
            assert_eq!(whole, by_line);
        }
    }
}
