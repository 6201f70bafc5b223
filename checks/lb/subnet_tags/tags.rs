//! Whether any subnet carries the tag that the Services ask for.

use eksnet_model::aws::{Subnet, tag};
use eksnet_model::kubernetes::Service;
use eksnet_model::{
    Component, Confidence, Cx, Fact, Finding, Running, Severity, Source, Stop, Subject, SubjectKind,
};

use super::META;

/// From this version on subnets without a tag are found by their routes.
const BY_ROUTES: (u32, u32) = (2, 13);

pub(super) fn judge(cx: &Cx<'_>, subnets: &[Subnet]) -> Result<Vec<Finding>, Stop> {
    let controller = cx
        .pods()
        .optional()
        .into_iter()
        .flatten()
        .find(|pod| Component::of_pod(pod) == Component::LoadBalancerController);
    let version = controller
        .and_then(|pod| Running::of(Component::LoadBalancerController, &pod.spec))
        .and_then(|running| running.version());
    let services = cx.services().all()?;
    let asking: Vec<&Service> = services
        .iter()
        .filter(|service| service.spec.kind == "LoadBalancer" && !names_subnets(service))
        .collect();
    if asking.is_empty() {
        return Err(Stop::not_applicable(
            "no Service of type LoadBalancer leaves the choice of subnets to the controller",
        ));
    }
    if version.is_some_and(|version| version >= BY_ROUTES) {
        return Ok(Vec::new());
    }
    let vpc = cx.topology().vpc_id();
    let own: Vec<&Subnet> = subnets
        .iter()
        .filter(|subnet| vpc.is_none_or(|vpc| subnet.vpc_id.is_empty() || subnet.vpc_id == vpc))
        .collect();
    let mut findings = Vec::new();
    for (internal, key) in [
        (false, "kubernetes.io/role/elb"),
        (true, "kubernetes.io/role/internal-elb"),
    ] {
        let wanting: Vec<&&Service> = asking
            .iter()
            .filter(|service| scheme(service) == Some(internal))
            .collect();
        let tagged = own.iter().any(|subnet| tag(&subnet.tags, key).is_some());
        if let Some(first) = wanting.first()
            && !tagged
            && !own.is_empty()
        {
            findings.push(finding(key, first, &own));
        }
    }
    Ok(findings)
}

const PREFIX: &str = "service.beta.kubernetes.io/aws-load-balancer-";

fn annotation<'s>(service: &'s Service, name: &str) -> Option<&'s str> {
    let key = format!("{PREFIX}{name}");
    service.metadata.annotations.get(&key).map(String::as_str)
}

fn names_subnets(service: &Service) -> bool {
    annotation(service, "subnets").is_some()
}

/// Whether the load balancer is to be internal; `None` where the Service leaves it open, as controllers
/// have different defaults.
fn scheme(service: &Service) -> Option<bool> {
    match annotation(service, "scheme") {
        Some(scheme) => Some(scheme == "internal"),
        None => annotation(service, "internal").map(|value| value != "false"),
    }
}

fn finding(key: &str, service: &Service, own: &[&Subnet]) -> Finding {
    let (namespace, name) = (&service.metadata.namespace, &service.metadata.name);
    let some: Vec<&str> = own
        .iter()
        .take(2)
        .map(|one| one.subnet_id.as_str())
        .collect();
    META.finding(
        Severity::Warning,
        format!("Service {namespace}/{name}: none of the {} subnets carries the tag {key}", own.len()),
    )
    .confidence(Confidence::Likely)
    .detail("The load balancer controller takes tagged subnets; without any it makes no load balancer.")
    .subject(Subject::namespaced(SubjectKind::Service, namespace.as_str(), name.as_str()))
    .fact(
        Fact::new(Source::Subnets, some.join(", "), format!("tag {key}"), "not there")
            .expected("on one subnet per zone"),
    )
    .signal("untagged")
    .confirm(format!("kubectl -n {namespace} describe service {name}"))
    .fix(format!(
        "aws ec2 create-tags --resources {} --tags Key={key},Value=1   # public subnets for kubernetes.io/role/elb",
        some.join(" ")
    ))
}
