//! What a probe pod must not meet: objects that would count it as one of theirs.

use std::collections::BTreeMap;

use eksnet_model::{Snapshot, Text};

/// Objects of a namespace that would take a pod with these labels for one of theirs, although it
/// has a controller of its own and never becomes ready:
///
/// - a PodDisruptionBudget counts every pod that it selects, and allows no eviction while one has a
///   controller that it does not know;
/// - a Service with `publishNotReadyAddresses` sends traffic to pods that are not ready.
///
/// `Err` names the source that is missing where that cannot be told.
pub(crate) fn hazards(
    snapshot: &Snapshot,
    namespace: &str,
    labels: &BTreeMap<String, String>,
) -> Result<Vec<Hazard>, &'static str> {
    let kubernetes = &snapshot.kubernetes;
    let budgets = kubernetes
        .poddisruptionbudgets
        .value()
        .ok_or("PodDisruptionBudgets")?;
    let services = kubernetes.services.value().ok_or("Services")?;
    let mut found = Vec::new();
    for budget in budgets
        .iter()
        .filter(|one| one.metadata.namespace == namespace)
    {
        let Some(selector) = &budget.spec.selector else {
            continue;
        };
        if selector.matches(labels) {
            let expressions = selector.match_expressions.iter().map(|one| one.key.clone());
            found.push(Hazard {
                what: format!("PodDisruptionBudget {}", budget.metadata.name).into(),
                keys: selector
                    .match_labels
                    .keys()
                    .cloned()
                    .chain(expressions)
                    .collect(),
            });
        }
    }
    for service in services
        .iter()
        .filter(|one| one.metadata.namespace == namespace)
    {
        let selector = &service.spec.selector;
        let matches = selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value));
        if service.spec.publish_not_ready_addresses && !selector.is_empty() && matches {
            found.push(Hazard {
                what: format!("Service {}", service.metadata.name).into(),
                keys: selector.keys().cloned().collect(),
            });
        }
    }
    Ok(found)
}

/// An object that would take the pod for one of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hazard {
    pub(crate) what: Text,
    /// Labels that its selector looks at.
    pub(crate) keys: Vec<String>,
}

/// Takes labels away from `wanted` until, together with `base`, they meet no hazard.
///
/// # Errors
/// The hazard, when even `base` alone meets it.
pub(crate) fn safe_labels(
    snapshot: &Snapshot,
    namespace: &str,
    base: &BTreeMap<String, String>,
    mut wanted: BTreeMap<String, String>,
) -> Result<Safe, Text> {
    let mut withheld = Vec::new();
    loop {
        let mut all = base.clone();
        for (key, value) in &wanted {
            all.entry(key.clone()).or_insert_with(|| value.clone());
        }
        let met = match hazards(snapshot, namespace, &all) {
            Ok(met) => met,
            Err(_) if wanted.is_empty() => {
                return Ok(Safe {
                    labels: wanted,
                    withheld,
                });
            }
            Err(missing) => {
                let count = wanted.len();
                withheld
                    .push(format!("{count} labels, because {missing} could not be listed").into());
                wanted.clear();
                continue;
            }
        };
        let Some(hazard) = met.first() else {
            return Ok(Safe {
                labels: wanted,
                withheld,
            });
        };
        let Some(key) = hazard.keys.iter().find(|key| wanted.contains_key(*key)) else {
            // Without a label of its own to take away: a selector that matches every pod.
            if wanted.is_empty() {
                return Err(hazard.what.clone());
            }
            wanted.clear();
            continue;
        };
        withheld.push(format!("label {key}, by which {} would count the pod", hazard.what).into());
        wanted.remove(key);
    }
}

/// Labels that may be copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Safe {
    pub(crate) labels: BTreeMap<String, String>,
    /// What was taken away, and why.
    pub(crate) withheld: Vec<Text>,
}

#[cfg(test)]
mod tests {
    use eksnet_model::Evidence;
    use serde_json::{Value, json};

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn snapshot(budgets: Value, services: Value) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.kubernetes.poddisruptionbudgets =
            Evidence::Present(serde_json::from_value(budgets).unwrap());
        snapshot.kubernetes.services = Evidence::Present(serde_json::from_value(services).unwrap());
        snapshot
    }

    fn safe(snapshot: &Snapshot) -> Result<Safe, Text> {
        let wanted = labels(&[("app", "cart"), ("tier", "web")]);
        safe_labels(snapshot, "shop", &labels(&[("own", "x")]), wanted)
    }

    fn budget(namespace: &str, selector: Value) -> Value {
        json!([{"metadata": {"namespace": namespace, "name": "pdb"}, "spec": {"selector": selector}}])
    }

    #[test]
    fn a_label_that_a_budget_selects_by_is_withheld() {
        let met = snapshot(
            budget("shop", json!({"matchLabels": {"app": "cart"}})),
            json!([]),
        );
        let found = safe(&met).unwrap();
        assert_eq!(found.labels, labels(&[("tier", "web")]));
        assert!(
            found.withheld[0].contains("PodDisruptionBudget pdb"),
            "{:?}",
            found.withheld
        );
        // One of another namespace, or that needs more labels, is no hazard.
        let other = snapshot(
            budget("elsewhere", json!({"matchLabels": {"app": "cart"}})),
            json!([]),
        );
        assert_eq!(safe(&other).unwrap().labels.len(), 2);
        let more = snapshot(
            budget("shop", json!({"matchLabels": {"app": "cart", "x": "y"}})),
            json!([]),
        );
        assert_eq!(safe(&more).unwrap().labels.len(), 2);
    }

    #[test]
    fn only_services_that_publish_unready_pods_are_hazards() {
        let service = |publish: bool| {
            json!([{"metadata": {"namespace": "shop", "name": "cart"},
                "spec": {"selector": {"app": "cart", "tier": "web"}, "publishNotReadyAddresses": publish}}])
        };
        assert_eq!(
            safe(&snapshot(json!([]), service(false)))
                .unwrap()
                .labels
                .len(),
            2
        );
        let found = safe(&snapshot(json!([]), service(true))).unwrap();
        assert_eq!(found.labels, labels(&[("tier", "web")]));
        // A Service without a selector has endpoints that others write.
        let headless = json!([{"metadata": {"namespace": "shop", "name": "s"}, "spec": {"publishNotReadyAddresses": true}}]);
        assert_eq!(
            safe(&snapshot(json!([]), headless)).unwrap().labels.len(),
            2
        );
    }

    #[test]
    fn a_budget_over_every_pod_of_the_namespace_cannot_be_avoided() {
        let all = snapshot(budget("shop", json!({})), json!([]));
        assert_eq!(safe(&all), Err("PodDisruptionBudget pdb".into()));
        let none = snapshot(budget("shop", Value::Null), json!([]));
        assert_eq!(safe(&none).unwrap().labels.len(), 2);
    }

    #[test]
    fn without_evidence_no_label_is_copied() {
        let found = safe(&Snapshot::default()).unwrap();
        assert!(found.labels.is_empty());
        assert!(
            found.withheld[0].contains("could not be listed"),
            "{:?}",
            found.withheld
        );
    }
}
