//! moto computes its answers: that requests are encoded as AWS reads them, and that counts fit.

use std::io::Write as _;
use std::process::{Command, Stdio};

use eksnet_collect::ClusterHints;
use eksnet_model::Source;
use eksnet_testkit::{Moto, require};
use serde_json::Value;

use crate::world::{everything, session};

/// Builds a VPC with two subnets and what is in it; prints the ids.
const BUILD: &str = include_str!("moto_build.py");

/// Runs a script of boto3 against `moto`, and reads the JSON that it prints.
pub(crate) fn build(moto: &Moto, script: &str) -> Value {
    let mut python = Command::new("python3")
        .arg("-")
        .envs(moto.env())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    input.write_all(script.as_bytes()).unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "building in moto failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    let mut texts: Vec<String> = list
        .map(|text| text.as_str().unwrap_or("?").to_owned())
        .collect();
    texts.sort();
    texts
}

fn sorted<'a>(ids: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut ids: Vec<String> = ids.cloned().collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn what_was_built_is_what_is_read() {
    let Some(moto) = require("moto", Moto::start()) else {
        return;
    };
    let built = build(&moto, BUILD);
    let hints = ClusterHints {
        instance_ids: texts(&built["instances"]),
        ..ClusterHints::default()
    };
    // moto's EKS has no such cluster: name and VPC come from the instances.
    let found = session(moto.url(), &hints).await.fetch(&everything()).await;
    assert_eq!(found.facts.name.as_deref(), Some("prod"));
    let aws = &found.aws;

    let instances = aws.instances.value().unwrap();
    let ids = sorted(instances.iter().map(|found| &found.instance_id));
    assert_eq!(ids, texts(&built["instances"]));
    assert!(instances.iter().all(|found| found.state.name == "running"));
    assert!(instances.iter().all(|found| found.launch_time.is_some()));

    let subnets = aws.subnets.value().unwrap();
    assert_eq!(
        sorted(subnets.iter().map(|subnet| &subnet.subnet_id)),
        texts(&built["subnets"])
    );
    for subnet in subnets {
        let free = &built["free"][&subnet.subnet_id];
        assert_eq!(
            subnet.available_ip_address_count.map(u64::from),
            free.as_u64(),
            "{}",
            subnet.subnet_id
        );
    }

    let interfaces = aws.network_interfaces.value().unwrap();
    let spare = built["interface"].as_str().unwrap();
    let spare = interfaces
        .iter()
        .find(|found| found.network_interface_id == spare)
        .unwrap();
    assert_eq!(spare.private_ip_addresses.len(), 4);
    assert_eq!(spare.status, "available");
    let attached = interfaces.iter().filter(|found| found.attachment.is_some());
    assert_eq!(attached.count(), 3);

    let groups = aws.security_groups.value().unwrap();
    let nodes = built["groups"]["nodes"].as_str().unwrap();
    let nodes = groups.iter().find(|group| group.group_id == nodes).unwrap();
    let dns = nodes
        .ip_permissions
        .iter()
        .find(|rule| rule.ip_protocol == "udp")
        .unwrap();
    assert_eq!((dns.from_port, dns.to_port), (Some(53), Some(53)));
    assert_eq!(
        dns.user_id_group_pairs[0].group_id,
        built["groups"]["clients"]
    );
    let https = nodes
        .ip_permissions
        .iter()
        .find(|rule| rule.from_port == Some(443))
        .unwrap();
    assert_eq!(
        https.prefix_list_ids[0].prefix_list_id,
        built["prefix_list"]
    );
    assert_eq!(https.ip_ranges[0].cidr_ip, "10.0.0.0/16");

    let lists = aws.prefix_lists.value().unwrap();
    let list = lists
        .iter()
        .find(|list| list.prefix_list_id == built["prefix_list"])
        .unwrap();
    let blocks: Vec<&str> = list
        .entries
        .iter()
        .map(|entry| entry.cidr.as_str())
        .collect();
    assert_eq!(blocks, ["192.0.2.0/24", "198.51.100.0/24"]);

    let acls = aws.network_acls.value().unwrap();
    let acl = acls
        .iter()
        .find(|acl| acl.network_acl_id == built["acl"])
        .unwrap();
    let entry = acl
        .entries
        .iter()
        .find(|entry| entry.rule_number == 90)
        .unwrap();
    assert_eq!((entry.rule_action.as_str(), entry.egress), ("deny", false));
    assert_eq!(entry.port_range.as_ref().map(|range| range.from), Some(53));

    let tables = aws.route_tables.value().unwrap();
    let table = tables
        .iter()
        .find(|table| table.route_table_id == built["route_table"])
        .unwrap();
    let nat = table
        .routes
        .iter()
        .find(|route| route.destination_cidr_block.as_deref() == Some("0.0.0.0/0"))
        .unwrap();
    assert!(nat.nat_gateway_id.is_some());
    assert!(
        table
            .associations
            .iter()
            .any(|found| found.subnet_id.is_some())
    );

    let vpc = &aws.vpcs.value().unwrap()[0];
    assert_eq!(vpc.vpc_id, built["vpc"]);
    assert_eq!(vpc.enable_dns_support, Some(true));
    assert_eq!(vpc.enable_dns_hostnames, Some(true));
    assert_eq!(vpc.dhcp_options_id, built["dhcp"]);
    let options = aws.dhcp_options.value().unwrap();
    assert_eq!(
        options[0].dhcp_configurations[0].values[0].value,
        "10.9.9.9"
    );

    let endpoints = aws.vpc_endpoints.value().unwrap();
    assert_eq!(endpoints.len(), 2);
    let types = aws.instance_types.value().unwrap();
    let c5 = types
        .iter()
        .find(|found| found.instance_type == "c5.large")
        .unwrap();
    assert_eq!(c5.max_enis(), Some(3));
    assert_eq!(c5.network_info.ipv4_addresses_per_interface, Some(10));
    assert_eq!(types.len(), 1);

    let groups = aws.auto_scaling_groups.value().unwrap();
    assert_eq!(groups.len(), 2);
    let tagged = groups
        .iter()
        .find(|group| group.auto_scaling_group_name == "tagged")
        .unwrap();
    assert_eq!(
        eksnet_model::aws::tag(&tagged.tags, "k8s.io/cluster-autoscaler/prod"),
        Some("owned")
    );
    assert_eq!((tagged.min_size, tagged.max_size), (1, 4));
    assert_eq!(tagged.in_service(), 1);

    for source in [Source::Cluster, Source::Nodegroups] {
        let gaps = {
            let snapshot = eksnet_model::Snapshot {
                aws: aws.clone(),
                ..Default::default()
            };
            snapshot.gaps()
        };
        assert!(gaps.iter().any(|gap| gap.source == source), "{source}");
    }
}
