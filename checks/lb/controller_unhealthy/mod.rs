//! `lb/controller-unhealthy`: the load balancer controller does not run, or runs for another cluster.

use std::sync::LazyLock;

use eksnet_model::{
    Check, Component, Confidence, Cx, Deployed, Fact, Finding, Meta, Role, Severity, SignatureSet,
    Source, Stop,
};

use crate::say::{self, Say};

const META: Meta = Meta {
    id: "lb/controller-unhealthy",
    title: "The load balancer controller does not work, or its webhook blocks changes",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Deployments],
    helps: &[Source::Pods, Source::Logs, Source::Events],
    signals: &[
        "webhook-certificate",
        "webhook-no-endpoints",
        "crd-missing",
        "rbac",
        "bad-options",
        "not-ready",
        "other-cluster",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

const SAYS: &[Say] = &[
    Say {
        signatures: &["lbc-webhook-x509"],
        title: "Webhook {webhook} has a certificate that the API server does not trust",
        detail: "The certificate of the webhook and the CA in its configuration do not belong together, or it ran out: each write that the webhook is called for is refused.",
        severity: Severity::Critical,
        confidence: Confidence::Confirmed,
        signal: "webhook-certificate",
        confirm: "kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations -o name | grep aws-load-balancer",
        fix: "kubectl -n kube-system delete secret aws-load-balancer-tls && helm -n kube-system upgrade aws-load-balancer-controller eks/aws-load-balancer-controller --reuse-values   # makes certificate and CA anew; keepTLSSecret=true keeps them",
    },
    Say {
        signatures: &["lbc-webhook-no-endpoints", "lbc-webhook-gone"],
        title: "Webhook {webhook} has no pod that answers: the load balancer controller does not run",
        detail: "Writes that the webhook is called for are refused as long as no pod of the controller is ready, new Services among them.",
        severity: Severity::Critical,
        confidence: Confidence::Confirmed,
        signal: "webhook-no-endpoints",
        confirm: "kubectl -n kube-system get deployment,endpoints -l app.kubernetes.io/name=aws-load-balancer-controller",
        fix: "kubectl -n kube-system rollout restart deployment aws-load-balancer-controller   # where it is not wanted for Services: enableServiceMutatorWebhook=false",
    },
    Say {
        signatures: &["lbc-crd-missing"],
        title: "The load balancer controller does not start: {kind} is not defined in the cluster",
        detail: "Helm does not upgrade custom resource definitions; a newer controller exits where one is missing.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "crd-missing",
        confirm: "kubectl get customresourcedefinitions | grep elbv2.k8s.aws",
        fix: "kubectl apply -k \"github.com/aws/eks-charts/stable/aws-load-balancer-controller/crds?ref=master\"",
    },
    Say {
        signatures: &["lbc-cert-missing"],
        title: "The load balancer controller does not start: the certificate of its webhook is missing",
        detail: "Its pods wait for the secret with the certificate: cert-manager or the Helm chart makes it.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "webhook-certificate",
        confirm: "kubectl -n kube-system get secrets | grep -i load-balancer",
        fix: "helm -n kube-system upgrade aws-load-balancer-controller eks/aws-load-balancer-controller --reuse-values   # or install cert-manager first",
    },
    Say {
        signatures: &["lbc-rbac"],
        title: "The load balancer controller may not {verb} {resource}",
        detail: "Its ClusterRole is older than the controller: caches do not fill, and nothing is reconciled.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "rbac",
        confirm: "kubectl auth can-i {verb} {resource} --as system:serviceaccount:{namespace}:{account}",
        fix: "helm -n {namespace} upgrade aws-load-balancer-controller eks/aws-load-balancer-controller --reuse-values   # brings the ClusterRole of its version",
    },
    Say {
        signatures: &["lbc-bad-options"],
        title: "The load balancer controller does not start with its options",
        detail: "It exits while it reads its command line.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "bad-options",
        confirm: "kubectl -n kube-system logs deployment/aws-load-balancer-controller --tail=50",
        fix: "kubectl -n kube-system edit deployment aws-load-balancer-controller   # --cluster-name={cluster} is required",
    },
];

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let said = say::findings(cx, &META, &SIGNATURES, "The controller", SAYS, |_| true);
    if !said.is_empty() {
        return Ok(said);
    }
    let installed = Deployed::seen(cx, &[Component::LoadBalancerController])?;
    let mut found: Vec<Finding> = installed.iter().filter_map(not_ready).collect();
    if found.is_empty() {
        found.extend(installed.iter().filter_map(|one| other_cluster(cx, one)));
    }
    if found.is_empty() {
        cx.deployments().some()?;
    }
    Ok(found)
}

fn not_ready(one: &Deployed<'_>) -> Option<Finding> {
    let wanted = one.wanted();
    if wanted == 0 || one.ready() > 0 {
        return None;
    }
    let trouble = one.live_pods().find_map(|pod| pod.trouble());
    let mut finding = META
        .finding(
            Severity::Error,
            format!("{} has no ready pod of {wanted}", one.workload()),
        )
        .confidence(Confidence::Confirmed)
        .detail("Load balancers are neither made nor changed, and its webhook refuses what it is called for.")
        .subject(one.subject())
        .at(one.place())
        .fact(
            Fact::new(Source::Deployments, one.workload(), "ready pods", "0")
                .expected(wanted.to_string()),
        )
        .signal("not-ready")
        .confirm(format!("kubectl -n {} describe {}", one.namespace, one.resource()))
        .fix(format!(
            "kubectl -n {} logs {} --previous   # what it says last",
            one.namespace,
            one.resource()
        ));
    if let Some((reason, message)) = trouble {
        finding = finding.fact(Fact::new(
            Source::Pods,
            one.workload(),
            "state of its pods",
            format!("{reason}: {message}"),
        ));
    }
    Some(finding)
}

fn other_cluster(cx: &Cx<'_>, one: &Deployed<'_>) -> Option<Finding> {
    let own = cx.cluster().name.as_deref()?;
    let given = one.running()?.flag("cluster-name")?;
    if given == own || given.contains('$') {
        return None;
    }
    Some(
        META.finding(
            Severity::Error,
            format!("{} works for cluster {given}, not for {own}", one.workload()),
        )
        .confidence(Confidence::Confirmed)
        .detail("It looks for subnets and security groups with the tag of another cluster, and takes the load balancers of this one for foreign.")
        .subject(one.subject())
        .at(one.place())
        .fact(
            Fact::new(Source::Deployments, one.workload(), "--cluster-name", given).expected(own),
        )
        .signal("other-cluster")
        .confirm(format!(
            "kubectl -n {} get {} -o jsonpath='{{.spec.template.spec.containers[*].args}}'",
            one.namespace,
            one.resource()
        ))
        .fix(format!(
            "helm -n {} upgrade {} eks/aws-load-balancer-controller --reuse-values --set clusterName={own}",
            one.namespace, one.name
        )),
    )
}
