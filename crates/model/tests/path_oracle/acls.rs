//! Network ACLs.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use eksnet_model::aws::NetworkAcl;
use eksnet_model::path::{AclEnd, Flow, NetworkAcls, Passage, Protocol};
use serde_json::{Value, json};

use crate::{Answer, Dice, cases, report, shape, slow_bits, slow_block, slow_protocol};

fn random_entry(dice: &mut Dice, subnets: &[&str], answers: &RangeInclusive<u16>) -> Value {
    let protocol = *dice.pick(&["-1", "-1", "6", "17", "udp", "tcp", "1"]);
    let mut entry = json!({
        "RuleNumber": 10 * (1 + dice.below(12)),
        "Protocol": protocol,
        "RuleAction": if dice.percent(72) { "allow" } else { "deny" },
        "Egress": dice.percent(50),
    });
    let mut blocks = vec!["0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0", "10.0.0.0/8", "::/0"];
    blocks.extend(subnets);
    let block = *dice.pick(&blocks);
    let key = if block.contains(':') {
        "Ipv6CidrBlock"
    } else {
        "CidrBlock"
    };
    entry[key] = json!(if dice.percent(1) { "odd" } else { block });
    if protocol != "-1" || dice.percent(10) {
        let (start, end) = (*answers.start(), *answers.end());
        let middle = start + u16::try_from(dice.below(u64::from(end - start) + 1)).unwrap();
        let (from, to) = *dice.pick(&[
            (53, 53),
            (0, 65535),
            (0, 65535),
            (start, end),
            (start, end),
            (start, middle),
            (middle, end),
            (443, 443),
        ]);
        entry["PortRange"] = json!({"From": from, "To": to});
    }
    entry
}

fn random_acl(dice: &mut Dice, subnets: &[&str], answers: &RangeInclusive<u16>) -> Value {
    let mut entries: Vec<Value> = Vec::new();
    if dice.percent(70) {
        for egress in [true, false] {
            entries.push(json!({"RuleNumber": 100, "Protocol": "-1", "RuleAction": "allow", "Egress": egress, "CidrBlock": "0.0.0.0/0"}));
        }
    }
    for _ in 0..dice.below(6) {
        let entry = random_entry(dice, subnets, answers);
        // Numbers are unique within a direction.
        let taken = |other: &Value| {
            other["RuleNumber"] == entry["RuleNumber"] && other["Egress"] == entry["Egress"]
        };
        if !entries.iter().any(taken) {
            let at = usize::try_from(dice.below(entries.len() as u64 + 1)).unwrap();
            entries.insert(at, entry);
        }
    }
    if dice.percent(80) {
        for egress in [true, false] {
            entries.push(json!({"RuleNumber": 32767, "Protocol": "-1", "RuleAction": "deny", "Egress": egress, "CidrBlock": "0.0.0.0/0"}));
        }
    }
    json!({"NetworkAclId": "acl", "Entries": entries})
}

/// One direction of an ACL, entries in their order.
struct SlowEntry {
    ports: Option<(u64, u64)>,
    block: Option<Vec<u8>>,
    allow: bool,
}

fn slow_entries(acl: &Value, egress: bool, protocol: Protocol) -> Vec<SlowEntry> {
    let mut numbered: Vec<(u64, SlowEntry)> = Vec::new();
    for entry in acl["Entries"].as_array().unwrap() {
        let written = entry["Protocol"].as_str().unwrap();
        if entry["Egress"] != egress || slow_protocol(written, protocol) != Some(true) {
            continue;
        }
        let range = &entry["PortRange"];
        let ports = match (range["From"].as_u64(), range["To"].as_u64()) {
            (Some(from), Some(to)) if written != "-1" => Some((from, to)),
            _ => None,
        };
        let block = entry["CidrBlock"]
            .as_str()
            .or(entry["Ipv6CidrBlock"].as_str());
        let read = SlowEntry {
            ports,
            block: slow_block(block.unwrap()),
            allow: entry["RuleAction"] == "allow",
        };
        numbered.push((entry["RuleNumber"].as_u64().unwrap(), read));
    }
    numbered.sort_by_key(|(number, _)| *number);
    numbered.into_iter().map(|(_, entry)| entry).collect()
}

/// One packet, to or from one address, at one destination port.
fn slow_packet(entries: &[SlowEntry], port: u16, peer: &[u8]) -> Answer {
    for entry in entries {
        if let Some((from, to)) = entry.ports
            && (u64::from(port) < from || u64::from(port) > to)
        {
            continue;
        }
        match &entry.block {
            None => return Answer::Undecided,
            Some(block) if !peer.starts_with(block) => continue,
            Some(_) if entry.allow => return Answer::Allowed,
            Some(_) => return Answer::Denied,
        }
    }
    Answer::Denied
}

/// Every address of an IPv4 block that ends in the last octet, as bits.
fn addresses(block: &str) -> Vec<Vec<u8>> {
    let (base, _) = block.rsplit_once('.').unwrap();
    let wanted = slow_block(block).unwrap();
    (0..=255)
        .map(|last| slow_bits(format!("{base}.{last}").parse().unwrap()))
        .filter(|bits| bits.starts_with(&wanted))
        .collect()
}

const CLIENT_BLOCKS: [&str; 3] = ["10.0.1.16/29", "10.0.1.4/30", "10.0.1.9/32"];
const SERVER_BLOCKS: [&str; 3] = ["10.0.9.32/29", "10.0.9.7/32", "172.16.3.0/30"];
const PARTS: [&str; 7] = [
    "10.0.1.16/30",
    "10.0.1.20/32",
    "10.0.1.0/24",
    "10.0.1.6/31",
    "10.0.9.36/30",
    "172.16.0.0/16",
    "10.0.9.0/24",
];

#[test]
fn network_acls_agree_with_the_oracle() {
    let (cases, split) = agree(cases(), &|_| {}).unwrap_or_else(|why| panic!("{why}"));
    report("network ACLs", cases, split);
}

/// As [`crate::groups::agree`]; `distort` gets each ACL.
///
/// # Errors
/// The first case in which they differ.
pub(crate) fn agree(cases: u64, distort: &dyn Fn(&mut Value)) -> Result<(u64, [u64; 3]), String> {
    let mut dice = Dice(2);
    let mut split = [0u64; 3];
    let every: BTreeMap<&str, Vec<Vec<u8>>> = CLIENT_BLOCKS
        .into_iter()
        .chain(SERVER_BLOCKS)
        .map(|block| (block, addresses(block)))
        .collect();
    let per_set = 9;
    for _ in 0..cases / per_set {
        let answers = 1024..=1024 + u16::try_from(dice.below(10)).unwrap();
        let (left, right) = (
            random_acl(&mut dice, &PARTS, &answers),
            random_acl(&mut dice, &PARTS, &answers),
        );
        let typed = [&left, &right].map(|acl| {
            let mut read = acl.clone();
            distort(&mut read);
            serde_json::from_value::<NetworkAcl>(read).unwrap()
        });
        let acls = NetworkAcls::new([("subnet-l", &typed[0]), ("subnet-r", &typed[1])]);
        for _ in 0..per_set {
            let client_block = *dice.pick(&CLIENT_BLOCKS);
            let server_block = *dice.pick(&SERVER_BLOCKS);
            let flow = if dice.percent(50) {
                Flow::udp(53)
            } else {
                Flow::tcp(53)
            };
            let same = dice.percent(2);
            let walk = |acl: &Value, egress: bool, ports: RangeInclusive<u16>, peer: &str| {
                let entries = slow_entries(acl, egress, flow.protocol);
                let mut worst = Answer::Allowed;
                for port in ports {
                    for address in &every[peer] {
                        worst = worst.min(slow_packet(&entries, port, address));
                    }
                }
                worst
            };
            let slow = if same {
                Answer::Allowed
            } else {
                [
                    walk(&left, true, 53..=53, server_block),
                    walk(&right, false, 53..=53, client_block),
                    walk(&right, true, answers.clone(), client_block),
                    walk(&left, false, answers.clone(), server_block),
                ]
                .into_iter()
                .min()
                .unwrap()
            };
            let fast = acls.passage(
                flow,
                AclEnd {
                    subnet: "subnet-l",
                    block: client_block.parse().unwrap(),
                },
                AclEnd {
                    subnet: if same { "subnet-l" } else { "subnet-r" },
                    block: server_block.parse().unwrap(),
                },
                answers.clone(),
            );
            if shape(&fast) != slow {
                return Err(format!(
                    "{flow} from {client_block} to {server_block}, answers to {answers:?}: {fast:?}\n{left:#}\n{right:#}"
                ));
            }
            if let Passage::Denied(denials) = &fast {
                for denial in denials {
                    // The port that is named is the first that an address of the peer is refused at.
                    let acl = if denial.subnet == "subnet-l" {
                        &left
                    } else {
                        &right
                    };
                    let egress = denial.side.name() == "egress";
                    let entries = slow_entries(acl, egress, flow.protocol);
                    let refused: Vec<u16> = (denial.ports.0..=denial.ports.1)
                        .filter(|port| {
                            every[denial.peer.to_string().as_str()]
                                .iter()
                                .any(|ip| slow_packet(&entries, *port, ip) == Answer::Denied)
                        })
                        .collect();
                    assert_eq!(refused.first(), Some(&denial.port), "{denial:?}\n{acl:#}");
                    assert_eq!(refused.len(), denial.count as usize, "{denial:?}\n{acl:#}");
                }
            }
            split[slow as usize] += 1;
        }
    }
    Ok((cases, split))
}
