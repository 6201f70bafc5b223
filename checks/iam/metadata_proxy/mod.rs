//! `iam/metadata-proxy`: a proxy answers in place of the metadata service and has no role for a pod.

use eksnet_model::kubernetes::{Container, Pod};
use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Meta, Place, Role, Running, Severity, Source,
    Speaker, Stop, Subject, SubjectKind,
};

/// Annotation by which kube2iam and kiam know a pod's role.
const ROLE: &str = "iam.amazonaws.com/role";
/// How far back a line counts, in seconds.
const RECENT_S: i64 = 3600;
const PROXY_LINES: [&str; 3] = ["kiam-no-role", "kube2iam-no-role", "metadata-proxy-refused"];
const CALLER_LINES: [&str; 4] = [
    "aws-no-credentials-v1",
    "aws-no-credentials-v2",
    "ec2-metadata-error",
    "ec2-role-missing",
];

const META: Meta = Meta {
    id: "iam/metadata-proxy",
    title: "A metadata proxy has no role for a pod",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Pods, Source::DaemonSets],
    helps: &[Source::Logs],
    signals: &["from-log", "not-annotated", "proxy-not-ruled-out"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut findings: Vec<Finding> = Speaker::in_logs(cx, &PROXY_LINES, RECENT_S)
        .iter()
        .map(by_log)
        .collect();
    let proxy = proxy(cx);
    if let Some(proxy) = &proxy {
        for pod in cx.topology().pods().filter(|pod| lives_on_proxy(pod)) {
            findings.push(not_annotated(cx, proxy, pod));
        }
    }
    let sees_proxies = cx.daemonsets().optional().is_some() || cx.pods().optional().is_some();
    if findings.is_empty() && !sees_proxies {
        findings.extend(
            Speaker::in_logs(cx, &CALLER_LINES[..1], RECENT_S)
                .iter()
                .map(not_ruled_out),
        );
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    if proxy.is_none() {
        cx.daemonsets().all()?;
        return Err(Stop::not_applicable("no metadata proxy runs"));
    }
    cx.pods().some()?;
    Ok(findings)
}

fn is_proxy(container: &Container) -> bool {
    let image = container.image.split(['@', ':']).next().unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    matches!(name, "kube2iam" | "kiam" | "kiam-agent")
}

/// The proxy, with the role that it gives to pods without one.
struct Proxy {
    name: String,
    default_role: Option<String>,
}

fn proxy(cx: &Cx<'_>) -> Option<Proxy> {
    let daemonsets = cx.daemonsets().optional().into_iter().flatten();
    let templates = daemonsets.map(|one| {
        (
            format!("{}/{}", one.metadata.namespace, one.metadata.name),
            &one.spec.template.spec,
        )
    });
    let pods = cx.topology().pods().map(|pod| (pod.workload(), &pod.spec));
    templates.chain(pods).find_map(|(name, spec)| {
        let container = spec.containers.iter().find(|one| is_proxy(one))?;
        Some(Proxy {
            name,
            default_role: Running { container }
                .flag("default-role")
                .map(str::to_owned),
        })
    })
}

fn lives_on_proxy(pod: &Pod) -> bool {
    let component = Component::of_pod(pod);
    let has_own = Running::of(component, &pod.spec).is_some_and(|running| {
        [
            "AWS_ROLE_ARN",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_ACCESS_KEY_ID",
        ]
        .iter()
        .any(|name| running.has_env(name))
    });
    Component::CALLING_AWS.contains(&component)
        && !pod.is_terminal()
        // The node's own traffic does not pass the proxy.
        && !pod.on_host_network()
        && !has_own
        && !pod.metadata.annotations.contains_key(ROLE)
}

fn not_annotated(cx: &Cx<'_>, proxy: &Proxy, pod: &Pod) -> Finding {
    let workload = pod.workload();
    let said = Speaker::in_logs(cx, &CALLER_LINES, RECENT_S);
    let own = said
        .iter()
        .find(|said| said.workload.as_deref() == Some(&workload));
    let (severity, confidence) = match (&proxy.default_role, own) {
        // The pod has that role, unless its own log says that it has none.
        (Some(_), None) => (Severity::Info, Confidence::Possible),
        (_, Some(_)) => (Severity::Error, Confidence::Confirmed),
        (None, None) => (Severity::Error, Confidence::Likely),
    };
    let (namespace, name) = workload
        .split_once('/')
        .unwrap_or(("kube-system", &workload));
    let gets = proxy.default_role.as_deref().map_or_else(
        || "no role".to_owned(),
        |role| format!("only the default role {role}"),
    );
    let mut finding = META
        .finding(
            severity,
            format!("{workload} has no annotation {ROLE}, and {} gives it {gets}", proxy.name),
        )
        .confidence(confidence)
        .detail("The proxy answers for the metadata service on its node: a pod without the annotation gets 404 where it asks for credentials.")
        .subject(Subject::namespaced(SubjectKind::Deployment, namespace, name))
        .subject(Subject::new(SubjectKind::DaemonSet, proxy.name.as_str()))
        .fact(
            Fact::new(Source::Pods, format!("Pod {}/{}", pod.metadata.namespace, pod.metadata.name), ROLE, "not set")
                .expected("a role"),
        )
        .fact(Fact::new(Source::DaemonSets, proxy.name.as_str(), "metadata proxy", "runs"))
        .signal("not-annotated")
        .at(Place::default().of(workload.as_str()))
        .reaches(Place::default().of(workload.as_str()));
    if let Some(said) = own {
        finding = finding.facts(said.facts("no credentials"));
    }
    remedy(finding, namespace, name)
}

fn by_log(said: &Speaker<'_>) -> Finding {
    let (namespace, name) = said.target();
    let pods: Vec<&str> = said.values("address").into_iter().take(3).collect();
    let whom = match pods.as_slice() {
        [] => "a pod that asks it".to_owned(),
        some => format!("the pod at {}", some.join(", ")),
    };
    let finding = META
        .finding(
            Severity::Error,
            format!("The metadata proxy has no role for {whom}"),
        )
        .confidence(Confidence::Confirmed)
        .detail("kube2iam or kiam answers in place of the metadata service: it does not know the pod, or the pod has no role that it may give.")
        .subject(Subject::new(SubjectKind::Other, "metadata proxy"))
        .subject(said.subject())
        .facts(said.facts("no role"))
        .signal("from-log");
    remedy(finding, namespace, name)
}

fn not_ruled_out(said: &Speaker<'_>) -> Finding {
    let (namespace, name) = said.target();
    let finding = META
        .finding(
            Severity::Error,
            format!("{} finds no credentials, as behind a metadata proxy that has no role for it", said.caller()),
        )
        .confidence(Confidence::Possible)
        .detail("The line names no source of credentials. With kube2iam or kiam in the cluster a pod without their annotation sees just this.")
        .subject(said.subject())
        .facts(said.facts("no credentials"))
        .signal("proxy-not-ruled-out");
    let finding = if said.place == Place::default() {
        finding
    } else {
        finding.at(said.place.clone()).reaches(said.place.clone())
    };
    remedy(finding, namespace, name)
}

fn remedy(finding: Finding, namespace: &str, name: &str) -> Finding {
    finding
        .confirm("kubectl get daemonsets -A | grep -E 'kube2iam|kiam'")
        .confirm(format!(
            "kubectl -n {namespace} get deployment {name} -o jsonpath='{{.spec.template.metadata.annotations}}'"
        ))
        .fix(format!(
            "kubectl -n {namespace} patch deployment {name} -p '{{\"spec\":{{\"template\":{{\"metadata\":{{\"annotations\":{{\"{ROLE}\":\"ROLE\"}}}}}}}}}}'"
        ))
        .fix("Better: give the workload a role by IRSA or Pod Identity, and take the proxy away")
}
