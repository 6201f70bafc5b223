//! What was tried by hand on nodes and in pods.

use eksnet_model::Observations;
use eksnet_model::observed::{CallEnd, Ground};
use eksnet_probe::DnsOutcome;

use crate::support::read;

fn seen(name: &str, text: &str) -> Observations {
    let seen = read(&[(name, text.as_bytes())]).snapshot.observations;
    seen.value().expect("observations").clone()
}

#[test]
fn names_are_asked_for_by_many_programs() {
    let text = "root@web-5d78c9869d-abcde:/# dig +short a.example\n192.0.2.1\n192.0.2.2\n\
        root@web-5d78c9869d-abcde:/# host b.example\nHost b.example not found: 3(NXDOMAIN)\n\
        root@web-5d78c9869d-abcde:/# host c.example\nc.example has address 192.0.2.3\n\
        root@web-5d78c9869d-abcde:/# nslookup d.example\nServer:\t\t10.100.0.10\nAddress:\t10.100.0.10:53\n\n** server can't find d.example: NXDOMAIN\n\n** server can't find d.example: NXDOMAIN\n\
        root@web-5d78c9869d-abcde:/# dig e.example @10.0.0.2\n\n; <<>> DiG 9.18 <<>> e.example @10.0.0.2\n;; communications error to 10.0.0.2#53: timed out\n;; communications error to 10.0.0.2#53: timed out\n;; no servers could be reached\n\
        root@web-5d78c9869d-abcde:/# ping f.example\nping: f.example: Temporary failure in name resolution\n";
    let seen = seen("x.txt", text);
    let found: Vec<(&str, Option<DnsOutcome>, usize)> = seen
        .lookups
        .iter()
        .map(|one| (&*one.name, one.outcome, one.addresses.len()))
        .collect();
    assert_eq!(
        found,
        [
            ("a.example", Some(DnsOutcome::Ok), 2),
            ("b.example", Some(DnsOutcome::Nxdomain), 0),
            ("c.example", Some(DnsOutcome::Ok), 1),
            ("d.example", Some(DnsOutcome::Nxdomain), 0),
            ("e.example", Some(DnsOutcome::Timeout), 0),
            ("f.example", None, 0),
        ]
    );
    assert_eq!(
        seen.lookups[4].server.map(|ip| ip.to_string()).as_deref(),
        Some("10.0.0.2")
    );
    assert!(
        seen.lookups
            .iter()
            .all(|one| one.from.ground == Ground::Pod)
    );
    assert_eq!(&*seen.lookups[0].from.name, "web-5d78c9869d-abcde");
}

#[test]
fn questions_over_tcp_are_told_from_those_over_udp() {
    let text = "root@web-5d78c9869d-abcde:/# dig +tcp @10.100.0.10 a.example\n;; Connection to 10.100.0.10#53(10.100.0.10) for a.example failed: timed out.\n;; no servers could be reached\n\
        root@web-5d78c9869d-abcde:/# nslookup big.example\n;; Truncated, retrying in TCP mode.\n;; Connection to 10.100.0.10#53(10.100.0.10) for big.example failed: timed out.\n\
        root@web-5d78c9869d-abcde:/# dig b.example\n; <<>> DiG 9.18 <<>> b.example\n;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 1\nb.example. 30 IN A 192.0.2.1\n;; SERVER: 10.100.0.10#53(10.100.0.10) (UDP)\n\
        root@web-5d78c9869d-abcde:/# dig +vc b.example\n; <<>> DiG 9.18 <<>> +vc b.example\n;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 1\nb.example. 30 IN A 192.0.2.1\n;; SERVER: 10.100.0.10#53(10.100.0.10) (TCP)\n";
    let seen = seen("x.txt", text);
    let found: Vec<(&str, bool, Option<DnsOutcome>)> = seen
        .lookups
        .iter()
        .map(|one| (&*one.name, one.tcp, one.outcome))
        .collect();
    assert_eq!(
        found,
        [
            ("a.example", true, Some(DnsOutcome::Timeout)),
            ("big.example", false, Some(DnsOutcome::Truncated)),
            ("big.example", true, Some(DnsOutcome::Timeout)),
            ("b.example", false, Some(DnsOutcome::Ok)),
            ("b.example", true, Some(DnsOutcome::Ok)),
        ]
    );
}

#[test]
fn an_answer_from_another_address_is_no_answer() {
    let text = "/ # dig a.example\n;; reply from unexpected source: 10.0.3.7#53, expected 10.100.0.10#53\n";
    let seen = seen("x.txt", text);
    assert_eq!(seen.lookups[0].outcome, Some(DnsOutcome::Malformed));
    assert_eq!(
        seen.lookups[0].server.map(|ip| ip.to_string()).as_deref(),
        Some("10.100.0.10")
    );
}

#[test]
fn connections_say_how_they_ended() {
    let text = "$ curl -v https://a.example/\n*   Trying 192.0.2.1:443...\n* connect to 192.0.2.1 port 443 failed: Connection timed out\ncurl: (28) Failed to connect to a.example port 443: Connection timed out\n\
        $ curl -I http://b.example\nHTTP/1.1 200 OK\n\
        $ nc -zv 10.0.0.1 53\nnc: connect to 10.0.0.1 port 53 (tcp) failed: Connection refused\n\
        $ nc -zv 10.0.0.1 443\nConnection to 10.0.0.1 443 port [tcp/https] succeeded!\n\
        $ wget -O- http://c.example\nwget: bad address 'c.example'\n\
        $ telnet 10.0.0.9 443\nTrying 10.0.0.9...\ntelnet: connect to address 10.0.0.9: No route to host\n\
        $ curl https://d.example\ncurl: (60) SSL certificate problem: self signed certificate in certificate chain\n";
    let seen = seen("x.txt", text);
    let found: Vec<(&str, Option<u16>, CallEnd)> = seen
        .calls
        .iter()
        .map(|call| (&*call.host, call.port, call.end))
        .collect();
    assert_eq!(
        found,
        [
            ("a.example", Some(443), CallEnd::TimedOut),
            ("a.example", Some(443), CallEnd::TimedOut),
            ("b.example", Some(80), CallEnd::Answered),
            ("10.0.0.1", Some(53), CallEnd::Refused),
            ("10.0.0.1", Some(443), CallEnd::Answered),
            ("c.example", Some(80), CallEnd::Unresolved),
            ("10.0.0.9", Some(443), CallEnd::NoRoute),
            ("d.example", Some(443), CallEnd::Tls),
        ]
    );
    assert_eq!(seen.calls[2].status, Some(200));
}

#[test]
fn routing_filters_packets_and_counters_of_a_node_are_kept() {
    let text = "[ec2-user@ip-10-80-10-5 ~]$ ip rule\n0:\tfrom all lookup local\n512:\tfrom all to 10.80.10.7 lookup main\n1024:\tfrom all fwmark 0x80/0x80 lookup main\n1536:\tfrom 10.80.10.7 to 10.80.0.0/16 lookup 2\n\
        [ec2-user@ip-10-80-10-5 ~]$ ip route show table 2\ndefault via 10.80.10.1 dev eth1\n10.80.10.1 dev eth1 scope link\nunreachable 10.9.0.0/16\n\
        [ec2-user@ip-10-80-10-5 ~]$ sudo iptables-save -t nat\n*nat\n:PREROUTING ACCEPT [12:300]\n-A POSTROUTING -m comment --comment \"AWS SNAT CHAIN\" -j AWS-SNAT-CHAIN-0\nCOMMIT\n\
        [ec2-user@ip-10-80-10-5 ~]$ sudo iptables -L FORWARD -nv\nChain FORWARD (policy DROP 7 packets, 420 bytes)\n pkts bytes target     prot opt in     out     source               destination\n   10  600 KUBE-FORWARD  all  --  *      *       0.0.0.0/0            0.0.0.0/0\n\
        [ec2-user@ip-10-80-10-5 ~]$ sudo tcpdump -ni any port 53\n14:21:16.293671 eth0  Out IP 10.80.10.5.41234 > 10.100.0.10.53: 1234+ A? a.example. (28)\n14:21:21.293671 eth0  Out IP 10.80.10.5.41234 > 10.100.0.10.53: 1234+ A? a.example. (28)\n14:21:16.29 IP 10.80.10.5 > 192.168.234.1: ICMP echo request, id 25370, seq 10, length 64\n\
        [ec2-user@ip-10-80-10-5 ~]$ ethtool -S eth0 | grep allowance\n     conntrack_allowance_exceeded: 41\n     linklocal_allowance_exceeded: 7\n\
        [ec2-user@ip-10-80-10-5 ~]$ sysctl net.ipv4.ip_forward\nnet.ipv4.ip_forward = 0\n\
        [ec2-user@ip-10-80-10-5 ~]$ ip addr\n2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 9001 qdisc mq state UP group default qlen 1000\n    link/ether 0a:1b:2c:3d:4e:5f brd ff:ff:ff:ff:ff:ff\n    inet 10.80.10.5/28 brd 10.80.10.15 scope global dynamic eth0\n";
    let seen = seen("x.txt", text);
    assert!(
        seen.rules
            .iter()
            .all(|rule| rule.from.ground == Ground::Node && &*rule.from.name == "ip-10-80-10-5")
    );
    let last = &seen.rules[3];
    assert_eq!(
        (last.priority, last.destination.as_deref(), &*last.table),
        (1536, Some("10.80.0.0/16"), "2")
    );
    assert_eq!(seen.rules[2].mark.as_deref(), Some("0x80/0x80"));
    assert_eq!(seen.routes.len(), 3);
    assert_eq!(seen.routes[0].table.as_deref(), Some("2"));
    assert_eq!(
        (&*seen.routes[2].kind, &*seen.routes[2].destination),
        ("unreachable", "10.9.0.0/16")
    );
    let targets: Vec<&str> = seen.filters.iter().map(|rule| &*rule.target).collect();
    assert_eq!(
        targets,
        ["ACCEPT", "AWS-SNAT-CHAIN-0", "DROP", "KUBE-FORWARD"]
    );
    assert_eq!(
        (seen.filters[2].packets, seen.filters[3].packets),
        (Some(7), Some(10))
    );
    assert_eq!(
        (seen.packets[0].count, &*seen.packets[0].what),
        (2, "A? a.example.")
    );
    assert_eq!(&*seen.packets[1].what, "ICMP echo request");
    let counters: Vec<(&str, f64)> = seen
        .counters
        .iter()
        .map(|one| (&*one.name, one.value))
        .collect();
    assert_eq!(
        counters,
        [
            ("conntrack_allowance_exceeded", 41.0),
            ("linklocal_allowance_exceeded", 7.0),
            ("net.ipv4.ip_forward", 0.0)
        ]
    );
    assert_eq!(
        (seen.links[0].mtu, &*seen.links[0].addresses[0]),
        (Some(9001), "10.80.10.5/28")
    );
}

#[test]
fn pings_count_what_came_back() {
    let text = "$ kubectl exec -it -n web shop-0 -- ping -c 5 10.0.0.7\nPING 10.0.0.7 (10.0.0.7): 56 data bytes\n\n--- 10.0.0.7 ping statistics ---\n5 packets transmitted, 0 packets received, 100% packet loss\n";
    let seen = seen("x.txt", text);
    let ping = &seen.pings[0];
    assert_eq!(
        (&*ping.target, ping.sent, ping.received),
        ("10.0.0.7", 5, 0)
    );
    assert_eq!(
        (ping.from.ground, &*ping.from.name),
        (Ground::Pod, "shop-0")
    );
    assert!(ping.is_lost());
}

#[test]
fn samples_of_prometheus_are_kept_with_their_labels() {
    let text = "# TYPE coredns_dns_responses_total counter\ncoredns_dns_responses_total{rcode=\"SERVFAIL\",zone=\".\"} 12\ngo_goroutines 5\ncoredns_panics_total 0\n";
    let seen = seen("metrics.txt", text);
    assert_eq!(seen.counters.len(), 2);
    assert_eq!(
        (&*seen.counters[0].labels, seen.counters[0].value),
        ("rcode=\"SERVFAIL\",zone=\".\"", 12.0)
    );
}

#[test]
fn prose_with_the_same_words_is_no_observation() {
    let text = "We can ping the node but curl fails. default is what we use.\n10.0.0.1 is the node that breaks.\n1: from what we know the pods fail\nE1019 06:00:10.278115       1 aws_manager.go:259] x\n";
    let loaded = read(&[("x.txt", text.as_bytes())]);
    assert_eq!(loaded.snapshot.observations.value(), None);
}

#[test]
fn a_text_in_which_nothing_is_recognised_still_gives_a_snapshot() {
    let loaded = read(&[(
        "note.txt",
        b"pods cannot reach each other since the upgrade\n",
    )]);
    assert_eq!(loaded.unread.len(), 1);
    assert!(loaded.unread[0].why.contains("nothing was recognised"));
}
