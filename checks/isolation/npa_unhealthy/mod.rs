//! `isolation/npa-unhealthy`: the network policy agent does not run, or does not fit what is beside it.

mod setup;
mod state;

use eksnet_model::{
    Check, Component, Confidence, Cx, Finding, Heard, Meta, Role, SandboxFailure, Severity, Source,
    Stop, Subject, SubjectKind,
};

/// How far back Events and lines count, in seconds.
const WINDOW_S: i64 = 3600;

const META: Meta = Meta {
    id: "isolation/npa-unhealthy",
    title: "The network policy agent does not work",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::DaemonSets],
    helps: &[Source::Pods, Source::Events, Source::Logs],
    signals: &[
        "sandbox-policy",
        "agent-not-ready",
        "agent-denied",
        "agent-attach",
        "agent-absent",
        "versions",
        "two-engines",
        "bandwidth",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let _ = cx.pods().optional();
    let told = by_log(cx);
    let broken = by_event(cx)
        .or_else(|| {
            told.clone()
                .filter(|finding| finding.severity == Severity::Critical)
        })
        .or_else(|| state::not_ready(cx, told.as_ref()))
        .or(told);
    let daemonsets = cx.daemonsets().some();
    if let Some(finding) = broken {
        return Ok(vec![finding]);
    }
    let daemonsets = daemonsets?;
    if let Some(finding) = setup::fault(cx, daemonsets) {
        return Ok(vec![finding]);
    }
    cx.daemonsets().all_in("kube-system")?;
    if !setup::is_on(daemonsets) {
        return Err(Stop::not_applicable(
            "network policies of the VPC CNI are switched off",
        ));
    }
    Ok(Vec::new())
}

/// A finding about aws-node, in whose pods the agent runs.
fn about(severity: Severity, title: String) -> Finding {
    META.finding(severity, title)
        .subject(Subject::namespaced(
            SubjectKind::DaemonSet,
            "kube-system",
            "aws-node",
        ))
        .confirm("kubectl -n kube-system get pods -l k8s-app=aws-node -o wide")
        .confirm("kubectl -n kube-system logs -l k8s-app=aws-node -c aws-eks-nodeagent --tail=50 --prefix")
}

/// Pods that cannot start, as the agent does not set up their policies.
fn by_event(cx: &Cx<'_>) -> Option<Finding> {
    let event = cx.events().optional()?.iter().find(|event| {
        SandboxFailure::of(event) == Some(SandboxFailure::NetworkPolicy)
            && cx.within(event.last_seen(), WINDOW_S)
    })?;
    let object = &event.involved_object;
    let pod = cx.topology().pod(&object.namespace, &object.name);
    let node = pod
        .map(|pod| pod.spec.node_name.as_str())
        .filter(|node| !node.is_empty());
    let fact = eksnet_model::Fact::new(
        Source::Events,
        if object.name.is_empty() {
            "a pod".to_owned()
        } else {
            format!("Pod {}/{}", object.namespace, object.name)
        },
        "sandbox",
        event.message.as_str(),
    )
    .at(event.last_seen());
    Some(
        blocking(cx)
            .fact(fact)
            .at(eksnet_model::Place::default().on(node)),
    )
}

fn blocking(cx: &Cx<'_>) -> Finding {
    about(
        Severity::Critical,
        "Pods do not start: the network policy agent does not set up their policies".to_owned(),
    )
    .confidence(Confidence::Confirmed)
    .detail("The CNI plugin asks the agent on its node for each new pod, and fails the pod where it gives no answer: the agent is absent, crashes, or does not fit the plugin's version.")
    .signal("sandbox-policy")
    .fix(format!(
        "aws eks update-addon --cluster-name {} --addon-name vpc-cni --resolve-conflicts PRESERVE --addon-version VERSION   # which brings plugin and agent of one release",
        cx.cluster_name()
    ))
    .fix("kubectl -n kube-system set env daemonset aws-node -c aws-node NETWORK_POLICY_ENFORCING_MODE=standard   # until the agent runs")
}

/// What the plugin and the agent themselves say.
fn by_log(cx: &Cx<'_>) -> Option<Finding> {
    let logs = cx.logs().optional()?;
    let of = |signature: &str| {
        Heard::recent(cx, logs, &[signature], WINDOW_S)
            .into_iter()
            .next()
    };
    if let Some(one) = of("plugin-npa-connect") {
        return Some(
            blocking(cx)
                .fact(one.fact("lines"))
                .at(Heard::place(cx, &[one])),
        );
    }
    if let Some(one) = of("npa-policyendpoints-denied") {
        return Some(
            about(
                Severity::Error,
                "Network policy agent may not read PolicyEndpoints: policies are not applied".to_owned(),
            )
            .confidence(Confidence::Confirmed)
            .detail("ClusterRole aws-node, or the CustomResourceDefinition, is of an older release than the agent. The agent ends, and its container restarts.")
            .fact(one.fact("lines"))
            .at(Heard::place(cx, &[one]))
            .signal("agent-denied")
            .confirm("kubectl get crd policyendpoints.networking.k8s.aws")
            .confirm("kubectl auth can-i list policyendpoints.networking.k8s.aws -A --as=system:serviceaccount:kube-system:aws-node")
            .fix("kubectl apply -f https://raw.githubusercontent.com/aws/amazon-vpc-cni-k8s/VERSION/config/master/aws-k8s-cni.yaml   # or install the EKS add-on vpc-cni: both bring ClusterRole and definition of their release"),
        );
    }
    let one = of("npa-probe-attach")
        .or_else(|| of("npa-map-update"))
        .or_else(|| of("npa-bpf-setup"))?;
    Some(
        about(
            Severity::Error,
            format!("Network policy agent cannot load its eBPF programs: {}", why(&one)),
        )
        .confidence(Confidence::Confirmed)
        .detail("Policies of the pods concerned are not enforced, or not as written. The kernel has to be 5.10 or newer with BPF mounted, and a policy may not exceed the size of the agent's maps.")
        .fact(one.fact("lines"))
        .at(Heard::place(cx, &[one]))
        .signal("agent-attach")
        .confirm("kubectl get nodes -o custom-columns=NAME:.metadata.name,KERNEL:.status.nodeInfo.kernelVersion")
        .fix(format!(
            "aws eks update-addon --cluster-name {} --addon-name vpc-cni --resolve-conflicts PRESERVE   # and nodes of a newer image where the kernel is older than 5.10",
            cx.cluster_name()
        )),
    )
}

fn why(one: &Heard<'_>) -> String {
    one.value("why").unwrap_or("see its log").trim().to_owned()
}

/// The component whose pods hold the agent.
const HOME: Component = Component::AwsNode;
