//! Finding the cluster, getting credentials, and the first request.

use std::time::Duration;

use eksnet_collect::{ConnectError, ConnectOptions, Environment, Silent, collect, connect};
use eksnet_testkit::{Action, Exec, FakeApi, FaultRule, Kubeconfig, Match};

use crate::lab::{lists, options, options_with, refused, seconds};

#[tokio::test(flavor = "multi_thread")]
async fn the_credential_plugin_runs_once_for_a_whole_run() {
    let api = FakeApi::start();
    let kubeconfig = api.kubeconfig().exec(Exec::Works).write();
    let connection = connect(&options(&kubeconfig)).await.expect("a connection");
    let cleanup = eksnet_collect::Cleanup::new(&connection);
    let collected = collect(&connection, &lists(), &cleanup, &Silent).await;
    assert!(
        collected
            .expect("a snapshot")
            .snapshot
            .kubernetes
            .nodes
            .is_complete()
    );
    assert_eq!(kubeconfig.exec_runs(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubeconfig_tells_which_cluster_it_is() {
    let api = FakeApi::start();
    let kubeconfig = api.kubeconfig().exec(Exec::Works).namespace("shop").write();
    let connection = connect(&options(&kubeconfig)).await.expect("a connection");
    let hints = connection.hints();
    assert_eq!(hints.cluster_name.as_deref(), Some("prod"));
    assert_eq!(hints.region.as_deref(), Some("us-west-2"));
    assert_eq!(hints.account.as_deref(), Some("123456789012"));
    assert_eq!(hints.profile.as_deref(), Some("testkit"));
    assert_eq!(hints.api_host, "127.0.0.1");
    assert_eq!(hints.ca_pem.as_deref(), api.ca_pem());
    assert_eq!(connection.namespace(), "shop");
    let version = connection
        .version()
        .map(|version| version.git_version.as_str());
    assert_eq!(version, Some("v1.33.5-eks-113cf36"));
}

async fn with_exec(exec: Exec) -> (ConnectError, Kubeconfig) {
    let api = FakeApi::start();
    let kubeconfig = api.kubeconfig().exec(exec).write();
    let options = ConnectOptions {
        exec_timeout: Duration::from_millis(500),
        ..options(&kubeconfig)
    };
    let error = refused(&options).await;
    assert!(!error.is_usage(), "{error}");
    assert_eq!(error.to_string().lines().count(), 1);
    assert_eq!(api.audit().requests().len(), 0);
    (error, kubeconfig)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_fails_ends_the_run_before_the_cluster_is_asked() {
    let (error, _) = with_exec(Exec::Fails {
        message: "Token has expired and refresh failed".to_owned(),
        code: 255,
    })
    .await;
    assert!(
        error
            .to_string()
            .contains("Token has expired and refresh failed"),
        "{error}"
    );
    let (error, _) = with_exec(Exec::Expired).await;
    assert!(matches!(error, ConnectError::Expired { .. }), "{error}");
    let (error, _) = with_exec(Exec::Garbage("Usage: aws".to_owned())).await;
    assert!(matches!(error, ConnectError::Exec { .. }), "{error}");
    let (error, _) = with_exec(Exec::Missing).await;
    assert!(error.to_string().contains("get-token"), "{error}");
    let (error, kubeconfig) = with_exec(Exec::Hangs).await;
    assert!(matches!(error, ConnectError::ExecTimeout { .. }), "{error}");
    assert_eq!(kubeconfig.exec_runs(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_not_accepted_are_told_from_a_way_that_is_shut() {
    let api = FakeApi::start();
    let wrong = api.kubeconfig().token("old").write();
    let error = refused(&options(&wrong)).await;
    assert!(
        matches!(error, ConnectError::Unauthorized { .. }),
        "{error}"
    );

    let closed = api.kubeconfig().server("https://127.0.0.1:1").write();
    let error = refused(&options(&closed)).await;
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(
        error.to_string().contains("https://127.0.0.1:1/version"),
        "{error}"
    );
    assert!(
        error.to_string().contains("nothing listens there"),
        "{error}"
    );

    let other = FakeApi::start();
    let foreign = api
        .kubeconfig()
        .ca_pem(other.ca_pem().expect("a CA"))
        .write();
    let error = refused(&options(&foreign)).await;
    assert!(matches!(error, ConnectError::Tls { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_or_cuts_or_is_no_api_server_does_not_hold_the_run() {
    let with = async |action: Action| {
        let api = FakeApi::start();
        api.fault(FaultRule::on(Match::path("/version")).then(action));
        let kubeconfig = api.kubeconfig().write();
        let options = ConnectOptions {
            connect_timeout: Duration::from_millis(700),
            ..options(&kubeconfig)
        };
        refused(&options).await
    };
    let error = with(Action::Hang).await;
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error}");
    let error = with(Action::slow(1, 200)).await;
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error}");
    for cut in [Action::CutAfter(5), Action::Reset] {
        let error = with(cut).await;
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    }
    for other in [Action::proxy_page(), Action::Malformed, Action::status(404)] {
        let error = with(other).await;
        assert!(
            matches!(error, ConnectError::NotKubernetes { .. }),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_may_not_be_read_is_no_obstacle() {
    let api = FakeApi::start();
    let forbidden = Action::error(403, "Forbidden", "no");
    api.fault(FaultRule::on(Match::path("/version")).then(forbidden));
    let kubeconfig = api.kubeconfig().write();
    let connection = connect(&options(&kubeconfig)).await.expect("a connection");
    assert_eq!(connection.version(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_wrongly_is_a_usage_error_that_names_what_there_is() {
    let api = FakeApi::start();
    let kubeconfig = api.kubeconfig().context("here").write();
    for (name, options) in [
        (
            "context",
            ConnectOptions {
                context: Some("there".to_owned()),
                ..options(&kubeconfig)
            },
        ),
        (
            "cluster",
            ConnectOptions {
                cluster: Some("there".to_owned()),
                ..options(&kubeconfig)
            },
        ),
        (
            "user",
            ConnectOptions {
                user: Some("there".to_owned()),
                ..options(&kubeconfig)
            },
        ),
    ] {
        let error = refused(&options).await;
        assert!(error.is_usage(), "{error}");
        assert!(
            error.to_string().contains(name) && error.to_string().contains("here"),
            "{error}"
        );
    }
    let missing = options_with("/no/such/kubeconfig".into());
    let error = refused(&missing).await;
    assert!(matches!(error, ConnectError::Kubeconfig { .. }), "{error}");
    let nowhere = ConnectOptions {
        kubeconfig: None,
        environment: Environment::default().with("HOME", "/no/such/home"),
        ..options(&kubeconfig)
    };
    let error = refused(&nowhere).await;
    assert!(
        matches!(error, ConnectError::NoKubeconfig(_)) && error.is_usage(),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_that_is_no_yaml_is_refused_without_its_content() {
    let api = FakeApi::start();
    let kubeconfig = api.kubeconfig().write();
    std::fs::write(
        kubeconfig.path(),
        "users: [{name: u, user: {token: s3cret}}\n  - x: }",
    )
    .expect("a file");
    let error = refused(&options(&kubeconfig)).await;
    assert!(error.is_usage(), "{error}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
    std::fs::write(kubeconfig.path(), "").expect("a file");
    let error = refused(&options(&kubeconfig)).await;
    assert!(matches!(error, ConnectError::NoContext(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubeconfigs_are_merged_and_missing_ones_passed_over() {
    let api = FakeApi::start();
    let (first, second) = (
        api.kubeconfig().context("one").write(),
        api.kubeconfig().context("two").write(),
    );
    let list = std::env::join_paths([
        "/no/such/file".into(),
        first.path().to_owned(),
        second.path().to_owned(),
    ]);
    let environment = Environment::default().with("KUBECONFIG", list.expect("paths"));
    let of = |context: Option<&str>| ConnectOptions {
        kubeconfig: None,
        context: context.map(str::to_owned),
        environment: environment.clone(),
        ..options(&first)
    };
    let default = connect(&of(None)).await.expect("a connection");
    assert_eq!(default.hints().context_name, "one");
    let named = connect(&of(Some("two"))).await.expect("a connection");
    assert_eq!(named.hints().context_name, "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_to_act_as_is_told_to_the_server() {
    let api = FakeApi::start();
    let kubeconfig = api.kubeconfig().write();
    let options = ConnectOptions {
        act_as: Some("jane".to_owned()),
        act_as_groups: vec!["ops".to_owned(), "dev".to_owned()],
        act_as_uid: Some("7".to_owned()),
        namespace: Some("shop".to_owned()),
        request_timeout: Some(seconds(5)),
        ..options(&kubeconfig)
    };
    let connection = connect(&options).await.expect("a connection");
    assert_eq!(connection.namespace(), "shop");
    let request = &api.audit().requests()[0];
    assert_eq!(request.header("impersonate-user"), Some("jane"));
    assert_eq!(request.header("impersonate-uid"), Some("7"));
    assert!(request.header("impersonate-group").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_asked_for_is_used() {
    let api = FakeApi::start();
    // Nothing listens there: a connection would mean that the proxy was not used.
    let kubeconfig = api.kubeconfig().proxy("http://127.0.0.1:1").write();
    let error = refused(&options(&kubeconfig)).await;
    assert!(
        error
            .to_string()
            .contains("through proxy http://127.0.0.1:1"),
        "{error}"
    );
}
