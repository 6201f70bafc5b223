//! `endpoints/vpce-policy-denied`: the policy of a VPC endpoint refuses calls that the cluster makes.

mod policy;

use std::collections::BTreeMap;

use eksnet_model::aws::VpcEndpoint;
use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Gap, Heard, Meta, Place, Role, Severity, Source, Stop,
    Subject, SubjectKind, Text, Why, logs_and_events,
};

use policy::{Lets, judge};

const DENIED: &[&str] = &["vpce-policy-denied"];
const LAYERS: &[&str] = &["ecr-layer-forbidden"];
/// A call that the cluster makes of each service; whoever forbids it forbids the rest as well.
const CALLS: [(&str, &str); 9] = [
    ("sts", "sts:AssumeRoleWithWebIdentity"),
    ("ec2", "ec2:DescribeInstances"),
    ("ecr.api", "ecr:GetAuthorizationToken"),
    ("ecr.dkr", "ecr:BatchGetImage"),
    ("autoscaling", "autoscaling:DescribeAutoScalingGroups"),
    ("eks", "eks:DescribeCluster"),
    ("eks-auth", "eks-auth:AssumeRoleForPodIdentity"),
    (
        "elasticloadbalancing",
        "elasticloadbalancing:DescribeLoadBalancers",
    ),
    ("logs", "logs:PutLogEvents"),
];

const META: Meta = Meta {
    id: "endpoints/vpce-policy-denied",
    title: "The policy of a VPC endpoint refuses calls of the cluster",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::VpcEndpoints],
    helps: &[Source::Logs, Source::Events],
    signals: &["vpce-policy", "policy-read", "layers-forbidden"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let scans = logs_and_events(cx, &set);
    let endpoints = cx.vpc_endpoints().some();
    let all = endpoints.as_ref().map_or(&[][..], |all| all.as_slice());
    let mut by_service: BTreeMap<String, Vec<Heard<'_>>> = BTreeMap::new();
    for said in Heard::by(&scans, DENIED) {
        for action in said.values("action") {
            let service = action.split(':').next().unwrap_or(action);
            by_service.entry(service.to_owned()).or_default().push(said);
        }
    }
    let mut findings: Vec<Finding> = by_service
        .iter()
        .map(|(service, said)| refused(cx, service, said, all))
        .collect();
    let layers: Vec<Heard<'_>> = Heard::by(&scans, LAYERS).collect();
    let mut hangs = Vec::new();
    for endpoint in all {
        let service = endpoint
            .service_name
            .rsplit("amazonaws.")
            .next()
            .unwrap_or_default();
        let service = service
            .split_once('.')
            .map_or(service, |(_, service)| service);
        let told = by_service.contains_key(service.split('.').next().unwrap_or(service));
        match lets(endpoint, service) {
            None | Some(Lets::Pass) => {}
            Some(Lets::Hangs) => hangs.push(endpoint.vpc_endpoint_id.as_str()),
            Some(Lets::Deny) if told || (service == "s3" && !layers.is_empty()) => {}
            Some(Lets::Deny) => findings.push(by_policy(cx, endpoint, service)),
        }
    }
    if !layers.is_empty() {
        findings.push(forbidden(cx, &layers, all));
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    if endpoints?.is_empty() {
        return Err(Stop::not_applicable("the VPC has no VPC endpoint"));
    }
    if let Some(id) = hangs.first() {
        return Err(Stop::unknown(Gap::new(
            Source::VpcEndpoints,
            Why::Sampled,
            format!(
                "the policy of {id} has conditions or principals that cannot be judged from here"
            ),
        )));
    }
    Ok(findings)
}

/// What the policy says to the call that the cluster makes of that service.
fn lets(endpoint: &VpcEndpoint, service: &str) -> Option<Lets> {
    let document = endpoint.policy_document.as_deref()?;
    if service == "s3" {
        let region = region_of(endpoint);
        let layer = format!("arn:aws:s3:::prod-{region}-starport-layer-bucket/layer");
        return Some(judge(document, "s3:GetObject", &layer));
    }
    let (_, action) = CALLS.iter().find(|(name, _)| *name == service)?;
    // What has no resource of its own is asked for as `*`, and a pattern that names anything covers less.
    Some(judge(document, action, "*"))
}

fn region_of(endpoint: &VpcEndpoint) -> &str {
    let rest = endpoint.service_name.split("amazonaws.").nth(1);
    rest.and_then(|rest| rest.split('.').next())
        .unwrap_or("REGION")
}

fn place(cx: &Cx<'_>, said: &[Heard<'_>]) -> Place {
    let mut at = Place::default();
    for one in said {
        let place = one.at(cx.topology());
        at.nodes.extend(place.nodes);
        at.workloads.extend(place.workloads);
    }
    at
}

fn ended(finding: Finding, id: &str) -> Finding {
    finding
        .confirm(format!(
            "aws ec2 describe-vpc-endpoints --vpc-endpoint-ids {id} --query 'VpcEndpoints[].PolicyDocument' --output text"
        ))
        .fix(format!("aws ec2 modify-vpc-endpoint --vpc-endpoint-id {id} --reset-policy"))
}

fn refused(cx: &Cx<'_>, service: &str, said: &[Heard<'_>], all: &[VpcEndpoint]) -> Finding {
    let actions: std::collections::BTreeSet<&str> = said
        .iter()
        .flat_map(|one| one.values("action"))
        .filter(|action| action.starts_with(service))
        .collect();
    let list = actions.into_iter().collect::<Vec<_>>().join(", ");
    let endpoint = all
        .iter()
        .find(|one| one.is_for(service) || one.is_for(&format!("{service}.api")));
    let name = endpoint.map_or_else(
        || format!("The VPC endpoint of {service}"),
        |one| format!("VPC endpoint {}", one.vpc_endpoint_id),
    );
    let at = place(cx, said);
    let mut finding = META
        .finding(Severity::Error, format!("{name} has a policy that refuses {list}"))
        .confidence(Confidence::Confirmed)
        .detail("AWS names the endpoint's policy as what refuses. Policies of the role do not help here, and a simulation of them shows nothing.")
        .subject(endpoint.map_or_else(
            || Subject::new(SubjectKind::Other, format!("VPC endpoint of {service}")),
            |one| Subject::new(SubjectKind::VpcEndpoint, one.vpc_endpoint_id.as_str()),
        ))
        .facts(said.iter().take(3).map(|one| one.fact("refused calls")))
        .signal("vpce-policy")
        .at(at.clone());
    if at != Place::default() {
        finding = finding.reaches(at);
    }
    ended(
        finding,
        endpoint.map_or("VPCE_ID", |one| one.vpc_endpoint_id.as_str()),
    )
}

fn by_policy(cx: &Cx<'_>, endpoint: &VpcEndpoint, service: &str) -> Finding {
    let call = match service {
        "s3" => format!(
            "s3:GetObject on prod-{}-starport-layer-bucket",
            region_of(endpoint)
        ),
        _ => CALLS
            .iter()
            .find(|(name, _)| *name == service)
            .map_or(service, |(_, action)| action)
            .to_owned(),
    };
    let _ = cx;
    let finding = META
        .finding(
            Severity::Error,
            format!("VPC endpoint {} has a policy that lets no {call} pass", endpoint.vpc_endpoint_id),
        )
        .confidence(Confidence::Likely)
        .detail(if service == "s3" {
            "ECR keeps image layers in a bucket of its own. A policy that names only the account's buckets breaks every pull of an image."
        } else {
            "No statement of the policy allows a call that the cluster makes of this service."
        })
        .subject(Subject::new(SubjectKind::VpcEndpoint, endpoint.vpc_endpoint_id.as_str()))
        .fact(
            Fact::new(
                Source::VpcEndpoints,
                endpoint.vpc_endpoint_id.as_str(),
                "PolicyDocument",
                Text::from(endpoint.policy_document.as_deref().unwrap_or_default()),
            )
            .expected(format!("allows {call}")),
        )
        .signal("policy-read");
    ended(finding, &endpoint.vpc_endpoint_id)
}

fn forbidden(cx: &Cx<'_>, said: &[Heard<'_>], all: &[VpcEndpoint]) -> Finding {
    let endpoint = all.iter().find(|one| one.is_for("s3"));
    let read = endpoint.is_some_and(|one| lets(one, "s3") == Some(Lets::Deny));
    let region = said
        .iter()
        .find_map(|one| one.value("region"))
        .unwrap_or("REGION");
    let id = endpoint.map_or("VPCE_ID", |one| one.vpc_endpoint_id.as_str());
    let name = endpoint.map_or_else(
        || "The VPC endpoint of S3".to_owned(),
        |one| format!("VPC endpoint {}", one.vpc_endpoint_id),
    );
    let at = place(cx, said);
    let mut finding = META
        .finding(
            Severity::Error,
            format!("{name} has a policy that refuses image layers of ECR"),
        )
        .confidence(if read { Confidence::Confirmed } else { Confidence::Likely })
        .detail("The fetch has a signed address, so no role of the cluster decides: what refuses is on the way, the policy of the endpoint.")
        .subject(endpoint.map_or_else(
            || Subject::new(SubjectKind::Other, "VPC endpoint of s3"),
            |one| Subject::new(SubjectKind::VpcEndpoint, one.vpc_endpoint_id.as_str()),
        ))
        .facts(said.iter().take(3).map(|one| one.fact("refused fetches")))
        .signal("layers-forbidden")
        .at(at.clone());
    if at != Place::default() {
        finding = finding.reaches(at);
    }
    if let Some(one) = endpoint.filter(|_| read) {
        finding = finding.signal("policy-read").fact(
            Fact::new(
                Source::VpcEndpoints,
                one.vpc_endpoint_id.as_str(),
                "PolicyDocument",
                Text::from(one.policy_document.as_deref().unwrap_or_default()),
            )
            .expected(format!(
                "allows s3:GetObject on arn:aws:s3:::prod-{region}-starport-layer-bucket/*"
            )),
        );
    }
    ended(finding, id)
}
