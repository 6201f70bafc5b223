//! Literals of which any match of an expression holds at least one: most lines of a log hold none, and
//! need no expression at all. They are in lower case and looked for in any: an expression that ignores case
//! would else need too many.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Longest literal that is looked for, in bytes: longer ones rule out hardly more lines.
const LONGEST: usize = 14;
/// Shortest literal that is worth it.
const SHORTEST: usize = 3;
/// Most literals of one expression.
const MOST: usize = 48;
/// Most strings that a class or a repetition is spelled out to.
const SPELLED: usize = 4;

/// Literals of which any match of `expression` holds at least one; `None` where there are no useful ones.
pub(crate) fn required(expression: &str) -> Option<Vec<Vec<u8>>> {
    // As the expression is compiled: a class of Unicode spells out what one of ASCII does not match.
    let hir = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build()
        .parse(expression)
        .ok()?;
    let mut literals = of(&hir)?;
    if literals.iter().any(|literal| literal.len() < SHORTEST) {
        return None;
    }
    for literal in &mut literals {
        *literal = rarest_part(literal).to_ascii_lowercase();
    }
    literals.sort();
    literals.dedup();
    Some(literals)
}

fn of(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Class(_) => spelled(hir),
        HirKind::Capture(capture) => of(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => of(&repetition.sub),
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(of(branch)?);
            }
            (all.len() <= MOST).then_some(all)
        }
        HirKind::Concat(parts) => concatenated(parts),
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// The best of what the parts need; neighbours that can be spelled out are read as one.
fn concatenated(parts: &[Hir]) -> Option<Vec<Vec<u8>>> {
    let mut best: Option<Vec<Vec<u8>>> = None;
    let mut run: Option<Vec<Vec<u8>>> = None;
    for part in parts {
        let joined = match (&run, spelled(part)) {
            (Some(run), Some(next)) if run.len() * next.len() <= SPELLED => Some(
                run.iter()
                    .flat_map(|head| {
                        next.iter()
                            .map(move |tail| [head.as_slice(), tail].concat())
                    })
                    .collect::<Vec<_>>(),
            ),
            (_, next) => {
                best = better(best, run.take());
                next
            }
        };
        run = joined;
        if run.is_none() {
            best = better(best, of(part));
        }
    }
    better(best, run)
}

/// Every string that the expression matches, where they are few.
fn spelled(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Capture(capture) => spelled(&capture.sub),
        HirKind::Class(Class::Bytes(class)) => {
            let bytes = class
                .ranges()
                .iter()
                .flat_map(|range| range.start()..=range.end());
            let mut all: Vec<Vec<u8>> = bytes
                .map(|byte| vec![byte.to_ascii_lowercase()])
                .take(2 * SPELLED + 1)
                .collect();
            all.sort();
            all.dedup();
            (all.len() <= SPELLED).then_some(all)
        }
        HirKind::Repetition(repetition) if (repetition.min, repetition.max) == (0, Some(1)) => {
            let mut all = spelled(&repetition.sub)?;
            all.push(Vec::new());
            (all.len() <= SPELLED).then_some(all)
        }
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(spelled(branch)?);
            }
            (all.len() <= SPELLED).then_some(all)
        }
        _ => None,
    }
}

/// The set whose weakest literal rules out more.
fn better(one: Option<Vec<Vec<u8>>>, other: Option<Vec<Vec<u8>>>) -> Option<Vec<Vec<u8>>> {
    let strength = |set: &Option<Vec<Vec<u8>>>| {
        set.as_ref().map_or(0, |set| {
            set.iter()
                .map(|literal| {
                    literal
                        .iter()
                        .map(|byte| rarity(*byte))
                        .sum::<u32>()
                        .min(60)
                })
                .min()
                .unwrap_or(0)
        })
    };
    if strength(&other) > strength(&one) {
        other
    } else {
        one
    }
}

/// The part of a literal, of [`LONGEST`] bytes at most, whose bytes are rarest in logs.
fn rarest_part(literal: &[u8]) -> &[u8] {
    literal
        .windows(LONGEST.min(literal.len()).max(1))
        .max_by_key(|part| part.iter().map(|byte| rarity(*byte)).sum::<u32>())
        .unwrap_or(literal)
}

fn rarity(byte: u8) -> u32 {
    match byte {
        b' ' | b'"' | b'.' | b'0'..=b'9' | b':' | b'-' => 1,
        b'e' | b't' | b'a' | b'o' | b'n' | b'i' | b's' | b'r' => 2,
        b'a'..=b'z' | b'A'..=b'Z' => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_match_holds_one_of_the_literals() {
        let cases: [(&str, &[&str]); 7] = [
            (r"\] lost master", &["x] lost master"]),
            (
                r"[Ff]ailed to find \S+",
                &["Failed to find x", "failed to find y"],
            ),
            ("PLEG is not|no EC2 IMDS", &["PLEG is not", "no EC2 IMDS"]),
            (
                r"x.*(?P<f>NoCreds|Throttl\w*)",
                &["x NoCreds", "x Throttled"],
            ),
            (
                r"IP (Address )?[Pp]ool stats: total ?[=:]",
                &["IP Address Pool stats: total=", "IP pool stats: total :"],
            ),
            (r"(?i)no route to host", &["No Route To Host"]),
            (
                r"(Post|Get) https://[a-z.]+: dial tcp",
                &["Post https://a: dial tcp"],
            ),
        ];
        for (expression, texts) in cases {
            let literals = required(expression);
            let regex = regex::bytes::RegexBuilder::new(expression)
                .unicode(false)
                .build()
                .expect("an expression");
            for text in texts {
                assert!(regex.is_match(text.as_bytes()), "{expression} {text}");
                let holds = literals.as_ref().is_none_or(|literals| {
                    literals.iter().any(|literal| {
                        text.to_ascii_lowercase()
                            .as_bytes()
                            .windows(literal.len())
                            .any(|part| part == literal)
                    })
                });
                assert!(holds, "{expression} {text} {literals:?}");
            }
        }
    }

    #[test]
    fn what_matches_anything_needs_none() {
        for expression in [r"(a+|b?)\d+", "ab|longer", r"\S+", ""] {
            assert_eq!(required(expression), None, "{expression}");
        }
        assert_eq!(required("a PLEG is b|c"), None);
        for expression in [
            r"\] lost master",
            r"(?i)\bvpc\w*\b.{0,60}\bpeer|transit gateway",
        ] {
            assert!(required(expression).is_some(), "{expression}");
        }
    }
}
