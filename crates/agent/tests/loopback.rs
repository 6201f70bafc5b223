//! What a DNS server sees of the agent.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use eksnet_agent::{Surroundings, run};
use eksnet_probe::{
    DnsOutcome, Outcome, PROTOCOL, Plan, ProbeKind, ProbeSpec, QueryType, Transport,
};
use tokio::time::Instant;

async fn tries(server: SocketAddr, tries: u32, gap_ms: u64) -> Vec<DnsOutcome> {
    let plan = Plan {
        protocol: PROTOCOL,
        nonce: "loopback".to_owned(),
        deadline_ms: 60_000,
        probes: vec![ProbeSpec {
            id: 1,
            kind: ProbeKind::Dns {
                server,
                transport: Transport::Udp,
                name: "kubernetes.default.svc.cluster.local".to_owned(),
                query: QueryType::A,
                tries,
                gap_ms,
                timeout_ms: 30_000,
            },
        }],
    };
    let surroundings = Arc::new(Surroundings::of_pod());
    let report = run(
        plan,
        surroundings,
        Instant::now(),
        std::io::sink(),
        std::future::pending(),
    )
    .await
    .expect("the plan is sound");
    match &report.results[0].outcome {
        Outcome::Dns { tries } => tries.iter().map(|each| each.outcome).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_try_has_its_own_source_port_and_id_and_none_waits_for_the_one_before() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    // Answers only once all five queries are there: tries in sequence would never end.
    let served = std::thread::spawn(move || {
        let mut waiting = Vec::new();
        while waiting.len() < 5 {
            let mut query = [0; 512];
            let (length, from) = server.recv_from(&mut query).unwrap();
            waiting.push((from, query[..length].to_vec()));
        }
        for (from, query) in &waiting {
            let mut answer = query.clone();
            answer[2] |= 0x80;
            answer[3] = 5;
            server.send_to(&answer, from).unwrap();
        }
        waiting
    });
    assert_eq!(tries(address, 5, 10).await, [DnsOutcome::Refused; 5]);
    let seen = served.join().unwrap();
    let ports: BTreeSet<u16> = seen.iter().map(|(from, _)| from.port()).collect();
    assert_eq!(ports.len(), 5);
    let ids: BTreeSet<&[u8]> = seen.iter().map(|(_, query)| &query[..2]).collect();
    assert!(ids.len() > 1, "ids are not random");
    let without_id: BTreeSet<&[u8]> = seen.iter().map(|(_, query)| &query[2..]).collect();
    assert_eq!(without_id.len(), 1);
}

#[tokio::test]
async fn a_server_sees_exactly_as_many_packets_as_there_are_tries() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let served = std::thread::spawn(move || {
        let mut packets = 0;
        let mut query = [0; 512];
        loop {
            let (length, from) = server.recv_from(&mut query).unwrap();
            if length == 0 {
                return packets;
            }
            packets += 1;
            query[2] |= 0x80;
            query[3] = 2;
            server.send_to(&query[..length], from).unwrap();
        }
    });
    assert_eq!(tries(address, 7, 0).await, [DnsOutcome::Servfail; 7]);
    let last = UdpSocket::bind("127.0.0.1:0").unwrap();
    last.send_to(&[], address).unwrap();
    assert_eq!(served.join().unwrap(), 7);
}

#[tokio::test]
async fn tries_start_a_gap_apart() {
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let start = Instant::now();
    assert_eq!(tries(address, 5, 60).await, [DnsOutcome::ConnRefused; 5]);
    // A timer never fires early, so load can only make this longer.
    assert!(start.elapsed() >= std::time::Duration::from_millis(240));
}
