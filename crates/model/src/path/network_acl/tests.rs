use super::*;

fn acl(entries: serde_json::Value) -> NetworkAcl {
    serde_json::from_value(serde_json::json!({"NetworkAclId": "acl-1", "Entries": entries}))
        .unwrap()
}

fn everything() -> NetworkAcl {
    acl(serde_json::json!([
        {"RuleNumber": 100, "Protocol": "-1", "RuleAction": "allow", "Egress": true, "CidrBlock": "0.0.0.0/0"},
        {"RuleNumber": 100, "Protocol": "-1", "RuleAction": "allow", "Egress": false, "CidrBlock": "0.0.0.0/0"},
        {"RuleNumber": 32767, "Protocol": "-1", "RuleAction": "deny", "Egress": true, "CidrBlock": "0.0.0.0/0"},
        {"RuleNumber": 32767, "Protocol": "-1", "RuleAction": "deny", "Egress": false, "CidrBlock": "0.0.0.0/0"}
    ]))
}

fn ask(client: &NetworkAcl, server: &NetworkAcl) -> Passage<AclDenial> {
    NetworkAcls::new([("subnet-c", client), ("subnet-s", server)]).passage(
        Flow::udp(53),
        AclEnd {
            subnet: "subnet-c",
            block: "10.0.1.0/24".parse().unwrap(),
        },
        AclEnd {
            subnet: "subnet-s",
            block: "10.0.9.0/24".parse().unwrap(),
        },
        EPHEMERAL,
    )
}

fn denied(passage: Passage<AclDenial>) -> AclDenial {
    match passage {
        Passage::Denied(denials) if denials.len() == 1 => denials[0].clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_default_acl_lets_everything_pass() {
    assert!(ask(&everything(), &everything()).is_allowed());
}

#[test]
fn a_return_range_that_ends_early_is_cut_at_the_last_entry() {
    let mut client = everything();
    client.entries[1] = serde_json::from_value(serde_json::json!(
        {"RuleNumber": 100, "Protocol": "17", "RuleAction": "allow", "Egress": false, "CidrBlock": "0.0.0.0/0", "PortRange": {"From": 32768, "To": 60999}}
    )).unwrap();
    let denial = denied(ask(&client, &everything()));
    assert_eq!(
        (
            denial.leg,
            denial.side,
            denial.entry,
            denial.port,
            denial.count
        ),
        (Leg::Return, Side::Ingress, None, 1024, 64512 - 28232)
    );
    assert_eq!(denial.subnet, "subnet-c");
}

#[test]
fn an_entry_that_denies_a_part_of_the_peer_before_the_rest_is_allowed_counts() {
    let mut server = everything();
    server.entries.push(
        serde_json::from_value(serde_json::json!(
            {"RuleNumber": 90, "Protocol": "17", "RuleAction": "deny", "Egress": false, "CidrBlock": "10.0.1.128/25", "PortRange": {"From": 53, "To": 53}}
        ))
        .unwrap(),
    );
    let denial = denied(ask(&everything(), &server));
    assert_eq!((denial.leg, denial.entry), (Leg::Forward, Some(90)));
}

#[test]
fn a_new_entry_goes_before_the_one_that_denies_or_behind_all() {
    let mut acl = everything();
    assert_eq!(free_rule_number(&acl, Side::Ingress, None), Some(110));
    assert_eq!(free_rule_number(&acl, Side::Ingress, Some(100)), Some(90));
    assert_eq!(free_rule_number(&acl, Side::Ingress, Some(1)), None);
    acl.entries[1].rule_number = 32766;
    assert_eq!(free_rule_number(&acl, Side::Ingress, None), None);
    acl.entries[1].rule_number = 1;
    assert_eq!(free_rule_number(&acl, Side::Ingress, Some(2)), None);
    assert_eq!(free_rule_number(&acl, Side::Ingress, Some(5)), Some(4));
}

#[test]
fn outside_the_vpc_only_the_clients_own_border_counts() {
    let mut client = everything();
    client.entries[1].protocol = "17".to_owned();
    let acls = NetworkAcls::new([("subnet-c", &client)]);
    let end = AclEnd {
        subnet: "subnet-c",
        block: "10.0.1.0/24".parse().unwrap(),
    };
    let server = "52.94.1.1/32".parse().unwrap();
    let denial = denied(acls.passage_out(Flow::tcp(443), end, server, EPHEMERAL));
    assert_eq!((denial.side, denial.leg), (Side::Ingress, Leg::Return));
    assert!(
        acls.passage_out(Flow::udp(443), end, server, EPHEMERAL)
            .is_allowed()
    );
}

#[test]
fn traffic_within_a_subnet_meets_no_acl_and_an_unknown_acl_is_no_denial() {
    let acls = NetworkAcls::new([]);
    let end = |subnet| AclEnd {
        subnet,
        block: "10.0.1.0/24".parse().unwrap(),
    };
    assert!(
        acls.passage(Flow::udp(53), end("subnet-c"), end("subnet-c"), EPHEMERAL)
            .is_allowed()
    );
    assert_eq!(
        acls.passage(Flow::udp(53), end("subnet-c"), end("subnet-s"), EPHEMERAL),
        Passage::Undecided(vec![
            Missing::AclOf("subnet-c".into()),
            Missing::AclOf("subnet-s".into())
        ])
    );
}
