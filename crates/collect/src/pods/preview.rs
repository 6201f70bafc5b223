//! What a run would do: `--plan`.

use std::collections::BTreeSet;

use eksnet_model::{Gap, Snapshot, Standpoint, Text};
use eksnet_probe::{PROTOCOL, Plan, ProbeSpec};
use serde_json::Value;
use tokio::time::Instant;

use super::cleanup::Cleanup;
use super::launch::Planned;
use super::manifest::{self, Cast, Owner};
use super::prepare::prepare;
use super::stage::{AGENT, mold};
use crate::cloud::wanted;
use crate::collect::CollectError;
use crate::kubernetes::sources::calls_of;
use crate::{Connection, Request};

/// What a run would create, and every request that it would make. Nothing of
/// it was done.
#[derive(Clone, Debug)]
pub struct ProbePlanPreview {
    /// Image of the pods.
    pub image: String,
    /// The pods.
    pub pods: Vec<PlannedPod>,
    /// What the choice of nodes leaves out; empty when every node is probed.
    pub sampled: Text,
    /// Why no pods would be created, where that is so.
    pub gaps: Vec<Gap>,
    /// Every request to the Kubernetes API, such as `GET /api/v1/nodes` or
    /// `POST /api/v1/namespaces/default/pods`.
    pub calls: Vec<Text>,
    /// Every action that AWS is asked for, such as `ec2:DescribeSubnets`, also those that only aiming
    /// probes takes.
    pub aws_actions: Vec<Text>,
}

/// A pod that would be created.
#[derive(Clone, Debug)]
pub struct PlannedPod {
    /// Name; the run's part of it is made anew for each run.
    pub name: Text,
    /// Where it would stand.
    pub at: Standpoint,
    /// What it would ask.
    pub probes: Vec<ProbeSpec>,
    /// The manifest.
    pub manifest: Value,
}

/// What probing would create and call, given evidence that was read for it.
///
/// # Errors
/// As [`prepare`].
pub(crate) async fn preview(
    connection: &Connection,
    request: &Request,
    snapshot: &Snapshot,
    deadline: Instant,
) -> Result<ProbePlanPreview, CollectError> {
    let cleanup = Cleanup::new(connection);
    let mut mold = mold(request, &cleanup);
    mold.owner = Some(Owner {
        name: super::launch::owner_name(cleanup.run()),
        uid: "UID-OF-THAT-CONFIGMAP".to_owned(),
    });
    let mut calls: Vec<Text> = calls_of(request).into_iter().map(Text::from).collect();
    let mut pods = Vec::new();
    let mut gaps = Vec::new();
    let mut sampled = Text::default();
    if request.wants_probes() {
        let prepared = prepare(connection, request, snapshot, &cleanup, deadline).await?;
        gaps.extend(prepared.network_gap);
        gaps.extend(prepared.identity_gap);
        sampled = prepared.sampled;
        let planned: Vec<&Planned> = prepared.network.iter().chain(&prepared.identity).collect();
        let mut namespaces: Vec<&str> = Vec::new();
        for one in &planned {
            let namespace = one.object.namespace.as_str();
            if !namespaces.contains(&namespace) {
                namespaces.push(namespace);
            }
        }
        for namespace in namespaces {
            calls.extend(calls_in(namespace, &planned));
        }
        for one in planned {
            let plan = Plan {
                protocol: PROTOCOL,
                nonce: "NONCE".to_owned(),
                deadline_ms: u64::try_from(AGENT.as_millis()).unwrap_or(u64::MAX),
                probes: one.plan.clone(),
            };
            let cast = Cast {
                object: &one.object,
                node: &one.at.node,
                plan: &plan.encode(),
                guise: one.guise.as_ref(),
            };
            pods.push(PlannedPod {
                name: one.object.name.as_str().into(),
                at: one.at.clone(),
                probes: one.plan.clone(),
                manifest: manifest::pod(&cast, &mold),
            });
        }
    }
    Ok(ProbePlanPreview {
        image: mold.image,
        pods,
        sampled,
        gaps,
        calls,
        aws_actions: actions_of(request),
    })
}

fn actions_of(request: &Request) -> Vec<Text> {
    let sources = wanted(request);
    let actions: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| source.permission().iam)
        .copied()
        .collect();
    actions.into_iter().map(Text::from).collect()
}

fn calls_in(namespace: &str, planned: &[&Planned]) -> Vec<Text> {
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let maps = format!("/api/v1/namespaces/{namespace}/configmaps");
    let names = || {
        planned
            .iter()
            .filter(|one| one.object.namespace == namespace)
            .map(|one| one.object.name.as_str())
    };
    let mut calls = vec![
        format!("POST {maps}"),
        format!("POST {pods} ({} times)", names().count()),
        format!("GET {pods}?labelSelector=.."),
        format!("GET /api/v1/namespaces/{namespace}/events?fieldSelector=.."),
    ];
    calls.extend(names().map(|name| format!("GET {pods}/{name}/log")));
    calls.extend(names().map(|name| format!("DELETE {pods}/{name}")));
    calls.push(format!("DELETE {maps}/.."));
    calls.into_iter().map(Text::from).collect()
}
