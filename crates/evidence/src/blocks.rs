//! Whole lines of a stream, many at a time, in bounded memory.

use std::io::{self, Read};

/// Longest line that is kept, in bytes; the rest of a longer one is left out.
pub const MAX_LINE_BYTES: usize = 1 << 20;
/// What is read at once, in bytes. A block is longer only where a line is. Allocators give memory of this size
/// again; much larger pieces would come from the system each time.
const BLOCK: usize = 64 << 10;

/// Reads a stream block by block; each block ends where a line does.
pub(crate) struct Blocks<R> {
    from: R,
    /// The beginning of a line whose end was not read yet.
    rest: Vec<u8>,
    /// Why reading broke off, until it was said.
    broke: Option<io::Error>,
    /// Lines that were longer than [`MAX_LINE_BYTES`].
    pub(crate) cut: u64,
}

impl<R: Read> Blocks<R> {
    pub(crate) fn new(from: R) -> Self {
        Self {
            from,
            rest: Vec::new(),
            broke: None,
            cut: 0,
        }
    }

    /// The next lines, the last one perhaps without its line feed; `None` at the end.
    ///
    /// # Errors
    /// Why reading broke off, once all that was read before was given.
    pub(crate) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(error) = self.broke.take() {
            return Err(error);
        }
        let mut block = std::mem::take(&mut self.rest);
        loop {
            let known = block.len();
            if self.fill(&mut block) == 0 {
                return match self.broke.take() {
                    Some(error) if block.is_empty() => Err(error),
                    broke => {
                        self.broke = broke;
                        Ok((!block.is_empty()).then_some(block))
                    }
                };
            }
            if let Some(end) = memchr::memrchr(b'\n', &block[known..]) {
                self.rest = block.split_off(known + end + 1);
                self.cut_first(&mut block);
                return Ok(Some(block));
            }
            if block.len() >= MAX_LINE_BYTES {
                self.cut += 1;
                block.truncate(MAX_LINE_BYTES);
                self.skip_line();
                return Ok(Some(block));
            }
        }
    }

    /// Cuts the first line, the only one that can have grown over several reads.
    fn cut_first(&mut self, block: &mut Vec<u8>) {
        if block.len() <= MAX_LINE_BYTES {
            return;
        }
        let end = memchr::memchr(b'\n', block).unwrap_or(block.len());
        if end > MAX_LINE_BYTES {
            self.cut += 1;
            block.drain(MAX_LINE_BYTES..end);
        }
    }

    /// Appends up to [`BLOCK`] bytes, the more the better; how many. None at the end, and where reading broke.
    fn fill(&mut self, block: &mut Vec<u8>) -> usize {
        block.reserve_exact(BLOCK + 1);
        match (&mut self.from).take(BLOCK as u64).read_to_end(block) {
            Ok(count) => count,
            Err(error) => {
                self.broke = Some(error);
                0
            }
        }
    }

    /// Leaves out what is left of a line; what stands behind it in what was read is kept.
    fn skip_line(&mut self) {
        let mut read = Vec::new();
        while self.fill(&mut read) > 0 {
            if let Some(end) = memchr::memchr(b'\n', &read) {
                self.rest = read.split_off(end + 1);
                return;
            }
            read.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> (Vec<Vec<u8>>, u64) {
        let mut blocks = Blocks::new(text);
        let mut lines = Vec::new();
        while let Some(block) = blocks.next().unwrap() {
            let block = block.strip_suffix(b"\n").unwrap_or(&block);
            lines.extend(block.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
        }
        (lines, blocks.cut)
    }

    #[test]
    fn a_line_of_any_length_costs_one_megabyte_and_the_next_one_is_whole() {
        for length in [MAX_LINE_BYTES + 1, 3 << 20, (3 << 20) + 77] {
            let mut text = b"first\n".to_vec();
            text.extend(std::iter::repeat_n(b'a', length));
            text.extend_from_slice(b"\nnext\n\nlast");
            let (lines, cut) = lines(&text);
            let lengths: Vec<usize> = lines.iter().map(Vec::len).collect();
            assert_eq!(lengths, [5, MAX_LINE_BYTES, 4, 0, 4], "{length}");
            assert_eq!(cut, 1);
        }
    }

    #[test]
    fn no_line_is_lost_or_broken_between_blocks() {
        let mut text = Vec::new();
        let mut expected = Vec::new();
        for number in 0..20_000_usize {
            let line = format!("{number} {}", "x".repeat(number * 31 % 200)).into_bytes();
            text.extend_from_slice(&line);
            text.push(b'\n');
            expected.push(line);
        }
        assert!(text.len() > 4 * BLOCK);
        assert_eq!(lines(&text), (expected, 0));
    }

    #[test]
    fn what_came_before_an_error_is_given_first() {
        struct Breaks;
        impl Read for Breaks {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("gone"))
            }
        }
        let mut blocks = Blocks::new(b"one\ntwo".chain(Breaks));
        let mut read = Vec::new();
        let error = loop {
            match blocks.next() {
                Ok(Some(block)) => read.extend(block),
                Ok(None) => panic!("the error was lost"),
                Err(error) => break error,
            }
        };
        assert_eq!(read, b"one\ntwo");
        assert_eq!(error.to_string(), "gone");
    }
}
