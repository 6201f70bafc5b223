//! The identity guard: whether AWS and Kubernetes talk about the same cluster.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use eksnet_model::{Gap, Source, Text, Why, aws};

use crate::ClusterHints;

/// Whether the cluster that AWS describes is the one that the context leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The same CA and the same endpoint.
    Verified,
    /// The same CA, but something to tell: a host that differs, as through a tunnel, or further CAs.
    Note(Text),
    /// Another CA: another cluster. Its evidence is never mixed with that of the context.
    Mismatch {
        /// Both sides.
        detail: Text,
    },
    /// Nothing to compare, and what would close that.
    Unknown(Gap),
}

/// Compares the context with the cluster that `DescribeCluster` returned.
pub(crate) fn compare(hints: &ClusterHints, cluster: &aws::Cluster) -> Identity {
    let eks_host = host_of(&cluster.endpoint);
    let context_host = Some(host_of(&hints.api_host)).filter(|host| !host.is_empty());
    let same_host = context_host.as_ref().is_some_and(|host| *host == eks_host);
    let unknown = |detail: String| {
        Identity::Unknown(
            Gap::new(Source::Cluster, Why::Failed, detail).closed_by("--cluster-name"),
        )
    };

    let eks = STANDARD
        .decode(without_whitespace(&cluster.certificate_authority.data))
        .map(|pem| certificates(&String::from_utf8_lossy(&pem)))
        .unwrap_or_default();
    let context = hints
        .ca_pem
        .as_deref()
        .map(certificates)
        .unwrap_or_default();
    if eks.is_empty() || context.is_empty() {
        // EKS gives every cluster an endpoint of its own, so the host alone tells them apart.
        return if same_host && !eks_host.is_empty() {
            Identity::Verified
        } else if eks.is_empty() {
            unknown(format!(
                "eks:DescribeCluster returned no CA for cluster {} to compare with the context's",
                cluster.name
            ))
        } else {
            unknown(format!(
                "the context carries no CA, and its host {} is not the endpoint {eks_host} of EKS \
                 cluster {}",
                context_host.as_deref().unwrap_or("(unknown)"),
                cluster.name
            ))
        };
    }
    if eks.is_disjoint(&context) {
        return Identity::Mismatch {
            detail: format!(
                "the context{} trusts another CA than EKS cluster {} ({}) has: they are two clusters",
                context_host
                    .as_ref()
                    .map(|host| format!(" (host {host})"))
                    .unwrap_or_default(),
                cluster.name,
                cluster.arn
            )
            .into(),
        };
    }
    if eks != context {
        return Identity::Note(
            format!(
                "the context trusts {} CAs, EKS cluster {} has {}: {} are common",
                context.len(),
                cluster.name,
                eks.len(),
                eks.intersection(&context).count()
            )
            .into(),
        );
    }
    match context_host {
        Some(host) if !same_host => Identity::Note(
            format!(
                "the context reaches EKS cluster {} through {host}, not through its endpoint {eks_host}",
                cluster.name
            )
            .into(),
        ),
        _ => Identity::Verified,
    }
}

/// Host of a URL or of `host:port`, in lower case.
pub(crate) fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    let authority = authority.rsplit_once('@').map_or(authority, |(_, at)| at);
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(""),
        None if authority.matches(':').count() == 1 => authority.split(':').next().unwrap_or(""),
        None => authority,
    };
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// The certificates of a PEM text as DER, whatever their order and white space. What is no
/// certificate is passed over.
pub(crate) fn certificates(pem: &str) -> BTreeSet<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    pem.split(BEGIN)
        .skip(1)
        .filter_map(|after| after.split_once(END))
        .filter_map(|(body, _)| STANDARD.decode(without_whitespace(body)).ok())
        .filter(|der| !der.is_empty())
        .collect()
}

fn without_whitespace(text: &str) -> String {
    text.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: &str = "https://0A1B.gr7.us-west-2.eks.amazonaws.com";

    fn pem(der: &[u8], width: usize) -> String {
        let encoded = STANDARD.encode(der);
        let lines: Vec<&str> = encoded
            .as_bytes()
            .chunks(width)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            lines.join("\r\n")
        )
    }

    fn cluster(ca: &str) -> aws::Cluster {
        aws::Cluster {
            name: "prod".to_owned(),
            arn: "arn:aws:eks:us-west-2:123456789012:cluster/prod".to_owned(),
            endpoint: ENDPOINT.to_owned(),
            certificate_authority: aws::CertificateAuthority {
                data: STANDARD.encode(ca),
            },
            ..aws::Cluster::default()
        }
    }

    fn hints(host: &str, ca: &str) -> ClusterHints {
        ClusterHints {
            api_host: host.to_owned(),
            ca_pem: Some(ca.to_owned()),
            ..ClusterHints::default()
        }
    }

    #[test]
    fn the_same_certificates_in_other_order_and_line_width_are_the_same_cluster() {
        let (a, b) = ([7; 90], [9; 120]);
        let eks = format!("{}{}", pem(&a, 64), pem(&b, 64));
        let context = format!("# corporate\n{}\n{}", pem(&b, 76), pem(&a, 20));
        let host = "0a1b.gr7.us-west-2.eks.amazonaws.com.:443";
        assert_eq!(
            compare(&hints(host, &context), &cluster(&eks)),
            Identity::Verified
        );
    }

    #[test]
    fn another_host_with_the_same_ca_is_a_note() {
        let ca = pem(&[7; 90], 64);
        let Identity::Note(note) = compare(&hints("127.0.0.1:6443", &ca), &cluster(&ca)) else {
            panic!("not a note");
        };
        assert!(note.contains("127.0.0.1"), "{note}");
        assert!(note.contains("0a1b.gr7.us-west-2"), "{note}");
    }

    #[test]
    fn another_ca_is_another_cluster_even_behind_the_same_host() {
        let hints = hints(ENDPOINT, &pem(&[8; 90], 64));
        let found = compare(&hints, &cluster(&pem(&[7; 90], 64)));
        assert!(matches!(found, Identity::Mismatch { .. }), "{found:?}");
    }

    #[test]
    fn one_common_ca_among_more_is_a_note() {
        let (old, new) = (pem(&[1; 60], 64), pem(&[2; 60], 64));
        let context = format!("{old}{new}");
        let found = compare(&hints(ENDPOINT, &context), &cluster(&new));
        assert!(matches!(found, Identity::Note(_)), "{found:?}");
    }

    #[test]
    fn without_a_ca_the_endpoint_decides_and_any_other_host_decides_nothing() {
        let mut hints = hints(ENDPOINT, "");
        let cluster = cluster(&pem(&[7; 90], 64));
        hints.ca_pem = None;
        assert_eq!(compare(&hints, &cluster), Identity::Verified);
        hints.api_host = "localhost".to_owned();
        assert!(matches!(compare(&hints, &cluster), Identity::Unknown(_)));
        hints.api_host = String::new();
        assert!(matches!(compare(&hints, &cluster), Identity::Unknown(_)));
    }

    #[test]
    fn a_cluster_that_is_being_created_has_no_ca_and_matches_nothing() {
        let mut creating = cluster("");
        creating.endpoint = String::new();
        let hints = hints("", &pem(&[7; 90], 64));
        assert!(matches!(compare(&hints, &creating), Identity::Unknown(_)));
    }

    #[test]
    fn hosts_are_read_out_of_urls() {
        for (url, host) in [
            ("https://[2001:DB8::1]:6443/x", "2001:db8::1"),
            ("https://u:p@a.example:6443", "a.example"),
            ("2001:db8::1", "2001:db8::1"),
            ("A.Example.", "a.example"),
        ] {
            assert_eq!(host_of(url), host);
        }
    }
}
