//! Reports as people read them, compared with the files `NAME.txt` here.
//!
//! `EKSNET_BLESS=1` writes them; read what changed before you commit it.

use crate::story::{golden, stdout};

const PLAIN: [(&str, &str); 3] = [("LC_ALL", "C.UTF-8"), ("NO_COLOR", "1"), ("TERM", "xterm")];

fn compare(name: &str, text: &str) {
    // The time that judging takes is no part of the story.
    let text = steady(text);
    let path = golden().join(name);
    if std::env::var_os("EKSNET_BLESS").is_some() {
        std::fs::write(&path, &text).expect("a file");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{name} differs\n--- expected\n{expected}\n--- came out\n{text}"
    );
}

/// Replaces durations such as `12 ms` or `0.0 s` of the closing line.
fn steady(text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if let Some(last) = lines.last_mut() {
        let dot = if last.contains(" · ") { " · " } else { " | " };
        let parts: Vec<&str> = last.split(dot).collect();
        let is_time = |part: &&str| !(part.ends_with(" s") || part.ends_with(" ms"));
        *last = parts
            .into_iter()
            .filter(is_time)
            .collect::<Vec<_>>()
            .join(dot);
    }
    lines.join("\n") + "\n"
}

#[test]
fn the_demo_reads_well_at_120_columns() {
    let environment = [&PLAIN[..], &[("COLUMNS", "120")]].concat();
    compare("demo.120.txt", &stdout(&["doctor", "--demo"], &environment));
}

#[test]
fn the_demo_reads_well_at_80_columns_in_ascii() {
    let environment = [("LC_ALL", "C"), ("NO_COLOR", "1"), ("COLUMNS", "80")];
    let text = stdout(&["doctor", "--demo"], &environment);
    assert!(text.is_ascii(), "{text}");
    compare("demo.80.ascii.txt", &text);
}

#[test]
fn the_demo_in_colour_says_nothing_that_it_does_not_say_without() {
    let environment = [
        ("LC_ALL", "C.UTF-8"),
        ("CLICOLOR_FORCE", "1"),
        ("COLUMNS", "120"),
    ];
    let coloured = stdout(&["doctor", "--demo"], &environment);
    assert!(coloured.contains('\u{1b}'));
    compare("demo.120.txt", &without_colour(&coloured));
}

#[test]
fn the_dns_matrix_fits_one_screen_and_shows_which_cell_fails() {
    for (columns, locale) in [("80", "C"), ("120", "C.UTF-8")] {
        let environment = [("LC_ALL", locale), ("NO_COLOR", "1"), ("COLUMNS", columns)];
        for (story, arguments) in [
            ("dns", vec!["dns", "--demo"]),
            (
                "dns_upstream",
                vec![
                    "dns",
                    "--from",
                    "tests/golden/vpc_resolver_unreachable.json",
                ],
            ),
        ] {
            let text = stdout(&arguments, &environment);
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= columns.parse().ok(), "{text}");
            assert!(text.lines().count() <= 36, "{text}");
            compare(&format!("{story}.{columns}.txt"), &text);
        }
    }
}

#[test]
fn the_dns_matrix_in_colour_says_nothing_that_it_does_not_say_without() {
    let environment = [
        ("LC_ALL", "C.UTF-8"),
        ("CLICOLOR_FORCE", "1"),
        ("COLUMNS", "120"),
    ];
    let coloured = stdout(&["dns", "--demo"], &environment);
    assert!(coloured.contains('\u{1b}'));
    compare("dns.120.txt", &without_colour(&coloured));
}

#[test]
fn a_wide_report_holds_the_dns_matrix() {
    let environment = [&PLAIN[..], &[("COLUMNS", "120")]].concat();
    let text = stdout(&["doctor", "--demo", "-o", "wide"], &environment);
    assert!(text.contains("DNS: 4 of 18 cells fail"), "{text}");
    let report = stdout(&["doctor", "--demo"], &environment);
    assert!(!report.contains("cells fail"), "{report}");
}

fn without_colour(coloured: &str) -> String {
    let mut plain = String::new();
    let mut rest = coloured;
    while let Some(at) = rest.find('\u{1b}') {
        plain.push_str(&rest[..at]);
        let end = rest[at..].find('m').expect("the end of a colour");
        rest = &rest[at + end + 1..];
    }
    plain.push_str(rest);
    plain
}

#[test]
fn each_sibling_reads_well() {
    let environment = [&PLAIN[..], &[("COLUMNS", "120")]].concat();
    for name in [
        "kube_proxy_dead",
        "coredns_not_ready",
        "vpc_resolver_unreachable",
        "network_acl",
    ] {
        // Cargo runs tests in the package's folder. A relative path keeps where that is out of the text: the header is
        // laid out by the path's length.
        let path = format!("tests/golden/{name}.json");
        let text = stdout(&["doctor", "--from", &path], &environment);
        compare(&format!("{name}.txt"), &text);
    }
}
