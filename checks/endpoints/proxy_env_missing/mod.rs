//! `endpoints/proxy-env-missing`: the way out leads through a proxy, and a program was not told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use eksnet_model::kubernetes::{Pod, PodSpec};
use eksnet_model::path::Egress;
use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Heard, LogScan, Meta, Place, Role, Severity,
    Source, Stop, Subject, SubjectKind, Text, logs_and_events,
};

const SET: &[&str] = &["proxy-setting"];
const FAILED: &[&str] = &["aws-direct-call-timeout"];
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];

const META: Meta = Meta {
    id: "endpoints/proxy-env-missing",
    title: "A program calls AWS directly where others go through a proxy",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Pods],
    helps: &[
        Source::Logs,
        Source::Events,
        Source::DaemonSets,
        Source::Deployments,
        Source::Subnets,
        Source::Instances,
        Source::RouteTables,
    ],
    signals: &["proxy-elsewhere", "direct-call-dead"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// A proxy that something is told to use.
struct Proxy {
    /// Who, for a reader.
    user: String,
    url: String,
    /// Whether the program is of a kind that calls AWS, or the node itself.
    of_the_cluster: bool,
    fact: Fact,
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let scans = logs_and_events(cx, &set);
    let pods = cx.pods().some();
    let proxies = proxies(
        cx,
        &scans,
        pods.as_ref().map_or(&[][..], |pods| pods.as_slice()),
    );
    let mut failing: BTreeMap<String, Vec<Heard<'_>>> = BTreeMap::new();
    for said in Heard::by(&scans, FAILED) {
        if dials_out(cx, &said) {
            let speaker = said.speaker(cx.topology());
            failing.entry(speaker).or_default().push(said);
        }
    }
    let findings: Vec<Finding> = failing
        .iter()
        .filter_map(|(speaker, said)| finding(cx, speaker, said, &proxies))
        .collect();
    if !findings.is_empty() {
        return Ok(findings);
    }
    pods?;
    if proxies.is_empty() && cx.pods().is_complete() {
        return Err(Stop::not_applicable("no program is told of a proxy"));
    }
    Ok(findings)
}

/// Whether one of the addresses that did not open lies outside of private networks.
fn dials_out(cx: &Cx<'_>, said: &Heard<'_>) -> bool {
    let mut addresses = said.values("address").filter_map(|one| one.parse().ok());
    addresses.any(|address: IpAddr| !cx.topology().is_private(address))
}

fn proxies(cx: &Cx<'_>, scans: &[LogScan], pods: &[Pod]) -> Vec<Proxy> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut add = |spec: &PodSpec, user: String, component: Component, source: Source| {
        let Some((variable, url)) = set_in(spec) else {
            return;
        };
        if seen.insert(user.clone()) {
            found.push(Proxy {
                fact: Fact::new(source, user.as_str(), variable, url.as_str()),
                user,
                url,
                of_the_cluster: component != Component::Unknown,
            });
        }
    };
    for pod in pods {
        add(
            &pod.spec,
            pod.workload(),
            Component::of_pod(pod),
            Source::Pods,
        );
    }
    for one in cx.daemonsets().optional().into_iter().flatten() {
        let template = &one.spec.template;
        let component = Component::of(&template.spec, &template.metadata.labels);
        let user = format!("{}/{}", one.metadata.namespace, one.metadata.name);
        add(&template.spec, user, component, Source::DaemonSets);
    }
    for one in cx.deployments().optional().into_iter().flatten() {
        let template = &one.spec.template;
        let component = Component::of(&template.spec, &template.metadata.labels);
        let user = format!("{}/{}", one.metadata.namespace, one.metadata.name);
        add(&template.spec, user, component, Source::Deployments);
    }
    for said in Heard::by(scans, SET) {
        if let Some(url) = said.value("proxy") {
            found.push(Proxy {
                user: said.speaker(cx.topology()),
                url: url.to_owned(),
                of_the_cluster: true,
                fact: said.fact("proxy setting"),
            });
        }
    }
    found
}

/// The proxy variable of a pod's containers.
fn set_in(spec: &PodSpec) -> Option<(&'static str, String)> {
    spec.containers.iter().find_map(|container| {
        VARIABLES.into_iter().find_map(|name| {
            let variable = container.env.iter().find(|env| env.name == name)?;
            let value = variable.value.as_deref().unwrap_or("set");
            (!value.is_empty()).then(|| (name, value.to_owned()))
        })
    })
}

fn finding(cx: &Cx<'_>, speaker: &str, said: &[Heard<'_>], proxies: &[Proxy]) -> Option<Finding> {
    let others: Vec<&Proxy> = proxies
        .iter()
        .filter(|proxy| proxy.user != speaker)
        .collect();
    if others.is_empty() || proxies.iter().any(|proxy| proxy.user == speaker) {
        return None;
    }
    let pod = said
        .iter()
        .find_map(|one| cx.topology().pod_of_log(one.scan))
        .or_else(|| {
            let component = said.first()?.scan.component;
            let mut pods = cx.topology().pods_of(component);
            pods.next().filter(|_| component != Component::Unknown)
        });
    let egress = pod.and_then(|pod| egress_of(cx, pod));
    if matches!(egress, Some(Egress::Nat | Egress::Internet)) {
        return None;
    }
    let of_the_cluster = others.iter().any(|proxy| proxy.of_the_cluster);
    let confidence = match (egress.is_some_and(Egress::is_closed), of_the_cluster) {
        (true, _) if pod.is_some() => Confidence::Confirmed,
        (_, true) => Confidence::Likely,
        _ => Confidence::Possible,
    };
    let hosts: BTreeSet<Text> = said
        .iter()
        .flat_map(|one| one.values("host").map(Text::from))
        .collect();
    let mut at = Place::default();
    for one in said {
        let place = one.at(cx.topology());
        at.nodes.extend(place.nodes);
        at.workloads.extend(place.workloads);
    }
    at.hosts = hosts;
    let proxy = others.iter().max_by_key(|proxy| proxy.of_the_cluster)?;
    let resource = pod.map_or_else(
        || "deployment/NAME".to_owned(),
        |pod| {
            let path = pod.workload_path();
            let parts: Vec<&str> = path.splitn(3, '/').collect();
            match parts.as_slice() {
                [namespace, kind, name] => {
                    format!("-n {namespace} {}/{name}", kind.to_ascii_lowercase())
                }
                _ => path,
            }
        },
    );
    let mut finding = META
        .finding(
            Severity::Error,
            format!(
                "{speaker} calls AWS directly and gets no connection, while {} goes through {}",
                proxy.user, proxy.url
            ),
        )
        .confidence(confidence)
        .detail("The way out of this network leads through a proxy. The program was not told of it, so it dials public addresses that nothing routes to.")
        .subject(Subject::new(SubjectKind::Other, speaker))
        .facts(said.iter().take(3).map(|one| one.fact("failed calls")))
        .facts(others.iter().take(2).map(|one| one.fact.clone()))
        .signal("proxy-elsewhere")
        .signal("direct-call-dead")
        .at(at.clone())
        .reaches(at);
    if let Some(pod) = pod {
        finding = finding.fact(
            Fact::new(
                Source::Pods,
                format!("Pod {}", pod.key()),
                "HTTPS_PROXY",
                "not set",
            )
            .expected(proxy.url.as_str()),
        );
    }
    Some(
        finding
            .confirm(format!(
                "kubectl get pods -A -o yaml | grep -iE -A1 'name: (https?|no)_proxy'   # {speaker} has none"
            ))
            .fix(format!(
                "kubectl set env {resource} HTTPS_PROXY={} NO_PROXY=SERVICE_CIDR,VPC_CIDR,169.254.169.254,169.254.170.23,.svc,.cluster.local,.eks.amazonaws.com",
                proxy.url
            )),
    )
}

fn egress_of(cx: &Cx<'_>, pod: &Pod) -> Option<Egress> {
    let _ = (cx.instances().optional(), cx.subnets().optional());
    cx.route_tables().optional()?;
    let topology = cx.topology();
    let subnet = topology
        .node(&pod.spec.node_name)
        .and_then(|node| topology.subnet_of_node(node))
        .or_else(|| topology.subnet_by_ip(pod.status.pod_ip.parse().ok()?))?;
    topology.route_table_of(subnet).map(Egress::of)
}
