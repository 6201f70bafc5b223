//! `dns/private-zone-shadow`: a private zone hides a name that exists in public.

use std::net::IpAddr;

use eksnet_model::dns::vpc_resolvers;
use eksnet_model::endpoints::{is_not_offered, service_of, zone_in};
use eksnet_model::{
    AwsEndpoint, Check, Confidence, Cx, Fact, Finding, Gap, Heard, Meta, ProbePod, Resolution,
    Role, Severity, Source, Stop, Subject, SubjectKind, Why,
};
use eksnet_probe::DnsOutcome;

/// How far back lines count, in seconds.
const WINDOW_S: i64 = 3600;
const SIGNATURES: [&str; 2] = ["oidc-name-nxdomain", "aws-name-nxdomain-at-resolver"];
/// An answer that takes longer, in milliseconds, speaks of a resolver in trouble.
const PROMPT_MS: f64 = 1000.0;

const META: Meta = Meta {
    id: "dns/private-zone-shadow",
    title: "A private zone hides a name of AWS",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Probes],
    helps: &[Source::Logs, Source::VpcEndpoints, Source::Vpcs],
    signals: &["oidc-hidden", "resolver-says-no"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let _ = (cx.vpcs().optional(), cx.vpc_endpoints().optional());
    let logs = cx.logs().optional().map_or(&[][..], Vec::as_slice);
    let mut findings = by_logs(cx, logs);
    let probes = cx.probes().some();
    let expected = AwsEndpoint::expected(cx.cluster(), cx.topology());
    let resolvers = vpc_resolvers(cx.topology().vpc());
    let mut asked = 0;
    if let Ok(run) = &probes {
        for one in &expected {
            let host = one.host.as_str();
            let answers: Vec<(&ProbePod, Resolution)> = run
                .pods
                .iter()
                .filter_map(|pod| Some((pod, pod.resolution_at(host, &resolvers)?)))
                .collect();
            asked += answers.len();
            let hidden = answers.iter().find(|(pod, found)| {
                denies(found) && !is_not_offered(host) && is_prompt(pod, host, &resolvers)
            });
            let named = findings.iter().any(|finding: &Finding| {
                finding
                    .subjects
                    .iter()
                    .any(|subject| *subject.name == *host)
            });
            if let Some((pod, found)) = hidden
                && !named
            {
                findings.push(by_probe(cx, pod, host, found));
            }
        }
    }
    if findings.is_empty() {
        probes?;
        if asked == 0 {
            return Err(Stop::unknown(Gap::new(
                Source::Probes,
                Why::Sampled,
                "no probe asked the VPC resolver for a name of AWS",
            )));
        }
    }
    Ok(findings)
}

fn denies(found: &Resolution) -> bool {
    !found.resolved()
        && (found.failed_with(DnsOutcome::Nxdomain) || found.failed_with(DnsOutcome::Nodata))
        && !found.failed_with(DnsOutcome::Timeout)
}

fn is_prompt(pod: &ProbePod, host: &str, resolvers: &[IpAddr]) -> bool {
    pod.dns()
        .filter(|answer| {
            resolvers.contains(&answer.server) && answer.name.trim_end_matches('.') == host
        })
        .flat_map(|answer| answer.tries)
        .all(|each| each.elapsed_ms < PROMPT_MS)
}

/// Lines in which the resolver of the VPC says no to a name of AWS that exists.
fn by_logs(cx: &Cx<'_>, logs: &[eksnet_model::LogScan]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for lines in Heard::recent(cx, logs, &SIGNATURES, WINDOW_S) {
        // A group per wording; no wording names two.
        let hosts = ["host", "name", "named"];
        for host in hosts.iter().flat_map(|field| lines.values(field)) {
            let is_oidc = host.starts_with("oidc.eks.");
            let exists =
                AwsEndpoint::is_aws(host) && !is_not_offered(host) && zone_in(host).is_none();
            let by_resolver =
                is_oidc || lines.values("server").any(|server| is_resolver(cx, server));
            if !exists || !by_resolver || findings.iter().any(|one| *one.subjects[0].name == *host)
            {
                continue;
            }
            let finding = about(host)
                .fact(lines.fact("lines"))
                .at(Heard::place(cx, &[lines]).towards(host));
            findings.push(if is_oidc {
                oidc(cx, finding, host)
            } else {
                zone_of_somebody(cx, finding, host).confidence(Confidence::Likely)
            });
        }
    }
    findings
}

/// Whether an address is that of the VPC's resolver; where the VPC is not known, an IPv4 address that
/// ends in .2 counts as one.
fn is_resolver(cx: &Cx<'_>, server: &str) -> bool {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() else {
        return false;
    };
    let resolvers = vpc_resolvers(cx.topology().vpc());
    let guessed = match ip {
        IpAddr::V4(v4) => resolvers.len() < 3 && v4.is_private() && v4.octets()[3] == 2,
        IpAddr::V6(_) => false,
    };
    resolvers.contains(&ip) || guessed
}

fn about(host: &str) -> Finding {
    let title = if host.starts_with("oidc.eks.") {
        format!("{host} does not exist inside of the VPC: the zone of an EKS endpoint hides it")
    } else {
        format!("{host} does not exist for the VPC's resolver: a private zone hides it")
    };
    META.finding(Severity::Error, title)
        .subject(Subject::new(SubjectKind::Host, host))
}

/// The endpoint `eks` with private DNS brings a private zone `eks.REGION.amazonaws.com`, which holds no
/// `oidc`. Source: EKS user guide, "Create an IAM OIDC provider for your cluster", read 2026-05.
fn oidc(cx: &Cx<'_>, finding: Finding, host: &str) -> Finding {
    let endpoint = cx
        .vpc_endpoints()
        .optional()
        .into_iter()
        .flatten()
        .find(|one| one.service_name.ends_with(".eks") && one.private_dns_enabled == Some(true));
    let vpc = cx.topology().vpc_id().unwrap_or("VPC_ID");
    let region = host.split('.').nth(2).unwrap_or("REGION");
    let mut finding = finding
        .signal("oidc-hidden")
        .confidence(if endpoint.is_some() {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        })
        .detail("An interface endpoint for eks with private DNS answers for the whole zone around this name and has no record for it. IRSA itself needs the name only in public; tools that read the issuer from inside of the VPC fail.")
        .confirm(format!("nslookup {host}, inside of the VPC and outside of it"))
        .confirm(format!("aws ec2 describe-vpc-endpoints --filters Name=vpc-id,Values={vpc} Name=service-name,Values=com.amazonaws.{region}.eks --query 'VpcEndpoints[].[VpcEndpointId,PrivateDnsEnabled]'"))
        .fix(format!("aws route53resolver create-resolver-rule --creator-request-id eks-oidc --rule-type FORWARD --domain-name oidc.eks.{region}.amazonaws.com --resolver-endpoint-id OUTBOUND_ENDPOINT --target-ips Ip=PUBLIC_RESOLVER   # or read the issuer from outside of the VPC"));
    if let Some(endpoint) = endpoint {
        finding = finding
            .fact(Fact::new(
                Source::VpcEndpoints,
                endpoint.vpc_endpoint_id.as_str(),
                "PrivateDnsEnabled",
                "true",
            ))
            .fix(format!("aws ec2 modify-vpc-endpoint --vpc-endpoint-id {} --no-private-dns-enabled   # where nothing in the VPC needs the endpoint by that name", endpoint.vpc_endpoint_id));
    }
    finding
}

fn zone_of_somebody(cx: &Cx<'_>, finding: Finding, host: &str) -> Finding {
    let vpc = cx.topology().vpc_id().unwrap_or("VPC_ID");
    let region = cx
        .cluster()
        .region
        .as_deref()
        .or_else(|| eksnet_model::endpoints::region_of(host))
        .unwrap_or("REGION");
    finding
        .detail("The resolver answers at once that the name does not exist, though it does in public: a private hosted zone of the VPC covers it without a record for it, or a Resolver rule sends it elsewhere.")
        .confirm(format!("aws route53 list-hosted-zones-by-vpc --vpc-id {vpc} --vpc-region {region}"))
        .confirm(format!("aws route53resolver list-resolver-rule-associations --filters Name=VPCId,Values={vpc}"))
        .fix(format!("Add a record for {host} to the zone that covers it, or take the VPC out of the zone: aws route53 disassociate-vpc-from-hosted-zone --hosted-zone-id ZONE --vpc VPCRegion={region},VPCId={vpc}"))
        .signal("resolver-says-no")
}

fn by_probe(cx: &Cx<'_>, pod: &ProbePod, host: &str, found: &Resolution) -> Finding {
    let ways: Vec<String> = found
        .ways
        .iter()
        .take(2)
        .map(|way| format!("{} {}", way.via, way.saw))
        .collect();
    let finding = about(host).confidence(Confidence::Confirmed).fact(
        Fact::new(
            Source::Probes,
            format!("{} in namespace {}", pod.at.node, pod.at.namespace),
            format!("look-up of {host}"),
            ways.join(", "),
        )
        .expected("an address")
        .at(pod.at_time),
    );
    let finding = zone_of_somebody(cx, finding, host);
    match own_endpoint(cx, host) {
        Some(id) => finding.fact(Fact::new(
            Source::VpcEndpoints,
            id,
            "PrivateDnsEnabled",
            "true, so a record for the name exists in the endpoint's own zone",
        )),
        None => finding,
    }
}

/// The endpoint with private DNS that should answer for the name.
fn own_endpoint<'a>(cx: &'a Cx<'_>, host: &str) -> Option<&'a str> {
    let service = service_of(host)?;
    cx.vpc_endpoints()
        .optional()?
        .iter()
        .find(|one| {
            one.private_dns_enabled == Some(true)
                && one.service_name.rsplit('.').next() == Some(service)
        })
        .map(|one| one.vpc_endpoint_id.as_str())
}
