//! Faults that are planted on purpose: an oracle that misses one proves nothing.
//!
//! The evaluator is given what a faulty one would make of the rules, the oracle the rules themselves.

use serde_json::{Value, json};

use crate::{acls, groups, policies, routes};

/// Cases within which each fault must show.
const WITHIN: u64 = 20_000;

type Agree = fn(u64, &dyn Fn(&mut Value)) -> Result<(u64, [u64; 3]), String>;

/// What it is, where it is planted, and how.
type Fault = (&'static str, Agree, fn(&mut Value));

fn each<'v>(value: &'v mut Value, keys: &[&str], mut change: impl FnMut(&mut Value)) {
    let items: Vec<&'v mut Value> = match keys {
        [] => value.as_array_mut().into_iter().flatten().collect(),
        _ => keys
            .iter()
            .fold(vec![value], |found, key| {
                found
                    .into_iter()
                    .flat_map(|one| {
                        let inner: Vec<&mut Value> = match one {
                            Value::Array(items) => items.iter_mut().collect(),
                            other => vec![other],
                        };
                        inner
                            .into_iter()
                            .filter_map(|one| one.get_mut(*key))
                            .collect::<Vec<_>>()
                    })
                    .collect()
            })
            .into_iter()
            .flat_map(|list| list.as_array_mut().into_iter().flatten())
            .collect(),
    };
    items.into_iter().for_each(&mut change);
}

fn drop_key(value: &mut Value, key: &str) {
    if let Some(object) = value.as_object_mut() {
        object.remove(key);
    }
}

const FAULTS: [Fault; 13] = [
    (
        "references to other groups are not followed",
        groups::agree,
        |all| {
            each(all, &["IpPermissions"], |rule| {
                drop_key(rule, "UserIdGroupPairs")
            });
        },
    ),
    ("rules of egress are not asked", groups::agree, |all| {
        each(all, &[], |group| {
            group["IpPermissionsEgress"] = json!([{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}]);
        });
    }),
    (
        "entries of prefix lists are not read",
        groups::agree,
        |all| {
            each(all, &["IpPermissions"], |rule| {
                drop_key(rule, "PrefixListIds")
            });
        },
    ),
    ("IPv6 blocks are left out", groups::agree, |all| {
        each(all, &["IpPermissions"], |rule| drop_key(rule, "Ipv6Ranges"));
    }),
    (
        "entries are taken in the order of the list",
        acls::agree,
        |acl| {
            let mut number = 0;
            each(acl, &["Entries"], |entry| {
                number += 1;
                entry["RuleNumber"] = json!(number);
            });
        },
    ),
    (
        "answers are let through as if there were state",
        acls::agree,
        |acl| {
            each(acl, &["Entries"], |entry| {
                if entry["PortRange"]["From"]
                    .as_i64()
                    .is_some_and(|from| from >= 1024)
                    && entry["RuleAction"] == "deny"
                {
                    entry["RuleAction"] = json!("allow");
                }
            });
        },
    ),
    ("port ranges are not looked at", acls::agree, |acl| {
        each(acl, &["Entries"], |entry| drop_key(entry, "PortRange"));
    }),
    ("the first route that holds wins", routes::agree, |table| {
        let mut seen = 0;
        each(table, &["Routes"], |route| {
            seen += 1;
            if seen > 1 && route["DestinationCidrBlock"] == "10.0.9.7/32" {
                route["DestinationCidrBlock"] = json!("10.0.0.0/9");
            }
        });
    }),
    (
        "routes to nothing count as routes",
        routes::agree,
        |table| {
            each(table, &["Routes"], |route| route["State"] = json!("active"));
        },
    ),
    (
        "a port without protocol is any protocol",
        policies::agree,
        |all| {
            each(all, &["spec", "egress", "ports"], |port| {
                if port["protocol"].is_null() {
                    port["protocol"] = json!("UDP");
                }
            });
        },
    ),
    (
        "exceptions of a block are not heeded",
        policies::agree,
        |all| {
            each(all, &["spec", "egress", "to"], |peer| {
                if !peer["ipBlock"].is_null() {
                    drop_key(&mut peer["ipBlock"], "except");
                }
            });
        },
    ),
    (
        "a selector of pods reaches every namespace",
        policies::agree,
        |all| {
            each(all, &["spec", "egress", "to"], |peer| {
                if !peer["podSelector"].is_null() && peer["namespaceSelector"].is_null() {
                    peer["namespaceSelector"] = json!({});
                }
            });
        },
    ),
    (
        "the end of a range of ports is forgotten",
        policies::agree,
        |all| {
            each(all, &["spec", "egress", "ports"], |port| {
                drop_key(port, "endPort")
            });
        },
    ),
];

#[test]
fn every_planted_fault_is_caught() {
    let missed: Vec<&str> = FAULTS
        .iter()
        .filter(|(_, agree, fault)| agree(WITHIN, fault).is_ok())
        .map(|(what, ..)| *what)
        .collect();
    assert!(missed.is_empty(), "not caught: {missed:?}");
    println!("{} planted faults, all caught", FAULTS.len());
}
