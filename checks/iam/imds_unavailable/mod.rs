//! `iam/imds-unavailable`: a workload asks the metadata service where there is none.

use eksnet_model::kubernetes::Pod;
use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Meta, Place, Role, Running, Severity, Source,
    Speaker, Stop, Subject, SubjectKind,
};

/// How far back a line counts, in seconds.
const RECENT_S: i64 = 3600;
const UNREACHABLE: &str = "imds-unreachable";
const DISABLED: &str = "imds-disabled-by-setting";
const REFUSED: &str = "imds-refused";
const NO_REGION: &str = "imds-no-region";
/// Lines that only tell of a metadata service that does not answer; on Fargate there is none.
const SILENT: [&str; 4] = [
    "lbc-imds-vpcid",
    "ec2-metadata-error",
    "aws-no-credentials-v2",
    "ec2-role-missing",
];

const META: Meta = Meta {
    id: "iam/imds-unavailable",
    title: "A workload asks the metadata service where there is none",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Nodes, Source::Pods],
    helps: &[Source::Logs],
    signals: &["no-imds-node", "unreachable", "disabled", "from-log"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut findings = Vec::new();
    for said in Speaker::in_logs(cx, &[UNREACHABLE, DISABLED, REFUSED, NO_REGION], RECENT_S) {
        findings.push(by_log(cx, &said));
    }
    for said in Speaker::in_logs(cx, &SILENT, RECENT_S) {
        let node = node_without(cx, &said);
        let is_told = findings
            .iter()
            .any(|finding: &Finding| finding.at == said.place);
        if let Some(node) = node.filter(|_| !is_told) {
            findings.push(on_node(cx, &said, &node));
        }
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    let nodes = cx.nodes().some()?;
    let pods = cx.pods().some()?;
    let without: Vec<&str> = nodes
        .iter()
        .filter(|node| matches!(node.compute_type(), Some("fargate" | "hybrid")))
        .map(|node| node.metadata.name.as_str())
        .collect();
    if without.is_empty() {
        cx.nodes().all()?;
        return Err(Stop::not_applicable("every node has a metadata service"));
    }
    Ok(pods
        .iter()
        .filter(|pod| without.contains(&pod.spec.node_name.as_str()))
        .filter(|pod| relies_on_it(pod))
        .map(|pod| by_pod(cx, pod))
        .collect())
}

/// Whether a pod can have credentials by the metadata service alone.
fn relies_on_it(pod: &Pod) -> bool {
    let component = Component::of_pod(pod);
    let shows = pod.spec.containers.iter().any(|one| !one.image.is_empty());
    let has_own = Running::of(component, &pod.spec).is_some_and(|running| {
        [
            "AWS_ROLE_ARN",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_ACCESS_KEY_ID",
        ]
        .iter()
        .any(|name| running.has_env(name))
    });
    Component::CALLING_AWS.contains(&component) && !pod.is_terminal() && shows && !has_own
}

/// The node of whoever said it, where it has no metadata service: by its label, or by its name, which
/// Fargate makes of itself.
fn node_without(cx: &Cx<'_>, said: &Speaker<'_>) -> Option<String> {
    said.place
        .nodes
        .iter()
        .find(|name| {
            let label = cx
                .topology()
                .node(name)
                .and_then(|node| node.compute_type());
            name.starts_with("fargate-ip-") || matches!(label, Some("fargate" | "hybrid"))
        })
        .map(ToString::to_string)
}

fn on_node(cx: &Cx<'_>, said: &Speaker<'_>, node: &str) -> Finding {
    let finding = META
        .finding(
            Severity::Error,
            format!("{} asks the metadata service on {node}, which has none", said.caller()),
        )
        .confidence(Confidence::Confirmed)
        .detail("Fargate and hybrid nodes have no instance metadata service: region, VPC and credentials must be given to the workload.")
        .subject(said.subject())
        .subject(Subject::node(node))
        .facts(said.facts("metadata service"))
        .signal("no-imds-node")
        .signal("from-log")
        .at(said.place.clone())
        .reaches(said.place.clone());
    remedy(cx, finding, said.target(), said.component())
}

fn by_log(cx: &Cx<'_>, said: &Speaker<'_>) -> Finding {
    let caller = said.caller();
    let node = node_without(cx, said);
    let (title, detail, confidence, signal) = if said.has(DISABLED) {
        (
            format!("{caller} is told by its own settings not to ask the metadata service"),
            "AWS_EC2_METADATA_DISABLED, or a client's option, switches the metadata service off: region and credentials must come from elsewhere.",
            Confidence::Confirmed,
            "disabled",
        )
    } else if said.has(UNREACHABLE) {
        (
            format!("{caller} asks a metadata service that it cannot reach"),
            "Nothing answers at 169.254.169.254: there is none (Fargate, hybrid nodes, another cloud), or a policy or a rule on the node refuses the way. A hop limit would let the request time out.",
            Confidence::Confirmed,
            "unreachable",
        )
    } else if said.has(REFUSED) {
        (
            format!(
                "The metadata service refuses {caller}: it is switched off, or something else answers for it"
            ),
            "403 is what an instance answers whose metadata endpoint is disabled, 404 what answers that has no such data. A missing token would be 401.",
            Confidence::Likely,
            "disabled",
        )
    } else {
        (
            format!("{caller} learns neither region nor instance from the metadata service"),
            "The program asks for its region at the metadata service because nothing else tells it, and gets no answer.",
            Confidence::Likely,
            "unreachable",
        )
    };
    let mut finding = META
        .finding(Severity::Error, title)
        .confidence(confidence)
        .detail(detail)
        .subject(said.subject())
        .facts(said.facts("metadata service"))
        .signal(signal)
        .signal("from-log");
    if let Some(node) = node {
        finding = finding.subject(Subject::node(node)).signal("no-imds-node");
    }
    if said.place != Place::default() {
        finding = finding.at(said.place.clone()).reaches(said.place.clone());
    }
    remedy(cx, finding, said.target(), said.component())
}

fn by_pod(cx: &Cx<'_>, pod: &Pod) -> Finding {
    let workload = pod.workload();
    let node = pod.spec.node_name.as_str();
    let (namespace, name) = workload
        .split_once('/')
        .unwrap_or(("kube-system", &workload));
    let place = Place::nodes([node]).of(workload.as_str());
    let finding = META
        .finding(
            Severity::Error,
            format!("{workload} runs on {node}, where there is no metadata service, and has no role of its own"),
        )
        .confidence(Confidence::Likely)
        .detail("Fargate and hybrid nodes have no instance metadata service: region, VPC and credentials must be given to the workload.")
        .subject(Subject::namespaced(SubjectKind::Deployment, namespace, name))
        .subject(Subject::node(node))
        .fact(Fact::new(
            Source::Nodes,
            format!("Node {node}"),
            "eks.amazonaws.com/compute-type",
            cx.topology().node(node).and_then(|node| node.compute_type()).unwrap_or_default(),
        ))
        .fact(
            Fact::new(
                Source::Pods,
                format!("Pod {}/{}", pod.metadata.namespace, pod.metadata.name),
                "env",
                "no AWS_ROLE_ARN, no AWS_CONTAINER_CREDENTIALS_FULL_URI",
            )
            .expected("one of them"),
        )
        .signal("no-imds-node")
        .at(place.clone())
        .reaches(place);
    remedy(cx, finding, (namespace, name), Component::of_pod(pod))
}

fn remedy(cx: &Cx<'_>, finding: Finding, target: (&str, &str), component: Component) -> Finding {
    let (namespace, name) = target;
    let region = cx.cluster().region.as_deref().unwrap_or("REGION");
    let finding = finding
        .confirm(format!("kubectl -n {namespace} get pods -o wide | grep {name}"))
        .confirm("aws ec2 describe-instances --query 'Reservations[].Instances[].[InstanceId,MetadataOptions.HttpEndpoint]' --output text");
    if component == Component::LoadBalancerController {
        return finding.fix(format!(
            "helm upgrade aws-load-balancer-controller eks/aws-load-balancer-controller -n {namespace} --reuse-values --set region={region} --set vpcId={}",
            cx.topology().vpc_id().unwrap_or("VPC_ID")
        ));
    }
    finding
        .fix(format!("kubectl -n {namespace} set env deployment/{name} AWS_REGION={region}"))
        .fix(format!(
            "eksctl create iamserviceaccount --cluster {} --namespace {namespace} --name {name} --attach-policy-arn POLICY --approve --override-existing-serviceaccounts",
            cx.cluster_name()
        ))
}
