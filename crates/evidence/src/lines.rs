//! Lines of a stream, in bounded memory.

use std::io::{self, BufRead};

/// Longest line that is kept, in bytes; the rest of a longer one is left out.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// Reads a stream line by line.
pub(crate) struct Lines<R> {
    from: R,
    line: Vec<u8>,
    /// Lines that were longer than [`MAX_LINE_BYTES`].
    pub(crate) cut: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(from: R) -> Self {
        Self {
            from,
            line: Vec::new(),
            cut: 0,
        }
    }

    /// The next line without its line feed; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let mut any = false;
        let mut is_cut = false;
        loop {
            let buffer = match self.from.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                break;
            }
            any = true;
            let end = memchr::memchr(b'\n', buffer);
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let fits = part.len().min(MAX_LINE_BYTES - self.line.len());
            self.line.extend_from_slice(&part[..fits]);
            is_cut |= fits < part.len();
            let taken = end.map_or(buffer.len(), |at| at + 1);
            self.from.consume(taken);
            if end.is_some() {
                break;
            }
        }
        self.cut += u64::from(is_cut);
        Ok(any.then_some(self.line.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_any_length_costs_one_megabyte_and_the_next_one_is_whole() {
        let mut text = vec![b'a'; 3 << 20];
        text.extend_from_slice(b"\nnext\n\nlast");
        let mut lines = Lines::new(text.as_slice());
        assert_eq!(lines.next().unwrap().map(<[u8]>::len), Some(MAX_LINE_BYTES));
        assert_eq!(lines.next().unwrap(), Some(&b"next"[..]));
        assert_eq!(lines.next().unwrap(), Some(&b""[..]));
        assert_eq!(lines.next().unwrap(), Some(&b"last"[..]));
        assert_eq!(lines.next().unwrap(), None);
        assert_eq!(lines.cut, 1);
    }
}
