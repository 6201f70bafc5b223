//! `iam/node-not-authorized`: the API server does not take the role of instances for that of nodes.

use std::collections::BTreeSet;

use eksnet_model::iam::{MappedRole, mapped_roles, name_of_arn, without_path};
use eksnet_model::kubernetes::Node;
use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Meta, Place, Role, Severity, Source, Speaker,
    Stop, Subject, SubjectKind,
};

/// How far back a line counts, in seconds.
const RECENT_S: i64 = 3600;
const KUBELET: &str = "kubelet-unauthorized";
const UNMAPPED: &str = "authenticator-not-mapped";

const META: Meta = Meta {
    id: "iam/node-not-authorized",
    title: "The API server does not know the role of the nodes",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Cluster, Source::Nodegroups, Source::ConfigMaps],
    helps: &[
        Source::Nodes,
        Source::AccessEntries,
        Source::InstanceProfiles,
        Source::Logs,
    ],
    signals: &[
        "not-mapped",
        "map-unreadable",
        "wrong-groups",
        "bad-arn",
        "from-log",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// Where the API server looks a role up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Map,
    Entries,
    Both,
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let judged = by_settings(cx);
    let mut findings = judged.as_deref().unwrap_or_default().to_vec();
    for said in Speaker::in_logs(cx, &[KUBELET, UNMAPPED], RECENT_S) {
        match findings.as_mut_slice() {
            [] => findings.push(by_log(cx, &said)),
            [first, ..] => {
                *first = first
                    .clone()
                    .facts(said.facts("Unauthorized"))
                    .signal("from-log")
            }
        }
    }
    if findings.is_empty() {
        judged
    } else {
        Ok(findings)
    }
}

fn by_settings(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let cluster = cx.eks_cluster().optional();
    let mode = match cluster.and_then(|one| one.access_config.authentication_mode.as_deref()) {
        Some("API") => Mode::Entries,
        Some("CONFIG_MAP") => Mode::Map,
        // Where the mode is not known, a role may be written in either place.
        _ => Mode::Both,
    };
    let maps = cx
        .config_maps()
        .optional()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let map = maps.iter().find(|map| map.metadata.name == "aws-auth");
    let text = map.and_then(|map| map.data.get("mapRoles"));
    let mut findings = Vec::new();
    let mut mapped = Vec::new();
    if mode != Mode::Entries
        && let Some(text) = text
    {
        match mapped_roles(text) {
            Ok(roles) => mapped = roles,
            Err(why) => return Ok(vec![unreadable(&why)]),
        }
        findings.extend(mapped.iter().filter_map(|role| bad_arn(cx, role)));
    }
    let roles = roles(cx);
    let at_work = roles_at_work(cx);
    for arn in roles.iter().filter(|arn| !at_work.contains(arn.as_str())) {
        let same = |role: &&MappedRole| role.rolearn == without_path(arn);
        let is_mapped = mapped.iter().find(same);
        let entries = cx.access_entries().optional();
        let has_entry = entries
            .into_iter()
            .flatten()
            .any(|entry| entry.principal_arn == *arn);
        match (mode, is_mapped) {
            (Mode::Map | Mode::Both, Some(role)) if role.is_for_nodes() => {}
            (Mode::Entries | Mode::Both, _) if has_entry => {}
            (Mode::Map | Mode::Both, Some(role)) => findings.push(wrong_groups(cx, role)),
            _ => {
                // Absence counts only where every place was read that could hold it.
                if mode != Mode::Entries {
                    cx.config_maps().all_in("kube-system")?;
                }
                if mode != Mode::Map {
                    cx.access_entries().all()?;
                }
                // A role with a path is told by its entry in the map already.
                if !findings.iter().any(|one| one.signals.contains("bad-arn")) {
                    findings.push(not_mapped(cx, arn, mode));
                }
            }
        }
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    cx.eks_cluster().some()?;
    cx.nodegroups().some()?;
    if roles.is_empty() {
        return Err(Stop::not_applicable("no node group names a role"));
    }
    if mode != Mode::Entries {
        cx.config_maps().some()?;
    }
    Ok(findings)
}

/// The roles of node groups and of instance profiles.
fn roles(cx: &Cx<'_>) -> BTreeSet<String> {
    let groups = cx.nodegroups().optional().into_iter().flatten();
    let profiles = cx.instance_profiles().optional().into_iter().flatten();
    groups
        .map(|group| group.node_role.clone())
        .chain(profiles.flat_map(|profile| profile.roles.iter().map(|role| role.arn.clone())))
        .filter(|arn| !arn.is_empty())
        .collect()
}

/// Roles that a Ready node has: its kubelet is let in, wherever that is written.
fn roles_at_work(cx: &Cx<'_>) -> BTreeSet<String> {
    let ready = |node: &&Node| {
        node.condition("Ready")
            .is_some_and(|ready| ready.status == "True")
    };
    let nodes = cx.nodes().optional().into_iter().flatten().filter(ready);
    let (mut groups, mut profiles) = (BTreeSet::new(), BTreeSet::new());
    for node in nodes {
        groups.extend(node.label("eks.amazonaws.com/nodegroup"));
        let instance = cx.topology().instance_of(node);
        let profile = instance.and_then(|one| one.iam_instance_profile.as_ref());
        profiles.extend(profile.map(|profile| profile.arn.as_str()));
    }
    let of_groups = cx.nodegroups().optional().into_iter().flatten();
    let of_profiles = cx.instance_profiles().optional().into_iter().flatten();
    of_groups
        .filter(|group| groups.contains(group.nodegroup_name.as_str()))
        .map(|group| group.node_role.clone())
        .chain(
            of_profiles
                .filter(|profile| profiles.contains(profile.arn.as_str()))
                .flat_map(|profile| profile.roles.iter().map(|role| role.arn.clone())),
        )
        .collect()
}

fn base(cx: &Cx<'_>, title: String) -> Finding {
    META.finding(Severity::Critical, title)
        .confidence(Confidence::Confirmed)
        .confirm("kubectl -n kube-system get configmap aws-auth -o yaml")
        .confirm(format!(
            "aws eks list-access-entries --cluster-name {}",
            cx.cluster_name()
        ))
}

fn aws_auth() -> Subject {
    Subject::namespaced(SubjectKind::ConfigMap, "kube-system", "aws-auth")
}

fn unreadable(why: &str) -> Finding {
    META.finding(Severity::Critical, "ConfigMap kube-system/aws-auth cannot be read, so no role in it counts")
        .confidence(Confidence::Confirmed)
        .detail("mapRoles is a text that is YAML itself; where it is none the API server ignores all of it, and nodes are refused when they next ask.")
        .subject(aws_auth())
        .fact(Fact::new(Source::ConfigMaps, "ConfigMap kube-system/aws-auth", "mapRoles", why).expected("a list of roles in YAML"))
        .signal("map-unreadable")
        .confirm("kubectl -n kube-system get configmap aws-auth -o jsonpath='{.data.mapRoles}'")
        .fix("kubectl -n kube-system edit configmap aws-auth   # indent each role the same")
}

fn bad_arn(cx: &Cx<'_>, role: &MappedRole) -> Option<Finding> {
    let arn = &role.rolearn;
    let (what, wanted) = if arn.contains(":instance-profile/") {
        ("an instance profile", "the ARN of the role".to_owned())
    } else if arn.contains(":assumed-role/") {
        ("a session", "the ARN of the role".to_owned())
    } else if without_path(arn) != *arn {
        ("a role with its path", without_path(arn))
    } else {
        return None;
    };
    let name = name_of_arn(arn);
    Some(
        base(cx, format!("aws-auth maps {what}, {name}, which no node is taken for"))
            .detail("The API server compares the ARN of the role without its path; what is written otherwise fits nobody.")
            .subject(aws_auth())
            .subject(Subject::new(SubjectKind::Role, name).with_id(arn.as_str()))
            .fact(Fact::new(Source::ConfigMaps, "ConfigMap kube-system/aws-auth", "rolearn", arn.as_str()).expected(wanted.as_str()))
            .signal("bad-arn")
            .fix(format!("kubectl -n kube-system edit configmap aws-auth   # rolearn: {wanted}")),
    )
}

fn wrong_groups(cx: &Cx<'_>, role: &MappedRole) -> Finding {
    let name = name_of_arn(&role.rolearn);
    base(cx, format!("aws-auth maps role {name} of the nodes, and not as nodes"))
        .detail("Nodes need the user name system:node:{{EC2PrivateDNSName}} and the group system:nodes; by another name the API server refuses what a kubelet does.")
        .subject(aws_auth())
        .subject(Subject::new(SubjectKind::Role, name).with_id(role.rolearn.as_str()))
        .fact(
            Fact::new(Source::ConfigMaps, format!("aws-auth, role {name}"), "username and groups", format!("{}, {}", role.username, role.groups.join(" ")))
                .expected("system:node:{{EC2PrivateDNSName}}, system:bootstrappers system:nodes"),
        )
        .signal("wrong-groups")
        .fix(map(cx, &role.rolearn))
}

fn not_mapped(cx: &Cx<'_>, arn: &str, mode: Mode) -> Finding {
    let name = name_of_arn(arn);
    let (place, saw) = match mode {
        Mode::Map => ("aws-auth", "not in mapRoles"),
        Mode::Entries => (
            "access entries",
            "no entry; aws-auth is not read in mode API",
        ),
        Mode::Both => ("aws-auth and access entries", "in neither"),
    };
    let source = if mode == Mode::Entries {
        Source::AccessEntries
    } else {
        Source::ConfigMaps
    };
    base(cx, format!("Role {name} of a node group is unknown to the API server"))
        .detail("Instances with this role get Unauthorized and never become nodes; those that are in lose the cluster when their kubelet next asks.")
        .subject(Subject::new(SubjectKind::Role, name).with_id(arn))
        .fact(Fact::new(source, place, arn, saw).expected("mapped for nodes"))
        .signal("not-mapped")
        .fix(if mode == Mode::Map { map(cx, arn) } else { entry(cx, arn) })
}

fn map(cx: &Cx<'_>, arn: &str) -> String {
    format!(
        "eksctl create iamidentitymapping --cluster {} --arn {} --username 'system:node:{{{{EC2PrivateDNSName}}}}' --group system:bootstrappers --group system:nodes",
        cx.cluster_name(),
        without_path(arn)
    )
}

fn entry(cx: &Cx<'_>, arn: &str) -> String {
    format!(
        "aws eks create-access-entry --cluster-name {} --principal-arn {arn} --type EC2_LINUX",
        cx.cluster_name()
    )
}

fn by_log(cx: &Cx<'_>, said: &Speaker<'_>) -> Finding {
    let arn = said.values("arn").into_iter().next();
    let role = arn
        .and_then(|arn| arn.split("assumed-role/").nth(1))
        .and_then(|rest| rest.split('/').next());
    let node = said.values("node").into_iter().next();
    let title = match (role.or(arn.map(name_of_arn)), node) {
        (Some(role), _) => format!("Role {role} is unknown to the API server"),
        (None, Some(node)) => format!("The API server refuses node {node}: its role is not mapped"),
        (None, None) => {
            "The API server refuses a kubelet: the role of its node is not mapped".to_owned()
        }
    };
    // A kubelet's token is also refused where its clock is wrong; the authenticator names the mapping.
    let confidence = if said.has(UNMAPPED) {
        Confidence::Confirmed
    } else {
        Confidence::Likely
    };
    let mut finding = base(cx, title)
        .confidence(confidence)
        .detail("The kubelet shows the role of its instance, and the API server does not take it for that of a node: it is not in aws-auth, has no access entry, or is written otherwise there.")
        .facts(said.facts("Unauthorized"))
        .signal("from-log")
        .fix(entry(cx, "ARN_OF_THE_NODE_ROLE"))
        .fix(map(cx, "ARN_OF_THE_NODE_ROLE"));
    finding = match role {
        Some(role) => finding.subject(Subject::new(SubjectKind::Role, role)),
        None => finding.subject(Subject::new(
            SubjectKind::Other,
            if said.component() == Component::Kubelet {
                "kubelet".to_owned()
            } else {
                said.who.clone()
            },
        )),
    };
    if let Some(node) = node {
        finding = finding
            .subject(Subject::node(node))
            .at(Place::nodes([node]));
    }
    finding
}
