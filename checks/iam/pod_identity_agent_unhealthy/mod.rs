//! `iam/pod-identity-agent-unhealthy`: the agent of a node cannot give out credentials.

use eksnet_model::kubernetes::Pod;
use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Meta, Place, Role, Severity, Source, Speaker,
    Stop, Subject, SubjectKind,
};

/// Name of the agent's DaemonSet, as the add-on has it.
const AGENT: &str = "eks-pod-identity-agent";
/// A younger pod of the agent may be starting, in seconds.
const STARTING_S: i64 = 120;
/// How far back a line counts, in seconds.
const RECENT_S: i64 = 3600;
const BIND: &str = "pia-bind-failed";
const DENIED: &str = "pia-denied";
const NO_ROLE: &str = "pia-no-node-role";
const UNREACHED: &str = "pia-eks-auth-unreachable";
const CALLERS: [&str; 2] = ["sts-agent-unreachable", "pia-caller-unreachable"];

const META: Meta = Meta {
    id: "iam/pod-identity-agent-unhealthy",
    title: "The Pod Identity agent cannot give out credentials",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[
        Source::PodIdentityAssociations,
        Source::DaemonSets,
        Source::Pods,
    ],
    helps: &[Source::Logs],
    signals: &[
        "not-installed",
        "not-ready",
        "bind-failed",
        "denied",
        "eks-auth-unreachable",
        "caller-unreached",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut findings: Vec<Finding> =
        Speaker::in_logs(cx, &[BIND, DENIED, NO_ROLE, UNREACHED], RECENT_S)
            .iter()
            .map(|said| by_agent(cx, said))
            .collect();
    let unready = unready(cx);
    if findings.is_empty() && !unready.is_empty() {
        findings.push(not_ready(cx, &unready));
    }
    let said = Speaker::in_logs(cx, &CALLERS, RECENT_S);
    match findings.as_mut_slice() {
        [] => findings.extend(said.iter().map(|said| by_caller(cx, said))),
        [first, ..] => {
            for said in &said {
                *first = first
                    .clone()
                    .facts(said.facts("the agent does not answer"))
                    .signal("caller-unreached");
                first
                    .at
                    .workloads
                    .extend(said.place.workloads.iter().cloned());
            }
        }
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    let associations = cx.pod_identity_associations().some()?;
    if associations.is_empty() {
        return Err(Stop::not_applicable(
            "no service account has a Pod Identity association",
        ));
    }
    let daemonsets = cx.daemonsets().some()?;
    let pods = cx.pods().some()?;
    let has_agent = daemonsets.iter().any(|one| one.metadata.name == AGENT)
        || pods
            .iter()
            .any(|pod| Component::of_pod(pod) == Component::PodIdentityAgent);
    // Auto Mode has the agent built in, and no DaemonSet for it.
    let is_auto = cx
        .topology()
        .nodes()
        .any(|node| node.compute_type() == Some("auto"));
    if !has_agent && !is_auto {
        cx.daemonsets().all_in("kube-system")?;
        return Ok(vec![not_installed(cx, associations.len())]);
    }
    Ok(findings)
}

/// Pods of the agent that do not serve, though they had time to start.
fn unready<'a>(cx: &Cx<'a>) -> Vec<&'a Pod> {
    cx.topology()
        .pods_of(Component::PodIdentityAgent)
        .filter(|pod| pod.metadata.deletion_timestamp.is_none() && !pod.is_ready())
        .filter(|pod| {
            let restarts = pod
                .status
                .container_statuses
                .iter()
                .any(|one| one.restart_count > 0);
            let is_old = match (cx.now(), pod.metadata.creation_timestamp) {
                (Some(now), Some(made)) => now.seconds_since(made) > STARTING_S,
                _ => true,
            };
            restarts || is_old
        })
        .collect()
}

fn base(title: String, confidence: Confidence) -> Finding {
    META.finding(Severity::Error, title)
        .confidence(confidence)
        .subject(Subject::namespaced(
            SubjectKind::DaemonSet,
            "kube-system",
            AGENT,
        ))
        .confirm(format!(
            "kubectl -n kube-system get pods -l app.kubernetes.io/name={AGENT} -o wide"
        ))
        .confirm(format!(
            "kubectl -n kube-system logs daemonset/{AGENT} --tail=50"
        ))
}

fn not_installed(cx: &Cx<'_>, associations: usize) -> Finding {
    let cluster = cx.cluster_name();
    let mut finding = base(
        format!("The Pod Identity agent is not installed, and service accounts have {associations} associations"),
        Confidence::Confirmed,
    )
    .detail("Pods with an association ask the agent of their node for credentials, at 169.254.170.23; nobody answers.")
    .fact(
        Fact::new(Source::DaemonSets, "kube-system", AGENT, "not there").expected("a DaemonSet"),
    )
    .fact(Fact::new(
        Source::PodIdentityAssociations,
        cluster,
        "associations",
        associations.to_string(),
    ))
    .signal("not-installed")
    .fix(format!(
        "aws eks create-addon --cluster-name {cluster} --addon-name {AGENT}"
    ));
    finding.severity = Severity::Critical;
    finding
}

fn not_ready(cx: &Cx<'_>, pods: &[&Pod]) -> Finding {
    let all = cx.topology().pods_of(Component::PodIdentityAgent).count();
    let nodes: Vec<&str> = pods
        .iter()
        .map(|pod| pod.spec.node_name.as_str())
        .filter(|node| !node.is_empty())
        .collect();
    let mut finding = base(
        format!("The Pod Identity agent is not ready on {} of {all} nodes", pods.len()),
        Confidence::Confirmed,
    )
    .detail("Pods with an association ask the agent of their node for credentials; on these nodes nobody answers.")
    .signal("not-ready")
    .at(Place::nodes(nodes.iter().copied()))
    .reaches(Place::nodes(nodes.iter().copied()))
    .fix(format!("kubectl -n kube-system rollout restart daemonset/{AGENT}"));
    if pods.len() == all {
        finding.severity = Severity::Critical;
    }
    for pod in pods.iter().take(5) {
        let name = pod.metadata.name.as_str();
        let waits = pod.status.container_statuses.iter().find_map(|one| {
            let waiting = one.state.waiting.as_ref()?;
            (!waiting.reason.is_empty()).then(|| waiting.reason.clone())
        });
        finding = finding.fact(
            Fact::new(
                Source::Pods,
                format!("Pod kube-system/{name}"),
                "ready",
                waits.unwrap_or_else(|| "no".to_owned()),
            )
            .expected("yes"),
        );
    }
    finding
}

fn by_agent(cx: &Cx<'_>, said: &Speaker<'_>) -> Finding {
    let on = said
        .place
        .nodes
        .iter()
        .next()
        .map_or_else(String::new, |node| format!(" on {node}"));
    let role = said
        .values("role")
        .into_iter()
        .next()
        .unwrap_or("NODE_ROLE");
    let (title, detail, signal, fix) = if said.has(BIND) {
        (
            format!("The Pod Identity agent{on} cannot take its address"),
            "It listens on 169.254.170.23 and [fd00:ec2::23]: another process has one of them, or IPv6 is switched off on the node.",
            "bind-failed",
            format!(
                "aws eks update-addon --cluster-name {} --addon-name {AGENT} --configuration-values '{{\"agent\":{{\"additionalArgs\":{{\"-b\":\"169.254.170.23\"}}}}}}'",
                cx.cluster_name()
            ),
        )
    } else if said.has(DENIED) || said.has(NO_ROLE) {
        (
            format!(
                "The node's role does not let the Pod Identity agent{on} call eks-auth:AssumeRoleForPodIdentity"
            ),
            "The agent asks EKS for a pod's credentials with the role of the node, which has to allow just that.",
            "denied",
            format!(
                "aws iam attach-role-policy --role-name {role} --policy-arn arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"
            ),
        )
    } else {
        let region = cx.cluster().region.as_deref().unwrap_or("REGION");
        (
            format!("The Pod Identity agent{on} does not reach the endpoint eks-auth"),
            "Credentials come from eks-auth.REGION.api.aws: a private network needs an interface endpoint for it, and the name must resolve.",
            "eks-auth-unreachable",
            format!(
                "aws ec2 create-vpc-endpoint --vpc-id {} --vpc-endpoint-type Interface --service-name com.amazonaws.{region}.eks-auth --subnet-ids SUBNETS --security-group-ids GROUP",
                cx.topology().vpc_id().unwrap_or("VPC_ID")
            ),
        )
    };
    let mut finding = base(title, Confidence::Confirmed)
        .detail(detail)
        .facts(said.facts("agent"))
        .signal(signal)
        .fix(fix);
    if !said.place.nodes.is_empty() {
        let place = Place::nodes(said.place.nodes.iter().cloned());
        finding = finding.at(place.clone()).reaches(place);
    }
    finding
}

fn by_caller(cx: &Cx<'_>, said: &Speaker<'_>) -> Finding {
    let mut finding = base(
        format!("The Pod Identity agent does not answer {}", said.caller()),
        Confidence::Likely,
    )
    .detail("The pod has an association and asks 169.254.170.23 for credentials: the agent of its node is not there, or a proxy or a policy stands in the way.")
    .subject(said.subject())
    .facts(said.facts("the agent does not answer"))
    .signal("caller-unreached")
    .fix(format!(
        "aws eks create-addon --cluster-name {} --addon-name {AGENT}   # where it is missing",
        cx.cluster_name()
    ))
    .fix("Add 169.254.170.23 to NO_PROXY of the workload, where it has a proxy");
    if said.place != Place::default() {
        finding = finding.at(said.place.clone()).reaches(said.place.clone());
    }
    finding
}
