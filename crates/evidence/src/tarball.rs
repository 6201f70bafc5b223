//! Members of a tar archive, as a stream. Long names are bounded, which is why this is no library's
//! reader: those hold a name of any length in memory.

use std::io::{self, Read};

/// Longest name or extended header that is read, in bytes.
const MAX_HEADER: u64 = 64 * 1024;

/// Kind of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Link,
    Other,
}

/// One member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// Hands each member with its content to `each`, which may leave content unread.
pub(crate) fn members<R: Read>(
    mut from: R,
    mut each: impl FnMut(Member, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let mut long_name = None;
    let mut long_size = None;
    let mut header = [0; 512];
    loop {
        if !fill(&mut from, &mut header)? || header.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        if header.get(257..262) != Some(b"ustar") {
            return Err(io::Error::other("a damaged tar archive"));
        }
        let size =
            number(&header[124..136]).ok_or_else(|| io::Error::other("a damaged tar archive"))?;
        let kind = header[156];
        match kind {
            b'L' | b'x' if size <= MAX_HEADER => {
                let mut bytes = Vec::new();
                (&mut from).take(size).read_to_end(&mut bytes)?;
                skip(&mut from, padding(size))?;
                if kind == b'L' {
                    long_name = Some(text(&bytes));
                } else {
                    for (key, value) in extended(&bytes) {
                        match key.as_str() {
                            "path" => long_name = Some(value),
                            "size" => long_size = value.parse().ok(),
                            _ => {}
                        }
                    }
                }
                continue;
            }
            b'L' | b'K' | b'x' | b'g' => {
                skip(&mut from, size + padding(size))?;
                continue;
            }
            _ => {}
        }
        let size = long_size.take().unwrap_or(size);
        let member = Member {
            name: long_name.take().unwrap_or_else(|| name(&header)),
            kind: match kind {
                b'0' | 0 | b'7' => Kind::File,
                b'5' => Kind::Folder,
                b'1' | b'2' => Kind::Link,
                _ => Kind::Other,
            },
        };
        let mut content = (&mut from).take(size);
        each(member, &mut content)?;
        let left = content.limit();
        skip(&mut from, left + padding(size))?;
    }
}

/// Fills the buffer; `false` at the end of the stream.
fn fill(from: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn skip(from: &mut impl Read, count: u64) -> io::Result<()> {
    io::copy(&mut from.take(count), &mut io::sink()).map(|_| ())
}

fn padding(size: u64) -> u64 {
    (512 - size % 512) % 512
}

/// Octal digits, or, with the first bit set, a big-endian number.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        return field[field.len() - 8..]
            .try_into()
            .ok()
            .map(u64::from_be_bytes)
            .filter(|size| *size < 1 << 62);
    }
    let digits = text(field);
    let digits = digits.trim();
    if digits.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(digits, 8).ok()
}

fn name(header: &[u8; 512]) -> String {
    let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
    // GNU tar keeps times where POSIX has the prefix; its magic ends in two spaces.
    if prefix.is_empty() || &header[257..265] == b"ustar  \0" {
        name
    } else {
        format!("{prefix}/{name}")
    }
}

/// Up to the first NUL.
fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Records of an extended header: `LENGTH KEY=VALUE` and a line feed.
fn extended(bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    text.lines()
        .filter_map(|line| {
            let (key, value) = line.split_once(' ')?.1.split_once('=')?;
            Some((key.to_owned(), value.to_owned()))
        })
        .collect()
}
