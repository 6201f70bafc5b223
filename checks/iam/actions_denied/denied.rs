//! Actions that a component is denied, by simulation or by the component's own log.

use std::collections::BTreeSet;

use eksnet_model::iam::{EvaluationResult, Need, SimulatedRole};
use eksnet_model::{Component, Cx, Fact, Hits, LogScan, Place, Running, Source, Subject};

/// How far back a refusal in a log counts, in seconds: write actions are rare.
const RECENT_S: i64 = 3600;

/// Which layer denies, in the order in which a finding lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    Scp,
    Boundary,
    Explicit,
    Implicit,
}

/// One denied action.
#[derive(Clone, Debug)]
pub(super) struct Denied {
    pub(super) action: String,
    pub(super) need: Need,
    pub(super) writes: bool,
    pub(super) layer: Layer,
    pub(super) fact: Fact,
}

/// All that one component is denied.
#[derive(Clone, Debug, Default)]
pub(super) struct Refused {
    pub(super) component: Component,
    /// Name and ARN of its role; the ARN only where it was simulated.
    pub(super) role: Option<(String, String)>,
    /// How it comes to the role, where that is known.
    pub(super) via: String,
    pub(super) denied: Vec<Denied>,
    pub(super) by_log: bool,
    pub(super) by_simulation: bool,
    /// Actions that a log refuses and the simulation allows.
    pub(super) disputed: Vec<Fact>,
    pub(super) place: Place,
    /// Where the log was read, where no pod is known.
    log: String,
}

impl Layer {
    fn of(result: &EvaluationResult) -> Self {
        let organizations = result.organizations_decision_detail.as_ref();
        let boundary = result.permissions_boundary_decision_detail.as_ref();
        if organizations.is_some_and(|decision| !decision.allowed_by_organizations) {
            Self::Scp
        } else if boundary.is_some_and(|decision| !decision.allowed_by_permissions_boundary) {
            Self::Boundary
        } else if result.eval_decision == "explicitDeny" {
            Self::Explicit
        } else {
            Self::Implicit
        }
    }

    /// The layer that AWS's own text names; `None` when it is none of the caller's.
    fn of_text(why: &str) -> Option<Self> {
        if why.contains("VPC endpoint policy") || why.contains("resource-based policy") {
            None
        } else if why.contains("service control policy") {
            Some(Self::Scp)
        } else if why.contains("permissions boundary") {
            Some(Self::Boundary)
        } else if why.contains("explicit deny") {
            Some(Self::Explicit)
        } else {
            Some(Self::Implicit)
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Scp => "a service control policy does not allow it",
            Self::Boundary => "the permissions boundary does not allow it",
            Self::Explicit => "a statement denies it",
            Self::Implicit => "no statement allows it",
        }
    }

    pub(super) fn signal(self) -> &'static str {
        match self {
            Self::Scp => "scp",
            Self::Boundary => "boundary",
            Self::Explicit => "explicit-deny",
            Self::Implicit => "implicit-deny",
        }
    }
}

/// What a simulation denies to a role. What hangs on a condition whose value is not known may be
/// allowed: it goes to `undecided`.
pub(super) fn by_simulation(
    cx: &Cx<'_>,
    role: &SimulatedRole,
    undecided: &mut Vec<String>,
) -> Refused {
    let name = role.role_arn.rsplit('/').next().unwrap_or(&role.role_arn);
    let mut refused = Refused {
        component: role.component,
        role: Some((name.to_owned(), role.role_arn.clone())),
        via: role.via.clone(),
        by_simulation: true,
        place: place_of(cx, role.component),
        ..Refused::default()
    };
    let (minor, mode) = (minor(cx, role.component), CniMode::of(cx));
    for action in role.component.actions(minor) {
        if role.component == Component::AwsNode && !mode.calls(action.name, action.writes) {
            continue;
        }
        let results = role
            .results
            .iter()
            .filter(|result| result.eval_action_name == action.name);
        for result in results.filter(|result| result.eval_decision != "allowed") {
            let open =
                result.eval_decision == "implicitDeny" && !result.missing_context_values.is_empty();
            if open {
                let missing = result.missing_context_values.join(", ");
                undecided.push(format!("{} ({missing})", action.name));
                continue;
            }
            let layer = Layer::of(result);
            let by = result
                .matched_statements
                .first()
                .map(|statement| format!(", policy {}", statement.source_policy_id))
                .unwrap_or_default();
            refused.denied.push(Denied {
                action: action.name.to_owned(),
                need: action.need,
                writes: action.writes,
                layer,
                fact: Fact::new(
                    Source::SimulatedPolicies,
                    role.role_arn.as_str(),
                    action.name,
                    format!("{}: {}{by}", result.eval_decision, layer.words()),
                )
                .expected("allowed"),
            });
            break;
        }
    }
    refused
}

/// Adds what the components' logs say to what was simulated.
pub(super) fn add_logs(cx: &Cx<'_>, simulated: &[SimulatedRole], all: &mut Vec<Refused>) {
    for scan in cx.logs().optional().into_iter().flatten() {
        // ipamd calls AWS by the role of aws-node, in whose pod it runs.
        let of_aws_node;
        let scan = if scan.component == Component::Ipamd {
            of_aws_node = LogScan {
                component: Component::AwsNode,
                ..scan.clone()
            };
            &of_aws_node
        } else {
            scan
        };
        for hits in &scan.hits {
            if hits.check != super::META.id || !cx.within(hits.last, RECENT_S) {
                continue;
            }
            for (action, layer) in of_hits(hits) {
                add_one(cx, simulated, all, scan, hits, &action, layer);
            }
        }
    }
}

fn add_one(
    cx: &Cx<'_>,
    simulated: &[SimulatedRole],
    all: &mut Vec<Refused>,
    scan: &LogScan,
    hits: &Hits,
    action: &str,
    layer: Layer,
) {
    let sample = hits
        .samples
        .iter()
        .find(|sample| sample.text.contains(action))
        .or(hits.samples.first());
    let text = sample
        .map(|sample| sample.text.to_string())
        .unwrap_or_default();
    let fact = Fact::new(
        Source::Logs,
        scan.place(),
        format!("{action} refused"),
        format!("{}: {text}", hits.times()),
    )
    .at(hits.last);
    let own = |one: &Refused| match scan.component {
        Component::Unknown => one.log == scan.place(),
        component => one.component == component,
    };
    let position = all.iter().position(own);
    let at = position.unwrap_or_else(|| {
        let mut place = place_of(cx, scan.component);
        if place == Place::default() {
            place.nodes.extend(cx.topology().node_of_log(scan));
            place
                .workloads
                .extend(cx.topology().workload_of_log(scan).map(Into::into));
        }
        all.push(Refused {
            component: scan.component,
            role: hits
                .fields
                .get("user")
                .into_iter()
                .flatten()
                .find_map(|(user, _)| {
                    let name = user.split_once(":assumed-role/")?.1.split('/').next()?;
                    Some((name.to_owned(), String::new()))
                }),
            place,
            log: scan.place(),
            ..Refused::default()
        });
        all.len() - 1
    });
    let refused = &mut all[at];
    refused.by_log = true;
    let allowed = simulated
        .iter()
        .filter(|role| role.component == scan.component)
        .flat_map(|role| &role.results)
        .find(|result| result.eval_action_name == action && result.eval_decision == "allowed");
    if allowed.is_some() {
        refused.disputed.push(Fact::new(
            Source::SimulatedPolicies,
            scan.component.name(),
            action,
            "allowed: mended since, or refused by a policy that no simulation sees",
        ));
    }
    if let Some(known) = refused.denied.iter().position(|one| one.action == action) {
        // The decision is known; the log shows that it hurts.
        let mut denied = refused.denied[known].clone();
        denied.fact = fact;
        refused.denied.insert(known + 1, denied);
        return;
    }
    let known = scan.component.actions(None).find(|one| one.name == action);
    refused.denied.push(Denied {
        action: action.to_owned(),
        // What was called and refused was needed.
        need: known.map_or(Need::Required, |one| one.need),
        writes: known.is_some_and(|one| one.writes),
        layer,
        fact,
    });
}

/// The actions that hits of a signature name, with the layer.
fn of_hits(hits: &Hits) -> Vec<(String, Layer)> {
    let values = |field: &str| {
        let values = hits.fields.get(field).into_iter().flatten();
        values
            .map(|(value, _)| value.to_string())
            .collect::<Vec<_>>()
    };
    match hits.signature.as_str() {
        "ca-instance-types-denied" => {
            vec![("ec2:DescribeInstanceTypes".to_owned(), Layer::Implicit)]
        }
        "karpenter-spot-role" => vec![("iam:CreateServiceLinkedRole".to_owned(), Layer::Implicit)],
        "ec2-operation-denied" => values("operation")
            .into_iter()
            .map(|operation| (format!("ec2:{operation}"), Layer::Implicit))
            .collect(),
        _ => {
            let whys = values("why");
            // The layer is told only where all records name the same kind.
            let layer = match whys.as_slice() {
                [] => Some(Layer::Implicit),
                [first, ..] => Layer::of_text(first),
            };
            let Some(layer) = layer else {
                return Vec::new();
            };
            values("action")
                .into_iter()
                // A token that STS refuses is a matter of trust, not of permissions.
                .filter(|action| !action.starts_with("sts:AssumeRole"))
                .map(|action| (action, layer))
                .collect()
        }
    }
}

/// Which of the VPC CNI's calls its settings leave.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CniMode {
    V4,
    V6,
    /// It makes no call of EC2 at all.
    ImdsOnly,
}

impl CniMode {
    fn of(cx: &Cx<'_>) -> Self {
        let is_set = |name: &str| {
            cx.topology().pods_of(Component::AwsNode).any(|pod| {
                Running::of(Component::AwsNode, &pod.spec)
                    .is_some_and(|running| running.env(name) == Some("true"))
            })
        };
        if is_set("ENABLE_IMDS_ONLY_MODE") {
            Self::ImdsOnly
        } else if is_set("ENABLE_IPv6") {
            Self::V6
        } else {
            Self::V4
        }
    }

    fn calls(self, action: &str, writes: bool) -> bool {
        match self {
            Self::V4 => true,
            // One prefix per interface, given at launch: nothing but tags is written.
            Self::V6 => !writes || action == "ec2:CreateTags",
            Self::ImdsOnly => false,
        }
    }
}

/// Minor version of a component, by its image.
fn minor(cx: &Cx<'_>, component: Component) -> Option<u32> {
    let pods = cx.pods().optional()?;
    let pod = pods
        .iter()
        .find(|pod| Component::of_pod(pod) == component)?;
    Running::of(component, &pod.spec)?
        .version()
        .map(|(_, minor)| minor)
}

/// Where the component runs; nowhere in particular when its pods are not known.
fn place_of(cx: &Cx<'_>, component: Component) -> Place {
    if component == Component::Unknown {
        return Place::default();
    }
    let pods: Vec<_> = cx.topology().pods_of(component).collect();
    let nodes = pods
        .iter()
        .map(|pod| pod.spec.node_name.as_str())
        .filter(|node| !node.is_empty());
    pods.iter()
        .fold(Place::nodes(nodes), |place, pod| place.of(pod.workload()))
}

impl Refused {
    /// Name of the component, or of the log where it is not known.
    pub(super) fn who(&self) -> &str {
        match self.component {
            Component::Unknown => &self.log,
            component => component.name(),
        }
    }

    /// Two components may share a role, as that of the node: the component tells them apart.
    pub(super) fn subjects(&self) -> Vec<Subject> {
        use eksnet_model::SubjectKind::{Other, Role};
        let mut subjects = Vec::new();
        if let Some((name, arn)) = &self.role {
            let subject = Subject::new(Role, name.as_str());
            subjects.push(if arn.is_empty() {
                subject
            } else {
                subject.with_id(arn.as_str())
            });
        }
        subjects.push(Subject::new(Other, self.who()));
        subjects
    }

    /// The distinct actions, in the order in which they were found.
    pub(super) fn actions(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.denied
            .iter()
            .map(|one| one.action.as_str())
            .filter(|action| seen.insert(*action))
            .collect()
    }
}
