//! Input that is broken, huge, or made to do harm.

use std::io::{self, Read};

use eksnet_evidence::{MAX_LINE_BYTES, load_stream};

use crate::support::{read, signatures};

const LOG: &[u8] =
    b"[ERROR] plugin/errors: 2 a.example. A: read udp 10.0.1.2:41->10.0.0.2:53: i/o timeout\n";

#[test]
fn a_line_without_end_costs_its_first_megabyte_and_is_named() {
    let long = io::repeat(b'a').take(8 * MAX_LINE_BYTES as u64);
    let loaded = load_stream("x", long.chain(&b"\n"[..]).chain(LOG), &signatures()).expect("a log");
    assert!(
        loaded.unread[0].why.contains("longer than 1 MiB"),
        "{:?}",
        loaded.unread
    );
    let logs = loaded.snapshot.kubernetes.logs.value().expect("logs");
    assert_eq!(logs[0].hits("upstream").map(|hits| hits.count), Some(1));
}

/// The same lines over and over: longer than could be held, were it held.
struct Endless {
    left: u64,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let part = &LOG[self.at..];
        let count = part
            .len()
            .min(into.len())
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        into[..count].copy_from_slice(&part[..count]);
        self.at = (self.at + count) % LOG.len();
        self.left -= count as u64;
        Ok(count)
    }
}

#[test]
fn a_long_log_is_counted_and_sampled_not_kept() {
    let lines = 20_000;
    let log = Endless {
        left: lines * LOG.len() as u64,
        at: 0,
    };
    let loaded = load_stream("x", log, &signatures()).expect("a log");
    let logs = loaded.snapshot.kubernetes.logs.value().expect("logs");
    let hits = logs[0].hits("upstream").expect("hits");
    assert_eq!((logs[0].lines, hits.count), (lines, lines));
    assert!(hits.samples.len() <= 5);
}

struct Breaks;

impl Read for Breaks {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

#[test]
fn a_file_that_breaks_off_gives_what_came_before() {
    let loaded = load_stream("x", LOG.chain(Breaks), &signatures());
    let error = loaded.expect_err("nothing came before").to_string();
    assert!(error.contains("the disk is gone"), "{error}");
    let begun = LOG.repeat(1000);
    let loaded = load_stream("x", begun.as_slice().chain(Breaks), &signatures()).expect("a log");
    assert_eq!(loaded.unread[0].why, "the disk is gone");
    assert!(loaded.snapshot.kubernetes.logs.value().is_some());
}

#[cfg(unix)]
#[test]
fn links_lead_nowhere_whatever_they_point_at() {
    let folder = crate::support::folder(&[("a.log", LOG), ("in/b.log", LOG)]);
    for (name, target) in [
        ("out", "/etc/passwd"),
        ("gone", "/nonexistent"),
        ("in/round", ".."),
    ] {
        std::os::unix::fs::symlink(target, folder.path().join(name)).expect("a link");
    }
    let loaded = crate::support::try_read(folder.path()).expect("logs");
    let mut unread: Vec<&str> = loaded
        .unread
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    unread.sort_unstable();
    assert_eq!(unread, ["gone", "in/round", "out"]);
    assert_eq!(
        loaded.snapshot.kubernetes.logs.value().map(Vec::len),
        Some(2)
    );
}

#[test]
fn documents_that_nest_or_repeat_without_end_are_refused() {
    let deep = "[".repeat(200_000);
    let laughs = "kind: List\nitems:\n- &a [x, x, x, x, x, x, x, x, x, x]\n- &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n- &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\n- &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n- &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\n- &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\n- &g [*f, *f, *f, *f, *f, *f, *f, *f, *f, *f]\n- &h [*g, *g, *g, *g, *g, *g, *g, *g, *g, *g]\n- [*h, *h, *h, *h, *h, *h, *h, *h, *h, *h]\n";
    let loaded = read(&[
        ("a.log", LOG),
        ("deep.json", deep.as_bytes()),
        ("laughs.yaml", laughs.as_bytes()),
    ]);
    let unread: Vec<&str> = loaded
        .unread
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(unread, ["deep.json", "laughs.yaml"]);
}

#[test]
fn terminal_escapes_never_reach_the_snapshot() {
    let log = b"[ERROR] plugin/errors: 2 a\x1b]0;owned\x07b\x1b[2J. A: read udp 10.0.1.2:41->10.0.0.2:53: i/o timeout\n";
    let loaded = read(&[("\u{1b}[31mx.log", log)]);
    let logs = loaded.snapshot.kubernetes.logs.value().expect("logs");
    let hits = logs[0].hits("upstream").expect("hits");
    for text in [logs[0].file.as_str(), hits.samples[0].text.as_str()] {
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    }
}

/// Texts of every form that is read, cut and damaged at every place.
#[test]
fn no_damage_to_any_text_is_a_panic() {
    let texts = [
        "NAME   READY   STATUS   RESTARTS   AGE\ncoredns-e0692e06d3-hgrsm   0/1   OOMKilled   19 (4m52s ago)   117m\n",
        "Name:   a-b\nNamespace:   x\nContainers:\n  c:\n    State:   Waiting\n      Reason:   é\nEvents:\n  Warning  BackOff  2m (x5 over 10m)  kubelet  é\n",
        "Nov 25 04:22:11 é kubelet[4021]: E1125 04:22:11.000001    4021 kubelet.go:1] y\n",
        "2026-05-25 16:20:47,123 é\n2026-05-25T16:20:47.1Zé x\nE1019 06:00:10.27811é       1 a.go:1] x\n",
        "{\"level\":\"é\",\"ts\":1,\n\"msg\":\"x\"}\ntime=\"2026-05-25T16:20:47Zé\" msg=\"é\n",
        "; <<>> DiG 9 <<>> @1.1.1.1 é\n;; ->>HEADER<<- opcode: QUERY, status: é, id: 1\n;; SERVER: é#53\nnameserver é\nPING é (é\n",
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: é\n---\n- é: [\n",
        "--node-group-auto-discovery=é\n.:53 {\n  é\n}\nAWS_VPC_K8S_CNI_é=1\n",
        "  \u{3000}kind: Pod\n \u{3000}metadata:\n\u{a0}\u{3000} name: x\n{\n\u{3000}\"items\": []\n}\n",
        "awscni_x{é=\"}\"} 1\nawscni_ 1é\n",
    ];
    let set = signatures();
    for text in texts {
        let bytes = text.as_bytes();
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            for byte in [damaged[at] ^ 0x15, 0xff, b'\n', b' '] {
                damaged[at] = byte;
                let _ = load_stream("x.log", damaged.as_slice(), &set);
            }
            let wide = [&bytes[..at], "\u{3000}é".as_bytes(), &bytes[at..]].concat();
            let _ = load_stream("x.log", wide.as_slice(), &set);
            let _ = load_stream("x.log", &bytes[at..], &set);
            let _ = load_stream("x.log", &bytes[..at], &set);
        }
    }
}
