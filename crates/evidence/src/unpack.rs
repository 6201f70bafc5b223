//! What is packed, unpacked as a stream and within bounds. Nothing is ever written.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

/// Most bytes that one packed file may unpack to.
pub const MAX_UNPACKED_BYTES: u64 = 4 << 30;
/// Bytes that every packed file may unpack to, however small it is.
const ALWAYS_BYTES: u64 = 64 << 20;
/// What it may unpack to beyond that, per packed byte: logs pack 20 to 100 times, a bomb 1,000 times.
const MAX_RATIO: u64 = 200;

/// Unpacks gzip, of one or several members.
pub(crate) fn gzip<'a>(packed: impl Read + 'a) -> impl Read + 'a {
    let (packed, read) = Counted::new(packed);
    Bounded::new(MultiGzDecoder::new(packed), read)
}

/// Unpacks one zstd frame.
pub(crate) fn zstd<'a>(packed: impl Read + 'a) -> io::Result<impl Read + 'a> {
    let (packed, read) = Counted::new(packed);
    let frame = StreamingDecoder::new(BufReader::new(packed)).map_err(io::Error::other)?;
    Ok(Bounded::new(frame, read))
}

/// A stream that counts what is read of it.
pub(crate) struct Counted<R> {
    from: R,
    read: Rc<Cell<u64>>,
}

impl<R> Counted<R> {
    pub(crate) fn new(from: R) -> (Self, Rc<Cell<u64>>) {
        let read = Rc::new(Cell::new(0));
        (
            Self {
                from,
                read: Rc::clone(&read),
            },
            read,
        )
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.from.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.read.set(self.read.get() + count as u64);
        self.from.consume(count);
    }
}

/// What is unpacked, until it is too much for what it was packed in.
pub(crate) struct Bounded<R> {
    from: R,
    packed: Rc<Cell<u64>>,
    unpacked: u64,
}

impl<R> Bounded<R> {
    pub(crate) fn new(from: R, packed: Rc<Cell<u64>>) -> Self {
        Self {
            from,
            packed,
            unpacked: 0,
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = ALWAYS_BYTES
            .max(self.packed.get().saturating_mul(MAX_RATIO))
            .min(MAX_UNPACKED_BYTES);
        if self.unpacked > most {
            return Err(io::Error::other(format!(
                "it unpacks to more than {} MiB, which is more than is read of it",
                most >> 20
            )));
        }
        let count = self.from.read(into)?;
        self.unpacked += count as u64;
        Ok(count)
    }
}

/// UTF-16 as UTF-8.
pub(crate) struct Utf16<R> {
    from: BufReader<R>,
    big_endian: bool,
    /// A first half whose second is awaited.
    half: Option<u16>,
    out: Vec<u8>,
    given: usize,
}

impl<R: Read> Utf16<R> {
    pub(crate) fn new(from: R, big_endian: bool) -> Self {
        Self {
            from: BufReader::new(from),
            big_endian,
            half: None,
            out: Vec::new(),
            given: 0,
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.out.clear();
        self.given = 0;
        let mut units = Vec::with_capacity(4097);
        units.extend(self.half.take());
        let mut pair = [0; 2];
        while units.len() < 4096 {
            match self.from.read_exact(&mut pair) {
                Ok(()) => units.push(if self.big_endian {
                    u16::from_be_bytes(pair)
                } else {
                    u16::from_le_bytes(pair)
                }),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            }
        }
        if units.len() == 4096
            && units
                .last()
                .is_some_and(|unit| (0xd800..0xdc00).contains(unit))
        {
            self.half = units.pop();
        }
        for character in char::decode_utf16(units) {
            let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            let mut buffer = [0; 4];
            self.out
                .extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.out.len() {
            self.refill()?;
        }
        let left = &self.out[self.given..];
        let count = left.len().min(into.len());
        into[..count].copy_from_slice(&left[..count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_of_either_order_is_text() {
        let text = "E1019 größe 😀\n".repeat(2000);
        for big_endian in [false, true] {
            let bytes: Vec<u8> = text
                .encode_utf16()
                .flat_map(|unit| {
                    if big_endian {
                        unit.to_be_bytes()
                    } else {
                        unit.to_le_bytes()
                    }
                })
                .collect();
            let mut read = String::new();
            Utf16::new(bytes.as_slice(), big_endian)
                .read_to_string(&mut read)
                .unwrap();
            assert_eq!(read, text);
        }
    }

    #[test]
    fn what_unpacks_without_end_is_stopped() {
        let packed = Rc::new(Cell::new(10));
        let mut bomb = Bounded::new(io::repeat(b'a'), packed);
        let error = io::copy(&mut bomb, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("64 MiB"), "{error}");
    }
}
