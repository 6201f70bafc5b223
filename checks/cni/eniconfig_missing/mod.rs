//! `cni/eniconfig-missing`: custom networking without a valid ENIConfig for a node.

mod objects;

use std::sync::LazyLock;

use eksnet_model::{
    Check, CniSettings, Confidence, Cx, Finding, Meta, Role, Severity, SignatureSet, Source, Stop,
    Told, told, told_by_place,
};

const META: Meta = Meta {
    id: "cni/eniconfig-missing",
    title: "Custom networking has no valid ENIConfig for a node",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::DaemonSets, Source::Nodes, Source::EniConfigs],
    helps: &[
        Source::Subnets,
        Source::Instances,
        Source::SecurityGroups,
        Source::Logs,
        Source::Events,
    ],
    signals: &[
        "no-eniconfig",
        "no-eni-attached",
        "stops-at-name",
        "other-zone",
        "other-vpc",
        "no-security-group",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

/// Lines and Events older than this, in seconds, are history.
const RECENT_S: i64 = 3600;

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let settings = CniSettings::here(cx)?;
    let told = told_by_place(told(cx, META.id, &SIGNATURES, RECENT_S));
    let mut findings: Vec<Finding> = told.values().filter_map(|told| of_lines(told)).collect();
    let Some(settings) = settings else {
        if findings.is_empty() {
            cx.daemonsets().all_in("kube-system")?;
        }
        return Ok(findings);
    };
    if !settings.custom_networking && findings.is_empty() {
        return Err(Stop::not_applicable(
            "custom networking is off (AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG)",
        ));
    }
    let _ = (cx.subnets().optional(), cx.instances().optional());
    let (nodes, configs) = (cx.nodes().some(), cx.eni_configs().all());
    if settings.custom_networking
        && let (Ok(nodes), Ok(configs)) = (&nodes, &configs)
    {
        findings.extend(objects::compare(cx, &settings, nodes, configs));
    }
    if findings.is_empty() {
        nodes?;
        configs?;
    }
    Ok(findings)
}

fn of_lines(told: &[Told<'_>]) -> Option<Finding> {
    let of = |signature: &str| told.iter().find(|one| one.signature() == signature);
    if let Some(one) = of("ipamd-no-eniconfig") {
        let name = one.value("name").or(one.value("sought"));
        let which = name.map_or_else(|| "for it".to_owned(), |name| format!("named {name}"));
        return Some(with_remedy(
            one.finding(
                &META,
                Severity::Critical,
                format!("{}: custom networking finds no ENIConfig {which}", one.node_words()),
            )
            .confidence(Confidence::Confirmed)
            .detail("ipamd attaches no interface for pods: the node stays NotReady, or its pods wait in ContainerCreating.")
            .signal("no-eniconfig"),
            name,
        ));
    }
    if let Some(one) = of("ipamd-customnet-no-eni") {
        return Some(with_remedy(
            one.finding(
                &META,
                Severity::Critical,
                format!(
                    "{}: custom networking could not attach its first interface for pods",
                    one.node_words()
                ),
            )
            .detail("Without it ipamd ends. An ENIConfig that is missing, or whose subnet or security groups are not the node's, does that; so does a refusal of EC2, which would stand above in the log.")
            .signal("no-eni-attached"),
            of("ipamd-eniconfig-name").and_then(|one| one.value("name")),
        ));
    }
    stops_at_name(of("ipamd-customnet-on")?, of("ipamd-eniconfig-name")?)
}

/// A log that ends where ipamd looks for the ENIConfig: it would go on with the configuration's subnet.
fn stops_at_name(on: &Told<'_>, name: &Told<'_>) -> Option<Finding> {
    let ends = name.scan?.last_at;
    let is_last = ends.is_some() && ends == name.at();
    let sought = name.hits.newest("name").or(name.value("name"))?;
    is_last.then(|| {
        with_remedy(
            name.finding(
                &META,
                Severity::Error,
                format!(
                    "{}: custom networking looks for ENIConfig {sought}, and ipamd's log ends there",
                    name.node_words()
                ),
            )
            .confidence(Confidence::Possible)
            .detail("ipamd would go on with the subnet of that ENIConfig. Whether it exists, and whether its subnet is in the node's zone, is to be looked at first.")
            .fact(on.fact())
            .signal("stops-at-name"),
            Some(sought),
        )
    })
}

fn with_remedy(finding: Finding, name: Option<&str>) -> Finding {
    let get = match name {
        Some(name) => format!("kubectl get eniconfig {name} -o yaml"),
        None => "kubectl get eniconfigs -o yaml".to_owned(),
    };
    finding
        .confirm(get)
        .confirm("kubectl -n kube-system get daemonset aws-node -o yaml | grep -A1 ENI_CONFIG   # which label or annotation names it")
        .fix(match name {
            Some(name) => format!("Create ENIConfig {name} with a subnet of the node's zone and security groups of its VPC, then replace the node"),
            None => "Create an ENIConfig for each zone that has nodes, named as the zone, then replace the nodes".to_owned(),
        })
        .fix("kubectl -n kube-system set env daemonset/aws-node ENI_CONFIG_LABEL_DEF=topology.kubernetes.io/zone   # where ENIConfigs are named after zones")
}
