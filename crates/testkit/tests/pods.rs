//! What becomes of created pods: scripted lives, refusals, and a real program as the agent.

mod client;

use std::os::unix::fs::PermissionsExt as _;

use client::{ask, get};
use eksnet_probe::{
    Outcome, PROTOCOL, Plan, ProbeKind, ProbeResult, ProbeSpec, Transcript, Verdict,
};
use eksnet_testkit::{Admission, FakeApi, Gate, Match, Phase, PodScript};
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";

fn plan() -> Plan {
    Plan {
        protocol: PROTOCOL,
        nonce: "n0nce".to_owned(),
        deadline_ms: 1000,
        probes: vec![ProbeSpec {
            id: 7,
            kind: ProbeKind::Resolv,
        }],
    }
}

fn pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "containers": [{
                "name": "agent",
                "image": "example/agent:1",
                "args": ["run", plan().encode()],
            }],
        },
    })
}

async fn create(api: &FakeApi, pod: &Value) -> client::Answer {
    ask(api, "POST", PODS).json(pod).send().await
}

fn phase_is(name: &'static str, phase: &'static str) -> impl Fn(&[Value]) -> bool {
    move |pods| {
        pods.iter()
            .any(|pod| pod["metadata"]["name"] == name && pod["status"]["phase"] == phase)
    }
}

fn answers() -> PodScript {
    PodScript::succeeds().answers(|plan, pod| {
        let why = format!("on {}", pod.node());
        plan.probes
            .iter()
            .map(|probe| ProbeResult {
                id: probe.id,
                outcome: Outcome::NotRun { why: why.clone() },
            })
            .collect()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scripted_agent_answers_the_plan_in_log_and_termination_message() {
    let api = FakeApi::builder().script(answers()).start();
    assert_eq!(create(&api, &pod("p", "n1")).await.status, 201);
    let pods = api.wait_until("pods", phase_is("p", "Succeeded"));
    let log = get(&api, &format!("{PODS}/p/log")).await.text();
    let transcript = Transcript::read(&log, "n0nce").expect("a transcript");
    assert!(transcript.complete);
    assert_eq!(
        transcript.results,
        [ProbeResult {
            id: 7,
            outcome: Outcome::NotRun {
                why: "on n1".to_owned()
            }
        }]
    );
    let message = &pods[0]["status"]["containerStatuses"][0]["state"]["terminated"]["message"];
    let verdict = Verdict::read(message.as_str().unwrap_or_default(), "n0nce");
    assert_eq!(verdict.map(|v| v.count), Some(1));
    assert_eq!(api.pods_created(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_in_a_config_map_is_found() {
    let api = FakeApi::builder().script(answers()).start();
    api.put(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "plan", "namespace": "default"},
        "data": {"plan": plan().encode()},
    }));
    let mut pod = pod("p", "n1");
    pod["spec"]["containers"][0]["args"] = json!(["run", "@/plan/plan"]);
    pod["spec"]["volumes"] = json!([{"name": "plan", "configMap": {"name": "plan"}}]);
    create(&api, &pod).await;
    api.wait_until("pods", phase_is("p", "Succeeded"));
    let log = get(&api, &format!("{PODS}/p/log")).await.text();
    assert!(
        Transcript::read(&log, "n0nce")
            .expect("a transcript")
            .complete
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn gates_hold_a_pod_in_every_phase() {
    let gates: Vec<Gate> = (0..4).map(|_| Gate::new()).collect();
    let script = answers()
        .hold(Phase::Created, &gates[0])
        .hold(Phase::Pending, &gates[1])
        .hold(Phase::Running, &gates[2])
        .hold(Phase::Deleting, &gates[3]);
    let api = std::sync::Arc::new(FakeApi::builder().script(script).start());

    // Created: stored, but the client has no answer.
    let creating = tokio::spawn({
        let api = api.clone();
        async move { create(&api, &pod("p", "n1")).await.status }
    });
    gates[0].until_reached(1).await;
    assert_eq!(api.list("pods").len(), 1);
    let asked = api.audit().arrival(1, &Match::verb("create", "pods")).await;
    assert_eq!(asked.status, None);
    assert!(!creating.is_finished());
    gates[0].release();
    assert_eq!(creating.await.expect("a status"), 201);

    gates[1].until_reached(1).await;
    assert_eq!(api.list("pods")[0]["status"]["phase"], "Pending");
    gates[1].release();

    gates[2].until_reached(1).await;
    assert_eq!(api.list("pods")[0]["status"]["phase"], "Running");
    let deleted = ask(&api, "DELETE", &format!("{PODS}/p"))
        .send()
        .await
        .json();
    assert_eq!(deleted["metadata"]["deletionGracePeriodSeconds"], 30);

    gates[3].until_reached(1).await;
    assert!(api.list("pods")[0]["metadata"]["deletionTimestamp"].is_string());
    gates[3].release();
    api.wait_until("pods", <[Value]>::is_empty);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_pod_leaves_at_once_and_a_pod_on_a_dead_node_only_without_grace() {
    // No kubelet ever confirms an end here: what leaves needs none.
    let never = Gate::new();
    let api = FakeApi::builder()
        .script(PodScript::succeeds().hold(Phase::Deleting, &never))
        .start();
    create(&api, &pod("done", "n1")).await;
    api.wait_until("pods", phase_is("done", "Succeeded"));
    ask(&api, "DELETE", &format!("{PODS}/done")).send().await;
    assert!(api.list("pods").is_empty());

    api.set_node_dead("n1", true);
    create(&api, &pod("stuck", "n1")).await;
    ask(&api, "DELETE", &format!("{PODS}/stuck")).send().await;
    assert_eq!(api.list("pods").len(), 1, "nobody ends it");
    ask(
        &api,
        "DELETE",
        &format!("{PODS}/stuck?gracePeriodSeconds=0"),
    )
    .send()
    .await;
    assert!(api.list("pods").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_do_not_start_say_why() {
    let api = FakeApi::builder()
        .script(PodScript::image_pull_back_off("example/agent:1").on_node("pull"))
        .script(PodScript::no_address().on_node("ip"))
        .script(PodScript::out_of_pods().on_node("full"))
        .script(PodScript::create_container_error("no such file").on_node("runtime"))
        .start();
    for node in ["pull", "ip", "full", "runtime"] {
        create(&api, &pod(node, node)).await;
    }
    let reason =
        |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
    let pods = api.wait_until("pods", |pods| {
        pods.iter()
            .all(|p| reason(p).is_string() || p["status"]["phase"] == "Failed")
    });
    let find = |name: &str| {
        pods.iter()
            .find(|p| p["metadata"]["name"] == name)
            .expect("a pod")
    };
    assert_eq!(reason(find("pull")), "ImagePullBackOff");
    assert_eq!(reason(find("ip")), "ContainerCreating");
    assert_eq!(find("full")["status"]["reason"], "OutOfpods");
    assert_eq!(reason(find("runtime")), "CreateContainerError");
    api.wait_until("events", |events| {
        events.iter().any(|event| {
            event["reason"] == "FailedCreatePodSandBox"
                && event["involvedObject"]["name"] == "ip"
                && event["message"]
                    .as_str()
                    .is_some_and(|m| m.ends_with("failed to assign an IP address to container"))
        })
    });
    let log = get(&api, &format!("{PODS}/ip/log")).await.json();
    assert_eq!(
        log["message"],
        "container \"agent\" in pod \"ip\" is waiting to start: ContainerCreating"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_at_admission_read_as_the_real_ones() {
    let api = FakeApi::builder()
        .pod_security("default", "restricted")
        .admission(Admission::quota("compute").when(|pod| pod["metadata"]["name"] == "q"))
        .admission(
            Admission::webhook("policy.example.com", "no")
                .when(|pod| pod["metadata"]["name"] == "w"),
        )
        .start();
    let refused = create(&api, &pod("p", "n1")).await;
    assert_eq!(refused.status, 403);
    let message = refused.json()["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        message
            .starts_with("pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": "),
        "{message}"
    );

    let tight = |name: &str| {
        let mut pod = pod(name, "n1");
        pod["spec"]["securityContext"] =
            json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
        pod["spec"]["containers"][0]["securityContext"] =
            json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
        pod
    };
    assert_eq!(create(&api, &tight("p")).await.status, 201);
    assert_eq!(
        create(&api, &tight("q")).await.json()["message"],
        "pods \"q\" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=10, limited: pods=10"
    );
    assert_eq!(
        create(&api, &tight("w")).await.json()["message"],
        "admission webhook \"policy.example.com\" denied the request: no"
    );
    let mut lost = tight("s");
    lost["spec"]["serviceAccountName"] = json!("nobody");
    assert_eq!(create(&api, &lost).await.status, 403);
    assert_eq!(api.pods_created(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_program_runs_with_the_pods_arguments() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("agent");
    let script = "#!/bin/sh\necho \"out $1 $(cat \"${2#@}\") $GREETING\"\necho err >&2\nprintf bye > \"$EKSNET_TERMINATION_LOG\"\nexit 3\n";
    std::fs::write(&program, script).expect("a script");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))
        .expect("permissions");
    let api = FakeApi::builder().agent(&program).start();
    api.put(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "plan", "namespace": "default"},
        "data": {"plan": "from a map"},
    }));
    let mut pod = pod("p", "n1");
    pod["spec"]["volumes"] = json!([{"name": "v", "configMap": {"name": "plan"}}]);
    let container = &mut pod["spec"]["containers"][0];
    container["command"] = json!(["/agent"]);
    container["args"] = json!(["$(GREETING)", "@/etc/plan/plan"]);
    container["env"] =
        json!([{"name": "GREETING", "value": "hello"}, {"name": "PATH", "value": "/usr/bin:/bin"}]);
    container["volumeMounts"] = json!([{"name": "v", "mountPath": "/etc/plan"}]);
    create(&api, &pod).await;
    let pods = api.wait_until("pods", phase_is("p", "Failed"));
    let ended = &pods[0]["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(
        (&ended["exitCode"], &ended["message"]),
        (&json!(3), &json!("bye"))
    );
    let log = get(&api, &format!("{PODS}/p/log")).await.text();
    assert!(
        log.contains("out hello from a map hello\n") && log.contains("err\n"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_active_deadline_ends_a_pod_that_hangs() {
    let gate = Gate::new();
    let api = FakeApi::builder()
        .script(PodScript::succeeds().hold(Phase::Running, &gate))
        .start();
    let mut pod = pod("p", "n1");
    pod["spec"]["activeDeadlineSeconds"] = json!(1);
    create(&api, &pod).await;
    let pods = api.wait_until("pods", phase_is("p", "Failed"));
    assert_eq!(pods[0]["status"]["reason"], "DeadlineExceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn following_a_log_waits_for_the_end_of_the_pod() {
    let gate = Gate::new();
    let api = FakeApi::builder()
        .script(
            PodScript::succeeds()
                .log(|_| "done\n".to_owned())
                .hold(Phase::Running, &gate),
        )
        .start();
    create(&api, &pod("p", "n1")).await;
    gate.until_reached(1).await;
    let (followed, ()) = tokio::join!(
        get(&api, "/api/v1/namespaces/default/pods/p/log?follow=true"),
        async {
            api.audit()
                .arrival(1, &Match::verb("get", "pods/log"))
                .await;
            gate.release();
        }
    );
    assert_eq!(followed.text(), "done\n");
}
