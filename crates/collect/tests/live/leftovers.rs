//! A run that is given up in any phase leaves nothing behind.

use std::sync::Arc;

use eksnet_collect::{Cleanup, Connection, Request, Silent, collect};
use eksnet_model::Created;
use eksnet_testkit::{Access, Action, FakeApi, FaultRule, Gate, Match, Phase, Rule};
use serde_json::json;

use crate::lab::{answering, cluster, connected, left, probes};

/// Runs until `event` happens, gives the run up, and cleans up.
async fn given_up(
    connection: &Connection,
    request: &Request,
    event: impl Future<Output = ()>,
) -> (Cleanup, Created) {
    let cleanup = Cleanup::new(connection);
    tokio::select! {
        _ = collect(connection, request, &cleanup, &Silent) => panic!("the run ended before the event"),
        () = event => {}
    }
    let created = cleanup.cleanup(&Silent).await;
    (cleanup, created)
}

async fn held(phase: Phase) -> (FakeApi, Created) {
    let gate = Gate::new();
    let api = cluster().script(answering().hold(phase, &gate)).start();
    let connection = connected(&api).await;
    let (_, created) = given_up(&connection, &probes(), gate.until_reached(2)).await;
    gate.release();
    (api, created)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_given_up_while_its_requests_are_unanswered_leaves_nothing() {
    let (api, created) = held(Phase::Created).await;
    assert_eq!(
        created,
        Created {
            pods: 2,
            deleted: 2,
            left: 0
        }
    );
    assert_eq!(left(&api), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_given_up_while_pods_wait_or_run_leaves_nothing() {
    for phase in [Phase::Pending, Phase::Running] {
        let (api, created) = held(phase).await;
        assert_eq!(
            created,
            Created {
                pods: 2,
                deleted: 2,
                left: 0
            },
            "{phase:?}"
        );
        assert_eq!(left(&api), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_given_up_while_it_deletes_leaves_nothing() {
    let api = Arc::new(cluster().script(answering()).start());
    let stuck = FaultRule::on(Match::verb("delete", "pods"))
        .first(2)
        .then(Action::Hang);
    api.fault(stuck);
    let connection = connected(&api).await;
    let deleting = Match::verb("delete", "pods");
    let event = async {
        let _ = api.audit().arrival(2, &deleting).await;
    };
    let (_, created) = given_up(&connection, &probes(), event).await;
    assert_eq!(
        created,
        Created {
            pods: 2,
            deleted: 2,
            left: 0
        }
    );
    assert_eq!(left(&api), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_arrived_counts_as_no_pod() {
    let api = cluster()
        .fault(FaultRule::on(Match::verb("create", "pods")).then(Action::Hang))
        .start();
    let connection = connected(&api).await;
    let creating = Match::verb("create", "pods");
    let event = async {
        let _ = api.audit().arrival(2, &creating).await;
    };
    let (_, created) = given_up(&connection, &probes(), event).await;
    assert_eq!(created, Created::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_comes_into_being_after_its_name_was_found_free_is_deleted_too() {
    let api = cluster()
        .fault(FaultRule::on(Match::verb("create", "pods")).then(Action::Hang))
        .start();
    let connection = connected(&api).await;
    let cleanup = Cleanup::new(&connection);
    let creating = Match::verb("create", "pods");
    let request = probes();
    tokio::select! {
        _ = collect(&connection, &request, &cleanup, &Silent) => panic!("the run ended"),
        _ = api.audit().arrival(2, &creating) => {}
    }
    let mut late = api.audit().of(&creating)[0].json();
    late["metadata"]["namespace"] = json!("default");
    late["metadata"]["uid"] = json!("late");
    let arrives = async {
        let deleting =
            Match::verb("delete", "pods").name(late["metadata"]["name"].as_str().expect("a name"));
        // The name was found free more than once by then.
        let _ = api.audit().arrival(3, &deleting).await;
        api.put(late.clone());
    };
    let (created, ()) = tokio::join!(cleanup.cleanup(&Silent), arrives);
    assert_eq!(created.left, 0);
    assert_eq!(left(&api), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_that_fail_for_a_moment_are_tried_again() {
    let fault = FaultRule::on(Match::verb("delete", "pods"))
        .first(3)
        .then(Action::Reset);
    let api = cluster().script(answering()).fault(fault).start();
    let connection = connected(&api).await;
    let cleanup = Cleanup::new(&connection);
    let collected = collect(&connection, &probes(), &cleanup, &Silent)
        .await
        .expect("a snapshot");
    let run = collected.snapshot.probes.value().expect("probes").clone();
    assert_eq!((run.created, run.deleted), (2, 2));
    assert_eq!(left(&api), [""; 0]);
    // Once more does no harm and asks for nothing.
    let before = api.audit().count(&Match::verb("delete", "pods"));
    assert_eq!(
        cleanup.cleanup(&Silent).await,
        Created {
            pods: 2,
            deleted: 2,
            left: 0
        }
    );
    assert_eq!(api.audit().count(&Match::verb("delete", "pods")), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_deleted_is_counted_and_named() {
    let access = Access::everything().except(Rule::new(&["delete"], &[""], &["pods"]));
    let gate = Gate::new();
    let api = cluster()
        .script(answering().hold(Phase::Running, &gate))
        .access(access)
        .start();
    let connection = connected(&api).await;
    let (cleanup, created) = given_up(&connection, &probes(), gate.until_reached(2)).await;
    gate.release();
    assert_eq!(
        created,
        Created {
            pods: 2,
            deleted: 0,
            left: 2
        }
    );
    let named = cleanup.left();
    assert!(
        named
            .iter()
            .any(|one| one.starts_with("pod/default/eksnet-probe-")),
        "{named:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_whose_creation_was_answered_by_a_cut_is_deleted_all_the_same() {
    let cut = FaultRule::on(Match::verb("create", "pods")).then(Action::CutAfter(10));
    let api = cluster().script(answering()).fault(cut).start();
    let connection = connected(&api).await;
    let cleanup = Cleanup::new(&connection);
    let collected = collect(&connection, &probes(), &cleanup, &Silent).await;
    assert!(
        collected
            .expect("a snapshot")
            .snapshot
            .probes
            .gap()
            .is_some()
    );
    assert_eq!(api.pods_created(), 2);
    let created = cleanup.cleanup(&Silent).await;
    assert_eq!(
        created,
        Created {
            pods: 2,
            deleted: 2,
            left: 0
        }
    );
    assert_eq!(left(&api), [""; 0]);
}
