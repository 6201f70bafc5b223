//! Through which proxy the API server is reached.
//!
//! Decided here because kube 5.0 matches `NO_PROXY` against the proxy's own address and ignores
//! `HTTP_PROXY`. The rules are those of Go's `net/http/httpproxy`, which kubectl uses
//! (<https://pkg.go.dev/golang.org/x/net/http/httpproxy>, read November 2026).

use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;

use crate::Environment;

/// The proxy for `server`: the kubeconfig's `proxy-url`, else the environment's unless `NO_PROXY`
/// names the server.
///
/// # Errors
/// A sentence, when the address of the proxy cannot be understood.
pub(crate) fn proxy_for(
    server: &Uri,
    kubeconfig: Option<&str>,
    environment: &Environment,
) -> Result<Option<Uri>, String> {
    if let Some(url) = kubeconfig.filter(|url| !url.is_empty()) {
        return parse(url, "the kubeconfig's proxy-url").map(Some);
    }
    let names: [&str; 2] = match server.scheme_str() {
        Some("http") => ["HTTP_PROXY", "http_proxy"],
        _ => ["HTTPS_PROXY", "https_proxy"],
    };
    let Some(url) = environment.first(&names) else {
        return Ok(None);
    };
    let exceptions = environment.first(&["NO_PROXY", "no_proxy"]).unwrap_or("");
    if is_direct(server, exceptions) {
        return Ok(None);
    }
    parse(url, names[0]).map(Some)
}

/// The address itself stays out of the message: it may hold a password.
fn parse(url: &str, from: &str) -> Result<Uri, String> {
    let with_scheme = if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    };
    let uri: Uri = with_scheme.parse().map_err(|_| {
        format!("{from} is no URL of a proxy: expected one such as http://proxy.example:3128")
    })?;
    match uri.scheme_str() {
        Some("http" | "https") => Ok(uri),
        Some("socks5" | "socks5h") => with_scheme
            .replacen("socks5h://", "socks5://", 1)
            .parse()
            .map_err(|_| format!("{from} is no URL of a proxy")),
        other => Err(format!(
            "{from} has the scheme {:?}: only http, https and socks5 proxies can be used",
            other.unwrap_or("")
        )),
    }
}

/// Whether `NO_PROXY`, or being on this machine, exempts the server.
fn is_direct(server: &Uri, exceptions: &str) -> bool {
    let host = server
        .host()
        .unwrap_or("")
        .trim_matches(['[', ']'])
        .to_ascii_lowercase();
    let port = server
        .port_u16()
        .unwrap_or(if server.scheme_str() == Some("http") {
            80
        } else {
            443
        });
    let ip: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    exceptions
        .split(',')
        .map(|entry| entry.trim().to_ascii_lowercase())
        .any(|entry| exempts(&entry, &host, ip, port))
}

fn exempts(entry: &str, host: &str, ip: Option<IpAddr>, port: u16) -> bool {
    if entry.is_empty() {
        return false;
    }
    if entry == "*" {
        return true;
    }
    if let Ok(net) = entry.parse::<IpNet>() {
        return ip.is_some_and(|ip| net.contains(&ip));
    }
    let (name, wanted) = split_port(entry);
    if wanted.is_some_and(|wanted| wanted != port) {
        return false;
    }
    if let Ok(exempt) = name.trim_matches(['[', ']']).parse::<IpAddr>() {
        return ip == Some(exempt);
    }
    // `.example.com` and `*.example.com` exempt what is below, `example.com` itself too.
    let below = name.strip_prefix('*').unwrap_or(name);
    match below.strip_prefix('.') {
        Some(domain) => host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.')),
        None => {
            host == below
                || host
                    .strip_suffix(below)
                    .is_some_and(|rest| rest.ends_with('.'))
        }
    }
}

/// `host:port`; an IPv6 address without brackets has no port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EKS: &str = "https://0123ABCD.gr7.us-west-2.eks.amazonaws.com";

    fn decide(server: &str, kubeconfig: Option<&str>, set: &[(&str, &str)]) -> Option<String> {
        let environment = set
            .iter()
            .fold(Environment::default(), |env, (name, value)| {
                env.with(name, *value)
            });
        let server: Uri = server.parse().unwrap();
        proxy_for(&server, kubeconfig, &environment)
            .unwrap()
            .map(|uri| uri.to_string())
    }

    fn with_exceptions(server: &str, exceptions: &str) -> bool {
        let set = [
            ("HTTPS_PROXY", "http://proxy:3128"),
            ("NO_PROXY", exceptions),
        ];
        decide(server, None, &set).is_none()
    }

    #[test]
    fn no_proxy_is_matched_against_the_server_and_not_against_the_proxy() {
        assert!(with_exceptions(EKS, "localhost, .eks.amazonaws.com"));
        assert!(with_exceptions(EKS, "amazonaws.com"));
        assert!(with_exceptions(EKS, "*.amazonaws.com"));
        assert!(with_exceptions(EKS, "*"));
        assert!(with_exceptions(EKS, "amazonaws.com:443"));
        assert!(!with_exceptions(EKS, "amazonaws.com:8443"));
        assert!(!with_exceptions(EKS, "proxy"));
        assert!(!with_exceptions(EKS, "ws.com"));
        assert!(!with_exceptions(EKS, ""));
        // A leading dot exempts what is below the domain, not the domain.
        assert!(!with_exceptions("https://example.com", ".example.com"));
        assert!(with_exceptions("https://example.com", "example.com"));
    }

    #[test]
    fn addresses_are_matched_by_value_and_by_block() {
        assert!(with_exceptions("https://10.0.9.7:6443", "10.0.0.0/16"));
        assert!(!with_exceptions("https://10.1.9.7:6443", "10.0.0.0/16"));
        assert!(with_exceptions("https://10.0.9.7:6443", "10.0.9.7"));
        assert!(with_exceptions("https://10.0.9.7:6443", "10.0.9.7:6443"));
        assert!(!with_exceptions("https://10.0.9.7:6443", "10.0.9.7:443"));
        assert!(with_exceptions("https://[fd00::1]:443", "[fd00::1]:443"));
        assert!(with_exceptions("https://[fd00::1]", "fd00::/64"));
        // Text that only looks like the end of an address exempts nothing.
        assert!(!with_exceptions("https://10.0.9.7", "0.9.7/8x"));
    }

    #[test]
    fn this_machine_is_never_reached_through_the_environments_proxy() {
        let set = [("HTTPS_PROXY", "http://proxy:3128")];
        assert_eq!(decide("https://127.0.0.1:6443", None, &set), None);
        assert_eq!(decide("https://localhost:6443", None, &set), None);
        let own = Some("http://127.0.0.1:8080");
        let through = decide("https://127.0.0.1:6443", own, &set);
        assert_eq!(through.as_deref(), Some("http://127.0.0.1:8080/"));
    }

    #[test]
    fn the_kubeconfigs_proxy_wins_and_the_scheme_chooses_the_variable() {
        let set = [
            ("HTTPS_PROXY", "secure:1"),
            ("HTTP_PROXY", "http://plain:2"),
            ("NO_PROXY", "*.nowhere"),
        ];
        assert_eq!(decide(EKS, None, &set).as_deref(), Some("http://secure:1/"));
        let plain = decide("http://api.example", None, &set);
        assert_eq!(plain.as_deref(), Some("http://plain:2/"));
        let all = [("HTTPS_PROXY", "secure:1"), ("NO_PROXY", "*")];
        let own = decide(EKS, Some("socks5h://own:3"), &all);
        assert_eq!(own.as_deref(), Some("socks5://own:3/"));
        let lower = [("https_proxy", "http://lower:4")];
        assert_eq!(
            decide(EKS, None, &lower).as_deref(),
            Some("http://lower:4/")
        );
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused_without_its_password() {
        let server: Uri = EKS.parse().unwrap();
        let why = proxy_for(&server, Some("ftp://me:secret@x"), &Environment::default());
        let why = why.unwrap_err();
        assert!(why.contains("ftp") && !why.contains("secret"), "{why}");
    }
}
