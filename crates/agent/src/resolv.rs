//! `P.resolv`: the pod's `/etc/resolv.conf`, as resolv.conf(5) and glibc's `res_init.c` read it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use eksnet_probe::Resolv;

/// Most of the file that is read, in bytes. kubelet writes a few hundred.
pub const MAX_RESOLV_BYTES: u64 = 64 * 1024;

/// Most entries kept of each list; kubelet allows 3 servers and 32 search domains.
const MAX_ENTRIES: usize = 64;

/// Longest entry kept, in characters; a domain name holds 253.
const MAX_ENTRY_CHARS: usize = 255;

/// Reads the file at `path`. A file that cannot be read is a value with `error` set, and no
/// servers.
#[must_use]
pub fn read_resolv(path: &Path) -> Resolv {
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(MAX_RESOLV_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Resolv {
            error: Some(format!("reading {} failed: {error}", path.display())),
            ..Resolv::default()
        },
        Ok(_) => {
            let whole = bytes.len() as u64 <= MAX_RESOLV_BYTES;
            let mut resolv = parse_resolv(&String::from_utf8_lossy(&bytes));
            if !whole {
                resolv.error = Some(format!(
                    "{} is longer than {MAX_RESOLV_BYTES} bytes: the rest was not read",
                    path.display()
                ));
            }
            resolv
        }
    }
}

/// Reads the text of a `resolv.conf`. A keyword counts at the start of a line only; the last
/// `search` or `domain` line wins; options add up; text after `#` or `;` is a comment.
#[must_use]
pub fn parse_resolv(text: &str) -> Resolv {
    let mut resolv = Resolv::default();
    for line in text.lines() {
        if line.starts_with(char::is_whitespace) {
            continue;
        }
        let mut words = line
            .split_ascii_whitespace()
            .take_while(|word| !word.starts_with(['#', ';']));
        match words.next() {
            Some("nameserver") => extend(&mut resolv.nameservers, words.take(1)),
            Some("search") => replace(&mut resolv.search, words),
            Some("domain") => replace(&mut resolv.search, words.take(1)),
            Some("options") => extend(&mut resolv.options, words),
            _ => {}
        }
    }
    resolv
}

fn replace<'a>(list: &mut Vec<String>, words: impl Iterator<Item = &'a str>) {
    list.clear();
    extend(list, words);
}

fn extend<'a>(list: &mut Vec<String>, words: impl Iterator<Item = &'a str>) {
    let room = MAX_ENTRIES.saturating_sub(list.len());
    list.extend(
        words
            .take(room)
            .map(|word| word.chars().take(MAX_ENTRY_CHARS).collect()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_kubelet_writes_is_read_whole() {
        let resolv = parse_resolv(
            "search default.svc.cluster.local svc.cluster.local cluster.local us-west-2.compute.internal\n\
             nameserver 10.100.0.10\noptions ndots:5\n",
        );
        assert_eq!(resolv.nameservers, ["10.100.0.10"]);
        assert_eq!(resolv.search.len(), 4);
        assert_eq!(resolv.search[0], "default.svc.cluster.local");
        assert_eq!(resolv.options, ["ndots:5"]);
        assert_eq!(resolv.error, None);
    }

    #[test]
    fn of_several_search_lines_the_last_wins_and_domain_counts_as_one() {
        let resolv = parse_resolv("search a b\nsearch c d\n");
        assert_eq!(resolv.search, ["c", "d"]);
        assert_eq!(parse_resolv("search a b\ndomain e f\n").search, ["e"]);
        assert_eq!(parse_resolv("domain e\nsearch a b\n").search, ["a", "b"]);
    }

    #[test]
    fn tabs_comments_and_windows_line_ends_do_not_matter() {
        let resolv = parse_resolv(
            "# nameserver 1.1.1.1\n; nameserver 2.2.2.2\n\
             nameserver\t10.0.0.2 # the VPC resolver\r\n\
             options\tndots:2  timeout:1\r\noptions rotate ; edns0\n",
        );
        assert_eq!(resolv.nameservers, ["10.0.0.2"]);
        assert_eq!(resolv.options, ["ndots:2", "timeout:1", "rotate"]);
    }

    #[test]
    fn an_indented_keyword_does_not_count_as_in_glibc() {
        let resolv = parse_resolv("  nameserver 10.0.0.2\nnameservers 10.0.0.3\n");
        assert!(resolv.nameservers.is_empty());
    }

    #[test]
    fn ipv6_servers_keep_their_scope() {
        let resolv = parse_resolv("nameserver fd00:ec2::253\nnameserver fe80::1%eth0\n");
        assert_eq!(resolv.nameservers, ["fd00:ec2::253", "fe80::1%eth0"]);
    }

    #[test]
    fn hostile_content_is_bounded() {
        let many = "nameserver 10.0.0.2\n".repeat(10_000);
        assert_eq!(parse_resolv(&many).nameservers.len(), MAX_ENTRIES);
        let long = format!("search {}", "x".repeat(1_000_000));
        assert_eq!(parse_resolv(&long).search[0].len(), MAX_ENTRY_CHARS);
    }

    #[test]
    fn a_missing_file_is_a_value_that_says_why() {
        let resolv = read_resolv(Path::new("/nonexistent/resolv.conf"));
        let error = resolv.error.expect("a reason");
        assert!(error.contains("/nonexistent/resolv.conf"), "{error}");
        assert!(resolv.nameservers.is_empty());
    }

    #[test]
    fn a_file_of_another_encoding_is_read_as_far_as_it_goes() {
        let folder = std::env::temp_dir().join(format!("eksnet-resolv-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("resolv.conf");
        std::fs::write(&path, b"# \xff\xfe\nnameserver 10.0.0.2\n").unwrap();
        assert_eq!(read_resolv(&path).nameservers, ["10.0.0.2"]);
        let long = [b"nameserver 10.0.0.2\n".as_slice(), &vec![b'#'; 100_000]].concat();
        std::fs::write(&path, long).unwrap();
        let resolv = read_resolv(&path);
        assert!(resolv.error.expect("a reason").contains("longer than"));
        assert_eq!(resolv.nameservers, ["10.0.0.2"]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
