//! `cni/max-pods-mismatch`: kubelets that admit more or far fewer pods than the CNI can serve.

mod compare;
mod wording;

use eksnet_model::{
    Check, CniSettings, Confidence, Cx, Fact, Finding, Gap, LogScan, Meta, Place, Role, Severity,
    Source, Stop, Subject, SubjectKind, Why,
};

use compare::{Alike, Setup, Wrong, compare};

const META: Meta = Meta {
    id: "cni/max-pods-mismatch",
    title: "The kubelet's maximum of pods does not fit what the CNI can serve",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Nodes, Source::DaemonSets],
    helps: &[
        Source::Pods,
        Source::InstanceTypes,
        Source::NetworkInterfaces,
        Source::Nodegroups,
        Source::CniMetrics,
        Source::Logs,
    ],
    signals: &[
        "over-capacity",
        "assigned-at-cap",
        "far-below",
        "prefix-not-considered",
        "fallback-110",
        "log-pd-non-nitro",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let logs = cx.logs().optional().map_or(&[][..], Vec::as_slice);
    let compared = by_nodes(cx);
    let mut findings = compared.clone().unwrap_or_default();
    // What the nodes themselves do not show.
    if findings.is_empty() {
        findings = by_logs(cx, logs);
    }
    if findings.is_empty() {
        compared
    } else {
        Ok(findings)
    }
}

fn by_nodes(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let nodes = cx.nodes().some()?;
    let sets = cx.daemonsets().all_in("kube-system")?;
    let Some(settings) = CniSettings::of(sets) else {
        return Err(Stop::not_applicable(
            "there is no DaemonSet kube-system/aws-node: another CNI, or EKS Auto Mode",
        ));
    };
    if !nodes.iter().any(|node| node.has_cni_pod()) {
        return Err(Stop::not_applicable(
            "no node takes addresses through the VPC CNI",
        ));
    }
    if settings.ipv6 {
        return Err(Stop::not_applicable(
            "pods have IPv6 addresses, of which one prefix is more than any node can use",
        ));
    }
    let _ = cx.network_interfaces().optional();
    let setup = Setup {
        settings: &settings,
        types: cx.instance_types().optional().map_or(&[], Vec::as_slice),
        nodegroups: cx.nodegroups().optional().map_or(&[], Vec::as_slice),
        metrics: cx.cni_metrics().optional().map_or(&[], Vec::as_slice),
        pods_known: cx.pods().optional().is_some() && cx.pods().is_complete(),
    };
    let compared = compare(cx.topology(), &setup);
    let findings: Vec<Finding> = compared
        .wrong
        .iter()
        .map(|one| finding(one, &settings))
        .collect();
    if findings.is_empty() && !compared.unknown.is_empty() {
        let gap = Gap::new(
            Source::InstanceTypes,
            cx.instance_types()
                .gap()
                .map_or(Why::Failed, |gap| gap.why.clone()),
            format!(
                "limits of instance type {} are not known",
                compared.unknown.join(", ")
            ),
        );
        return Err(Stop::unknown(gap));
    }
    Ok(findings)
}

fn finding(one: &Alike<'_>, settings: &CniSettings) -> Finding {
    let names = || one.nodes.iter().map(|node| node.metadata.name.as_str());
    let place = Place::nodes(names());
    let mut finding = META
        .finding(
            if one.wrong == Wrong::Over {
                Severity::Error
            } else {
                Severity::Warning
            },
            wording::title(one),
        )
        .confidence(if one.hit.is_some() {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        })
        .detail(wording::detail(one, settings))
        .subject(Subject::new(SubjectKind::NodeGroup, one.group.clone()))
        .subject(Subject::new(SubjectKind::InstanceType, one.kind))
        .subject(Subject::new(
            SubjectKind::Other,
            format!("maxPods {}", one.kubelet),
        ))
        .facts(wording::facts(one))
        .at(place.clone())
        .reaches(place)
        .signal(match one.wrong {
            Wrong::Over => "over-capacity",
            Wrong::PrefixIgnored => "prefix-not-considered",
            Wrong::FarBelow => "far-below",
        });
    if one.is_fallback(settings) {
        finding = finding.signal("fallback-110");
    }
    if one.hit.is_some() {
        finding = finding.signal("assigned-at-cap");
    }
    finding.remedy.confirm = wording::confirm(one);
    finding.remedy.fix = wording::fix(one);
    finding
}

/// ipamd's own word that prefixes are off on the type.
fn by_logs(cx: &Cx<'_>, scans: &[LogScan]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for scan in scans {
        let Some(hits) = scan.hits("ipamd-pd-non-nitro") else {
            continue;
        };
        let kind = hits
            .fields
            .get("type")
            .and_then(|types| types.keys().next());
        let node = cx.topology().node_of_log(scan);
        let of = match (kind, &node) {
            (Some(kind), _) => format!("Instance type {kind}"),
            (None, Some(node)) => format!("Instance type of node {node}"),
            (None, None) => format!("Instance type ({})", scan.place()),
        };
        let subject = match (kind, &node) {
            (Some(kind), _) => Subject::new(SubjectKind::InstanceType, kind.clone()),
            (None, Some(node)) => Subject::node(node.clone()),
            (None, None) => Subject::new(SubjectKind::Other, scan.place()),
        };
        let finding = META
            .finding(
                Severity::Warning,
                format!("{of} cannot do prefix delegation, which is on"),
            )
            .detail("Single addresses are given instead: kubelets whose maximum counts on prefixes admit more pods than there are addresses.")
            .subject(subject)
            .fact(
                Fact::new(
                    Source::Logs,
                    scan.place(),
                    format!("{} log", scan.component.name()),
                    format!("{}x '{}'", hits.count, hits.samples.last().map_or("", |sample| sample.text.as_str())),
                )
                .at(hits.last),
            )
            .signal("log-pd-non-nitro")
            .confirm("kubectl get nodes -L node.kubernetes.io/instance-type -o custom-columns=NAME:.metadata.name,PODS:.status.capacity.pods")
            .fix("Use nitro instance types, or give those nodes the maximum of single addresses (kubectl eksnet capacity)");
        if findings.iter().all(|other| other.id != finding.id) {
            findings.push(match node {
                Some(node) => finding
                    .at(Place::nodes([node.clone()]))
                    .reaches(Place::nodes([node])),
                None => finding,
            });
        }
    }
    findings
}
