//! What Events and logs say of addresses that could not be had.

use eksnet_model::kubernetes::{Event, Node};
use eksnet_model::{
    Cx, Fact, Finding, Hits, LogScan, Place, Severity, Source, Subject, SubjectKind,
};

use super::META;

/// Events older than this, in seconds, are history.
const EVENTS_S: i64 = 600;
/// The same for lines of logs.
const LOGS_S: i64 = 3600;

/// A hit in a log, with what the line means.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub scan: &'a LogScan,
    pub hits: &'a Hits,
}

impl Line<'_> {
    pub(super) fn is_exclusion(&self) -> bool {
        self.hits.signature == "ipamd-subnet-excluded"
    }

    /// The subnet that the line names.
    pub(super) fn subnet(&self) -> Option<&str> {
        let fields = ["subnet", "named"];
        let values = fields.iter().find_map(|name| self.hits.fields.get(*name))?;
        values.keys().next().map(|value| value.as_str())
    }

    pub(super) fn fact(&self) -> Fact {
        let text = self
            .hits
            .samples
            .last()
            .map_or("", |sample| sample.text.as_str());
        Fact::new(
            Source::Logs,
            self.scan.place(),
            format!("{} log", self.scan.component.name()),
            format!("{}x '{text}'", self.hits.count),
        )
        .at(self.hits.last)
    }
}

/// Recent lines of any log that speak of this.
pub(super) fn lines<'a>(cx: &Cx<'_>, scans: &'a [LogScan]) -> Vec<Line<'a>> {
    const MINE: [&str; 3] = [
        "subnet-insufficient-free",
        "ipamd-subnet-hint",
        "ipamd-subnet-excluded",
    ];
    let of = |scan: &'a LogScan| scan.hits.iter().map(move |hits| Line { scan, hits });
    // ipamd's hint follows both errors: addresses that are no block are another matter.
    let of_blocks = |line: &Line<'_>| {
        line.hits.signature == "ipamd-subnet-hint"
            && line.scan.hits("ipamd-insufficient-cidr").is_some()
            && line.scan.hits("subnet-insufficient-free").is_none()
    };
    scans
        .iter()
        .flat_map(of)
        .filter(|line| {
            MINE.contains(&line.hits.signature.as_str()) && cx.within(line.hits.last, LOGS_S)
        })
        .filter(|line| !of_blocks(line))
        .collect()
}

/// Pods on these nodes that wait for an address.
pub(super) fn waiting<'e>(cx: &Cx<'_>, events: &'e [Event], nodes: &[&Node]) -> Vec<&'e Event> {
    let on_these = |event: &&Event| {
        let object = &event.involved_object;
        let name = if object.kind == "Node" {
            object.name.as_str()
        } else {
            match cx.topology().pod(&object.namespace, &object.name) {
                Some(pod) => &pod.spec.node_name,
                None => return false,
            }
        };
        nodes.iter().any(|node| node.metadata.name == name)
    };
    events
        .iter()
        .filter(|event| {
            event.reason == "IPAMDNoIPs"
                || event
                    .message
                    .contains("failed to assign an IP address to container")
        })
        .filter(|event| cx.within(event.last_seen(), EVENTS_S))
        .filter(on_these)
        .collect()
}

pub(super) fn event_fact(event: &Event) -> Fact {
    let object = &event.involved_object;
    let name = if object.namespace.is_empty() {
        object.name.clone()
    } else {
        format!("{}/{}", object.namespace, object.name)
    };
    Fact::new(
        Source::Events,
        format!("{} {name}", object.kind),
        event.reason.clone(),
        format!("{} ({}x)", event.message, event.times()),
    )
    .at(event.last_seen())
}

/// Lines of logs without a count: one finding for each log.
pub(super) fn by_logs(cx: &Cx<'_>, lines: &[Line<'_>]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for line in lines {
        let node = cx.topology().node_of_log(line.scan);
        let subject = match (line.subnet(), &node) {
            (Some(id), _) => Subject::new(SubjectKind::Subnet, id),
            (None, Some(node)) => Subject::node(node.clone()),
            (None, None) => Subject::new(SubjectKind::Other, line.scan.place()),
        };
        let key = subject.to_string();
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let of = match (line.subnet(), &node) {
            (Some(id), _) => format!("Subnet {id}"),
            (None, Some(node)) => format!("Subnet of node {node}"),
            (None, None) => format!("Subnet ({})", line.scan.place()),
        };
        let (title, signal) = if line.is_exclusion() {
            (
                format!("{of} is kept out of use for pods by its tag"),
                "excluded",
            )
        } else {
            (
                format!("{of} has no room for what the CNI asks for"),
                "log-insufficient-free",
            )
        };
        let mut finding = META
            .finding(Severity::Error, title)
            .detail("EC2 refused an address or an interface with an explicit error: pods that start there get none.")
            .subject(subject)
            .fact(line.fact())
            .signal(signal)
            .confirm("aws ec2 describe-subnets --query 'Subnets[].[SubnetId,AvailabilityZone,CidrBlock,AvailableIpAddressCount]' --output table")
            .fix("Add a subnet in the zone, tagged kubernetes.io/role/cni=1, or lower the CNI's warm targets");
        if let Some(node) = node {
            finding = finding
                .at(Place::nodes([node.clone()]))
                .reaches(Place::nodes([node]));
        }
        findings.push(finding);
    }
    findings
}
