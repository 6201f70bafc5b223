use super::*;

const V1: &str = "client.authentication.k8s.io/v1";
const PATIENCE: Duration = Duration::from_secs(30);

fn shell(script: &str) -> ExecPlugin {
    ExecPlugin {
        api_version: V1.to_owned(),
        command: "/bin/sh".to_owned(),
        args: vec!["-c".to_owned(), script.to_owned()],
        ..ExecPlugin::default()
    }
}

fn now() -> jiff::Timestamp {
    "2026-11-01T00:00:00Z".parse().unwrap()
}

fn prints(status: &str) -> ExecPlugin {
    shell(&format!(
        r#"printf '%s' '{{"kind":"ExecCredential","apiVersion":"{V1}","status":{status}}}'"#
    ))
}

async fn why(plugin: &ExecPlugin) -> String {
    plugin.run(PATIENCE, now()).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_token_and_a_certificate_are_taken() {
    let token = prints(r#"{"token":"t","expirationTimestamp":"2026-11-01T00:15:00Z"}"#);
    let credential = token.run(PATIENCE, now()).await.unwrap();
    assert_eq!(credential.token.as_deref(), Some("t"));
    let pair = prints(r#"{"clientCertificateData":"c","clientKeyData":"k"}"#);
    let credential = pair.run(PATIENCE, now()).await.unwrap();
    assert_eq!(
        credential.certificate,
        Some(("c".to_owned(), "k".to_owned()))
    );
}

#[tokio::test]
async fn the_plugin_is_told_what_it_is_run_for() {
    let mut plugin = shell(
        r#"case "$KUBERNETES_EXEC_INFO" in *'"server":"https://x"'*) ;; *) exit 9;; esac
           printf '{"kind":"ExecCredential","apiVersion":"%s","status":{"token":"%s"}}' "$V" "$T""#,
    );
    plugin.cluster = Some(json!({"server": "https://x"}));
    plugin.env = vec![
        ("V".to_owned(), V1.to_owned()),
        ("T".to_owned(), "own".to_owned()),
    ];
    let credential = plugin.run(PATIENCE, now()).await.unwrap();
    assert_eq!(credential.token.as_deref(), Some("own"));
}

#[tokio::test]
async fn a_failure_quotes_standard_error_and_not_standard_output() {
    let plugin = shell("echo secret-token; printf '\\033[31mno SSO session\\n' >&2; exit 255");
    let why = why(&plugin).await;
    assert!(
        why.contains("no SSO session") && why.contains("255"),
        "{why}"
    );
    assert!(
        !why.contains('\u{1b}') && !why.contains("secret-token "),
        "{why}"
    );
}

#[tokio::test]
async fn a_plugin_that_is_not_installed_says_how_to_get_it() {
    let plugin = ExecPlugin {
        api_version: V1.to_owned(),
        command: "/no/such/aws".to_owned(),
        install_hint: Some("install the AWS CLI".to_owned()),
        ..ExecPlugin::default()
    };
    assert!(why(&plugin).await.contains("install the AWS CLI"));
}

#[tokio::test]
async fn a_plugin_that_hangs_is_killed_with_all_that_it_started() {
    let folder = std::env::temp_dir().join(format!("eksnet-exec-{}", std::process::id()));
    let path = folder.display();
    let plugin = shell(&format!(
        "mkdir -p {path}; echo waiting >&2; sleep 3600 & echo $! > {path}/child; wait"
    ));
    let limit = Duration::from_millis(400);
    let error = plugin.run(limit, now()).await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::ExecTimeout { stderr, .. } if stderr == "waiting"),
        "{error}"
    );
    let child = std::fs::read_to_string(folder.join("child")).unwrap();
    let _ = std::fs::remove_dir_all(&folder);
    // A killed process may be a zombie for a moment, but runs no more.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
    let runs = stat.is_ok_and(|stat| !stat.contains(") Z") && !stat.contains(") X"));
    assert!(!runs, "the child of the plugin is still there");
}

#[tokio::test]
async fn a_child_that_keeps_the_pipe_open_does_not_hold_the_plugin_up() {
    let plugin = shell(&format!(
        r#"printf '%s' '{{"kind":"ExecCredential","apiVersion":"{V1}","status":{{"token":"t"}}}}'; sleep 3600 &"#
    ));
    let credential = plugin.run(PATIENCE, now()).await.unwrap();
    assert_eq!(credential.token.as_deref(), Some("t"));
}

#[tokio::test]
async fn a_credential_that_has_run_out_is_not_used() {
    let plugin = prints(r#"{"token":"t","expirationTimestamp":"2026-10-31T23:59:59Z"}"#);
    let error = plugin.run(PATIENCE, now()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Expired { .. }), "{error}");
}

#[tokio::test]
async fn output_that_is_no_credential_is_refused() {
    for (plugin, says) in [
        (shell("echo hello"), "no ExecCredential"),
        (shell("echo '{}'"), "kind"),
        (prints("null"), "no status"),
        (prints("{}"), "neither token nor client certificate"),
        (prints(r#"{"clientKeyData":"k"}"#), "without the other"),
        (prints(r#"{"token":"a b"}"#), "characters"),
        (
            prints(r#"{"token":"t","expirationTimestamp":"soon"}"#),
            "is no time",
        ),
        (shell("head -c 2000000 /dev/zero"), "more than"),
    ] {
        let why = why(&plugin).await;
        assert!(why.contains(says), "{why}");
    }
    let mut other = prints(r#"{"token":"t"}"#);
    other.api_version = "client.authentication.k8s.io/v1beta1".to_owned();
    assert!(why(&other).await.contains("the kubeconfig asks for"));
    other.api_version = "client.authentication.k8s.io/v1alpha1".to_owned();
    assert!(why(&other).await.contains("update-kubeconfig"));
}
