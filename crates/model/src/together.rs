//! Findings about several AWS hosts that fail together, told once: where cluster DNS or the way out is
//! cut off, all of them fail.

use std::collections::BTreeSet;

use crate::endpoints::service_of;
use crate::{AwsEndpoint, Finding, Reach};

/// Most names that a title spells out.
const MAX_NAMES: usize = 4;
/// Most facts that are kept.
const MAX_FACTS: usize = 8;

/// Makes one finding of those that stand on the same nodes, are equally sure, and carry the same ones
/// of the signals `own`. `title` gets the number of hosts and the short names of some of them, and
/// the title of one of the findings.
///
/// The text and the remedy are those of the finding that carries most signals.
#[must_use]
pub fn told_together(
    findings: Vec<Finding>,
    own: &[&str],
    title: impl Fn(usize, &str, &str) -> String,
) -> Vec<Finding> {
    let alike = |one: &Finding, two: &Finding| {
        one.at.nodes == two.at.nodes
            && one.confidence == two.confidence
            && own
                .iter()
                .all(|signal| one.signals.contains(*signal) == two.signals.contains(*signal))
    };
    let mut groups: Vec<Vec<Finding>> = Vec::new();
    for finding in findings {
        match groups.iter_mut().find(|group| alike(&group[0], &finding)) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups
        .into_iter()
        .map(|group| one_of(group, &title))
        .collect()
}

fn one_of(mut group: Vec<Finding>, title: &impl Fn(usize, &str, &str) -> String) -> Finding {
    if group.len() == 1 {
        return group.remove(0);
    }
    let count = group.len();
    let best = group
        .iter()
        .enumerate()
        .max_by_key(|(at, finding)| (finding.signals.len(), std::cmp::Reverse(*at)))
        .map_or(0, |(at, _)| at);
    let names = names(&group);
    let mut finding = group.remove(best);
    finding.title = title(count, &names, &finding.title).into();
    for other in group {
        finding.severity = finding.severity.max(other.severity);
        finding.at.hosts.extend(other.at.hosts);
        finding.signals.extend(other.signals);
        finding.facts.extend(other.facts.into_iter().take(1));
        finding = finding.subjects(other.subjects);
    }
    finding.facts.truncate(MAX_FACTS);
    finding.reach = Reach::Within(finding.at.clone());
    finding
}

/// Short names of the hosts, those without which nothing works first.
fn names(group: &[Finding]) -> String {
    let names: BTreeSet<(bool, &str)> = group
        .iter()
        .flat_map(|finding| &finding.at.hosts)
        .map(|host| {
            let service = service_of(host).unwrap_or(host);
            (!AwsEndpoint::is_core(host), service)
        })
        .collect();
    let shown: Vec<&str> = names
        .iter()
        .take(MAX_NAMES)
        .map(|(_, service)| *service)
        .collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Place, Role, Severity, Subject, SubjectKind};

    fn finding(service: &str, node: &str, signal: &str) -> Finding {
        let host = format!("{service}.us-west-2.amazonaws.com");
        Finding::new(
            "a/b",
            Role::Mechanism,
            Severity::Error,
            format!("{host} fails"),
        )
        .subject(Subject::new(SubjectKind::Host, host.as_str()))
        .at(Place::nodes([node]).towards(host.as_str()))
        .signal(signal)
    }

    #[test]
    fn what_fails_alike_is_told_once_and_what_does_not_stays_apart() {
        let told = told_together(
            vec![
                finding("logs", "n1", "fails-now"),
                finding("sts", "n1", "fails-now"),
                finding("ec2", "n1", "own"),
                finding("eks", "n2", "fails-now"),
            ],
            &["own"],
            |count, names, _| format!("{count} names fail: {names}"),
        );
        let titles: Vec<&str> = told.iter().map(|one| one.title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "2 names fail: sts, logs",
                "ec2.us-west-2.amazonaws.com fails",
                "eks.us-west-2.amazonaws.com fails"
            ]
        );
        assert_eq!(told[0].at.hosts.len(), 2);
        assert_eq!(told[0].subjects.len(), 2);
    }
}
