//! Whatever ends a run, nothing of it stays.

use std::process::Command;

use eksnet_testkit::{Action, FaultRule, Gate, Match, Phase, PodScript};

use crate::world::{answers, cluster, finish, ours, plugin};

/// Kills per signal and phase.
const KILLS: usize = 5;

/// Where in the life of its pods a run is killed.
#[derive(Clone, Copy, Debug)]
enum When {
    /// The pods are stored, the answers to their creation withheld.
    CreateSent,
    Pending,
    Running,
    /// The first deletion is on its way, and answered slowly.
    Deleting,
}

#[test]
fn a_signal_in_any_phase_leaves_nothing() {
    for when in [
        When::CreateSent,
        When::Pending,
        When::Running,
        When::Deleting,
    ] {
        let mut existed = 0;
        for (signal, code) in [("INT", 130), ("TERM", 143)] {
            for _ in 0..KILLS {
                existed += kill_in(when, signal, code);
            }
        }
        println!(
            "{when:?}: {} kills, {existed} probe pods had existed, 0 left",
            2 * KILLS
        );
        assert!(existed >= 2 * KILLS, "every kill met at least one pod");
    }
}

/// Kills a run in a phase of its pods; returns how many pods had existed.
fn kill_in(when: When, signal: &str, code: i32) -> usize {
    let gate = Gate::new();
    let script = PodScript::succeeds().answers(answers);
    let deletes = Match::verb("delete", "pods");
    let api = match when {
        When::CreateSent => cluster().script(script.hold(Phase::Created, &gate)),
        When::Pending => cluster().script(script.hold(Phase::Pending, &gate)),
        When::Running => cluster().script(script.hold(Phase::Running, &gate)),
        When::Deleting => cluster()
            .script(script)
            .fault(FaultRule::on(deletes.clone()).then(Action::slow(256, 20))),
    }
    .start();
    let kubeconfig = api.kubeconfig().write();
    let child = plugin(&kubeconfig, &["doctor", "--no-aws", "--only", "dns"])
        .spawn()
        .expect("the plugin");
    match when {
        When::Deleting => drop(api.audit().wait_for(1, &deletes)),
        _ => gate.wait_reached(1),
    }
    let killed = Command::new("kill")
        .args([&format!("-{signal}"), &child.id().to_string()])
        .status()
        .expect("kill");
    assert!(killed.success());
    gate.release();
    let (exit, stdout, stderr) = finish(child);
    let left = ours(&api);
    assert!(left.is_empty(), "{when:?} {signal}: {left:?}\n{stderr}");
    assert_eq!(exit, code, "{when:?} {signal}: {stdout}{stderr}");
    assert_eq!(stdout, "", "no report that looks whole");
    assert!(stderr.contains("left 0"), "{stderr}");
    api.pods_created()
}

#[test]
fn pods_that_never_start_are_deleted_when_the_time_is_up() {
    let gate = Gate::new();
    let api = cluster()
        .script(PodScript::succeeds().hold(Phase::Pending, &gate))
        .start();
    let kubeconfig = api.kubeconfig().write();
    let child = plugin(
        &kubeconfig,
        &["doctor", "--no-aws", "--only", "dns", "--timeout", "6s"],
    )
    .spawn()
    .expect("the plugin");
    let (exit, stdout, stderr) = finish(child);
    assert!(ours(&api).is_empty(), "{:?}", ours(&api));
    assert!(api.pods_created() > 0);
    assert!(exit == 1 || exit == 3, "{exit} {stdout}{stderr}");
}

#[test]
fn cleanup_deletes_what_a_killed_run_left_and_nothing_else() {
    let gate = Gate::new();
    let api = cluster()
        .script(PodScript::succeeds().hold(Phase::Running, &gate))
        .start();
    let kubeconfig = api.kubeconfig().write();
    let mut child = plugin(&kubeconfig, &["doctor", "--no-aws", "--only", "dns"])
        .spawn()
        .expect("the plugin");
    gate.wait_reached(1);
    child.kill().expect("kill -9");
    child.wait().expect("an end");
    let before = api.list("pods").len();
    let left = ours(&api);
    assert!(!left.is_empty());
    let (exit, stdout, stderr) = crate::world::run(&kubeconfig, &["cleanup", "--older-than", "0s"]);
    assert_eq!(exit, 0, "{stdout}{stderr}");
    assert!(ours(&api).is_empty(), "{:?}", ours(&api));
    let pods = left.iter().filter(|object| object[0] == "Pod").count();
    assert_eq!(api.list("pods").len(), before - pods);
}
