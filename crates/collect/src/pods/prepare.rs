//! Which pods a run would create.

use eksnet_model::{Gap, Snapshot, Source, Standpoint, Text, Topology, Why};
use tokio::time::Instant;

use super::cleanup::Cleanup;
use super::hazard::hazards;
use super::launch::{Planned, owner_name};
use super::manifest::labels as own_labels;
use super::object::{Kind, Object};
use super::plan::{Asks, Targets, with};
use super::standpoints;
use super::workload::{Disguise, NoDisguise, disguise};
use crate::collect::CollectError;
use crate::{Connection, Request};

/// The pods of a run, and what their choice left out.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// Pods of the probe namespace.
    pub(crate) network: Vec<Planned>,
    /// What the choice of nodes and targets left out.
    pub(crate) sampled: Text,
    /// Why there are none, where there are none.
    pub(crate) network_gap: Option<Gap>,
    /// The pod that runs as the workload.
    pub(crate) identity: Option<Planned>,
    /// In what that pod differs from the workload.
    pub(crate) identity_notes: Text,
    /// Role of the workload's service account.
    pub(crate) role_arn: Option<String>,
    /// Why there is none, where one was asked for.
    pub(crate) identity_gap: Option<Gap>,
}

/// Chooses standpoints and plans.
///
/// # Errors
/// [`CollectError::Nodes`] and [`CollectError::Workload`].
pub(crate) async fn prepare(
    connection: &Connection,
    request: &Request,
    snapshot: &Snapshot,
    cleanup: &Cleanup,
    deadline: Instant,
) -> Result<Prepared, CollectError> {
    let topology = Topology::of(snapshot);
    let targets = Targets::of(
        snapshot,
        &topology,
        connection.hints(),
        &request.dns_names,
        cleanup.run(),
    );
    let chosen =
        standpoints::choose(snapshot, &topology, &request.nodes).map_err(CollectError::Nodes)?;
    let mut prepared = Prepared::default();
    let mut sampled: Vec<Text> = Vec::new();
    sampled.extend(Some(chosen.sampled).filter(|text| !text.is_empty()));
    sampled.extend(chosen.unfit);
    sampled.extend(targets.sampled.clone());
    prepared.sampled = join(&sampled);

    let pod = |number: usize, namespace: &str| Object {
        kind: Kind::Pod,
        namespace: namespace.to_owned(),
        name: format!("{}-{number}", owner_name(cleanup.run())),
    };
    let namespace = request.probe_namespace.as_str();
    if request.wants(Source::Probes) {
        prepared.network_gap = avoided(snapshot, namespace, cleanup.run());
        if prepared.network_gap.is_none() {
            let asks = if request.only_dns {
                Asks::Dns
            } else {
                Asks::Network
            };
            let probes = targets.probes(asks);
            let nodes: Vec<&str> = chosen
                .stands
                .iter()
                .map(|stand| stand.node.as_str())
                .collect();
            let forced = targets.forced(&nodes);
            prepared.network = chosen
                .stands
                .iter()
                .zip(forced)
                .enumerate()
                .map(|(number, (stand, forced))| Planned {
                    object: pod(number, namespace),
                    at: Standpoint {
                        node: stand.node.as_str().into(),
                        class: stand.class.clone(),
                        namespace: namespace.into(),
                        workload: None,
                    },
                    plan: with(probes.clone(), forced),
                    guise: None,
                })
                .collect();
            if prepared.network.is_empty() {
                prepared.network_gap = Some(nowhere(snapshot, &prepared.sampled, Source::Probes));
            }
        }
    }
    if let Some(workload) = &request.as_workload {
        let found = disguise(&connection.api, snapshot, workload, cleanup.run(), deadline).await;
        match found {
            Ok(found) => {
                let node = found
                    .node
                    .clone()
                    .or_else(|| chosen.stands.first().map(|stand| stand.node.clone()));
                let Some(node) = node else {
                    prepared.identity_gap =
                        Some(nowhere(snapshot, &prepared.sampled, Source::IdentityProbes));
                    return Ok(prepared);
                };
                let Disguise {
                    guise,
                    role_arn,
                    mut notes,
                    ..
                } = found;
                if found.node.is_none() {
                    notes.push(
                        format!("no pod of {workload} is placed: the probe stood on {node}").into(),
                    );
                }
                let class = topology
                    .class_of(&node)
                    .map(|class| class.name)
                    .unwrap_or_default();
                prepared.role_arn = role_arn;
                prepared.identity_notes = join(&notes);
                prepared.identity = Some(Planned {
                    object: pod(0, &workload.namespace).named_as("as"),
                    at: Standpoint {
                        node: node.as_str().into(),
                        class,
                        namespace: workload.namespace.as_str().into(),
                        workload: Some(workload.to_string().into()),
                    },
                    plan: targets.probes(Asks::Identity),
                    guise: Some(guise),
                });
            }
            Err(NoDisguise::NotFound(why)) => {
                return Err(CollectError::Workload {
                    workload: workload.to_string().into(),
                    why,
                });
            }
            Err(NoDisguise::Gap(gap)) => prepared.identity_gap = Some(gap),
        }
    }
    Ok(prepared)
}

impl Object {
    /// The same place with another ending of its name: the identity pod may share its namespace with
    /// the others.
    fn named_as(mut self, ending: &str) -> Self {
        if let Some((head, _)) = self.name.rsplit_once('-') {
            self.name = format!("{head}-{ending}");
        }
        self
    }
}

fn join(texts: &[Text]) -> Text {
    let texts: Vec<&str> = texts.iter().map(Text::as_str).collect();
    texts.join("; ").into()
}

/// A namespace in which an object would count our pods as its own is left alone.
fn avoided(snapshot: &Snapshot, namespace: &str, run: &str) -> Option<Gap> {
    let met = hazards(snapshot, namespace, &own_labels(run)).ok()?;
    let hazard = met.first()?;
    let detail = format!(
        "{} in {namespace} selects every pod, and would count probe pods as its own",
        hazard.what
    );
    let gap = Gap::new(Source::Probes, Why::Failed, detail);
    Some(gap.closed_by("--probe-namespace with another namespace"))
}

fn nowhere(snapshot: &Snapshot, sampled: &Text, source: Source) -> Gap {
    match snapshot.kubernetes.nodes.gap() {
        Some(gap) => Gap {
            source,
            detail: format!("no node is known to stand on: {}", gap.detail).into(),
            ..gap.clone()
        },
        None => {
            let detail = format!("no node can be stood on: {sampled}");
            Gap::new(source, Why::Failed, detail).closed_by("a node that is Ready, or --nodes NAME")
        }
    }
}
