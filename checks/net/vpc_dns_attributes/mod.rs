//! `net/vpc-dns-attributes`: `enableDnsSupport` or `enableDnsHostnames` of the VPC is off.

use eksnet_model::aws::Vpc;
use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Gap, Heard, Meta, Role, Severity, Source, Stop, Subject,
    SubjectKind, Why, logs_and_events,
};

const REFUSED: &[&str] = &["private-dns-needs-attributes"];

const META: Meta = Meta {
    id: "net/vpc-dns-attributes",
    title: "A DNS attribute of the VPC is off",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Vpcs],
    helps: &[
        Source::Cluster,
        Source::VpcEndpoints,
        Source::Logs,
        Source::Events,
    ],
    signals: &["dns-support-off", "dns-hostnames-off"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let scans = logs_and_events(cx, &set);
    let private_api = cx
        .eks_cluster()
        .optional()
        .is_some_and(|cluster| cluster.resources_vpc_config.endpoint_private_access);
    let private_dns = cx
        .vpc_endpoints()
        .optional()
        .into_iter()
        .flatten()
        .any(|one| one.private_dns_enabled == Some(true));
    let vpcs = cx.vpcs().some();
    let own = cx.topology().vpc_id();
    // A VPC whose attributes somebody pasted is the one that it is about.
    let judged: Vec<&Vpc> = vpcs
        .as_ref()
        .into_iter()
        .flat_map(|vpcs| vpcs.iter())
        .filter(|vpc| own.is_none_or(|own| own == vpc.vpc_id))
        .collect();
    let mut findings: Vec<Finding> = Vec::new();
    for vpc in &judged {
        if vpc.enable_dns_support == Some(false) {
            findings.push(off(vpc, "enableDnsSupport", Severity::Critical, "The VPC resolver answers nobody: nodes and CoreDNS resolve no name that they do not hold themselves."));
        }
        if vpc.enable_dns_hostnames == Some(false) {
            let (severity, detail) = if private_api || private_dns {
                (
                    Severity::Error,
                    "Private zones of the API endpoint and of VPC endpoints are not used without it: their names resolve to public addresses.",
                )
            } else {
                (
                    Severity::Warning,
                    "EKS asks for it. Nodes get no DNS name, and private endpoints would resolve to public addresses.",
                )
            };
            findings.push(off(vpc, "enableDnsHostnames", severity, detail));
        }
    }
    if findings.is_empty() {
        findings.extend(
            Heard::by(&scans, REFUSED)
                .take(1)
                .map(|said| refused(cx, &said)),
        );
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    vpcs?;
    let known =
        |vpc: &&&Vpc| vpc.enable_dns_support.is_some() && vpc.enable_dns_hostnames.is_some();
    if judged.is_empty() || !judged.iter().all(|vpc| known(&vpc)) {
        return Err(Stop::unknown(Gap::new(
            Source::Vpcs,
            Why::Sampled,
            "the DNS attributes of the VPC were not read",
        )));
    }
    Ok(findings)
}

fn mended(finding: Finding, id: &str, attribute: &str) -> Finding {
    let flag = if attribute == "enableDnsSupport" {
        "support"
    } else {
        "hostnames"
    };
    finding
        .confirm(format!(
            "aws ec2 describe-vpc-attribute --vpc-id {id} --attribute {attribute}"
        ))
        .fix(format!(
            "aws ec2 modify-vpc-attribute --vpc-id {id} --enable-dns-{flag} '{{\"Value\":true}}'"
        ))
}

fn off(vpc: &Vpc, attribute: &str, severity: Severity, detail: &str) -> Finding {
    let id = vpc.vpc_id.as_str();
    let finding = META
        .finding(severity, format!("VPC {id} has {attribute} off"))
        .confidence(Confidence::Confirmed)
        .detail(detail)
        .subject(Subject::new(SubjectKind::Vpc, id))
        .subject(Subject::new(SubjectKind::Other, attribute))
        .fact(Fact::new(Source::Vpcs, id, attribute, "false").expected("true"))
        .signal(if attribute == "enableDnsSupport" {
            "dns-support-off"
        } else {
            "dns-hostnames-off"
        });
    mended(finding, id, attribute)
}

fn refused(cx: &Cx<'_>, said: &Heard<'_>) -> Finding {
    let id = said
        .value("vpc")
        .or_else(|| cx.topology().vpc_id())
        .unwrap_or("VPC_ID");
    let finding = META
        .finding(Severity::Error, format!("VPC {id} has a DNS attribute off: private DNS of an endpoint is refused"))
        .confidence(Confidence::Confirmed)
        .detail("Private DNS needs enableDnsSupport and enableDnsHostnames; each is set in a call of its own.")
        .subject(Subject::new(SubjectKind::Vpc, id))
        .fact(said.fact("refused endpoint"))
        .signal("dns-hostnames-off");
    let finding = mended(finding, id, "enableDnsSupport");
    mended(finding, id, "enableDnsHostnames")
}
