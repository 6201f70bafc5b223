//! What shows that EC2 refuses calls of aws-node.

use std::collections::BTreeSet;

use eksnet_model::kubernetes::CniMetrics;
use eksnet_model::{Cx, Fact, SignatureSet, Source, Text, Told, told};

/// Lines and Events older than this, in seconds, are history.
const RECENT_S: i64 = 3600;
/// Counter of failed calls, by call and code.
const COUNTER: &str = "awscni_aws_api_error_count";

/// What is refused at worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Calls that get addresses.
    Writes,
    /// Calls that read interfaces.
    Reads,
    /// Calls of a feature that does without.
    Optional,
    /// Nothing says what is refused, nor that it is.
    Unsaid,
}

impl Weight {
    pub(super) fn signal(self) -> &'static str {
        match self {
            Self::Writes => "denied-write",
            Self::Reads => "denied-describe",
            Self::Optional => "denied-optional",
            Self::Unsaid => "init-stops",
        }
    }
}

#[derive(Default)]
pub(super) struct Refusals {
    pub(super) actions: BTreeSet<String>,
    pub(super) role: Option<String>,
    pub(super) nodes: BTreeSet<Text>,
    pub(super) facts: Vec<Fact>,
    pub(super) by_metric: bool,
    /// Whether a refusal is said anywhere.
    said: bool,
}

impl Refusals {
    pub(super) fn weight(&self) -> Weight {
        if self.actions.iter().any(|action| writes(action)) {
            Weight::Writes
        } else if self.actions.is_empty() {
            if self.said {
                Weight::Reads
            } else {
                Weight::Unsaid
            }
        } else if self.actions.iter().all(|action| is_optional(action)) {
            Weight::Optional
        } else {
            Weight::Reads
        }
    }
}

pub(super) fn seen(cx: &Cx<'_>, check: &str, set: &SignatureSet) -> Refusals {
    let mut seen = Refusals::default();
    let told = told(cx, check, set, RECENT_S);
    for one in told.iter().filter(|one| !is_of_load_balancers(one)) {
        of_line(one, &mut seen);
    }
    // A start that failed without a reason tells something only where nothing better is told.
    if seen.facts.is_empty() {
        for one in told.iter().filter(|one| stops_unsaid(one)) {
            add(one, &mut seen);
        }
    }
    for metrics in cx.cni_metrics().optional().into_iter().flatten() {
        of_metrics(metrics, &mut seen);
    }
    seen
}

fn stops_unsaid(told: &Told<'_>) -> bool {
    told.signature() == "ipamd-init-enis" && told.value("tail").is_none()
}

fn of_line(told: &Told<'_>, seen: &mut Refusals) {
    // A VPC endpoint's policy is no matter of the role.
    if told.value("endpoint").is_some() {
        return;
    }
    let before = seen.actions.len();
    match told.signature() {
        "cni-missing-iam" | "cni-action-denied" => {
            seen.actions
                .extend(told.values("action").map(str::to_owned));
        }
        "cni-operation-denied" => {
            seen.actions
                .extend(told.values("call").map(|call| format!("ec2:{call}")));
        }
        "ipamd-unauthorized" => {
            seen.actions
                .extend(told.values("step").filter_map(action_of).map(str::to_owned));
        }
        _ => {
            let refused = |tail: &str| {
                tail.contains("UnauthorizedOperation") || tail.contains("AccessDenied")
            };
            if !told.values("tail").any(refused) {
                return;
            }
        }
    }
    seen.said = true;
    if let Some(role) = told.value("role") {
        seen.role = Some(role.to_owned());
    }
    // The same line may be told by several signatures.
    if before < seen.actions.len() || seen.facts.is_empty() {
        add(told, seen);
    } else {
        seen.nodes.extend(told.node.clone());
    }
}

fn add(told: &Told<'_>, seen: &mut Refusals) {
    seen.nodes.extend(told.node.clone());
    seen.facts.push(told.fact());
}

fn of_metrics(metrics: &CniMetrics, seen: &mut Refusals) {
    for (labels, grown) in metrics.series(COUNTER) {
        let Some(code) = CniMetrics::label(labels, "error") else {
            continue;
        };
        if grown <= 0.0 || !(code.contains("Unauthorized") || code.contains("AccessDenied")) {
            continue;
        }
        let call = CniMetrics::label(labels, "api").unwrap_or("call");
        let how = if metrics.earlier.is_empty() {
            format!("{grown:.0} since its start")
        } else {
            format!("grew by {grown:.0}")
        };
        seen.said = true;
        seen.by_metric = true;
        if call != "call" {
            seen.actions.insert(format!("ec2:{call}"));
        }
        seen.nodes.insert(metrics.node.as_str().into());
        seen.facts.push(
            Fact::new(
                Source::CniMetrics,
                format!("Node {}", metrics.node),
                format!("{COUNTER} of {call} with {code}"),
                how,
            )
            .expected("none")
            .at(metrics.at),
        );
    }
}

/// The action of a step in ipamd's words. Source: `pkg/awsutils/awsutils.go` of amazon-vpc-cni-k8s.
fn action_of(step: &str) -> Option<&'static str> {
    let lower = step.to_ascii_lowercase();
    let has = |text: &str| lower.contains(text);
    Some(if has("ipv6") {
        "ec2:AssignIpv6Addresses"
    } else if has("deallocate") {
        "ec2:UnassignPrivateIpAddresses"
    } else if has("allocate") {
        "ec2:AssignPrivateIpAddresses"
    } else if has("attach eni") && !has("detach") {
        "ec2:AttachNetworkInterface"
    } else if has("detach") {
        "ec2:DetachNetworkInterface"
    } else if has("create") {
        "ec2:CreateNetworkInterface"
    } else if has("delete") {
        "ec2:DeleteNetworkInterface"
    } else if has("attribute") || has("sg") {
        "ec2:ModifyNetworkInterfaceAttribute"
    } else if has("tag") {
        "ec2:CreateTags"
    } else if has("instancetypes") {
        "ec2:DescribeInstanceTypes"
    } else if has("subnets") {
        "ec2:DescribeSubnets"
    } else if has("securitygroups") {
        "ec2:DescribeSecurityGroups"
    } else if has("describeinstances") || has("instance data") {
        "ec2:DescribeInstances"
    } else if has("describe") {
        "ec2:DescribeNetworkInterfaces"
    } else {
        return None;
    })
}

fn writes(action: &str) -> bool {
    !action.starts_with("ec2:Describe") && action != "ec2:CreateTags"
}

/// Without these ipamd turns a feature off and goes on.
fn is_optional(action: &str) -> bool {
    matches!(
        action,
        "ec2:DescribeSubnets" | "ec2:DescribeSecurityGroups" | "ec2:CreateTags"
    )
}

/// The managed policy is made for IPv4: <https://docs.aws.amazon.com/eks/latest/userguide/cni-iam-role.html>.
pub(super) fn in_managed_policy(action: &str) -> bool {
    !matches!(
        action,
        "ec2:AssignIpv6Addresses" | "ec2:DescribeSecurityGroups"
    )
}

/// Whether a text that names no author is the load balancer controller's, which calls EC2 too.
fn is_of_load_balancers(told: &Told<'_>) -> bool {
    [
        "ailed build model",
        "ailed deploy model",
        "yncing load balancer",
    ]
    .iter()
    .any(|words| told.line().contains(words))
}
