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
/// Most sets of one expression.
pub(crate) const MOST_SETS: usize = 4;
/// Least [`strength`] of a set beside the best one that is worth looking for.
const WORTH_ASKING: u32 = 8;
/// Most strings that a class or a repetition is spelled out to.
const SPELLED: usize = 4;

/// Sets of literals: any match of `expression` holds at least one literal of each. None where there are no
/// useful ones.
pub(crate) fn required(expression: &str) -> Vec<Vec<Vec<u8>>> {
    // As the expression is compiled: a class of Unicode spells out what one of ASCII does not match.
    let hir = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build()
        .parse(expression);
    let Ok(hir) = hir else { return Vec::new() };
    let mut sets: Vec<Vec<Vec<u8>>> = sets_of(&hir)
        .into_iter()
        .filter(|set| set.iter().all(|literal| literal.len() >= SHORTEST))
        .map(|mut set| {
            for literal in &mut set {
                *literal = rarest_part(literal).to_ascii_lowercase();
            }
            set.sort();
            set.dedup();
            set
        })
        .collect();
    // The first one decides whether the others are asked at all.
    sets.sort_by_key(|set| std::cmp::Reverse(strength(set)));
    sets.dedup();
    let worth = |(at, set): &(usize, Vec<Vec<u8>>)| *at == 0 || strength(set) >= WORTH_ASKING;
    let kept = sets.into_iter().enumerate().filter(worth);
    kept.map(|(_, set)| set).take(MOST_SETS).collect()
}

/// What each part of an expression needs.
fn sets_of(hir: &Hir) -> Vec<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Capture(capture) => sets_of(&capture.sub),
        HirKind::Concat(parts) => sets_of_parts(parts),
        _ => of(hir).into_iter().collect(),
    }
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
        HirKind::Concat(parts) => sets_of_parts(parts)
            .into_iter()
            .max_by_key(|set| strength(set)),
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// What the parts need one by one; neighbours that can be spelled out are read as one.
fn sets_of_parts(parts: &[Hir]) -> Vec<Vec<Vec<u8>>> {
    let mut sets = Vec::new();
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
                sets.extend(run.take());
                next
            }
        };
        run = joined;
        if run.is_none() {
            sets.extend(sets_of(part));
        }
    }
    sets.extend(run);
    sets
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

/// How much a set rules out: as much as its weakest literal.
fn strength(set: &[Vec<u8>]) -> u32 {
    let of_literal = |literal: &Vec<u8>| literal.iter().map(|byte| rarity(*byte)).sum::<u32>();
    set.iter()
        .map(|literal| of_literal(literal).min(60))
        .min()
        .unwrap_or(0)
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
        let cases: [(&str, &[&str]); 8] = [
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
                r"Failed to (?P<what>find|list) .*dial tcp(?: lookup)?: (?P<why>i/o timeout|refused)",
                &["Failed to list x: dial tcp lookup: refused"],
            ),
            (
                r"(Post|Get) https://[a-z.]+: dial tcp",
                &["Post https://a: dial tcp"],
            ),
        ];
        for (expression, texts) in cases {
            let sets = required(expression);
            let regex = regex::bytes::RegexBuilder::new(expression)
                .unicode(false)
                .build()
                .expect("an expression");
            for text in texts {
                assert!(regex.is_match(text.as_bytes()), "{expression} {text}");
                let holds = sets.iter().all(|set| {
                    set.iter().any(|literal| {
                        text.to_ascii_lowercase()
                            .as_bytes()
                            .windows(literal.len())
                            .any(|part| part == literal)
                    })
                });
                assert!(holds, "{expression} {text} {sets:?}");
            }
        }
    }

    #[test]
    fn what_matches_anything_needs_none() {
        for expression in [r"(a+|b?)\d+", "ab|longer", r"\S+", ""] {
            assert!(required(expression).is_empty(), "{expression}");
        }
        assert_eq!(required(r"lost master .* leader election, \d+").len(), 2);
        assert!(required("a PLEG is b|c").is_empty());
        for expression in [
            r"\] lost master",
            r"(?i)\bvpc\w*\b.{0,60}\bpeer|transit gateway",
        ] {
            assert!(!required(expression).is_empty(), "{expression}");
        }
    }
}
