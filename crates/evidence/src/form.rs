//! What bytes are, by how they begin.

/// How many bytes [`Form::of`] wants to see.
pub(crate) const SNIFFED: usize = 8192;

/// What bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Gzip,
    Zstd,
    Tar,
    Zip,
    /// UTF-16, as PowerShell's `>` writes it.
    Utf16 {
        big_endian: bool,
    },
    Text,
    /// Nothing that can be read, by its name.
    Other(&'static str),
}

const MAGIC: [(&[u8], Form); 17] = [
    (b"\x1f\x8b", Form::Gzip),
    (b"\x28\xb5\x2f\xfd", Form::Zstd),
    (b"PK\x03\x04", Form::Zip),
    (b"\xff\xfe", Form::Utf16 { big_endian: false }),
    (b"\xfe\xff", Form::Utf16 { big_endian: true }),
    (b"PK\x05\x06", Form::Other("an empty zip archive")),
    (
        b"\xfd7zXZ\0",
        Form::Other("xz, which has to be unpacked first"),
    ),
    (b"BZh", Form::Other("bzip2, which has to be unpacked first")),
    (
        b"7z\xbc\xaf\x27\x1c",
        Form::Other("7z, which has to be unpacked first"),
    ),
    (
        b"Rar!\x1a\x07",
        Form::Other("rar, which has to be unpacked first"),
    ),
    (b"\x89PNG", Form::Other("a PNG image")),
    (b"\xff\xd8\xff", Form::Other("a JPEG image")),
    (b"GIF8", Form::Other("a GIF image")),
    (b"%PDF-", Form::Other("a PDF document")),
    (b"\x7fELF", Form::Other("a program")),
    (b"\xd4\xc3\xb2\xa1", Form::Other("a packet capture")),
    (b"\x0a\x0d\x0d\x0a", Form::Other("a packet capture")),
];

impl Form {
    /// Judges by the first bytes, [`SNIFFED`] of them where there are as many.
    pub(crate) fn of(head: &[u8]) -> Self {
        if let Some((_, form)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
            return *form;
        }
        if head.get(257..262) == Some(b"ustar") {
            return Self::Tar;
        }
        let head = &head[..head.len().min(SNIFFED)];
        let strange = head
            .iter()
            .filter(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31 | 127))
            .count();
        if head.contains(&0) || strange * 20 > head.len() {
            Self::Other("binary data")
        } else {
            Self::Text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_by_their_first_bytes() {
        assert_eq!(Form::of(b"\x1f\x8b\x08"), Form::Gzip);
        assert_eq!(Form::of(b"hello\n"), Form::Text);
        assert_eq!(Form::of("größe\u{1b}[31m".as_bytes()), Form::Text);
        assert_eq!(Form::of(b"a\xffb\xfe, cut"), Form::Text);
        assert_eq!(Form::of(b"ab\0cd"), Form::Other("binary data"));
        assert_eq!(Form::of(b""), Form::Text);
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(Form::of(&tar), Form::Tar);
    }
}
