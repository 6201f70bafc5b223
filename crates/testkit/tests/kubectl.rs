//! The fake API server as `kubectl` sees it. Skipped where kubectl is not installed.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use eksnet_testkit::{
    Access, Exec, FakeApi, Gate, Kubeconfig, Match, Phase, PodScript, Rule, kubectl, require,
};
use serde_json::{Value, json};

/// kubectl with a kubeconfig and a cache of its own.
struct Kubectl {
    kubeconfig: Kubeconfig,
    home: tempfile::TempDir,
}

impl Kubectl {
    fn with(kubeconfig: Kubeconfig) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        Self { kubeconfig, home }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("KUBECONFIG", self.kubeconfig.path())
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("kubectl ran")
    }

    /// Standard output of a run that must succeed.
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Standard error of a run that must fail.
    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "kubectl {arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn create(&self, object: &Value) -> String {
        self.feed(&["create", "--validate=false", "-f", "-"], object)
    }

    /// Standard output of a run that is fed an object and must succeed.
    fn feed(&self, arguments: &[&str], object: &Value) -> String {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl ran");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin
            .write_all(object.to_string().as_bytes())
            .expect("written");
        drop(stdin);
        let output = child.wait_with_output().expect("kubectl ended");
        assert!(output.status.success(), "kubectl {arguments:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {
            "nodeName": "ip-10-0-1-2",
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "example/main:1"}],
        },
    })
}

fn cluster() -> FakeApi {
    FakeApi::builder()
        .now("2026-11-22T10:10:36Z".parse().expect("a time"))
        .object(json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "ip-10-0-1-2", "creationTimestamp": "2026-11-20T10:10:36Z"},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "nodeInfo": {"kubeletVersion": "v1.33.5-eks-113cf36"},
            },
        }))
        .script(PodScript::succeeds().log(|pod| format!("{} was here\n", pod.name())))
        .start()
}

#[test]
fn a_pod_is_created_shown_read_and_deleted() {
    if require("kubectl", kubectl()).is_none() {
        return;
    }
    let api = cluster();
    let kubectl = Kubectl::with(api.kubeconfig().write());
    assert_eq!(kubectl.create(&pod("one")), "pod/one created\n");
    api.wait_until("pods", |pods| pods[0]["status"]["phase"] == "Succeeded");
    let table = kubectl.ok(&["get", "pods", "-A"]);
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0],
        ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    );
    assert_eq!(rows[1][..5], ["default", "one", "0/1", "Completed", "0"]);
    let wide = kubectl.ok(&["get", "pods", "-o", "wide"]);
    assert!(wide.contains("NOMINATED NODE   READINESS GATES"), "{wide}");
    assert_eq!(kubectl.ok(&["logs", "one"]), "one was here\n");
    assert_eq!(
        kubectl.ok(&["delete", "pod", "one"]),
        "pod \"one\" deleted\n"
    );
    assert!(api.list("pods").is_empty());
    let missing = kubectl.fails(&["get", "pod", "one"]);
    assert_eq!(
        missing,
        "Error from server (NotFound): pods \"one\" not found\n"
    );
}

#[test]
fn deletion_waits_until_the_kubelet_has_ended_the_pod() {
    if require("kubectl", kubectl()).is_none() {
        return;
    }
    let (running, deleting) = (Gate::new(), Gate::new());
    let api = FakeApi::builder()
        .script(
            PodScript::succeeds()
                .hold(Phase::Running, &running)
                .hold(Phase::Deleting, &deleting),
        )
        .start();
    let kubectl = Kubectl::with(api.kubeconfig().write());
    kubectl.create(&pod("one"));
    running.wait_reached(1);
    let mut child = kubectl
        .command(&["delete", "pod", "one"])
        .stdout(Stdio::null())
        .spawn()
        .expect("kubectl ran");
    deleting.wait_reached(1);
    let _ = api.audit().wait_answered(1, &Match::verb("watch", "pods"));
    let shown = kubectl.ok(&["get", "pods"]);
    assert!(shown.contains("Terminating"), "{shown}");
    deleting.release();
    assert!(child.wait().expect("kubectl ended").success());
    assert!(api.list("pods").is_empty());
}

#[test]
fn nodes_show_as_a_table_and_as_json() {
    if require("kubectl", kubectl()).is_none() {
        return;
    }
    let api = cluster();
    let kubectl = Kubectl::with(api.kubeconfig().write());
    let table = kubectl.ok(&["get", "nodes"]);
    let row: Vec<&str> = table
        .lines()
        .nth(1)
        .expect("a row")
        .split_whitespace()
        .collect();
    assert_eq!(
        row,
        [
            "ip-10-0-1-2",
            "Ready",
            "<none>",
            "2d",
            "v1.33.5-eks-113cf36"
        ]
    );
    let list: Value =
        serde_json::from_str(&kubectl.ok(&["get", "nodes", "-o", "json"])).expect("JSON");
    assert_eq!(list["items"][0]["kind"], "Node");
    let version = kubectl.ok(&["version", "-o", "json"]);
    assert!(version.contains("v1.33.5-eks-113cf36"), "{version}");
}

#[test]
fn pages_are_followed_and_changes_are_watched() {
    if require("kubectl", kubectl()).is_none() {
        return;
    }
    let api = cluster();
    for at in 0..7 {
        api.put(pod(&format!("p{at}")));
    }
    let kubectl = Kubectl::with(api.kubeconfig().write());
    let names = kubectl.ok(&["get", "pods", "--chunk-size=3", "-o", "name"]);
    assert_eq!(names.lines().count(), 7);
    assert_eq!(api.audit().count(&Match::verb("list", "pods")), 3);

    let mut waiting = kubectl
        .command(&["wait", "pod/p3", "--for=delete", "--timeout=60s"])
        .stdout(Stdio::null())
        .spawn()
        .expect("kubectl ran");
    let _ = api.audit().wait_answered(1, &Match::verb("watch", "pods"));
    api.remove("pods", "default", "p3");
    assert!(waiting.wait().expect("kubectl ended").success());
}

#[test]
fn what_is_not_allowed_is_refused_and_can_be_asked_for() {
    if require("kubectl", kubectl()).is_none() {
        return;
    }
    let api = FakeApi::builder()
        .user("arn:aws:iam::123456789012:user/u")
        .access(Access::only([Rule::new(
            &["get", "list"],
            &[""],
            &["pods"],
        )
        .in_namespace("default")]))
        .start();
    let kubectl = Kubectl::with(api.kubeconfig().write());
    kubectl.ok(&["get", "pods", "-n", "default"]);
    assert_eq!(
        kubectl.fails(&["get", "pods", "-A"]),
        "Error from server (Forbidden): pods is forbidden: User \"arn:aws:iam::123456789012:user/u\" cannot list resource \"pods\" in API group \"\" at the cluster scope\n"
    );
    // kubectl's own `auth` commands speak protobuf, which this server does not.
    let review = |kind: &str, spec: Value| {
        let group = if kind == "SelfSubjectReview" {
            "authentication"
        } else {
            "authorization"
        };
        let version = format!("{group}.k8s.io/v1");
        let path = format!("/apis/{version}/{}s", kind.to_lowercase());
        let asked = json!({"apiVersion": version, "kind": kind, "spec": spec});
        let said = kubectl.feed(&["create", "--raw", &path, "-f", "-"], &asked);
        serde_json::from_str::<Value>(&said).expect("JSON")["status"].clone()
    };
    let may_list = |namespace: &str| {
        let asked = json!({"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": namespace}});
        review("SelfSubjectAccessReview", asked)["allowed"].clone()
    };
    assert_eq!(
        (may_list("default"), may_list("")),
        (json!(true), json!(false))
    );
    let rules = |namespace: &str| {
        review("SelfSubjectRulesReview", json!({"namespace": namespace}))["resourceRules"].clone()
    };
    assert_eq!(
        rules("default"),
        json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}])
    );
    assert_eq!(rules("kube-system"), json!([]));
    let me = review("SelfSubjectReview", json!({}));
    assert_eq!(
        me["userInfo"]["username"],
        "arn:aws:iam::123456789012:user/u"
    );
}

#[test]
fn the_credential_plugin_is_run_and_its_failures_are_told() {
    if require("kubectl", kubectl()).is_none() {
        return;
    }
    let api = cluster();
    let works = Kubectl::with(api.kubeconfig().exec(Exec::Works).write());
    works.ok(&["get", "nodes"]);
    assert!(works.kubeconfig.exec_runs() >= 1);
    let context = works.ok(&["config", "current-context"]);
    assert_eq!(context, "arn:aws:eks:us-west-2:123456789012:cluster/prod\n");
    let message = "An error occurred (ExpiredTokenException): it's \"over\"".to_owned();
    let broken = api.kubeconfig().exec(Exec::Fails {
        message: message.clone(),
        code: 254,
    });
    let said = Kubectl::with(broken.write()).fails(&["get", "nodes"]);
    assert!(
        said.contains(&message) && said.contains("exit code 254"),
        "{said}"
    );
    let wrong = Kubectl::with(api.kubeconfig().token("wrong").write());
    let said = wrong.fails(&["get", "nodes"]);
    assert!(
        said.contains("You must be logged in to the server"),
        "{said}"
    );
}

#[test]
fn custom_resources_are_there_once_an_object_of_theirs_is() {
    if require("kubectl", kubectl()).is_none() {
        return;
    }
    let api = cluster();
    let absent = Kubectl::with(api.kubeconfig().write());
    let said = absent.fails(&["get", "nodepools"]);
    assert!(
        said.contains("the server doesn't have a resource type \"nodepools\""),
        "{said}"
    );
    api.put(json!({"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "default"}}));
    let present = Kubectl::with(api.kubeconfig().write());
    assert!(present.ok(&["get", "nodepools"]).contains("default"));
}

#[test]
fn a_real_clusters_objects_are_served_as_they_were_taken() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/clusters/healthy");
    if !folder.is_dir() {
        println!("skipped: {} is not there", folder.display());
        return;
    }
    if require("kubectl", kubectl()).is_none() {
        return;
    }
    let api = FakeApi::builder().load(&folder).expect("objects").start();
    let kubectl = Kubectl::with(api.kubeconfig().write());
    for (kind, file) in [
        ("pods", "pods"),
        ("nodes", "nodes"),
        ("services", "svc"),
        ("endpointslices", "endpointslices"),
        ("events", "events"),
    ] {
        let served: Value =
            serde_json::from_str(&kubectl.ok(&["get", kind, "-A", "-o", "json"])).expect("JSON");
        let text = std::fs::read(folder.join(format!("{file}.json"))).expect("a file");
        let taken: Value = serde_json::from_slice(&text).expect("JSON");
        let sorted = |list: &Value| {
            let mut items: Vec<Value> = list["items"].as_array().cloned().unwrap_or_default();
            for item in &mut items {
                item["metadata"]["resourceVersion"] = Value::Null;
            }
            items.sort_by_key(|item| {
                format!(
                    "{}{}",
                    item["metadata"]["namespace"], item["metadata"]["name"]
                )
            });
            items
        };
        assert_eq!(sorted(&served), sorted(&taken), "{kind}");
    }
    let described = kubectl.ok(&["describe", "nodes"]);
    assert!(described.contains("Non-terminated Pods"), "{described}");
}
