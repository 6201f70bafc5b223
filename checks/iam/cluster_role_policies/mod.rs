//! `iam/cluster-role-policies`: the cluster's own role may not do what EKS does with it.

use eksnet_model::iam::name_of_arn;
use eksnet_model::kubernetes::Event;
use eksnet_model::{
    Check, CniSettings, Confidence, Cx, Fact, Finding, Gap, Meta, Place, Role, Severity, Source,
    Stop, Subject, SubjectKind, Why,
};

/// How far back an Event counts, in seconds.
const RECENT_S: i64 = 3600;
const CLUSTER: &str = "AmazonEKSClusterPolicy";
const TRUNKS: &str = "AmazonEKSVPCResourceController";
/// Events of EKS's own controllers, which act with the cluster's role: trunk and branch interfaces, and
/// the load balancers of the built-in service controller.
const REASONS: [&str; 5] = [
    "TrunkENICreationFailed",
    "BranchAllocationFailed",
    "SyncLoadBalancerFailed",
    "CreatingLoadBalancerFailed",
    "UpdateLoadBalancerFailed",
];

const META: Meta = Meta {
    id: "iam/cluster-role-policies",
    title: "The cluster's role lacks a policy that EKS needs",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Cluster, Source::Roles],
    helps: &[Source::DaemonSets, Source::Events],
    signals: &["denied-event", "policy-missing"],
    signatures: "",
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let events = cx
        .events()
        .optional()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let refused: Vec<&Event> = events
        .iter()
        .filter(|event| REASONS.contains(&event.reason.as_str()))
        .filter(|event| is_denial(&event.message))
        .filter(|event| cx.within(event.last_seen(), RECENT_S))
        .collect();
    if !refused.is_empty() {
        return Ok(vec![by_events(cx, &refused)]);
    }
    let cluster = cx.eks_cluster().some()?;
    let name = name_of_arn(&cluster.role_arn);
    let unknown = |detail: String| Stop::unknown(Gap::new(Source::Roles, Why::Sampled, detail));
    let roles = cx.roles().some()?;
    let attached = roles
        .iter()
        .find(|role| role.name() == name && !name.is_empty())
        .and_then(|role| role.attached_policies.as_ref())
        .ok_or_else(|| {
            unknown(format!(
                "the policies of the cluster's role {name} were not read"
            ))
        })?;
    let has = |policy: &str| {
        attached
            .iter()
            .any(|one| one.policy_name == policy || one.policy_name == "AdministratorAccess")
    };
    let uses_trunks = cx
        .daemonsets()
        .optional()
        .and_then(|all| CniSettings::of(all))
        .is_some_and(|settings| settings.pod_eni);
    let lacking = if !has(CLUSTER) {
        CLUSTER
    } else if uses_trunks && !has(TRUNKS) {
        TRUNKS
    } else {
        return Ok(Vec::new());
    };
    // A policy of the account's own may grant the same: what it says was not read.
    if let Some(own) = attached
        .iter()
        .find(|one| !one.policy_arn.contains(":aws:policy/"))
    {
        return Err(unknown(format!(
            "policy {} may allow what {lacking} does",
            own.policy_name
        )));
    }
    Ok(vec![missing(
        &cluster.role_arn,
        lacking,
        &attached
            .iter()
            .map(|one| one.policy_name.as_str())
            .collect::<Vec<_>>(),
    )])
}

fn is_denial(message: &str) -> bool {
    message.contains("UnauthorizedOperation")
        || message.contains("AccessDenied")
        || message.contains("is not authorized to perform")
        || message.contains("You are not authorized")
}

fn by_events(cx: &Cx<'_>, events: &[&Event]) -> Finding {
    let text = events
        .iter()
        .map(|event| event.message.as_str())
        .find(|text| text.contains(":assumed-role/"));
    let by_text = text
        .and_then(|text| text.split(":assumed-role/").nth(1))
        .and_then(|rest| rest.split('/').next());
    let by_cluster = cx
        .eks_cluster()
        .optional()
        .map(|cluster| name_of_arn(&cluster.role_arn))
        .filter(|name| !name.is_empty());
    let role = by_text.or(by_cluster);
    let is_trunk = events
        .iter()
        .any(|event| event.reason.starts_with("Trunk") || event.reason.starts_with("Branch"));
    let (what, policy) = if is_trunk {
        ("make trunk and branch interfaces", TRUNKS)
    } else {
        ("make load balancers", CLUSTER)
    };
    let title = match role {
        Some(role) => format!("The cluster's role {role} may not {what}"),
        None => format!("The cluster's role may not {what}"),
    };
    let mut place = Place::default();
    let mut finding = base(title, role.unwrap_or("CLUSTER_ROLE"), policy)
        .confidence(Confidence::Confirmed)
        .detail("EKS's own controllers act with the cluster's role, and EC2 refuses them.")
        .signal("denied-event");
    finding.severity = Severity::Critical;
    for event in events.iter().take(5) {
        let object = &event.involved_object;
        if object.kind == "Node" {
            place.nodes.insert(object.name.as_str().into());
        }
        finding = finding.fact(
            Fact::new(
                Source::Events,
                format!("{} {}", object.kind, object.name),
                event.reason.as_str(),
                event.message.as_str(),
            )
            .at(event.last_seen()),
        );
    }
    if place == Place::default() {
        finding
    } else {
        finding.at(place)
    }
}

fn missing(arn: &str, policy: &str, attached: &[&str]) -> Finding {
    let name = name_of_arn(arn);
    base(format!("The cluster's role {name} does not have {policy}"), name, policy)
        .confidence(Confidence::Likely)
        .detail(if policy == TRUNKS {
            "Security groups for pods are on, and EKS makes their interfaces with the cluster's role."
        } else {
            "EKS acts with the cluster's role: without its policy it cannot see to nodes, interfaces and load balancers."
        })
        .fact(Fact::new(Source::Cluster, "cluster", "roleArn", arn))
        .fact(Fact::new(Source::Roles, format!("Role {name}"), "attached policies", attached.join(", ")).expected(policy))
        .signal("policy-missing")
}

fn base(title: String, role: &str, policy: &str) -> Finding {
    META.finding(Severity::Error, title)
        .subject(Subject::new(SubjectKind::Role, role))
        .confirm(format!("aws iam list-attached-role-policies --role-name {role}"))
        .fix(format!("aws iam attach-role-policy --role-name {role} --policy-arn arn:aws:iam::aws:policy/{policy}"))
}
