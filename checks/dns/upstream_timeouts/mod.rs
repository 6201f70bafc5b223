//! `dns/upstream-timeouts`: CoreDNS gets no answer from what it forwards to.

mod upstream;

use eksnet_model::dns::{in_domain, vpc_resolvers};
use eksnet_model::{
    Check, Component, Confidence, Corefile, Cx, Finding, Heard, Meta, Role, Severity, Source, Stop,
    Subject, SubjectKind, log_reaches,
};
use upstream::{Kind, Upstream};

/// How far back lines count, in seconds.
const WINDOW_S: i64 = 600;
/// From so many lines in the window on it is no hiccup.
const MANY: u64 = 20;

const SIGNATURES: [&str; 3] = [
    "coredns-upstream-failed",
    "coredns-upstream-unreachable",
    "coredns-no-healthy-proxies",
];

const META: Meta = Meta {
    id: "dns/upstream-timeouts",
    title: "CoreDNS gets no answer from its upstream",
    severity: Severity::Error,
    role: Role::Mechanism,
    needs: &[Source::Logs],
    helps: &[Source::Vpcs, Source::ConfigMaps, Source::Pods],
    signals: &["to-vpc-resolver", "to-own-forwarder", "loop-probe-alone"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let logs = cx.logs().some()?;
    let domain = cx.cluster().dns_domain();
    let mut lines = Heard::recent(cx, logs, &SIGNATURES, WINDOW_S);
    // Names of the cluster CoreDNS answers by itself: who forwards them is a cache on the node.
    lines.retain(|one| {
        let mut names = one.values("name").peekable();
        names.peek().is_none() || names.any(|name| !in_domain(name, domain))
    });
    if lines.is_empty() {
        log_reaches(cx, logs, Component::CoreDns, WINDOW_S)?;
        return Ok(Vec::new());
    }
    let _ = (
        cx.vpcs().optional(),
        cx.config_maps().optional(),
        cx.pods().optional(),
    );
    Ok(Upstream::all(&lines)
        .iter()
        .map(|upstream| finding(cx, upstream, &lines))
        .collect())
}

fn finding(cx: &Cx<'_>, upstream: &Upstream<'_>, all: &[Heard<'_>]) -> Finding {
    let kind = upstream.kind(&vpc_resolvers(cx.topology().vpc()));
    let own: Vec<Heard<'_>> = upstream.lines.iter().map(|one| **one).collect();
    let excerpt = all.iter().any(Heard::is_excerpt);
    let severity = if is_benign(upstream, kind) {
        Severity::Info
    } else if upstream.one_broken_zone() {
        Severity::Warning
    } else if upstream.count >= MANY || excerpt {
        Severity::Error
    } else {
        Severity::Warning
    };
    let name = upstream.name();
    let mut finding = META
        .finding(severity, format!("CoreDNS gets no answer from {name}: {}", upstream.how()))
        .confidence(if upstream.count > 1 {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        })
        .detail(detail(upstream, kind))
        .subject(Subject::new(SubjectKind::Host, name))
        .facts(upstream.facts())
        .at(Heard::place(cx, &own))
        .confirm("kubectl -n kube-system logs -l k8s-app=kube-dns --tail=500 --prefix | grep plugin/errors")
        .confirm("kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}'");
    match kind {
        Kind::VpcResolver => finding = finding.signal("to-vpc-resolver"),
        Kind::Other => finding = finding.signal("to-own-forwarder"),
        Kind::NotKnown => {}
    }
    if is_benign(upstream, kind) {
        finding = finding.signal("loop-probe-alone");
    }
    fixes(cx, finding, upstream, kind)
}

/// The VPC's resolver answers the loop plugin's probe; other servers may drop it, and lose nothing else.
fn is_benign(upstream: &Upstream<'_>, kind: Kind) -> bool {
    upstream.loop_probe_alone() && kind != Kind::VpcResolver
}

fn detail(upstream: &Upstream<'_>, kind: Kind) -> String {
    if is_benign(upstream, kind) {
        return "Only the probe of the loop plugin is lost, a HINFO query of two random numbers at start. Some forwarders drop it; names that pods ask for are not touched.".to_owned();
    }
    if upstream.one_broken_zone() {
        return "All lines are AAAA queries of one zone: the servers of that zone do not answer them, and the way to the upstream works.".to_owned();
    }
    let target = match kind {
        Kind::VpcResolver => {
            "It is the resolver of the VPC, which security groups and network ACLs do not touch. Packets are lost at the limit of 1024 a second of a network interface, or the resolver is off or blocked by DNS Firewall."
        }
        Kind::Other => {
            "It is a forwarder of the cluster's own choice: the route, the security groups or a Resolver endpoint on the way to it, or the server itself, loses the queries."
        }
        Kind::NotKnown => "Names outside of the cluster fail for every pod while this lasts.",
    };
    target.to_owned()
}

fn fixes(cx: &Cx<'_>, finding: Finding, upstream: &Upstream<'_>, kind: Kind) -> Finding {
    let vpc = cx.topology().vpc_id().unwrap_or("VPC_ID");
    if is_benign(upstream, kind) {
        return finding
            .fix("Nothing to mend: let the forwarder answer HINFO queries, or ignore these lines");
    }
    match kind {
        Kind::VpcResolver => finding
            .confirm(format!(
                "aws ec2 describe-vpc-attribute --vpc-id {vpc} --attribute enableDnsSupport"
            ))
            .confirm("ethtool -S eth0 | grep linklocal_allowance_exceeded, on the nodes of CoreDNS")
            .fix("kubectl -n kube-system scale deployment coredns --replicas=4   # spread over nodes: each brings the limit of its own interface")
            .fix("In the Corefile: cache 30 { prefetch 10 1m 10% }, and for clients ndots:2, so that fewer queries leave CoreDNS"),
        _ => {
            let maps = cx.config_maps().optional();
            let written = maps
                .and_then(|maps| Corefile::of(maps))
                .and_then(|file| upstream.written_in(&file));
            let finding = match written {
                Some(line) => finding.fact(eksnet_model::Fact::new(
                    Source::ConfigMaps,
                    "ConfigMap kube-system/coredns",
                    "Corefile",
                    line,
                )),
                None => finding,
            };
            let server = upstream.address().unwrap_or("UPSTREAM");
            finding
                .confirm(format!("kubectl run dns-test --rm -it --restart=Never --image=busybox -- nslookup amazon.com {server}"))
                .fix(format!("Open udp and tcp 53 from the nodes of CoreDNS to {server}, in its security group and on the route to it; or take it out of the Corefile's forward line"))
        }
    }
}
