//! The outage, seen from a run that is told nothing of it; and the same cluster after the cure.

use eksnet_testkit::require;

use crate::cluster::Health;
use crate::world::{Account, World};

#[test]
fn doctor_finds_the_security_group_and_explains_names_and_autoscaler_by_it() {
    let Some(account) = require("moto", Account::outage()) else {
        return;
    };
    let world = World::on(account, Health::Outage);
    let report = world.doctor();
    assert_eq!(report.exit, 1);
    let first = ("net/sg-node-dns", "confirmed");
    assert_eq!(report.first(), first, "{:#}", report.json["diagnoses"]);
    let explained = report.explained();
    for check in ["autoscaler/asg-cache-failed", "endpoints/name-unresolvable"] {
        assert!(explained.contains(&check), "{check}: {explained:?}");
    }
    assert!(world.api.pods_created() > 0, "probes ran");
    assert!(
        world.eks.unexpected().is_empty(),
        "{:?}",
        world.eks.unexpected()
    );
}

#[test]
fn with_the_rule_and_answers_there_is_nothing_wrong_with_dns() {
    let Some(account) = require("moto", Account::build(Health::Cured)) else {
        return;
    };
    let world = World::on(&account, Health::Cured);
    let report = world.doctor();
    let grave = report.list("findings").iter().filter(|finding| {
        let severity = finding["severity"].as_str().unwrap_or_default();
        ["error", "critical"].contains(&severity)
    });
    let of_dns: Vec<_> = grave
        .filter_map(|finding| finding["check"].as_str())
        .filter(|check| {
            check.starts_with("dns/")
                || check.starts_with("net/")
                || check.starts_with("endpoints/")
        })
        .collect();
    assert_eq!(of_dns, Vec::<&str>::new(), "{:#}", report.json["findings"]);
    for check in ["net/sg-node-dns", "dns/coredns-cross-node-blocked"] {
        assert_eq!(report.state(check), "pass", "{check}");
    }
}
