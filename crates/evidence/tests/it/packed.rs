//! Archives, and what is hostile in them.

use std::io::Write as _;

use crate::support::{folder, read, signatures, try_read};
use eksnet_evidence::load_stream;
use flate2::Compression;
use flate2::write::GzEncoder;

const LOG: &[u8] =
    b"[ERROR] plugin/errors: 2 a.example. A: read udp 10.0.1.2:41->10.0.0.2:53: i/o timeout\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).expect("memory");
    gzip.finish().expect("memory")
}

fn header(name: &str, kind: tar::EntryType, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).expect("a short name");
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, name, *content)
            .expect("memory");
    }
    archive.into_inner().expect("memory")
}

/// A zip archive of one packed member, as a program writes it that cannot seek: sizes behind.
fn zip(name: &str, content: &[u8]) -> Vec<u8> {
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(content).expect("memory");
    let packed = deflate.finish().expect("memory");
    let mut zip = b"PK\x03\x04\x14\x00\x08\x00\x08\x00".to_vec();
    zip.extend([0; 16]);
    zip.extend(u16::try_from(name.len()).expect("short").to_le_bytes());
    zip.extend([0; 2]);
    zip.extend(name.as_bytes());
    zip.extend(&packed);
    zip.extend(b"PK\x07\x08\0\0\0\0");
    zip.extend(u32::try_from(packed.len()).expect("short").to_le_bytes());
    zip.extend(u32::try_from(content.len()).expect("short").to_le_bytes());
    zip.extend(b"PK\x01\x02");
    zip
}

fn files(loaded: &eksnet_evidence::Loaded) -> Vec<String> {
    let logs = loaded.snapshot.kubernetes.logs.value().expect("logs");
    for scan in logs {
        assert!(scan.hits("upstream").is_some(), "{scan:?}");
    }
    logs.iter().map(|scan| scan.file.to_string()).collect()
}

#[test]
fn every_packing_is_opened() {
    let long = format!("{}/coredns.log", "deep".repeat(40));
    let tar = archive(&[
        ("./logs/coredns.log", LOG),
        (&long, LOG),
        ("x.gz", &gzip(LOG)),
    ]);
    let loaded = read(&[
        ("a.log.gz", &gzip(LOG)),
        ("b.tgz", &gzip(&tar)),
        ("c.zip", &zip("in/coredns.log", LOG)),
        ("d.zst", include_bytes!("files/coredns.log.zst")),
    ]);
    assert_eq!(
        files(&loaded),
        [
            "a.log.gz".to_owned(),
            "b.tgz/logs/coredns.log".to_owned(),
            format!("b.tgz/{long}"),
            "b.tgz/x.gz".to_owned(),
            "c.zip/in/coredns.log".to_owned(),
            "d.zst".to_owned(),
        ]
    );
    assert_eq!(loaded.unread, []);
}

#[test]
fn an_archive_can_come_through_a_pipe() {
    let tar = gzip(&archive(&[("coredns.log", LOG)]));
    let loaded = load_stream("standard input", tar.as_slice(), &signatures()).expect("an archive");
    assert_eq!(files(&loaded), ["standard input/coredns.log"]);
}

#[test]
fn links_in_an_archive_are_listed_and_not_followed() {
    let mut tar = tar::Builder::new(Vec::new());
    let mut link = header("shadow", tar::EntryType::Symlink, 0);
    tar.append_link(&mut link, "shadow", "/etc/shadow")
        .expect("memory");
    let plain = header("a.log", tar::EntryType::Regular, LOG.len());
    tar.append(&plain, LOG).expect("memory");
    let loaded = read(&[("x.tar", &tar.into_inner().expect("memory"))]);
    assert_eq!(files(&loaded), ["x.tar/a.log"]);
    assert_eq!(loaded.unread[0].path, "x.tar/shadow");
    assert_eq!(loaded.unread[0].why, "a link, which is not followed");
}

#[test]
fn an_archive_that_is_cut_off_gives_what_came_before_and_says_so() {
    let tar = archive(&[("a.log", LOG), ("b.log", &LOG.repeat(1000))]);
    let gz = gzip(&tar);
    let loaded = read(&[("x.tgz", &gz[..gz.len() - 60])]);
    assert_eq!(files(&loaded)[0], "x.tgz/a.log");
    assert_eq!(loaded.unread.len(), 1, "{:?}", loaded.unread);
    assert_eq!(loaded.unread[0].path, "x.tgz");
}

#[test]
fn a_bomb_is_stopped_and_named() {
    let part = gzip(&vec![b'a'; 8 << 20]);
    let folder = folder(&[("bomb.gz", &part.repeat(20))]);
    let error = try_read(folder.path())
        .expect_err("no evidence")
        .to_string();
    assert!(error.contains("unpacks to more than 64 MiB"), "{error}");
}

#[test]
fn packing_without_end_is_not_unpacked() {
    let mut bytes = LOG.to_vec();
    for _ in 0..6 {
        bytes = gzip(&bytes);
    }
    let folder = folder(&[("x.gz", &bytes)]);
    let error = try_read(folder.path())
        .expect_err("no evidence")
        .to_string();
    assert!(error.contains("packed too many times"), "{error}");
}

#[test]
fn damaged_archives_are_named_and_never_a_panic() {
    let tar = gzip(&archive(&[("a.log", LOG)]));
    let zipped = zip("a.log", LOG);
    for whole in [&tar, &zipped] {
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            let _ = load_stream("x", damaged.as_slice(), &signatures());
            let _ = load_stream("x", &whole[..at], &signatures());
        }
    }
}
