//! Kubernetes objects, from documents and from what kubectl shows to people.

use eksnet_model::kubernetes::Event;
use eksnet_model::{Component, Evidence, Time, Why};

use crate::support::read;

const PODS: &str = r#"apiVersion: v1
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: coredns-1, namespace: kube-system, creationTimestamp: "2026-05-01T10:00:00Z"}
  status: {phase: Running}
- apiVersion: v1
  kind: Pod
  metadata: {name: web-1, namespace: default}
  status: {phase: Pending}
kind: List
metadata: {resourceVersion: ""}
"#;

#[test]
fn yaml_is_read_as_json_is() {
    let loaded = read(&[("pods.yaml", PODS.as_bytes())]);
    let Evidence::Present(pods) = &loaded.snapshot.kubernetes.pods else {
        panic!("{:?}", loaded.snapshot.kubernetes.pods.gap());
    };
    assert_eq!(pods.len(), 2);
    assert_eq!(
        loaded.snapshot.taken_at,
        Time::parse("2026-05-01T10:00:00Z")
    );
    let documents = "kind: ServiceAccount\napiVersion: v1\nmetadata:\n  name: a\n  namespace: x\n---\n# second\napiVersion: crd.k8s.amazonaws.com/v1alpha1\nkind: ENIConfig\nmetadata:\n  name: us-west-2a\nspec:\n  subnet: subnet-1\n";
    let loaded = read(&[("x.yml", documents.as_bytes())]);
    let kubernetes = loaded.snapshot.kubernetes;
    assert_eq!(kubernetes.serviceaccounts.value().map(Vec::len), Some(1));
    let configs = kubernetes.eniconfigs.value().expect("a config");
    assert_eq!(configs[0].spec.subnet, "subnet-1");
}

#[test]
fn a_list_that_breaks_off_gives_its_first_objects_and_says_so() {
    let json = r#"{"apiVersion": "v1", "items": [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}},
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "b"}}, {"apiVersion": "v1", "ki"#;
    let loaded = read(&[("nodes.json", json.as_bytes())]);
    let nodes = &loaded.snapshot.kubernetes.nodes;
    assert_eq!(nodes.value().map(Vec::len), Some(2));
    let gap = nodes.gap().expect("a gap");
    assert_eq!(gap.why, Why::Truncated);
    assert!(gap.detail.contains("nodes.json breaks off"), "{gap}");
    assert!(
        loaded.unread[0].why.contains("breaks"),
        "{:?}",
        loaded.unread
    );
}

#[test]
fn kinds_that_no_check_reads_are_named() {
    let loaded = read(&[
        ("pods.yaml", PODS.as_bytes()),
        (
            "x.json",
            br#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}"#,
        ),
    ]);
    assert_eq!(loaded.unread[0].path, "x.json");
    assert!(loaded.unread[0].why.contains("Secret"));
}

#[test]
fn a_table_of_pods_shows_what_a_table_can() {
    let text = "$ kubectl get pods -n kube-system -o wide\n\
        NAME                       READY   STATUS             RESTARTS         AGE    IP           NODE                       NOMINATED NODE   READINESS GATES\n\
        coredns-e0692e06d3-hgrsm   0/1     OOMKilled          19 (4m52s ago)   117m   10.0.1.5     ip-10-0-1-2.ec2.internal   <none>           <none>\n\
        aws-node-7bbjw             0/2     Init:Error         2                2m     10.0.1.2     ip-10-0-1-2.ec2.internal   <none>           <none>\n\
        web-7b6d9c5f4x-x2kq9       0/1     Pending            0                5m     <none>       <none>                     <none>           <none>\n";
    let loaded = read(&[("x.txt", text.as_bytes())]);
    let pods = loaded.snapshot.kubernetes.pods;
    assert!(matches!(
        pods.gap().map(|gap| &gap.why),
        Some(Why::Truncated)
    ));
    let pods = pods.value().expect("pods");
    let pod = |name: &str| {
        pods.iter()
            .find(|pod| pod.metadata.name.starts_with(name))
            .expect(name)
    };
    let coredns = pod("coredns");
    assert_eq!(coredns.metadata.namespace, "kube-system");
    assert_eq!(Component::of_pod(coredns), Component::CoreDns);
    let status = &coredns.status.container_statuses[0];
    assert_eq!(status.restart_count, 19);
    assert_eq!(
        status
            .state
            .terminated
            .as_ref()
            .map(|end| end.reason.as_str()),
        Some("OOMKilled")
    );
    assert!(!coredns.is_ready());
    assert_eq!(coredns.spec.node_name, "ip-10-0-1-2.ec2.internal");
    let aws_node = pod("aws-node");
    assert_eq!(aws_node.status.phase, "Pending");
    assert_eq!(aws_node.status.init_container_statuses.len(), 1);
    assert_eq!(pod("web").spec.node_name, "");
    assert_eq!(pod("web").status.pod_ip, "");
}

#[test]
fn tables_of_other_kinds_are_read_too() {
    let text = "NAME                                        STATUS                     ROLES    AGE   VERSION\n\
        ip-10-0-1-2.us-west-2.compute.internal      NotReady,SchedulingDisabled   <none>   3d    v1.33.1-eks-1234\n\n\
        NAME       TYPE        CLUSTER-IP    EXTERNAL-IP   PORT(S)         AGE     SELECTOR\n\
        kube-dns   ClusterIP   172.27.0.10   <none>        53/UDP,53/TCP   2y62d   k8s-app=kube-dns\n\n\
        NAME       ENDPOINTS   AGE\nkube-dns   <none>      2y\n";
    let kubernetes = read(&[("x.txt", text.as_bytes())]).snapshot.kubernetes;
    let nodes = kubernetes.nodes.value().expect("nodes");
    assert_eq!(nodes[0].is_ready(), Some(false));
    assert!(nodes[0].spec.unschedulable);
    let services = kubernetes.services.value().expect("services");
    assert_eq!(services[0].spec.cluster_ip, "172.27.0.10");
    assert_eq!(services[0].spec.ports.len(), 2);
    let slices = kubernetes.endpointslices.value().expect("slices");
    assert_eq!(
        (slices[0].service(), slices[0].endpoints.len()),
        (Some("kube-dns"), 0)
    );
}

fn events(files: &[(&str, &[u8])]) -> Vec<Event> {
    let events = read(files).snapshot.kubernetes.events;
    assert!(!events.is_complete());
    events.value().cloned().expect("events")
}

#[test]
fn events_are_read_however_they_are_shown() {
    let table = "LAST SEEN   TYPE      REASON             OBJECT      MESSAGE\n\
        2m          Warning   FailedScheduling   pod/web-1   0/3 nodes are available: 3 Too many pods.\n";
    let found = events(&[("a.txt", table.as_bytes())]);
    assert_eq!(found[0].involved_object.kind, "Pod");
    assert_eq!(
        found[0].message,
        "0/3 nodes are available: 3 Too many pods."
    );
    assert_eq!(
        found[0].last_timestamp, None,
        "there is no now to count back from"
    );
    let bare = "FailedScheduling: Insufficient vpc.amazonaws.com/pod-eni\n";
    assert_eq!(
        events(&[("b.txt", bare.as_bytes())])[0].reason,
        "FailedScheduling"
    );
}

#[test]
fn ages_count_back_from_the_newest_time() {
    let line = "Warning  FailedMount  4m (x60 over 10m)  kubelet  MountVolume.SetUp failed\n";
    let found = events(&[("a.txt", line.as_bytes()), ("pods.yaml", PODS.as_bytes())]);
    assert_eq!(found[0].count, Some(60));
    assert_eq!(found[0].last_timestamp, Time::parse("2026-05-01T09:56:00Z"));
    assert_eq!(
        found[0].first_timestamp,
        Time::parse("2026-05-01T09:50:00Z")
    );
}

#[test]
fn a_description_gives_the_pod_and_its_events() {
    let text = "\
Name:                 cluster-autoscaler-7b6d9c5f4x-x2kq9
Namespace:            kube-system
Service Account:      cluster-autoscaler
Node:                 ip-10-0-1-2.ec2.internal/10.0.1.2
Start Time:           Mon, 04 May 2026 10:00:00 +0000
Labels:               app=cluster-autoscaler
                      pod-template-hash=7b6d9c5f4x
Status:               Running
IP:                   10.0.1.7
Controlled By:        ReplicaSet/cluster-autoscaler-7b6d9c5f4x
Containers:
  cluster-autoscaler:
    Image:         registry.k8s.io/autoscaling/cluster-autoscaler:v1.33.0
    Command:
      ./cluster-autoscaler
      --skip-nodes-with-system-pods=false
    State:          Waiting
      Reason:       CrashLoopBackOff
    Last State:     Terminated
      Reason:       Error
      Exit Code:    255
    Ready:          False
    Restart Count:  7
    Environment:
      AWS_REGION:   us-west-2
      TOKEN:        abc
Conditions:
  Type              Status
  Ready             False
Events:
  Type     Reason   Age                 From     Message
  ----     ------   ----                ----     -------
  Warning  BackOff  2m (x5 over 10m)    kubelet  Back-off restarting failed container
";
    let kubernetes = read(&[("d.txt", text.as_bytes())]).snapshot.kubernetes;
    let pod = &kubernetes.pods.value().expect("a pod")[0];
    assert_eq!(pod.workload(), "kube-system/cluster-autoscaler");
    assert_eq!(Component::of_pod(pod), Component::ClusterAutoscaler);
    assert_eq!(
        pod.trouble().map(|(reason, _)| reason),
        Some("CrashLoopBackOff")
    );
    let container = &pod.spec.containers[0];
    assert_eq!(container.command[1], "--skip-nodes-with-system-pods=false");
    assert_eq!(container.env[0].value.as_deref(), Some("us-west-2"));
    assert_eq!(container.env[1].value, None, "values may be secret");
    let status = &pod.status.container_statuses[0];
    assert_eq!(
        status
            .last_state
            .terminated
            .as_ref()
            .map(|end| end.exit_code),
        Some(255)
    );
    let event = &kubernetes.events.value().expect("an event")[0];
    assert_eq!(
        event.involved_object.name,
        "cluster-autoscaler-7b6d9c5f4x-x2kq9"
    );
    assert_eq!(event.reason, "BackOff");
}

#[test]
fn a_described_node_has_its_conditions() {
    let text = "\
Name:               ip-10-0-1-2.ec2.internal
Roles:              <none>
Labels:             node.kubernetes.io/instance-type=c5.xlarge
                    topology.kubernetes.io/zone=us-west-2a
Unschedulable:      false
Conditions:
  Type             Status  LastHeartbeatTime                 LastTransitionTime                Reason                       Message
  ----             ------  -----------------                 ------------------                ------                       -------
  Ready            False   Mon, 04 May 2026 10:00:00 +0000   Mon, 04 May 2026 09:00:00 +0000   KubeletNotReady              cni plugin not initialized
Addresses:
  InternalIP:  10.0.1.2
Capacity:
  pods:               58
ProviderID:                   aws:///us-west-2a/i-0abc
";
    let kubernetes = read(&[("d.txt", text.as_bytes())]).snapshot.kubernetes;
    let node = &kubernetes.nodes.value().expect("a node")[0];
    assert_eq!(node.is_ready(), Some(false));
    assert_eq!(
        node.condition("Ready").map(|ready| ready.message.as_str()),
        Some("cni plugin not initialized")
    );
    assert_eq!(node.max_pods(), Some(58));
    assert_eq!(node.instance_type(), Some("c5.xlarge"));
    assert_eq!(node.instance_id(), Some("i-0abc"));
    assert_eq!(node.internal_ip(), Some("10.0.1.2"));
}

#[test]
fn a_manifest_without_a_status_is_no_deployment_without_pods() {
    let yaml = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: a\n  namespace: x\nspec:\n  replicas: 2\n";
    let kubernetes = read(&[("a.yaml", yaml.as_bytes())]).snapshot.kubernetes;
    assert!(!kubernetes.deployments.is_complete());
    let deployment = &kubernetes.deployments.value().expect("a deployment")[0];
    assert_eq!(deployment.status.ready_replicas, 2);
}

#[test]
fn a_described_service_without_endpoints_has_none() {
    let text = "\
Name:              kube-dns
Namespace:         kube-system
Selector:          k8s-app=kube-dns
Type:              ClusterIP
IP:                10.100.0.10
Port:              dns  53/UDP
TargetPort:        53/UDP
Endpoints:         <none>
Port:              dns-tcp  53/TCP
TargetPort:        53/TCP
Endpoints:         <none>
Events:            <none>
";
    let kubernetes = read(&[("d.txt", text.as_bytes())]).snapshot.kubernetes;
    let service = &kubernetes.services.value().expect("a service")[0];
    assert_eq!(service.spec.cluster_ip, "10.100.0.10");
    assert_eq!(service.spec.ports[1].name, "dns-tcp");
    assert_eq!(service.spec.selector["k8s-app"], "kube-dns");
    let slice = &kubernetes.endpointslices.value().expect("a slice")[0];
    assert_eq!(
        (slice.service(), slice.endpoints.len()),
        (Some("kube-dns"), 0)
    );
    let pods = &kubernetes.pods;
    assert_eq!(pods.value(), None);
}

#[test]
fn values_of_a_chart_show_the_role_and_the_flags() {
    let text = "autoDiscovery:\n  clusterName: dev\nextraArgs:\n  skip-nodes-with-system-pods: false\n  expander: least-waste\nrbac:\n  serviceAccount:\n    name: autoscaler\n    annotations:\n      eks.amazonaws.com/role-arn: arn:aws:iam::111122223333:role/scaler\n";
    let kubernetes = read(&[("helm.args.txt", text.as_bytes())])
        .snapshot
        .kubernetes;
    let account = &kubernetes.serviceaccounts.value().expect("an account")[0];
    assert_eq!(account.metadata.name, "autoscaler");
    assert_eq!(
        account.metadata.annotations["eks.amazonaws.com/role-arn"],
        "arn:aws:iam::111122223333:role/scaler"
    );
    let deployment = &kubernetes.deployments.value().expect("a deployment")[0];
    assert_eq!(
        deployment.spec.template.spec.containers[0].args,
        [
            "--expander=least-waste",
            "--skip-nodes-with-system-pods=false"
        ]
    );
}

#[test]
fn a_record_of_a_log_that_names_a_kind_is_no_object() {
    let text = "{\"level\":\"info\",\"ts\":1778547599.0,\"caller\":\"ipamd/ipamd.go:1\",\"kind\":\"Pod\",\"name\":\"a\",\"msg\":\"x\"}\n";
    let kubernetes = read(&[("a.log", text.as_bytes())]).snapshot.kubernetes;
    assert_eq!(kubernetes.pods.value(), None);
    let logs = kubernetes.logs.value().expect("a log");
    assert_eq!(logs[0].component, Component::Ipamd);
}

#[test]
fn ingresses_are_read_from_tables_and_descriptions_with_or_without_an_address() {
    let table = "$ kubectl get ingress -A\nNAMESPACE   NAME    CLASS   HOSTS   ADDRESS                                PORTS   AGE\nshop        web     alb     *       k8s-web-1.eu-west-1.elb.amazonaws.com   80      3d\nshop        quiet   alb     *                                               80      3d\n";
    let described = "Name:             edge\nNamespace:        shop\nAddress:\nIngress Class:    alb\nDefault backend:  <default>\nEvents:\n  Type     Reason            Age   From     Message\n  ----     ------            ----  ----     -------\n  Warning  FailedBuildModel  9s    ingress  Failed build model due to x\n";
    let snapshot = read(&[
        ("table.txt", table.as_bytes()),
        ("edge.txt", described.as_bytes()),
    ])
    .snapshot;
    let mut seen: Vec<(String, bool)> = snapshot
        .kubernetes
        .ingresses
        .value()
        .expect("some")
        .iter()
        .map(|one| {
            let exists = one.status.as_ref().is_some_and(|status| status.exists());
            (one.metadata.name.clone(), exists)
        })
        .collect();
    seen.sort();
    let expected = [("edge", false), ("quiet", false), ("web", true)];
    assert_eq!(
        seen,
        expected.map(|(name, exists)| (name.to_owned(), exists))
    );
    assert_eq!(
        snapshot.kubernetes.events.value().expect("some")[0]
            .involved_object
            .kind,
        "Ingress"
    );
}

#[test]
fn a_load_balancer_that_is_pending_is_none() {
    let table = "$ kubectl -n shop get svc\nNAME   TYPE           CLUSTER-IP     EXTERNAL-IP   PORT(S)        AGE\nedge   LoadBalancer   172.20.4.9     <pending>     80:31234/TCP   9m\nweb    ClusterIP      172.20.4.10    <none>        80/TCP         9m\n";
    let snapshot = read(&[("svc.txt", table.as_bytes())]).snapshot;
    let status = |name: &str| {
        let all = snapshot.kubernetes.services.value().expect("some");
        let found = all.iter().find(|one| one.metadata.name == name);
        found
            .and_then(|one| one.status.clone())
            .map(|status| status.exists())
    };
    assert_eq!(status("edge"), Some(false));
    assert_eq!(status("web"), None);
}

#[test]
fn the_health_of_targets_is_read_as_the_cli_prints_it() {
    let answer = r#"{"TargetHealthDescriptions": [{"Target": {"Id": "i-0b7c", "Port": 31234}, "HealthCheckPort": "31234",
        "TargetHealth": {"State": "unhealthy", "Reason": "Target.Timeout", "Description": "Request timed out"}}]}"#;
    let snapshot = read(&[("targets.json", answer.as_bytes())]).snapshot;
    let found = snapshot.aws.target_health.value().expect("some");
    assert_eq!(found[0].key(), "i-0b7c:31234");
    assert_eq!(found[0].target_health.reason, "Target.Timeout");
}
