//! `net/dhcp-options`: the VPC's DHCP options name DNS servers or a domain that EKS does not work with.

use std::collections::BTreeSet;
use std::net::IpAddr;

use eksnet_model::aws::DhcpOptions;
use eksnet_model::dns::vpc_resolvers;
use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Gap, Heard, Meta, Role, Severity, Source, Stop, Subject,
    SubjectKind, Why, logs_and_events,
};

const LOOKUPS: &[&str] = &["lookup-at-server", "upstream-at-server"];
const NAMES: &[&str] = &["node-name-not-found"];
/// The resolver of the VPC, as DHCP options name it.
const AMAZON: &str = "AmazonProvidedDNS";

const META: Meta = Meta {
    id: "net/dhcp-options",
    title: "The DHCP options of the VPC do not fit EKS",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Vpcs, Source::DhcpOptions],
    helps: &[
        Source::Cluster,
        Source::Observations,
        Source::Logs,
        Source::Events,
    ],
    signals: &["no-servers", "custom-servers-fail", "domain-name"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let scans = logs_and_events(cx, &set);
    let _ = cx.eks_cluster().optional();
    let vpcs = cx.vpcs().some();
    let own = cx.topology().vpc_id();
    let vpc = vpcs.as_ref().ok().and_then(|vpcs| {
        vpcs.iter()
            .find(|vpc| own.is_none_or(|own| own == vpc.vpc_id))
    });
    if let Some(vpc) = vpc.filter(|vpc| vpc.dhcp_options_id == "default") {
        return Ok(vec![no_options(&vpc.vpc_id)]);
    }
    let all = cx.dhcp_options().some()?;
    let options = match vpc {
        Some(vpc) => all
            .iter()
            .find(|one| one.dhcp_options_id == vpc.dhcp_options_id),
        // A set that somebody pasted alone is the one that it is about.
        None => all.first().filter(|_| all.len() == 1),
    };
    let Some(options) = options else {
        vpcs?;
        return Err(Stop::unknown(Gap::new(
            Source::DhcpOptions,
            Why::Failed,
            "the VPC's own set of options is not among those that were read",
        )));
    };
    let servers = values(options, "domain-name-servers");
    let resolvers = vpc_resolvers(vpc);
    let amazon = servers.iter().any(|server| {
        *server == AMAZON
            || server
                .parse()
                .is_ok_and(|ip: IpAddr| resolvers.contains(&ip))
    });
    let mut findings = Vec::new();
    let mut open = None;
    if servers.is_empty() {
        findings.push(no_servers(&options.dhcp_options_id));
    } else if !amazon {
        let proof = failures(cx, &scans, &servers);
        if proof.is_empty() {
            open = Some(servers.join(", "));
        } else {
            findings.push(custom(options, &servers, proof));
        }
    }
    let domains = values(options, "domain-name");
    findings.extend(domain(options, &domains, Heard::by(&scans, NAMES).next()));
    if findings.is_empty()
        && let Some(servers) = open
    {
        return Err(Stop::unknown(Gap::new(
            Source::Observations,
            Why::NotRequested,
            format!(
                "whether {servers} resolve the private names of AWS, only a look-up there shows"
            ),
        )));
    }
    Ok(findings)
}

fn values<'a>(options: &'a DhcpOptions, key: &str) -> Vec<&'a str> {
    let all = options
        .dhcp_configurations
        .iter()
        .filter(|one| one.key == key);
    all.flat_map(|one| one.values.iter().map(|value| value.value.as_str()))
        .collect()
}

/// Look-ups that failed at these servers.
fn failures(cx: &Cx<'_>, scans: &[eksnet_model::LogScan], servers: &[&str]) -> Vec<Fact> {
    let known: BTreeSet<&str> = servers.iter().copied().collect();
    let mut facts: Vec<Fact> = Heard::by(scans, LOOKUPS)
        .filter(|said| said.values("server").any(|server| known.contains(server)))
        .take(3)
        .map(|said| said.fact("failed look-ups"))
        .collect();
    for one in cx
        .observations()
        .optional()
        .into_iter()
        .flat_map(|all| &all.lookups)
    {
        let asked = one
            .server
            .is_some_and(|server| known.contains(server.to_string().as_str()));
        if asked && !one.is_ok() && facts.len() < 3 {
            let how = one.outcome.map_or_else(
                || "failed".to_owned(),
                |how| format!("{how:?}").to_ascii_lowercase(),
            );
            facts.push(
                Fact::new(Source::Observations, one.name.clone(), "look-up", how)
                    .expected("an address"),
            );
        }
    }
    facts
}

fn ended(finding: Finding, id: &str) -> Finding {
    finding
        .confirm(format!("aws ec2 describe-dhcp-options --dhcp-options-ids {id}"))
        .fix("aws ec2 create-dhcp-options --dhcp-configurations Key=domain-name-servers,Values=AmazonProvidedDNS Key=domain-name,Values=REGION.compute.internal")
        .fix("aws ec2 associate-dhcp-options --vpc-id VPC --dhcp-options-id NEW   # the id that the first command prints")
        .fix("kubectl -n kube-system rollout restart deployment coredns   # pods keep the resolv.conf that they started with; nodes renew theirs by lease or reboot")
}

fn no_options(vpc: &str) -> Finding {
    META.finding(Severity::Error, format!("VPC {vpc} has no DHCP options, and so no DNS server"))
        .confidence(Confidence::Likely)
        .detail("`default` means that no options are handed out: nodes start without a resolver.")
        .subject(Subject::new(SubjectKind::Vpc, vpc))
        .fact(Fact::new(Source::Vpcs, vpc, "DhcpOptionsId", "default").expected("a set with AmazonProvidedDNS"))
        .signal("no-servers")
        .confirm(format!("aws ec2 describe-vpcs --vpc-ids {vpc} --query 'Vpcs[].DhcpOptionsId'"))
        .fix(format!("aws ec2 associate-dhcp-options --vpc-id {vpc} --dhcp-options-id OPTIONS_WITH_AMAZONPROVIDEDDNS"))
}

fn no_servers(id: &str) -> Finding {
    ended(
        META.finding(
            Severity::Error,
            format!("DHCP options {id} name no DNS server"),
        )
        .confidence(Confidence::Likely)
        .detail("Nodes start without a resolver.")
        .subject(Subject::new(SubjectKind::Other, id))
        .fact(Fact::new(Source::DhcpOptions, id, "domain-name-servers", "none").expected(AMAZON))
        .signal("no-servers"),
        id,
    )
}

fn custom(options: &DhcpOptions, servers: &[&str], proof: Vec<Fact>) -> Finding {
    let id = options.dhcp_options_id.as_str();
    let list = servers.join(", ");
    ended(
        META.finding(Severity::Error, format!("DHCP options {id} lead nodes to DNS servers that do not resolve for them ({list})"))
            .confidence(Confidence::Confirmed)
            .detail("Private names of the API endpoint and of VPC endpoints are known to the VPC's resolver alone. Servers of your own have to forward amazonaws.com and eks.amazonaws.com to it, and to answer at all.")
            .subject(Subject::new(SubjectKind::Other, id))
            .fact(Fact::new(Source::DhcpOptions, id, "domain-name-servers", list.as_str()).expected(AMAZON))
            .facts(proof)
            .signal("custom-servers-fail"),
        id,
    )
}

/// A domain that node names or search lists suffer from.
fn domain(options: &DhcpOptions, domains: &[&str], lost: Option<Heard<'_>>) -> Option<Finding> {
    let id = options.dhcp_options_id.as_str();
    let value = domains.join(" ");
    let several = value.split_whitespace().count() > 1;
    let custom = !value.is_empty() && !value.ends_with(".internal");
    let lost = lost.filter(|_| custom || value.is_empty());
    if !several && lost.is_none() {
        return None;
    }
    let mut finding = META
        .finding(
            if lost.is_some() { Severity::Error } else { Severity::Warning },
            if value.is_empty() {
                format!("DHCP options {id} set no domain name, and a kubelet does not find its node")
            } else if several {
                format!("DHCP options {id} set several domain names ({value})")
            } else {
                format!("DHCP options {id} set the domain name {value}, and a kubelet does not find its node")
            },
        )
        .confidence(Confidence::Likely)
        .detail("The host name of a node is made with this domain. Several are no valid name, and a name that EC2 does not know is not the one that the node is registered by.")
        .subject(Subject::new(SubjectKind::Other, id))
        .fact(Fact::new(Source::DhcpOptions, id, "domain-name", if value.is_empty() { "none" } else { &value }).expected("REGION.compute.internal"))
        .signal("domain-name");
    if let Some(said) = lost {
        finding = finding.fact(said.fact("node name"));
    }
    Some(ended(finding, id))
}
