//! `kubectl eksnet permissions`: what the chosen checks need, from their own declarations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use eksnet_model::Source;
use serde_json::json;

use crate::args::{PermissionFormat, Permissions, Select};
use crate::exit::{Failure, OK};
use crate::output::print;
use crate::selection::{select, sources};

pub(crate) fn run(options: &Permissions) -> Result<u8, Failure> {
    let chosen = Select {
        only: options.only.clone(),
        skip: Vec::new(),
    };
    let sources = sources(&select(&chosen)?);
    let text = match options.output {
        Some(PermissionFormat::Yaml) => roles(&sources, &options.probe_namespace),
        Some(PermissionFormat::Json) => policy(&sources),
        None => format!(
            "# Kubernetes: kubectl eksnet permissions -o yaml | kubectl apply -f -\n{}\n# AWS: kubectl eksnet permissions -o json\n{}",
            roles(&sources, &options.probe_namespace),
            policy(&sources)
        ),
    };
    print(&text)?;
    Ok(OK)
}

/// Whether a source needs rights in the namespace of the probe pods only.
fn is_probe(source: Source) -> bool {
    matches!(source, Source::Probes | Source::IdentityProbes)
}

/// Rules, one per API group and verbs.
fn rules(sources: impl Iterator<Item = Source>) -> String {
    let mut verbs_of: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for rule in sources.flat_map(|source| source.permission().rbac) {
        verbs_of
            .entry((rule.group, rule.resource))
            .or_default()
            .extend(rule.verbs);
    }
    let mut rules: BTreeMap<(&str, BTreeSet<&str>), Vec<&str>> = BTreeMap::new();
    for ((group, resource), verbs) in verbs_of {
        rules.entry((group, verbs)).or_default().push(resource);
    }
    let list = |items: Vec<&str>| {
        items
            .iter()
            .map(|item| format!("{item:?}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    rules
        .into_iter()
        .fold(String::new(), |mut text, ((group, verbs), resources)| {
            let verbs = list(verbs.into_iter().collect());
            let _ = writeln!(
                text,
                "- apiGroups: [{group:?}]\n  resources: [{}]\n  verbs: [{verbs}]",
                list(resources)
            );
            text
        })
}

/// The ClusterRole, and the Role of the probe namespace.
pub(crate) fn roles(sources: &BTreeSet<Source>, probe_namespace: &str) -> String {
    let reading = rules(sources.iter().copied().filter(|source| !is_probe(*source)));
    let probing = rules(sources.iter().copied().filter(|source| is_probe(*source)));
    let mut text = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: kubectl-eksnet\nrules:\n{reading}"
    );
    if !probing.is_empty() {
        let _ = write!(
            text,
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: kubectl-eksnet-probe\n  namespace: {probe_namespace}\nrules:\n{probing}"
        );
    }
    text
}

/// The IAM policy.
pub(crate) fn policy(sources: &BTreeSet<Source>) -> String {
    let actions: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| source.permission().iam)
        .copied()
        .collect();
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{"Sid": "KubectlEksnet", "Effect": "Allow", "Action": actions, "Resource": "*"}],
    });
    format!("{policy:#}\n")
}
