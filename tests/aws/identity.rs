//! Evidence of two clusters is never mixed.

use eksnet_testkit::{FakeApi, require};
use serde_json::json;

use crate::cluster::{Health, ours};
use crate::world::{Account, World};

#[test]
fn a_cluster_with_another_authority_ends_the_run_before_anything_is_created() {
    let Some(account) = require("moto", Account::outage()) else {
        return;
    };
    let world = World::on(account, Health::Outage);
    let other = FakeApi::start();
    world.describe(&other, &json!({}));
    let ran = world.run(&["doctor"]);
    assert_eq!((ran.exit, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    assert_eq!(ran.stderr.trim().lines().count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("another CA"), "{}", ran.stderr);
    assert_eq!(world.api.pods_created(), 0);
    assert!(ours(&world.api).is_empty());
    let requests = world.api.audit().requests();
    let writes = requests.iter().filter(|request| request.method != "GET");
    assert_eq!(writes.count(), 0);
}

#[test]
fn another_host_with_the_same_authority_is_noted_and_the_run_goes_on() {
    let Some(account) = require("moto", Account::outage()) else {
        return;
    };
    let world = World::on(account, Health::Outage);
    let host = "0a1b2c3d.gr7.us-west-2.eks.amazonaws.com";
    world.describe(&world.api, &json!({"endpoint": format!("https://{host}")}));
    let report = world.doctor();
    let notes = report.json["cluster"]["notes"].to_string();
    assert!(
        notes.contains("127.0.0.1") && notes.contains(host),
        "{notes}"
    );
    assert_eq!(report.first().0, "net/sg-node-dns");
}
