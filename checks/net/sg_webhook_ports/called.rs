//! What the API server calls, and which calls failed.

use std::collections::BTreeMap;

use eksnet_model::kubernetes::{ServiceReference, WebhookConfiguration};
use eksnet_model::{Cx, Fact, Heard, LogScan, Scanner, SignatureSet, Source, Stop};

use super::backends::Judged;

const WEBHOOK: &[&str] = &["webhook-call-timeout"];
const API: &[&str] = &["aggregated-api-timeout"];
/// Calls that fail by `Fail` on these stop the cluster.
const VITAL: [&str; 4] = ["pods", "services", "nodes", "*"];

/// A webhook or an aggregated API.
#[derive(Clone, Debug)]
pub(super) struct Callee {
    pub name: String,
    pub service: ServiceReference,
    fails: bool,
    resources: Vec<String>,
    is_api: bool,
}

impl Callee {
    /// Whether writes of pods, Services or nodes fail with it.
    pub(super) fn is_vital(&self) -> bool {
        self.fails
            && self
                .resources
                .iter()
                .any(|one| VITAL.contains(&one.as_str()))
    }
}

/// One callee, with what was said of it and what the rules say.
#[derive(Default)]
pub(super) struct Called<'a> {
    pub said: Vec<Heard<'a>>,
    pub facts: Vec<Fact>,
    pub port: Option<u16>,
    pub not_allowed: bool,
    pub is_api: bool,
    pub callee: Option<Callee>,
    pub judged: Option<Judged>,
    by_name: Option<(String, String)>,
}

impl Called<'_> {
    /// Namespace and name of the Service.
    pub(super) fn service(&self) -> Option<(String, String)> {
        let known = self.callee.as_ref().map(|callee| {
            (
                callee.service.namespace.clone(),
                callee.service.name.clone(),
            )
        });
        known.or_else(|| self.by_name.clone())
    }
}

/// Everything that the API server calls in the cluster.
pub(super) fn callees(cx: &Cx<'_>) -> Result<Vec<Callee>, Stop> {
    let (validating, mutating, apis) = (
        cx.validating_webhooks().some(),
        cx.mutating_webhooks().some(),
        cx.api_services().some(),
    );
    let mut found = Vec::new();
    for all in [&validating, &mutating].into_iter().flatten() {
        found.extend(all.iter().flat_map(webhooks));
    }
    for api in apis.as_ref().into_iter().flat_map(|apis| apis.iter()) {
        if let Some(service) = &api.spec.service {
            found.push(Callee {
                name: api.metadata.name.clone(),
                service: service.clone(),
                fails: false,
                resources: Vec::new(),
                is_api: true,
            });
        }
    }
    if found.is_empty() {
        let _ = (validating?, mutating?, apis?);
    }
    Ok(found)
}

fn webhooks(one: &WebhookConfiguration) -> impl Iterator<Item = Callee> {
    one.webhooks.iter().filter_map(|webhook| {
        Some(Callee {
            name: webhook.name.clone(),
            service: webhook.client_config.service.clone()?,
            fails: webhook.failure_policy != "Ignore",
            resources: webhook
                .rules
                .iter()
                .flat_map(|rule| rule.resources.clone())
                .collect(),
            is_api: false,
        })
    })
}

/// Calls that ended without an answer, by the name of the webhook or API.
pub(super) fn failures<'a>(
    cx: &Cx<'_>,
    scans: &'a [LogScan],
    set: &SignatureSet,
    known: &Result<Vec<Callee>, Stop>,
) -> BTreeMap<String, Called<'a>> {
    let mut called: BTreeMap<String, Called<'a>> = BTreeMap::new();
    for said in Heard::by(scans, WEBHOOK) {
        for name in said.values("webhook") {
            let one = called.entry(name.to_owned()).or_default();
            one.port = one.port.or_else(|| port_of(&said));
            one.not_allowed |= said.values("how").any(|how| how.contains("not allowed"));
            one.by_name = said
                .value("namespace")
                .zip(said.value("service"))
                .map(|(namespace, service)| (namespace.to_owned(), service.to_owned()));
            one.said.push(said);
        }
    }
    for said in Heard::by(scans, API) {
        for api in said.values("api") {
            let one = called.entry(api_name(api)).or_default();
            one.is_api = true;
            one.port = one.port.or_else(|| port_of(&said));
            one.said.push(said);
        }
    }
    for api in cx.api_services().optional().into_iter().flatten() {
        let Some(condition) = api.unavailable() else {
            continue;
        };
        let mut scanner = Scanner::new(set, LogScan::default(), None);
        scanner.line_at(
            condition.last_transition_time,
            &condition.message.replace('\n', " "),
        );
        let scan = scanner.finish();
        let Some(said) = Heard::by(std::slice::from_ref(&scan), API).next() else {
            continue;
        };
        let one = called.entry(api.metadata.name.clone()).or_default();
        one.is_api = true;
        one.port = one.port.or_else(|| port_of(&said));
        one.facts.push(
            Fact::new(
                Source::ApiServices,
                format!("APIService {}", api.metadata.name),
                "Available",
                format!("False, {}", condition.message),
            )
            .expected("True")
            .at(condition.last_transition_time),
        );
    }
    for callee in known.as_ref().into_iter().flatten() {
        if let Some(one) = called.get_mut(&callee.name) {
            one.callee = Some(callee.clone());
            one.is_api |= callee.is_api;
        }
    }
    called
}

/// `v1beta1.metrics.k8s.io` of `metrics.k8s.io/v1beta1`.
fn api_name(path: &str) -> String {
    path.split_once('/').map_or_else(
        || path.to_owned(),
        |(group, version)| format!("{version}.{group}"),
    )
}

/// The pods' port; 443 is the Service's.
fn port_of(said: &Heard<'_>) -> Option<u16> {
    let ports = said.values("port").filter_map(|port| port.parse().ok());
    ports.filter(|port| *port != 443).min()
}
