//! The static binary where its image puts it: an empty root, another user, no variables of use.
//!
//! `EKSNET_AGENT_BINARY` names the static build; `images/agent/Dockerfile` says how it is made.
//! Needs root, to change into the empty root. Without either the test says so and passes, unless
//! `EKSNET_REQUIRE` lists `static-agent`.

use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

use eksnet_probe::{
    DnsOutcome, Outcome, PROTOCOL, Plan, ProbeKind, ProbeSpec, QueryType, Transcript, Transport,
};

struct Root(PathBuf);

impl Root {
    fn holding(binary: &str) -> Self {
        let path = std::env::temp_dir().join(format!("eksnet-root-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        std::fs::copy(binary, path.join("eksnet-agent")).expect("the binary");
        Self(path)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The static build, or why there is nothing to test.
fn binary() -> Result<String, &'static str> {
    let binary = std::env::var("EKSNET_AGENT_BINARY");
    let binary = binary.map_err(|_| "EKSNET_AGENT_BINARY names no static build")?;
    if !rustix::process::geteuid().is_root() {
        return Err("only root may change into another root");
    }
    Ok(binary)
}

#[test]
fn in_an_empty_root_every_kind_of_probe_runs() {
    let binary = match binary() {
        Ok(binary) => binary,
        Err(why) => {
            let required = std::env::var("EKSNET_REQUIRE").unwrap_or_default();
            assert!(
                !required
                    .split(',')
                    .any(|each| each.trim() == "static-agent"),
                "the static agent is required: {why}"
            );
            eprintln!("skipped: {why}");
            return;
        }
    };
    assert!(Path::new(&binary).is_file(), "{binary} is no file");
    let root = Root::holding(&binary);
    let refusing = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tls_port = listener.local_addr().unwrap().port();
    // Closes what it accepts: the agent has made its first message, and with that its random
    // numbers, by then.
    let server = std::thread::spawn(move || listener.accept().map(drop));
    let timeout_ms = 30_000;
    let kinds = vec![
        ProbeKind::Resolv,
        ProbeKind::Dns {
            server: refusing,
            transport: Transport::Udp,
            name: "kubernetes.default.svc.cluster.local".to_owned(),
            query: QueryType::A,
            tries: 2,
            gap_ms: 1,
            timeout_ms,
        },
        ProbeKind::Tls {
            host: "127.0.0.1".to_owned(),
            port: tls_port,
            ca_pem: None,
            timeout_ms,
        },
        ProbeKind::Sts {
            region: "us-west-2".to_owned(),
            endpoint: Some("https://sts.invalid".to_owned()),
            timeout_ms,
        },
    ];
    let plan = Plan {
        protocol: PROTOCOL,
        nonce: "root".to_owned(),
        deadline_ms: 60_000,
        probes: (0..)
            .zip(kinds)
            .map(|(id, kind)| ProbeSpec { id, kind })
            .collect(),
    };
    let output = Command::new("chroot")
        .arg("--userspec=65532:65532")
        .arg(&root.0)
        .args(["/eksnet-agent", "run", &plan.encode()])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("AWS_ACCESS_KEY_ID", "AKIA")
        .env("AWS_SECRET_ACCESS_KEY", "secret-of-a-test")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let log = String::from_utf8(output.stdout).unwrap();
    let mut transcript = Transcript::read(&log, "root").unwrap();
    assert!(transcript.complete && !transcript.cut, "{log}");
    transcript.results.sort_by_key(|result| result.id);
    let outcomes: Vec<Outcome> = transcript
        .results
        .into_iter()
        .map(|result| result.outcome)
        .collect();
    let [
        Outcome::Resolv(resolv),
        Outcome::Dns { tries },
        Outcome::Tls(tls),
        Outcome::Sts(sts),
    ] = outcomes.as_slice()
    else {
        panic!("{log}");
    };
    assert!(resolv.error.as_ref().unwrap().contains("/etc/resolv.conf"));
    assert!(
        tries
            .iter()
            .all(|each| each.outcome == DnsOutcome::ConnRefused),
        "{tries:?}"
    );
    assert_eq!(tls.state, "failed", "{tls:?}");
    assert_eq!(sts.error.as_deref(), Some("dns"), "{sts:?}");
    let _ = server.join();
}
