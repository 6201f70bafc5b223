//! Whatever ends a run, nothing of it stays.

use std::process::Command;

use eksnet_testkit::{Gate, Phase, PodScript};

use crate::world::{answers, cluster, finish, ours, plugin};

/// Kills per signal and phase.
const KILLS: usize = 5;

#[test]
fn a_signal_in_any_phase_leaves_nothing() {
    let phases = [
        Phase::Created,
        Phase::Pending,
        Phase::Running,
        Phase::Deleting,
    ];
    let mut existed = 0;
    let mut kills = 0;
    for phase in phases {
        for (signal, code) in [("INT", 130), ("TERM", 143)] {
            for _ in 0..KILLS {
                existed += kill_in(phase, signal, code);
                kills += 1;
            }
        }
    }
    println!("{kills} kills, {existed} probe pods had existed, 0 left");
    assert!(existed >= kills, "every kill met at least one pod");
}

/// Kills a run while its pods are held in a phase; returns how many pods had existed.
fn kill_in(phase: Phase, signal: &str, code: i32) -> usize {
    let gate = Gate::new();
    let api = cluster()
        .script(PodScript::succeeds().answers(answers).hold(phase, &gate))
        .start();
    let kubeconfig = api.kubeconfig().write();
    let child = plugin(&kubeconfig, &["doctor", "--no-aws", "--only", "dns"])
        .spawn()
        .expect("the plugin");
    gate.wait_reached(1);
    let killed = Command::new("kill")
        .args([&format!("-{signal}"), &child.id().to_string()])
        .status()
        .expect("kill");
    assert!(killed.success());
    gate.release();
    let (exit, stdout, stderr) = finish(child);
    let left = ours(&api);
    assert!(left.is_empty(), "{phase:?} {signal}: {left:?}\n{stderr}");
    assert_eq!(exit, code, "{phase:?} {signal}: {stdout}{stderr}");
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
