//! `endpoints/tls-or-proxy-intercepted`: something between a program and AWS breaks TLS, or a proxy setting
//! leads calls to where they get no answer.

mod no_proxy;

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::{
    AwsEndpoint, Check, Confidence, Cx, Finding, Heard, Meta, Place, Role, Severity, Source, Stop,
    Subject, SubjectKind, Text, logs_and_events,
};

use no_proxy::{Incomplete, incomplete};

const UNTRUSTED: &[&str] = &["aws-certificate-untrusted"];
const DEAD: &[&str] = &["proxy-dead"];
const REFUSES: &[&str] = &["proxy-refuses", "proxy-tunnel-failed"];
const HANDSHAKE: &[&str] = &["aws-tls-handshake-timeout"];

const META: Meta = Meta {
    id: "endpoints/tls-or-proxy-intercepted",
    title: "TLS to AWS is intercepted, or a proxy setting breaks calls",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Pods],
    helps: &[
        Source::Logs,
        Source::Events,
        Source::Cluster,
        Source::Services,
        Source::PodIdentityAssociations,
    ],
    signals: &[
        "certificate-untrusted",
        "proxy-dead",
        "proxy-refuses",
        "handshake-timeout",
        "no-proxy-incomplete",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// What was met.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Untrusted,
    Dead,
    Refuses,
    Handshake,
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let scans = logs_and_events(cx, &set);
    let mut met: BTreeMap<(Kind, String), Vec<Heard<'_>>> = BTreeMap::new();
    for (kind, signatures) in [
        (Kind::Untrusted, UNTRUSTED),
        (Kind::Dead, DEAD),
        (Kind::Refuses, REFUSES),
        (Kind::Handshake, HANDSHAKE),
    ] {
        for said in Heard::by(&scans, signatures) {
            // The API server's certificate is signed by the cluster's own authority.
            let own = said.values("host").all(|host| host.contains(".eks."))
                && said.value("host").is_some();
            if kind == Kind::Untrusted && own {
                continue;
            }
            let speaker = said.speaker(cx.topology());
            met.entry((kind, speaker)).or_default().push(said);
        }
    }
    let pods = cx.pods().some();
    let settings: Vec<Incomplete> = pods
        .as_ref()
        .map_or_else(|_| Vec::new(), |pods| incomplete(cx, pods));
    let mut findings: Vec<Finding> = met
        .iter()
        .map(|((kind, speaker), said)| by_log(cx, *kind, speaker, said, &settings))
        .collect();
    for setting in &settings {
        if !met.keys().any(|(_, speaker)| *speaker == setting.workload) {
            findings.push(by_setting(setting));
        }
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    pods?;
    Ok(findings)
}

fn by_log(
    cx: &Cx<'_>,
    kind: Kind,
    speaker: &str,
    said: &[Heard<'_>],
    settings: &[Incomplete],
) -> Finding {
    let hosts: BTreeSet<&str> = said.iter().flat_map(|one| one.values("host")).collect();
    let inside = hosts
        .iter()
        .any(|host| !AwsEndpoint::is_aws(host) || host.contains(".eks."));
    let list = hosts.iter().take(3).copied().collect::<Vec<_>>().join(", ");
    let list = if list.is_empty() {
        "the hosts that it calls"
    } else {
        &list
    };
    let proxy = said.iter().find_map(|one| one.value("proxy"));
    let setting = settings.iter().find(|one| one.workload == speaker);
    let past = said.iter().all(|one| one.is_past(cx.now()));
    let (title, detail, fix, signal, confidence) = match kind {
        Kind::Untrusted => (
            format!("{speaker} is shown a certificate for {list} that is not Amazon's"),
            "Something on the way ends TLS and signs with an authority of its own: a proxy or a firewall that inspects traffic.",
            "Trust that authority in the image and name its file in AWS_CA_BUNDLE and SSL_CERT_FILE, or take AWS's names out of the inspection".to_owned(),
            "certificate-untrusted",
            Confidence::Confirmed,
        ),
        Kind::Dead => (
            match proxy {
                Some(proxy) => format!("{speaker} is sent to the proxy {proxy} for {list}, and gets no connection to it"),
                None => format!("{speaker} is sent to a proxy for {list}, and gets no connection to it"),
            },
            if inside {
                "The address is inside the cluster or the node, where no proxy belongs: NO_PROXY lacks it."
            } else {
                "The program is told of a proxy that does not answer from where it runs."
            },
            no_proxy_fix(speaker, inside),
            "proxy-dead",
            Confidence::Confirmed,
        ),
        Kind::Refuses => (
            format!("{speaker} is sent to a proxy for {list}, and the proxy refuses"),
            if inside {
                "The status is a proxy's answer, not the host's. The address is inside the cluster, where no proxy belongs: NO_PROXY lacks it."
            } else {
                "The status is a proxy's answer, not AWS's: it does not admit the host, or wants a user."
            },
            no_proxy_fix(speaker, inside),
            "proxy-refuses",
            Confidence::Likely,
        ),
        Kind::Handshake => (
            format!("{speaker} connects to {list}, and TLS does not come about"),
            "The connection opens and the server's part of the handshake, its first large packet, never arrives: a firewall that inspects traffic, or a path with a smaller MTU whose messages are dropped.",
            "Compare with ping -M do -s 1472 from the node, and with the same call from a subnet without the firewall; then exempt AWS's names, or set the MTU of the path".to_owned(),
            "handshake-timeout",
            Confidence::Possible,
        ),
    };
    let mut at = Place::default();
    for one in said {
        let place = one.at(cx.topology());
        at.nodes.extend(place.nodes);
        at.workloads.extend(place.workloads);
    }
    at.hosts.extend(hosts.iter().map(|host| Text::from(*host)));
    let mut finding = META
        .finding(
            if past {
                Severity::Warning
            } else {
                Severity::Error
            },
            title,
        )
        .confidence(confidence)
        .detail(detail)
        .subject(Subject::new(SubjectKind::Other, speaker))
        .facts(said.iter().take(3).map(|one| one.fact("failed calls")))
        .signal(signal)
        .at(at.clone())
        .reaches(at);
    if let Some(setting) = setting {
        finding = finding
            .fact(setting.fact.clone())
            .signal("no-proxy-incomplete");
    }
    let host = hosts.first().copied().unwrap_or("sts.REGION.amazonaws.com");
    finding
        .confirm(match kind {
            Kind::Untrusted | Kind::Handshake => format!("openssl s_client -connect {host}:443 -servername {host} </dev/null | grep -E 'issuer|Verify'   # from the node"),
            Kind::Dead | Kind::Refuses => "kubectl get pods -A -o yaml | grep -iE -A1 'name: (https?|no)_proxy'".to_owned(),
        })
        .fix(fix)
}

fn no_proxy_fix(speaker: &str, inside: bool) -> String {
    if inside {
        format!(
            "Add SERVICE_CIDR,VPC_CIDR,169.254.169.254,169.254.170.23,.svc,.cluster.local,.eks.amazonaws.com to NO_PROXY of {speaker}"
        )
    } else {
        format!(
            "Admit the host in the proxy, or add it to NO_PROXY of {speaker} where a VPC endpoint serves it"
        )
    }
}

fn by_setting(setting: &Incomplete) -> Finding {
    let at = Place::default().of(setting.workload.as_str());
    let list = setting.lacks.join(", ");
    let finding = META
        .finding(
            Severity::Error,
            format!("{} goes through a proxy for {list} too: NO_PROXY lacks it", setting.workload),
        )
        .confidence(Confidence::Likely)
        .detail("What is inside the cluster and the node answers no proxy: calls of it are sent away and fail.")
        .subject(Subject::new(SubjectKind::Other, setting.workload.as_str()))
        .fact(setting.fact.clone())
        .signal("no-proxy-incomplete")
        .at(at.clone())
        .reaches(at);
    finding
        .confirm(format!(
            "kubectl -n {} get {} -o yaml | grep -iE -A1 'name: (https?|no)_proxy'",
            setting.namespace, setting.resource
        ))
        .fix(format!(
            "kubectl -n {} set env {} NO_PROXY={}",
            setting.namespace, setting.resource, setting.wanted
        ))
}
