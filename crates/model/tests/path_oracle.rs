//! The packet-path evaluator against a slow oracle that shares no code with it: it reads rules as
//! text, compares addresses bit by bit, and walks every address and every port one by one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use eksnet_model::aws::{NetworkAcl, PrefixList, SecurityGroup};
use eksnet_model::path::{AclEnd, End, Flow, NetworkAcls, Passage, Protocol, SecurityGroups};
use serde_json::{Value, json};

/// Per kind of rule.
const CASES: u64 = 100_000;

/// SplitMix64: the same cases on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    Denied,
    Undecided,
    Allowed,
}

fn shape<D>(passage: &Passage<D>) -> Answer {
    match passage {
        Passage::Allowed(_) => Answer::Allowed,
        Passage::Denied(_) => Answer::Denied,
        Passage::Undecided(_) => Answer::Undecided,
    }
}

/// A block as the bits that addresses in it start with. `None` when the text spells none.
fn slow_block(cidr: &str) -> Option<Vec<u8>> {
    let (base, length) = cidr.split_once('/')?;
    let length: usize = length.parse().ok()?;
    let mut bits = slow_bits(base.parse().ok()?);
    if length > bits.len() - 1 {
        return None;
    }
    bits.truncate(1 + length);
    Some(bits)
}

/// The family and then the bits of an address, one a byte.
fn slow_bits(address: IpAddr) -> Vec<u8> {
    let (family, bytes) = match address {
        IpAddr::V4(v4) => (4, v4.octets().to_vec()),
        IpAddr::V6(v6) => (6, v6.octets().to_vec()),
    };
    let mut bits = vec![family];
    for byte in bytes {
        for bit in (0..8).rev() {
            bits.push(byte >> bit & 1);
        }
    }
    bits
}

/// Whether `address` lies in the block that `cidr` spells. `None` when it spells none.
fn slow_contains(cidr: &str, address: IpAddr) -> Option<bool> {
    Some(slow_bits(address).starts_with(&slow_block(cidr)?))
}

fn slow_protocol(rule: &str, wanted: Protocol) -> Option<bool> {
    let wanted = if wanted == Protocol::Tcp {
        ["tcp", "6"]
    } else {
        ["udp", "17"]
    };
    match rule {
        "-1" => Some(true),
        known if wanted.contains(&known) => Some(true),
        "tcp" | "6" | "udp" | "17" | "icmp" | "1" | "icmpv6" | "58" | "50" => Some(false),
        _ => None,
    }
}

// --- security groups ---------------------------------------------------------------------------

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
    peer: &[&str],
    address: IpAddr,
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
    let lists = json!([
        {"PrefixListId": "pl-1", "Entries": [{"Cidr": "10.0.1.0/24"}]},
        {"PrefixListId": "pl-2", "Entries": [{"Cidr": "10.9.0.0/16"}, {"Cidr": "2001:db8::/32"}]}
    ]);
    let typed_lists: Vec<PrefixList> = serde_json::from_value(lists.clone()).unwrap();
    let mut dice = Dice(1);
    let mut split = [0u64; 3];
    let per_set = 20;
    for _ in 0..CASES / per_set {
        let groups = random_groups(&mut dice);
        let typed: Vec<SecurityGroup> = serde_json::from_value(groups.clone()).unwrap();
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
                    &server,
                    to,
                    flow,
                    from.is_ipv4() == to.is_ipv4(),
                );
                let into = slow_side(
                    &groups,
                    &lists,
                    "IpPermissions",
                    &server,
                    &client,
                    from,
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
            assert_eq!(
                shape(&fast),
                slow,
                "{flow} from {client:?} {from} to {server:?} {to}: {fast:?}\n{groups:#}"
            );
            split[slow as usize] += 1;
        }
    }
    report("security groups", split);
}

// --- network ACLs --------------------------------------------------------------------------------

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
    let mut dice = Dice(2);
    let mut split = [0u64; 3];
    let every: BTreeMap<&str, Vec<Vec<u8>>> = CLIENT_BLOCKS
        .into_iter()
        .chain(SERVER_BLOCKS)
        .map(|block| (block, addresses(block)))
        .collect();
    let per_set = 9;
    for _ in 0..CASES / per_set {
        let answers = 1024..=1024 + u16::try_from(dice.below(10)).unwrap();
        let (left, right) = (
            random_acl(&mut dice, &PARTS, &answers),
            random_acl(&mut dice, &PARTS, &answers),
        );
        let typed: [NetworkAcl; 2] = [
            serde_json::from_value(left.clone()).unwrap(),
            serde_json::from_value(right.clone()).unwrap(),
        ];
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
            assert_eq!(
                shape(&fast),
                slow,
                "{flow} from {client_block} to {server_block}, answers to {answers:?}: {fast:?}\n{left:#}\n{right:#}"
            );
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
    report("network ACLs", split);
}

/// A test whose cases all end alike tests little.
fn report(what: &str, split: [u64; 3]) {
    let all: u64 = split.iter().sum();
    let share = |n: u64| n * 100 / all;
    println!(
        "{what}: {all} cases, {} % denied, {} % undecided, {} % allowed",
        share(split[0]),
        share(split[1]),
        share(split[2])
    );
    assert!((30..=70).contains(&share(split[0])), "{split:?}");
    assert!(share(split[2]) >= 15, "{split:?}");
    assert!(split[1] > 0, "{split:?}");
}
