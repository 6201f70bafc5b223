//! Security groups.

use std::net::IpAddr;

use eksnet_model::aws::{PrefixList, SecurityGroup};
use eksnet_model::path::{End, Flow, SecurityGroups};
use serde_json::{Value, json};

use crate::{Answer, Dice, cases, report, shape, slow_contains, slow_protocol};

const IDS: [&str; 4] = ["sg-a", "sg-b", "sg-c", "sg-d"];
const CLIENTS: [&str; 4] = ["10.0.1.5", "10.0.1.77", "10.1.2.3", "2001:db8:1::5"];
const SERVERS: [&str; 3] = ["10.0.9.7", "10.0.9.200", "2001:db8:9::7"];
const BLOCKS: [&str; 9] = [
    "0.0.0.0/0",
    "10.0.0.0/16",
    "10.0.1.0/24",
    "10.0.1.64/26",
    "10.0.9.0/25",
    "10.0.9.7/32",
    "::/0",
    "2001:db8:1::/48",
    "garbage",
];
const PROTOCOLS: [&str; 9] = ["-1", "tcp", "6", "udp", "17", "icmp", "58", "50", "odd"];

/// The list, without the unreadable last one unless asked for.
fn readable<'a>(with_last: bool, all: &'a [&'a str]) -> &'a [&'a str] {
    if with_last {
        all
    } else {
        &all[..all.len() - 1]
    }
}

fn random_permission(dice: &mut Dice) -> Value {
    let odd = dice.percent(3);
    let protocol = *dice.pick(readable(odd, &PROTOCOLS));
    let mut rule = json!({"IpProtocol": protocol});
    if protocol != "-1" || dice.percent(20) {
        let (from, to): (i32, i32) = *dice.pick(&[
            (53, 53),
            (53, 53),
            (0, 65535),
            (50, 60),
            (54, 60),
            (1, 52),
            (443, 443),
            (-1, -1),
        ]);
        if !dice.percent(5) {
            rule["FromPort"] = json!(from);
            rule["ToPort"] = json!(to);
        }
    }
    if dice.percent(45) {
        rule["UserIdGroupPairs"] = json!([{"GroupId": dice.pick(&IDS)}]);
    }
    if dice.percent(40) {
        let odd = dice.percent(3);
        let one = *dice.pick(readable(odd, &BLOCKS));
        if one.contains(':') {
            rule["Ipv6Ranges"] = json!([{"CidrIpv6": one}]);
        } else {
            rule["IpRanges"] = json!([{"CidrIp": one}, {"CidrIp": "192.0.2.0/24"}]);
        }
    }
    if dice.percent(12) {
        rule["PrefixListIds"] =
            json!([{"PrefixListId": dice.pick(&["pl-1", "pl-2", "pl-unread"])}]);
    }
    rule
}

fn random_groups(dice: &mut Dice) -> Value {
    let known = if dice.percent(90) { 4 } else { 3 };
    let groups: Vec<Value> = IDS[..known]
        .iter()
        .map(|id| {
            let some = |dice: &mut Dice, most: u64| -> Vec<Value> {
                (0..dice.below(most + 1)).map(|_| random_permission(dice)).collect()
            };
            let egress = if dice.percent(60) {
                vec![json!({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]})]
            } else {
                some(dice, 3)
            };
            json!({"GroupId": id, "IpPermissions": some(dice, 9), "IpPermissionsEgress": egress})
        })
        .collect();
    Value::Array(groups)
}

fn some_ids(dice: &mut Dice, most: u64) -> Vec<&'static str> {
    (0..=dice.below(most)).map(|_| *dice.pick(&IDS)).collect()
}

/// Best answer over all rules of all groups of one side.
fn slow_side(
    groups: &Value,
    lists: &Value,
    side: &str,
    own: &[&str],
    (peer, address): (&[&str], IpAddr),
    flow: Flow,
    families_agree: bool,
) -> Answer {
    let mut best = if families_agree {
        Answer::Denied
    } else {
        Answer::Undecided
    };
    for id in own {
        let group = groups
            .as_array()
            .unwrap()
            .iter()
            .find(|group| group["GroupId"] == *id);
        let Some(group) = group else {
            best = best.max(Answer::Undecided);
            continue;
        };
        for rule in group[side].as_array().unwrap() {
            best = best.max(slow_rule(rule, lists, peer, address, flow));
        }
    }
    best
}

fn slow_rule(rule: &Value, lists: &Value, peer: &[&str], address: IpAddr, flow: Flow) -> Answer {
    let protocol = rule["IpProtocol"].as_str().unwrap();
    match slow_protocol(protocol, flow.protocol) {
        Some(true) => {}
        Some(false) => return Answer::Denied,
        None => return Answer::Undecided,
    }
    if protocol != "-1"
        && let (Some(from), Some(to)) = (rule["FromPort"].as_i64(), rule["ToPort"].as_i64())
        && from != -1
        && (i64::from(flow.port) < from || i64::from(flow.port) > to)
    {
        return Answer::Denied;
    }
    let mut answers = vec![Answer::Denied];
    let mut block = |cidr: &str| {
        answers.push(match slow_contains(cidr, address) {
            Some(true) => Answer::Allowed,
            Some(false) => Answer::Denied,
            None => Answer::Undecided,
        });
    };
    let each = |key: &str| rule[key].as_array().cloned().unwrap_or_default();
    for range in each("IpRanges") {
        block(range["CidrIp"].as_str().unwrap());
    }
    for range in each("Ipv6Ranges") {
        block(range["CidrIpv6"].as_str().unwrap());
    }
    let mut unread = false;
    for list in each("PrefixListIds") {
        let found = lists
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["PrefixListId"] == list["PrefixListId"]);
        match found {
            Some(list) => {
                for entry in list["Entries"].as_array().unwrap() {
                    block(entry["Cidr"].as_str().unwrap());
                }
            }
            None => unread = true,
        }
    }
    if unread {
        answers.push(Answer::Undecided);
    }
    for pair in each("UserIdGroupPairs") {
        if peer.iter().any(|id| pair["GroupId"] == *id) {
            answers.push(Answer::Allowed);
        }
    }
    answers.into_iter().max().unwrap()
}

#[test]
fn security_groups_agree_with_the_oracle() {
    let (cases, split) = agree(cases(), &|_| {}).unwrap_or_else(|why| panic!("{why}"));
    report("security groups", cases, split);
}

/// Compares evaluator and oracle; the evaluator reads what `distort` makes of the rules.
///
/// # Errors
/// The first case in which they differ.
pub(crate) fn agree(cases: u64, distort: &dyn Fn(&mut Value)) -> Result<(u64, [u64; 3]), String> {
    let lists = json!([
        {"PrefixListId": "pl-1", "Entries": [{"Cidr": "10.0.1.0/24"}]},
        {"PrefixListId": "pl-2", "Entries": [{"Cidr": "10.9.0.0/16"}, {"Cidr": "2001:db8::/32"}]}
    ]);
    let typed_lists: Vec<PrefixList> = serde_json::from_value(lists.clone()).unwrap();
    let mut dice = Dice(1);
    let mut split = [0u64; 3];
    let per_set = 20;
    for _ in 0..cases / per_set {
        let groups = random_groups(&mut dice);
        let mut read = groups.clone();
        distort(&mut read);
        let typed: Vec<SecurityGroup> = serde_json::from_value(read).unwrap();
        let evaluator = SecurityGroups::new(&typed, &typed_lists);
        for _ in 0..per_set {
            let (client, server) = (some_ids(&mut dice, 3), some_ids(&mut dice, 3));
            let from: IpAddr = dice.pick(&CLIENTS).parse().unwrap();
            let likely = if from.is_ipv4() {
                &SERVERS[..2]
            } else {
                &SERVERS[2..]
            };
            let mixed = dice.percent(10);
            let to: IpAddr = dice
                .pick(if mixed { &SERVERS } else { likely })
                .parse()
                .unwrap();
            let port = *dice.pick(&[53, 53, 53, 443]);
            let flow = if dice.percent(50) {
                Flow::udp(port)
            } else {
                Flow::tcp(port)
            };
            let slow = {
                let out = slow_side(
                    &groups,
                    &lists,
                    "IpPermissionsEgress",
                    &client,
                    (&server, to),
                    flow,
                    from.is_ipv4() == to.is_ipv4(),
                );
                let into = slow_side(
                    &groups,
                    &lists,
                    "IpPermissions",
                    &server,
                    (&client, from),
                    flow,
                    from.is_ipv4() == to.is_ipv4(),
                );
                out.min(into)
            };
            let fast = evaluator.passage(
                flow,
                End {
                    groups: &client,
                    address: from,
                },
                End {
                    groups: &server,
                    address: to,
                },
            );
            if shape(&fast) != slow {
                return Err(format!(
                    "{flow} from {client:?} {from} to {server:?} {to}: {fast:?}\n{groups:#}"
                ));
            }
            split[slow as usize] += 1;
        }
    }
    Ok((cases, split))
}
