//! Route tables.

use std::net::IpAddr;

use eksnet_model::aws::{PrefixList, RouteTable};
use eksnet_model::path::Routed;
use serde_json::{Value, json};

use crate::{Answer, Dice, cases, report, slow_bits, slow_block};

const BLOCKS: [&str; 13] = [
    "0.0.0.0/0",
    "10.0.0.0/16",
    "10.0.0.0/8",
    "10.0.9.0/24",
    "10.0.9.128/25",
    "10.0.9.7/32",
    "10.0.9.200/30",
    "172.16.0.0/12",
    "172.16.3.0/24",
    "::/0",
    "2001:db8::/32",
    "2001:db8:9::/48",
    "2001:db8:9::7/128",
];
const TARGETS: [&str; 7] = [
    "10.0.9.7",
    "10.0.9.201",
    "10.0.200.1",
    "172.16.3.9",
    "192.0.2.1",
    "2001:db8:9::7",
    "2001:db8:1::1",
];
const GATEWAYS: [&str; 5] = [
    "GatewayId",
    "NatGatewayId",
    "TransitGatewayId",
    "VpcPeeringConnectionId",
    "NetworkInterfaceId",
];

fn random_table(dice: &mut Dice) -> Value {
    let mut routes: Vec<Value> = Vec::new();
    for number in 0..dice.below(7) {
        let mut route = json!({"State": if dice.percent(65) { "active" } else { "blackhole" }});
        route[*dice.pick(&GATEWAYS)] = json!(format!("target-{number}"));
        if dice.percent(10) {
            route["DestinationPrefixListId"] = json!(dice.pick(&["pl-1", "pl-2", "pl-unread"]));
        } else {
            let block = if dice.percent(1) {
                "odd"
            } else {
                *dice.pick(&BLOCKS)
            };
            // A table has one route per block.
            if routes
                .iter()
                .any(|one| one.to_string().contains(&format!("\"{block}\"")))
            {
                continue;
            }
            let key = if block.contains(':') {
                "DestinationIpv6CidrBlock"
            } else {
                "DestinationCidrBlock"
            };
            route[key] = json!(block);
        }
        routes.push(route);
    }
    json!({"RouteTableId": "rtb", "Routes": routes})
}

/// The blocks of a route, as bits; `None` for one that is not known.
fn slow_blocks(route: &Value, lists: &Value) -> Vec<Option<Vec<u8>>> {
    if let Some(id) = route["DestinationPrefixListId"].as_str() {
        let found = lists
            .as_array()
            .unwrap()
            .iter()
            .find(|list| list["PrefixListId"] == id);
        return match found {
            None => vec![None],
            Some(list) => {
                let entries = list["Entries"].as_array().unwrap().iter();
                entries
                    .map(|entry| slow_block(entry["Cidr"].as_str().unwrap()))
                    .collect()
            }
        };
    }
    ["DestinationCidrBlock", "DestinationIpv6CidrBlock"]
        .iter()
        .filter_map(|key| route[*key].as_str())
        .map(slow_block)
        .collect()
}

/// Asks for each length, the longest first, whether a route of that length holds the address.
fn slow(table: &Value, lists: &Value, to: IpAddr) -> Answer {
    let bits = slow_bits(to);
    let routes = table["Routes"].as_array().unwrap();
    let unknown = routes
        .iter()
        .any(|route| slow_blocks(route, lists).contains(&None));
    for length in (0..bits.len()).rev() {
        let wanted = &bits[..=length];
        for route in routes {
            if slow_blocks(route, lists)
                .iter()
                .flatten()
                .any(|block| block == wanted)
            {
                return if unknown && length + 1 < bits.len() {
                    Answer::Undecided
                } else if route["State"] == "blackhole" {
                    Answer::Denied
                } else {
                    Answer::Allowed
                };
            }
        }
    }
    if unknown {
        Answer::Undecided
    } else {
        Answer::Denied
    }
}

#[test]
fn routes_agree_with_the_oracle() {
    let (cases, split) = agree(cases(), &|_| {}).unwrap_or_else(|why| panic!("{why}"));
    report("routes", cases, split);
}

/// As [`crate::groups::agree`]; `distort` gets each table.
///
/// # Errors
/// The first case in which they differ.
pub(crate) fn agree(cases: u64, distort: &dyn Fn(&mut Value)) -> Result<(u64, [u64; 3]), String> {
    let lists = json!([
        {"PrefixListId": "pl-1", "Entries": [{"Cidr": "10.0.9.192/26"}, {"Cidr": "2001:db8:9::/56"}]},
        {"PrefixListId": "pl-2", "Entries": [{"Cidr": "192.0.0.0/8"}]}
    ]);
    let typed_lists: Vec<PrefixList> = serde_json::from_value(lists.clone()).unwrap();
    let mut dice = Dice(3);
    let mut split = [0u64; 3];
    let per_set = 5;
    for _ in 0..cases / per_set {
        let table = random_table(&mut dice);
        let mut read = table.clone();
        distort(&mut read);
        let typed: RouteTable = serde_json::from_value(read).unwrap();
        for _ in 0..per_set {
            let to: IpAddr = dice.pick(&TARGETS).parse().unwrap();
            let slow = slow(&table, &lists, to);
            let routed = Routed::of(&typed, &typed_lists, to);
            let fast = match routed {
                Routed::Nowhere | Routed::Blackhole(_) => Answer::Denied,
                Routed::Undecided(_) => Answer::Undecided,
                Routed::Via(_) => Answer::Allowed,
            };
            if fast != slow {
                return Err(format!("to {to}: {routed:?}, not {slow:?}\n{table:#}"));
            }
            split[slow as usize] += 1;
        }
    }
    Ok((cases, split))
}
