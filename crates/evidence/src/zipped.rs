//! Members of a zip archive, as a stream: by their local headers, because standard input cannot seek.

use std::io::{self, BufRead, Read};

use flate2::bufread::DeflateDecoder;

use crate::unpack::{Bounded, Counted};

const LOCAL: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
/// Flag: sizes stand behind the content.
const SIZES_FOLLOW: u16 = 1 << 3;
const ENCRYPTED: u16 = 1;
/// Size that stands for "see the zip64 field".
const IN_ZIP64: u32 = u32::MAX;

/// Hands each file with its content to `each`, or the reason why its content cannot be read.
pub(crate) fn members<R: BufRead>(
    mut from: R,
    mut each: impl FnMut(String, Result<&mut dyn Read, &'static str>) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        if u32(&mut from)? != LOCAL {
            // The directory: all members have been seen.
            return Ok(());
        }
        let _version = u16(&mut from)?;
        let (flags, method) = (u16(&mut from)?, u16(&mut from)?);
        let _time_date_checksum = [u32(&mut from)?, u32(&mut from)?];
        let (packed, _unpacked) = (u32(&mut from)?, u32(&mut from)?);
        let (name, extra) = (u16(&mut from)?, u16(&mut from)?);
        let name = bytes(&mut from, name)?;
        let name = String::from_utf8_lossy(&name).into_owned();
        let extra = bytes(&mut from, extra)?;
        let zip64 = zip64_size(&extra);
        let size = match (packed, zip64) {
            (IN_ZIP64, Some(size)) => size,
            (size, _) => u64::from(size),
        };
        let sizes_follow = flags & SIZES_FOLLOW != 0;
        let is_folder = name.ends_with('/');
        match method {
            _ if flags & ENCRYPTED != 0 => {
                if sizes_follow && size == 0 {
                    return Err(io::Error::other("an encrypted zip archive"));
                }
                each(name, Err("encrypted"))?;
                skip(&mut from, size)?;
            }
            0 if !sizes_follow || size > 0 => {
                let mut content = (&mut from).take(size);
                if !is_folder {
                    each(name, Ok(&mut content))?;
                }
                let left = content.limit();
                skip(&mut from, left)?;
            }
            0 if is_folder => {}
            8 => {
                let (counted, read) = Counted::new(&mut from);
                let mut content = Bounded::new(DeflateDecoder::new(counted), read);
                if !is_folder {
                    each(name, Ok(&mut content))?;
                }
                io::copy(&mut content, &mut io::sink())?;
            }
            _ if sizes_follow && size == 0 => {
                return Err(io::Error::other("a zip archive of another kind"));
            }
            _ => {
                each(name, Err("packed in a way that is not read"))?;
                skip(&mut from, size)?;
            }
        }
        if sizes_follow {
            descriptor(&mut from, zip64.is_some())?;
        }
    }
}

/// Sizes behind the content, with or without a mark in front.
fn descriptor(from: &mut impl Read, is_zip64: bool) -> io::Result<()> {
    let first = u32(from)?;
    let sizes = if is_zip64 { 16 } else { 8 };
    let left = if first == DESCRIPTOR {
        4 + sizes
    } else {
        sizes
    };
    skip(from, left)
}

/// The packed size in the zip64 field, which holds the unpacked one first.
fn zip64_size(mut extra: &[u8]) -> Option<u64> {
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let id = u16::from_le_bytes([head[0], head[1]]);
        let size = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let (field, after) = rest.split_at_checked(size)?;
        if id == 1 {
            return Some(
                field
                    .get(8..16)
                    .and_then(|packed| packed.try_into().ok())
                    .map_or(0, u64::from_le_bytes),
            );
        }
        extra = after;
    }
    None
}

fn skip(from: &mut impl Read, count: u64) -> io::Result<()> {
    io::copy(&mut from.take(count), &mut io::sink()).map(|_| ())
}

fn bytes(from: &mut impl Read, count: u16) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(count)];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn u16(from: &mut impl Read) -> io::Result<u16> {
    let mut bytes = [0; 2];
    from.read_exact(&mut bytes)?;
    Ok(u16::from_le_bytes(bytes))
}

fn u32(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}
