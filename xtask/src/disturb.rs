//! Incidents as someone else would have pasted them: files under neutral names and in another order, prose
//! left out, a tenth of the lines missing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// One line in so many goes missing.
const ONE_IN: u64 = 10;

/// A disturbed copy of a folder of evidence, removed when it is dropped.
pub(crate) struct Copy {
    pub(crate) path: PathBuf,
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Copies `evidence`, disturbed as `seed` says: the same seed and folder give the same copy.
pub(crate) fn copy(evidence: &Path, seed: u64) -> anyhow::Result<Copy> {
    let mut random = Random::new(seed, evidence);
    let path = std::env::temp_dir().join(format!(
        "eksnet-disturbed-{}-{:016x}",
        std::process::id(),
        random.next()
    ));
    fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
    let copy = Copy { path };
    let mut files = Vec::new();
    list(evidence, &mut files)?;
    files.sort();
    for at in (1..files.len()).rev() {
        let other = random.below(at as u64 + 1);
        files.swap(at, usize::try_from(other)?);
    }
    for (number, file) in files.iter().enumerate() {
        let bytes = fs::read(file)?;
        let bytes = match String::from_utf8(bytes) {
            Ok(text) => lines(&text, &mut random).into_bytes(),
            Err(binary) => binary.into_bytes(),
        };
        fs::write(copy.path.join(name(number, file)), bytes)?;
    }
    Ok(copy)
}

/// A copy of `evidence` without one line, with that line; `None` where it has fewer. Lines without a word are not
/// counted.
pub(crate) fn without_line(
    evidence: &Path,
    number: usize,
) -> anyhow::Result<Option<(Copy, String)>> {
    let mut files = Vec::new();
    list(evidence, &mut files)?;
    files.sort();
    let mut left = number;
    let mut out = None;
    let mut texts = Vec::new();
    for file in &files {
        let Ok(text) = fs::read_to_string(file) else {
            texts.push(None);
            continue;
        };
        let lines: Vec<&str> = text.lines().collect();
        let says = |line: &&str| line.bytes().any(|byte| byte.is_ascii_alphanumeric());
        let counted = lines.iter().filter(|line| says(line)).count();
        if out.is_none() && left < counted {
            let mut counted = lines.iter().enumerate().filter(|(_, line)| says(line));
            let (at, line) = counted.nth(left).context("a line")?;
            out = Some((*line).to_owned());
            texts.push(Some(
                [&lines[..at], &lines[at + 1..]].concat().join("\n") + "\n",
            ));
        } else {
            left -= counted.min(left);
            texts.push(None);
        }
    }
    let Some(line) = out else { return Ok(None) };
    let path = std::env::temp_dir().join(format!("eksnet-without-{}-{number}", std::process::id()));
    fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
    let copy = Copy { path };
    for (file, text) in files.iter().zip(texts) {
        let into = copy.path.join(file.strip_prefix(evidence)?);
        fs::create_dir_all(into.parent().unwrap_or(&copy.path))?;
        match text {
            Some(text) => fs::write(into, text)?,
            None => fs::copy(file, into).map(drop)?,
        }
    }
    Ok(Some((copy, line)))
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// A name that says nothing but what a program would call its output.
fn name(number: usize, file: &Path) -> String {
    const KEPT: [&str; 7] = ["json", "yaml", "yml", "log", "gz", "zip", "tar"];
    let end = file.extension().and_then(|end| end.to_str());
    let end = end.filter(|end| KEPT.contains(end)).unwrap_or("txt");
    format!("attachment-{:02}.{end}", number + 1)
}

/// The text without its prose and without a tenth of its lines; at least one line stays.
fn lines(text: &str, random: &mut Random) -> String {
    let all: Vec<&str> = text.lines().collect();
    let mut kept: Vec<&str> = all.iter().copied().filter(|line| !is_prose(line)).collect();
    if kept.is_empty() {
        kept = all;
    }
    let spared = random.below(kept.len().max(1) as u64);
    let mut out = String::with_capacity(text.len());
    for (at, line) in kept.into_iter().enumerate() {
        if random.below(ONE_IN) == 0 && at as u64 != spared {
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// Whether a person wrote the line: words and the marks between them, nothing that only programs write.
fn is_prose(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_sentence = line.trim_end().ends_with(['.', '?', '!', ',']);
    words.len() > 3
        && is_sentence
        && words.iter().all(|word| {
            word.trim_matches([',', '.', '?', '!', '(', ')', '"', '\''])
                .chars()
                .all(|c| c.is_alphabetic() || matches!(c, '\'' | '-'))
        })
}

/// xorshift64*, seeded by a number and a path's last two parts.
struct Random(u64);

impl Random {
    fn new(seed: u64, path: &Path) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xcbf2_9ce4_8422_2325;
        let parts: Vec<_> = path.components().rev().take(2).collect();
        for part in parts {
            for byte in part.as_os_str().as_encoded_bytes() {
                state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        Self(state | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_copy_and_programs_keep_their_lines() {
        let text = "We upgraded the cluster yesterday, and since then nothing works.\nE1019 06:00:10.278115       1 a.go:1] x\n";
        let once = lines(text, &mut Random::new(1, Path::new("a/b")));
        let again = lines(text, &mut Random::new(1, Path::new("a/b")));
        assert_eq!(once, again);
        assert_eq!(once, "E1019 06:00:10.278115       1 a.go:1] x\n");
        assert_eq!(name(0, Path::new("01-coredns.log")), "attachment-01.log");
    }

    #[test]
    fn about_a_tenth_of_the_lines_goes_missing() {
        let text = "line=1\n".repeat(10_000);
        let left = lines(&text, &mut Random::new(7, Path::new("x")))
            .lines()
            .count();
        assert!((8_800..9_200).contains(&left), "{left}");
    }
}
