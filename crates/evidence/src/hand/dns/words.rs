//! Words of `dig`, `nslookup`, `host` and `resolv.conf`.

use eksnet_probe::DnsOutcome;

use super::address;

/// Whether an argument asks for TCP.
pub(super) fn is_tcp(program: &str, word: &str) -> bool {
    match program {
        "dig" | "kdig" => matches!(word, "+tcp" | "+vc"),
        "nslookup" => word == "-vc",
        "host" => word == "-T",
        _ => false,
    }
}

/// Server with name, and outcome, of `;; Connection to 10.0.0.2#53(10.0.0.2) for NAME failed: timed out.`
pub(super) fn over_tcp(text: &str) -> Option<(&str, DnsOutcome)> {
    let rest = text.strip_prefix(";; Connection to ")?;
    let (place, why) = rest.split_once(" failed: ")?;
    let outcome = if why.contains("timed out") {
        DnsOutcome::Timeout
    } else if why.contains("refused") {
        DnsOutcome::ConnRefused
    } else if why.contains("unreachable") || why.contains("no route") {
        DnsOutcome::NoRoute
    } else {
        return None;
    };
    Some((place, outcome))
}

/// Type of record that dig and host take as an argument.
pub(super) fn is_type(word: &str) -> bool {
    matches!(
        word.to_ascii_uppercase().as_str(),
        "A" | "AAAA" | "CNAME" | "SRV" | "TXT" | "NS" | "MX" | "SOA" | "PTR" | "ANY" | "IN"
    )
}

/// A record with an address: `name. 30 IN A 10.0.0.1`.
pub(super) fn is_record(text: &str) -> bool {
    let mut words = text.split_whitespace().rev();
    let (value, kind, class) = (words.next(), words.next(), words.next());
    matches!(kind, Some("A" | "AAAA")) && class == Some("IN") && value.and_then(address).is_some()
}

pub(super) fn is_options(text: &str) -> bool {
    text.split_whitespace().skip(1).all(|option| {
        let name = option.split(':').next().unwrap_or(option);
        matches!(
            name,
            "ndots"
                | "timeout"
                | "attempts"
                | "rotate"
                | "edns0"
                | "trust-ad"
                | "use-vc"
                | "single-request"
                | "single-request-reopen"
                | "no-reload"
                | "debug"
                | "inet6"
                | "no-tld-query"
        )
    })
}

pub(super) fn status(word: &str) -> Option<DnsOutcome> {
    Some(match word.trim() {
        "NOERROR" => DnsOutcome::Ok,
        "NXDOMAIN" => DnsOutcome::Nxdomain,
        "SERVFAIL" => DnsOutcome::Servfail,
        "REFUSED" => DnsOutcome::Refused,
        "FORMERR" | "NOTIMP" | "NOTAUTH" => DnsOutcome::OtherRcode,
        _ => return None,
    })
}
