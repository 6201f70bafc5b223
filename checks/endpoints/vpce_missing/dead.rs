//! Services that failed calls show to be without an endpoint, whatever is known of routes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use eksnet_model::endpoints::region_of;
use eksnet_model::vpce::{endpoint_service, endpoint_service_name};
use eksnet_model::{
    AwsEndpoint, Confidence, Cx, Fact, Finding, Heard, LogScan, Place, Severity, Source, Subject,
    SubjectKind, Text,
};

use super::META;

const CALLS: &[&str] = &["aws-public-address-dead"];
const LAYERS: &[&str] = &["ecr-layer-bucket-dead"];
const TOKENS: &[&str] = &["ecr-no-credentials"];

/// Failed calls, by service.
pub(super) struct Dead<'a> {
    pub by_service: BTreeMap<Text, Vec<Heard<'a>>>,
    layers: Vec<Heard<'a>>,
    tokens: Vec<Heard<'a>>,
    /// Proof that other names of AWS have addresses in the VPC.
    private: Option<Fact>,
}

impl<'a> Dead<'a> {
    pub(super) fn of(cx: &Cx<'_>, scans: &'a [LogScan]) -> Self {
        let _ = cx.vpcs().optional();
        let topology = cx.topology();
        let mut by_service: BTreeMap<Text, Vec<Heard<'a>>> = BTreeMap::new();
        let mut private = private_lookup(cx);
        for said in Heard::by(scans, CALLS) {
            let addresses: Vec<IpAddr> = said
                .values("address")
                .filter_map(|one| one.parse().ok())
                .collect();
            let (inside, outside): (Vec<&IpAddr>, Vec<&IpAddr>) = addresses
                .iter()
                .partition(|address| topology.is_private(**address));
            if !inside.is_empty() {
                private = private.or_else(|| Some(said.fact("address in the VPC")));
            }
            if outside.is_empty() || !inside.is_empty() {
                continue;
            }
            for host in said.values("host") {
                if let Some(service) = endpoint_service(host) {
                    by_service.entry(service.into()).or_default().push(said);
                }
            }
        }
        Self {
            by_service,
            layers: Heard::by(scans, LAYERS).collect(),
            tokens: Heard::by(scans, TOKENS).collect(),
            private,
        }
    }

    pub(super) fn findings(&self, cx: &Cx<'_>) -> Vec<Finding> {
        let endpoints = cx.vpc_endpoints().optional();
        let listed = cx.vpc_endpoints().is_complete() && endpoints.is_some();
        let has = |service: &str| {
            let mut all = endpoints.into_iter().flatten();
            // One whose service was not pasted may be the one.
            all.any(|one| one.service_name.is_empty() || one.is_for(service) && one.is_available())
        };
        // Endpoints for some services, and none for this one: a VPC that is made to do without a way out.
        let others = listed && endpoints.is_some_and(|all| !all.is_empty());
        let mut findings = Vec::new();
        for (service, said) in &self.by_service {
            let proof = if others {
                Some(
                    Fact::new(
                        Source::VpcEndpoints,
                        "VPC endpoints",
                        format!("for {service}"),
                        "none",
                    )
                    .expected("available"),
                )
            } else {
                self.private.clone()
            };
            // The bucket of the layers is told below.
            if service == "s3" && !self.layers.is_empty() {
                continue;
            }
            if let Some(proof) = proof.filter(|_| !has(service)) {
                findings.push(called(cx, service, said, proof));
            }
        }
        if !self.layers.is_empty() && !has("s3") {
            findings.push(layers(cx, &self.layers));
        }
        if !self.tokens.is_empty() && !has("ecr.api") {
            findings.push(tokens(cx, &self.tokens));
        }
        findings
    }
}

/// A look-up of one of AWS's names that gave an address of a private network.
fn private_lookup(cx: &Cx<'_>) -> Option<Fact> {
    let lookups = &cx.observations().optional()?.lookups;
    let found = lookups.iter().find(|one| {
        AwsEndpoint::is_aws(&one.name)
            && endpoint_service(&one.name).is_some_and(|service| service != "eks")
            && one
                .addresses
                .iter()
                .any(|address| cx.topology().is_private(*address))
    })?;
    let addresses: Vec<String> = found.addresses.iter().map(ToString::to_string).collect();
    Some(Fact::new(
        Source::Observations,
        found.name.clone(),
        "look-up",
        addresses.join(", "),
    ))
}

fn place(cx: &Cx<'_>, said: &[Heard<'_>]) -> Place {
    let mut at = Place::default();
    for one in said {
        let place = one.at(cx.topology());
        at.nodes.extend(place.nodes);
        at.workloads.extend(place.workloads);
        at.hosts.extend(one.values("host").map(Text::from));
    }
    at
}

fn create(cx: &Cx<'_>, service: &str, region: Option<&str>) -> String {
    let region = region
        .or(cx.cluster().region.as_deref())
        .unwrap_or("REGION");
    let vpc = cx.topology().vpc_id().unwrap_or("VPC_ID");
    super::create(
        vpc,
        region,
        service,
        "SUBNETS_OF_THE_NODES",
        &BTreeSet::new(),
    )
}

fn list_endpoints(finding: Finding) -> Finding {
    finding.confirm("aws ec2 describe-vpc-endpoints --query 'VpcEndpoints[].[VpcId,ServiceName,State]' --output text")
}

fn called(cx: &Cx<'_>, service: &str, said: &[Heard<'_>], proof: Fact) -> Finding {
    let host = said.iter().find_map(|one| {
        one.values("host")
            .find(|host| endpoint_service(host).as_deref() == Some(service))
    });
    let at = place(cx, said);
    let services = BTreeSet::from([service]);
    list_endpoints(
        META.finding(
            super::severity(&services),
            format!("{} has no VPC endpoint, and its public address is out of reach", host.unwrap_or(service)),
        )
        .confidence(Confidence::Likely)
        .detail("Other services are called through endpoints in the VPC. This name still gives public addresses, and nothing answers there.")
        .subject(Subject::new(SubjectKind::Host, host.unwrap_or(service)))
        .facts(said.iter().take(3).map(|one| one.fact("failed calls")))
        .fact(proof)
        .signal("service-dead")
        .at(at.clone())
        .reaches(at),
    )
    .fix(create(cx, service, host.and_then(region_of)))
}

fn layers(cx: &Cx<'_>, said: &[Heard<'_>]) -> Finding {
    let region = said.iter().find_map(|one| one.value("region"));
    let at = place(cx, said);
    list_endpoints(
        META.finding(
            Severity::Critical,
            "Image layers cannot be fetched from S3: the subnets have no way to it",
        )
        .confidence(Confidence::Likely)
        .detail("ECR answered and sent the client to its bucket in S3, which does not answer. Endpoints for ecr.api and ecr.dkr do not do without one for S3.")
        .subject(Subject::new(
            SubjectKind::Host,
            format!("{}.s3", region.map_or_else(|| "starport-layer-bucket".to_owned(), |region| format!("prod-{region}-starport-layer-bucket"))),
        ))
        .facts(said.iter().take(3).map(|one| one.fact("failed pulls")))
        .signal("service-dead")
        .at(at.clone())
        .reaches(at),
    )
    .fix(create(cx, "s3", region))
}

fn tokens(cx: &Cx<'_>, said: &[Heard<'_>]) -> Finding {
    let host = said
        .iter()
        .find_map(|one| one.value("host"))
        .unwrap_or("ECR");
    let region = said.iter().find_map(|one| one.value("region"));
    let at = place(cx, said);
    let service = endpoint_service_name(region.unwrap_or("REGION"), "ecr.api");
    list_endpoints(
        META.finding(
            Severity::Error,
            format!("Nodes reach {host} and get no token for it: a VPC endpoint for ecr.api is missing, or the node role's read access to ECR"),
        )
        .confidence(Confidence::Possible)
        .detail("The registry answers, so ecr.dkr is reached. The token comes from another endpoint, ecr.api: it has one of its own, and the node's role has to allow ecr:GetAuthorizationToken.")
        .subject(Subject::new(SubjectKind::Host, host))
        .facts(said.iter().take(3).map(|one| one.fact("failed pulls")))
        .signal("no-ecr-token")
        .at(at.clone())
        .reaches(at),
    )
    .confirm(format!("aws ec2 describe-vpc-endpoints --filters Name=service-name,Values={service}"))
    .confirm("aws iam list-attached-role-policies --role-name NODE_ROLE   # AmazonEC2ContainerRegistryPullOnly or ReadOnly")
    .fix(create(cx, "ecr.api", region))
}
