//! `lb/target-type`: targets by instance where there are none, or by address where nobody reaches it.

use std::sync::LazyLock;

use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Meta, Role, Severity, SignatureSet, Source, Stop,
    Subject, SubjectKind,
};

use crate::say::{self, Say};

use eksnet_model::kubernetes::{Pod, Service};

const META: Meta = Meta {
    id: "lb/target-type",
    title: "The target type of a load balancer does not fit the pods behind it",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Services],
    helps: &[Source::Pods, Source::Logs, Source::Events],
    signals: &[
        "instance-without-node-port",
        "instance-on-fargate",
        "ip-outside-vpc",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

const SAYS: &[Say] = &[
    Say {
        signatures: &["lbc-port-empty", "lbc-not-nodeport", "lbc-port-zero"],
        title: "{who} has target type instance, and the Service behind it has no node ports",
        detail: "Targets of type instance are reached by a node port; a Service of type ClusterIP has none. The target type is instance unless set.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "instance-without-node-port",
        confirm: "kubectl -n {namespace} get ingress,service",
        fix: "kubectl -n {namespace} annotate ingress {name} alb.ingress.kubernetes.io/target-type=ip --overwrite   # or give the Service type NodePort",
    },
    Say {
        signatures: &["lbc-fargate-instance"],
        title: "{who} has target type instance, and its pods run on Fargate",
        detail: "A pod on Fargate is behind no instance of this account; it can be a target by its address alone.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "instance-on-fargate",
        confirm: "kubectl get pods -A -o wide | grep fargate-ip",
        fix: "kubectl -n {namespace} annotate ingress {name} alb.ingress.kubernetes.io/target-type=ip --overwrite   # Service: service.beta.kubernetes.io/aws-load-balancer-nlb-target-type=ip",
    },
    Say {
        signatures: &["lbc-ip-outside"],
        title: "{who} has targets whose addresses are not of the VPC",
        detail: "With target type ip the load balancer sends to the pods themselves, so they need addresses of the VPC; those of an overlay network reach nobody. Targets in another VPC are those of a wrong --aws-vpc-id.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "ip-outside-vpc",
        confirm: "kubectl get pods -A -o wide",
        fix: "kubectl -n {namespace} annotate ingress {name} alb.ingress.kubernetes.io/target-type=instance --overwrite   # with a Service of type NodePort",
    },
];

/// The annotation that sets the target type of a Network Load Balancer.
const TARGET_TYPE: &str = "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type";

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut found = say::findings(
        cx,
        &META,
        &SIGNATURES,
        "An Ingress or Service",
        SAYS,
        |_| true,
    );
    if !found.is_empty() {
        return Ok(found);
    }
    let services = cx.services().some()?;
    let pods = cx.pods().optional().map(Vec::as_slice).unwrap_or_default();
    found.extend(
        services
            .iter()
            .filter_map(|service| on_fargate(service, pods)),
    );
    Ok(found)
}

fn on_fargate(service: &Service, pods: &[Pod]) -> Option<Finding> {
    let wanted = service.metadata.annotations.get(TARGET_TYPE)?;
    if service.spec.kind != "LoadBalancer"
        || wanted != "instance"
        || service.spec.selector.is_empty()
    {
        return None;
    }
    let (namespace, name) = (&service.metadata.namespace, &service.metadata.name);
    let pod = pods.iter().find(|pod| {
        pod.metadata.namespace == *namespace
            && service
                .spec
                .selector
                .iter()
                .all(|(key, value)| pod.metadata.labels.get(key) == Some(value))
            && pod
                .metadata
                .labels
                .contains_key("eks.amazonaws.com/fargate-profile")
    })?;
    Some(
        META.finding(
            Severity::Error,
            format!("Service {namespace}/{name} has target type instance, and its pods run on Fargate"),
        )
        .confidence(Confidence::Confirmed)
        .detail("A pod on Fargate is behind no instance of this account; it can be a target by its address alone.")
        .subject(Subject::namespaced(SubjectKind::Service, namespace.as_str(), name.as_str()))
        .fact(
            Fact::new(
                Source::Services,
                format!("Service {namespace}/{name}"),
                TARGET_TYPE,
                wanted.as_str(),
            )
            .expected("ip"),
        )
        .fact(Fact::new(
            Source::Pods,
            pod.key(),
            "label eks.amazonaws.com/fargate-profile",
            "there",
        ))
        .signal("instance-on-fargate")
        .confirm(format!("kubectl -n {namespace} get pods -o wide"))
        .fix(format!(
            "kubectl -n {namespace} annotate service {name} {TARGET_TYPE}=ip --overwrite"
        )),
    )
}
