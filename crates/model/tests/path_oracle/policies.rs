//! NetworkPolicies: what a pod that they select may send.

use std::net::IpAddr;

use eksnet_model::kubernetes::NetworkPolicy;
use eksnet_model::netpol::{Admitted, Labels, Peer, egress};
use serde_json::{Value, json};

use crate::{Answer, Dice, cases, report, slow_contains};

const NAMESPACES: [&str; 3] = ["shop", "kube-system", "bank"];
const NAME: &str = "kubernetes.io/metadata.name";
const BLOCKS: [&str; 5] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.9.0/24",
    "10.0.9.7/32",
    "172.16.0.0/12",
];
const ADDRESSES: [&str; 4] = ["10.0.9.7", "10.0.9.77", "10.4.0.1", "172.16.3.9"];

fn random_selector(dice: &mut Dice, keys: &[(&str, &[&str])]) -> Value {
    let mut selector = json!({});
    if dice.percent(55) {
        let (key, values) = dice.pick(keys);
        selector["matchLabels"] = json!({*key: dice.pick(values)});
    }
    if dice.percent(25) {
        let (key, values) = dice.pick(keys);
        let operator = *dice.pick(&["In", "NotIn", "Exists", "DoesNotExist"]);
        let mut one = json!({"key": key, "operator": operator});
        if operator.ends_with("In") {
            one["values"] = json!([dice.pick(values)]);
        }
        selector["matchExpressions"] = json!([one]);
    }
    selector
}

fn random_peer(dice: &mut Dice) -> Value {
    const LABELS: &[(&str, &[&str])] = &[("app", &["dns", "web"]), ("tier", &["a"])];
    const OF_NAMESPACES: &[(&str, &[&str])] =
        &[(NAME, &NAMESPACES), (NAME, &NAMESPACES), ("team", &["x"])];
    if dice.percent(30) {
        let mut block = json!({"cidr": dice.pick(&BLOCKS)});
        if dice.percent(40) {
            block["except"] = json!([dice.pick(&BLOCKS)]);
        }
        return json!({"ipBlock": block});
    }
    let mut peer = json!({});
    let which = dice.below(3);
    if which != 1 {
        peer["podSelector"] = random_selector(dice, LABELS);
    }
    if which != 0 {
        peer["namespaceSelector"] = random_selector(dice, OF_NAMESPACES);
    }
    peer
}

fn random_rule(dice: &mut Dice) -> Value {
    let mut rule = json!({});
    if dice.percent(85) {
        let peers: Vec<Value> = (0..=dice.below(2)).map(|_| random_peer(dice)).collect();
        rule["to"] = json!(peers);
    }
    if dice.percent(70) {
        let ports: Vec<Value> = (0..=dice.below(2))
            .map(|_| {
                let mut port = json!({});
                if dice.percent(75) {
                    port["protocol"] = json!(dice.pick(&["UDP", "UDP", "TCP"]));
                }
                if dice.percent(85) {
                    port["port"] = json!(dice.pick(&[53, 53, 50, 443]));
                    if port["port"] == 50 && dice.percent(70) {
                        port["endPort"] = json!(dice.pick(&[52, 53, 60]));
                    }
                }
                port
            })
            .collect();
        rule["ports"] = json!(ports);
    }
    rule
}

fn random_policies(dice: &mut Dice) -> Value {
    let policies: Vec<Value> = (0..=dice.below(2))
        .map(|_| {
            let rules: Vec<Value> = (0..dice.below(4)).map(|_| random_rule(dice)).collect();
            let mut spec = json!({"podSelector": {}, "egress": rules});
            match dice.below(4) {
                0 => {}
                // Its egress rules count for nothing.
                1 if dice.percent(40) => spec["policyTypes"] = json!(["Ingress"]),
                _ => spec["policyTypes"] = json!(["Egress"]),
            }
            json!({"metadata": {"namespace": "shop", "name": "p"}, "spec": spec})
        })
        .collect();
    json!(policies)
}

/// Whether a selector holds; of a namespace its name alone is known.
fn slow_selector(selector: &Value, labels: &[(String, String)], whole: bool) -> Answer {
    let own = |key: &str| {
        labels
            .iter()
            .find(|(own, _)| own == key)
            .map(|(_, value)| value.clone())
    };
    let mut worst = Answer::Allowed;
    let mut ask = |key: &str, holds: bool| {
        let known = whole || key == NAME;
        worst = worst.min(match (known, holds) {
            (false, _) => Answer::Undecided,
            (true, true) => Answer::Allowed,
            (true, false) => Answer::Denied,
        });
    };
    for (key, wanted) in selector["matchLabels"].as_object().into_iter().flatten() {
        ask(key, own(key).as_deref() == wanted.as_str());
    }
    for one in selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let key = one["key"].as_str().unwrap();
        let value = own(key);
        let named = || {
            one["values"]
                .as_array()
                .unwrap()
                .iter()
                .any(|item| item.as_str() == value.as_deref())
        };
        ask(
            key,
            match one["operator"].as_str().unwrap() {
                "In" => named(),
                "NotIn" => !named(),
                "Exists" => value.is_some(),
                _ => value.is_none(),
            },
        );
    }
    worst
}

struct Packet<'a> {
    namespace: &'a str,
    labels: &'a [(String, String)],
    ip: IpAddr,
    /// Whether the address is a pod's.
    is_pod: bool,
    protocol: &'a str,
}

fn decided(holds: bool) -> Answer {
    if holds {
        Answer::Allowed
    } else {
        Answer::Denied
    }
}

fn slow_peer(peer: &Value, packet: &Packet<'_>) -> Answer {
    if let Some(cidr) = peer["ipBlock"]["cidr"].as_str() {
        let inside = |cidr: &str| slow_contains(cidr, packet.ip) == Some(true);
        let mut excepted = peer["ipBlock"]["except"].as_array().into_iter().flatten();
        return decided(inside(cidr) && !excepted.any(|one| inside(one.as_str().unwrap())));
    }
    if !packet.is_pod {
        return Answer::Denied;
    }
    let by_pod = match &peer["podSelector"] {
        Value::Null => Answer::Allowed,
        selector => slow_selector(selector, packet.labels, true),
    };
    let by_namespace = match &peer["namespaceSelector"] {
        Value::Null => decided(packet.namespace == "shop"),
        selector => {
            let name = [(NAME.to_owned(), packet.namespace.to_owned())];
            slow_selector(selector, &name, false)
        }
    };
    by_pod.min(by_namespace)
}

fn slow_rule(rule: &Value, packet: &Packet<'_>) -> Answer {
    let by_port = rule["ports"].is_null()
        || rule["ports"].as_array().unwrap().iter().any(|port| {
            let last = port["endPort"].as_i64().or(port["port"].as_i64());
            port["protocol"].as_str().unwrap_or("TCP") == packet.protocol
                && port["port"]
                    .as_i64()
                    .is_none_or(|first| (first..=last.unwrap()).any(|one| one == 53))
        });
    if !by_port || rule["to"].is_null() {
        return decided(by_port);
    }
    let peers = rule["to"].as_array().unwrap().iter();
    peers
        .map(|peer| slow_peer(peer, packet))
        .max()
        .unwrap_or(Answer::Denied)
}

fn slow(policies: &Value, packet: &Packet<'_>) -> Answer {
    let mut best = Answer::Denied;
    for policy in policies.as_array().unwrap() {
        let spec = &policy["spec"];
        let types = spec["policyTypes"].as_array();
        if types.is_some_and(|types| !types.contains(&json!("Egress"))) {
            continue;
        }
        for rule in spec["egress"].as_array().into_iter().flatten() {
            best = best.max(slow_rule(rule, packet));
        }
    }
    best
}

#[test]
fn network_policies_agree_with_the_oracle() {
    let (cases, split) = agree(cases(), &|_| {}).unwrap_or_else(|why| panic!("{why}"));
    report("network policies", cases, split);
}

/// As [`crate::groups::agree`]; `distort` gets the policies.
///
/// # Errors
/// The first case in which they differ.
pub(crate) fn agree(cases: u64, distort: &dyn Fn(&mut Value)) -> Result<(u64, [u64; 3]), String> {
    let mut dice = Dice(4);
    let mut split = [0u64; 3];
    let per_set = 5;
    for _ in 0..cases / per_set {
        let policies = random_policies(&mut dice);
        let mut read = policies.clone();
        distort(&mut read);
        let typed: Vec<NetworkPolicy> = serde_json::from_value(read).unwrap();
        let typed: Vec<&NetworkPolicy> = typed.iter().collect();
        for _ in 0..per_set {
            let mut labels: Vec<(String, String)> = Vec::new();
            if dice.percent(80) {
                labels.push(("app".to_owned(), (*dice.pick(&["dns", "web"])).to_owned()));
            }
            if dice.percent(30) {
                labels.push(("tier".to_owned(), "a".to_owned()));
            }
            let packet = Packet {
                namespace: dice.pick::<&str>(&NAMESPACES),
                labels: &labels,
                ip: dice.pick(&ADDRESSES).parse().unwrap(),
                is_pod: dice.percent(75),
                protocol: dice.pick::<&str>(&["UDP", "TCP"]),
            };
            let slow = slow(&policies, &packet);
            let known: Labels = labels.iter().cloned().collect();
            let ips = [packet.ip];
            let peer = if packet.is_pod {
                Peer::Pods {
                    namespace: packet.namespace,
                    labels: &known,
                    ips: &ips,
                }
            } else {
                Peer::Address(packet.ip)
            };
            let fast = match egress(&typed, "shop", peer, packet.protocol, 53) {
                Admitted::Yes => Answer::Allowed,
                Admitted::No => Answer::Denied,
                Admitted::NotKnown => Answer::Undecided,
            };
            if fast != slow {
                return Err(format!(
                    "{} {} of {} {labels:?}, pod {}: {fast:?}, not {slow:?}\n{policies:#}",
                    packet.protocol, packet.ip, packet.namespace, packet.is_pod
                ));
            }
            split[slow as usize] += 1;
        }
    }
    Ok((cases, split))
}
