//! `isolation/tenants-not-isolated`: namespaces that are meant to be kept apart, and are not.

mod tenants;

use eksnet_model::kubernetes::NetworkPolicy;
use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Meta, Role, Severity, Source, Stop, Subject, SubjectKind,
    policies_enforced,
};

use tenants::{Kin, Tenants, denies_by_default, is_system};

/// Most namespaces and policies that are named in a text.
const MAX_NAMED: usize = 4;

const META: Meta = Meta {
    id: "isolation/tenants-not-isolated",
    title: "Namespaces that are meant to be kept apart are not",
    severity: Severity::Warning,
    role: Role::Risk,
    needs: &[Source::NetworkPolicies, Source::Pods, Source::DaemonSets],
    helps: &[],
    signals: &["not-enforced", "one-left-out"],
    signatures: "",
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let policies = cx.network_policies().some()?;
    let (pods, daemonsets) = (cx.pods().some(), cx.daemonsets().some());
    let meant: Vec<&NetworkPolicy> = policies.iter().filter(|one| is_meant(one)).collect();
    if meant.is_empty() {
        cx.network_policies().all()?;
        return Err(Stop::not_applicable(
            "no NetworkPolicy says that namespaces are to be kept apart",
        ));
    }
    if policies_enforced(cx) == Some(false) && !tenants::has_other_engine(cx) {
        return Ok(vec![not_enforced(cx, &meant)]);
    }
    // A namespace has no policy only where all of its policies were read.
    if cx.network_policies().is_complete() {
        let tenants = Tenants::of(cx, policies);
        let findings: Vec<Finding> = tenants
            .left_out()
            .into_iter()
            .map(|kin| left_out(cx, &kin))
            .collect();
        if !findings.is_empty() {
            return Ok(findings);
        }
    }
    let _ = (cx.network_policies().all()?, pods?, daemonsets?);
    Ok(Vec::new())
}

/// Whether someone wrote it to keep namespaces apart. A chart's policy for its own pods says nothing of that.
fn is_meant(policy: &NetworkPolicy) -> bool {
    let from_chart = ["helm.sh/chart", "app.kubernetes.io/part-of"]
        .iter()
        .any(|label| policy.metadata.labels.contains_key(*label));
    !is_system(&policy.metadata.namespace) && (denies_by_default(policy) || !from_chart)
}

fn some_of<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(MAX_NAMED);
    let list: Vec<&str> = names.take(MAX_NAMED).collect();
    match more {
        0 => list.join(", "),
        _ => format!("{} and {more} more", list.join(", ")),
    }
}

fn not_enforced(cx: &Cx<'_>, meant: &[&NetworkPolicy]) -> Finding {
    let closing: Vec<&NetworkPolicy> = meant
        .iter()
        .copied()
        .filter(|one| denies_by_default(one))
        .collect();
    let (severity, named) = match closing.is_empty() {
        true => (Severity::Info, meant),
        false => (Severity::Warning, closing.as_slice()),
    };
    let keys: Vec<String> = named
        .iter()
        .map(|one| format!("{}/{}", one.metadata.namespace, one.metadata.name))
        .collect();
    let title = match keys.as_slice() {
        [one] => format!("NetworkPolicy {one} is not enforced: no engine for policies runs"),
        many => format!(
            "{} NetworkPolicies are not enforced: no engine for policies runs",
            many.len()
        ),
    };
    META.finding(severity, title)
        .confidence(if cx.daemonsets().is_complete() {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        })
        .detail("Network policies of the VPC CNI are off, and neither Calico nor Cilium runs: every pod reaches every other one, whatever the policies say.")
        .subjects(named.iter().map(|one| {
            Subject::namespaced(
                SubjectKind::NetworkPolicy,
                one.metadata.namespace.as_str(),
                one.metadata.name.as_str(),
            )
        }))
        .fact(Fact::new(
            Source::NetworkPolicies,
            some_of(keys.iter().map(String::as_str)),
            if closing.is_empty() { "selects" } else { "denies by default" },
            if closing.is_empty() { "some pods" } else { "all pods of the namespace" },
        ))
        .fact(
            Fact::new(
                Source::DaemonSets,
                "DaemonSet kube-system/aws-node",
                "--enable-network-policy",
                "not true",
            )
            .expected("true, or another engine"),
        )
        .signal("not-enforced")
        .confirm("kubectl -n kube-system get daemonset aws-node -o yaml | grep enable-network-policy")
        .confirm("kubectl get networkpolicies -A")
        .fix(format!(
            "aws eks update-addon --cluster-name {} --addon-name vpc-cni --resolve-conflicts PRESERVE --configuration-values '{{\"enableNetworkPolicy\":\"true\"}}'   # each policy then blocks what it does not admit",
            cx.cluster_name()
        ))
}

fn left_out(cx: &Cx<'_>, kin: &Kin<'_>) -> Finding {
    let other = tenants::has_other_engine(cx);
    let several = kin.kept.len() > 1 && !other;
    let namespace = kin.namespace;
    META.finding(
        if several { Severity::Warning } else { Severity::Info },
        format!(
            "Namespace {namespace} admits pods of every other namespace; {}, which {} like it, {} not",
            some_of(kin.kept.iter().copied()),
            if kin.kept.len() == 1 { "is" } else { "are" },
            if kin.kept.len() == 1 { "does" } else { "do" },
        ),
    )
    .confidence(if several { Confidence::Likely } else { Confidence::Possible })
    .detail(if other {
        "No NetworkPolicy denies by default there. Calico and Cilium have policies of their own, which are not read here."
    } else {
        "No NetworkPolicy denies by default there, and not all of its pods are selected by one."
    })
    .subject(Subject::new(SubjectKind::Namespace, namespace))
    .fact(
        Fact::new(
            Source::NetworkPolicies,
            format!("Namespace {namespace}"),
            "pods that no policy isolates in ingress",
            some_of(kin.open.iter().copied()),
        )
        .expected("none"),
    )
    .fact(Fact::new(
        Source::NetworkPolicies,
        some_of(kin.kept.iter().copied()),
        "pods isolated in ingress",
        "all",
    ))
    .fact(Fact::new(
        Source::Pods,
        format!("Namespace {namespace}"),
        "alike by",
        kin.alike.clone(),
    ))
    .signal("one-left-out")
    .confirm(format!("kubectl -n {namespace} get networkpolicies"))
    .confirm(format!("kubectl -n {} get networkpolicies -o yaml", kin.kept.iter().next().copied().unwrap_or("NAMESPACE")))
    .fix(format!(
        "kubectl -n {namespace} apply -f - <<< '{{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicy\",\"metadata\":{{\"name\":\"own-namespace-only\"}},\"spec\":{{\"podSelector\":{{}},\"policyTypes\":[\"Ingress\"],\"ingress\":[{{\"from\":[{{\"podSelector\":{{}}}}]}}]}}}}'   # with rules for what load balancers and monitoring need"
    ))
}
