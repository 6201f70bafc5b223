//! What was tried by hand in a pod.

use eksnet_model::observed::Ground;
use eksnet_model::{ProbePod, Text};
use eksnet_probe::{DnsOutcome, Outcome};

use crate::support::read;

fn pod(name: &str, text: &str) -> ProbePod {
    let probes = read(&[(name, text.as_bytes())]).snapshot.probes;
    assert!(!probes.is_complete());
    probes.value().expect("a pod").pods[0].clone()
}

#[test]
fn resolv_conf_and_a_dig_that_times_out_are_one_question_to_that_server() {
    let text = "/ # cat /etc/resolv.conf\nnameserver 10.100.0.10\nsearch kube-system.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n/ # nslookup kubernetes.default.svc.cluster.local\n;; connection timed out; no servers could be reached\n";
    let pod = pod("x.txt", text);
    assert_eq!(pod.name, "x.txt");
    let resolv = pod.resolv().expect("resolv.conf");
    assert_eq!(resolv.nameservers, ["10.100.0.10"]);
    assert_eq!(resolv.options, ["ndots:5"]);
    let answers: Vec<_> = pod.dns().collect();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].server.to_string(), "10.100.0.10");
    assert_eq!(answers[0].tries[0].outcome, DnsOutcome::Timeout);
}

#[test]
fn what_dig_and_nslookup_print_is_read() {
    let text = "$ kubectl exec -it debugger -- bash\n\
        $ dig @10.100.0.10 a.example\n\n; <<>> DiG 9.16.1 <<>> @10.100.0.10 a.example\n;; ->>HEADER<<- opcode: QUERY, status: NXDOMAIN, id: 1\n;; Query time: 2 msec\n;; SERVER: 10.100.0.10#53(10.100.0.10)\n\
        $ nslookup b.example 10.0.0.2\nServer:\t\t10.0.0.2\nAddress:\t10.0.0.2#53\n\nNon-authoritative answer:\nName:\tb.example\nAddress: 192.0.2.7\n\n\
        $ nslookup c.example\nServer:\t\t10.100.0.10\nAddress:\t10.100.0.10#53\n\n** server can't find c.example: SERVFAIL\n";
    let pod = pod("x.txt", text);
    let found: Vec<(String, &str, DnsOutcome)> = pod
        .dns()
        .map(|answer| {
            (
                answer.server.to_string(),
                answer.name,
                answer.tries[0].outcome,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("10.100.0.10".to_owned(), "a.example", DnsOutcome::Nxdomain),
            ("10.0.0.2".to_owned(), "b.example", DnsOutcome::Ok),
            ("10.100.0.10".to_owned(), "c.example", DnsOutcome::Servfail),
        ]
    );
}

#[test]
fn a_ping_shows_that_the_name_resolved_whatever_came_back() {
    let text = "$ kubectl exec web -- ping sts.us-west-2.amazonaws.com\nPING sts.us-west-2.amazonaws.com (52.94.1.2) 56(84) bytes of data.\n--- sts ping statistics ---\n5 packets transmitted, 0 received, 100% packet loss, time 4118ms\n";
    let pod = pod("x.txt", text);
    let outcomes: Vec<&Outcome> = pod.answers().map(|(_, outcome)| outcome).collect();
    let [Outcome::Lookup(lookup)] = outcomes.as_slice() else {
        panic!("{outcomes:?}");
    };
    assert_eq!((lookup.addresses.len(), lookup.error), (1, None));
}

#[test]
fn the_same_on_a_laptop_says_nothing_of_pods() {
    let text = "$ nslookup a.example\n;; connection timed out; no servers could be reached\n";
    let snapshot = read(&[("x.txt", text.as_bytes())]).snapshot;
    assert_eq!(snapshot.probes.value(), None);
    let seen = snapshot.observations.value().expect("observations");
    assert_eq!(&*seen.lookups[0].name, "a.example");
    assert_eq!(seen.lookups[0].from.ground, Ground::Unknown);
    assert_eq!(seen.lookups[0].outcome, Some(DnsOutcome::Timeout));
}

#[test]
fn metrics_of_aws_node_are_summed_over_labels() {
    let text = "# HELP awscni_eni_allocated x\nawscni_eni_allocated{fn=\"a\"} 2\nawscni_ec2api_req_count{fn=\"a\"} 3\nawscni_ec2api_req_count{fn=\"b\"} 4\n";
    let metrics = read(&[("m.txt", text.as_bytes())])
        .snapshot
        .kubernetes
        .cni_metrics;
    let metrics = &metrics.value().expect("metrics")[0];
    assert_eq!(metrics.value("awscni_ec2api_req_count"), Some(7.0));
    assert_eq!(Text::from(metrics.node.as_str()), "m.txt");
}
