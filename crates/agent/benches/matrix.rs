//! How long a DNS matrix takes in which nothing is ever answered.
//!
//! Servers on loopback take every query and every connection and keep silent. The plan has the shape of the
//! plugin's for 40 CoreDNS pods (crates/collect/src/pods/plan.rs, where a test holds its size): per pod three
//! names over UDP and TCP, five tries each.
//!
//! ```sh
//! cargo bench -p eksnet-agent --bench matrix
//! ```

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use eksnet_agent::{Surroundings, run};
use eksnet_probe::{
    DnsOutcome, Outcome, PROTOCOL, Plan, ProbeKind, ProbeSpec, QueryType, Transport,
};
use tokio::time::Instant;

const PODS: u8 = 40;
/// Names asked of the Service, and of each of three resolvers.
const SERVICE_NAMES: usize = 12;
const BOUND: Duration = Duration::from_secs(8);

/// Servers that never answer; they last as long as the program.
fn silent() -> SocketAddr {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = udp.local_addr().expect("an address");
    let tcp = TcpListener::bind(address).expect("the same port over TCP");
    // The kernel completes handshakes up to the backlog and drops the rest: silence either way.
    Box::leak(Box::new((udp, tcp)));
    address
}

fn main() {
    let mut probes = Vec::new();
    let mut ask = |server: SocketAddr, name: String| {
        for transport in [Transport::Udp, Transport::Tcp] {
            probes.push(ProbeKind::Dns {
                server,
                transport,
                name: name.clone(),
                query: QueryType::A,
                tries: 5,
                gap_ms: 200,
                timeout_ms: 2000,
            });
        }
    };
    for _ in 0..PODS {
        let pod = silent();
        for name in 0..3 {
            ask(pod, format!("name{name}.cluster.local."));
        }
    }
    for _ in 0..4 {
        let server = silent();
        for name in 0..SERVICE_NAMES {
            ask(server, format!("name{name}.example.com."));
        }
    }
    let queries = probes.len() * 5;
    let plan = Plan {
        protocol: PROTOCOL,
        nonce: "bench".to_owned(),
        deadline_ms: 60_000,
        probes: (1..)
            .zip(probes)
            .map(|(id, kind)| ProbeSpec { id, kind })
            .collect(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut slowest = Duration::ZERO;
    for _ in 0..3 {
        let none = || "/nonexistent".into();
        let pod = Arc::new(Surroundings::with_files(none(), none()));
        let begun = Instant::now();
        let report = runtime
            .block_on(run(
                plan.clone(),
                pod,
                begun,
                std::io::sink(),
                std::future::pending(),
            ))
            .expect("a plan");
        let took = begun.elapsed();
        let silent = report.results.iter().all(|result| match &result.outcome {
            Outcome::Dns { tries } => tries.iter().all(|each| each.outcome == DnsOutcome::Timeout),
            _ => false,
        });
        assert!(silent, "every query must time out");
        slowest = slowest.max(took);
        println!(
            "{PODS} CoreDNS pods, {queries} queries, all silent: {:.2} s",
            took.as_secs_f64()
        );
    }
    assert!(
        slowest < BOUND,
        "{slowest:?} is above the bound of {BOUND:?}"
    );
}
