//! The binary as kubelet runs it: arguments, exit codes, termination message, signals.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use eksnet_probe::{
    Outcome, PROTOCOL, Plan, ProbeKind, ProbeSpec, QueryType, Transcript, Transport, Verdict,
};
use rustix::process::{Pid, Signal, kill_process};

/// A folder of one test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("eksnet-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn path() -> String {
    std::env::var("EKSNET_AGENT_BINARY")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_eksnet-agent").to_owned())
}

/// The agent with an environment that is empty but for the place of its verdict.
fn agent(folder: &Folder) -> Command {
    let mut command = Command::new(path());
    // What an earlier run of the container left must not show behind a shorter verdict.
    let verdict = folder.file("termination-log", &"old ".repeat(2000));
    command
        .env_clear()
        .env("EKSNET_TERMINATION_LOG", verdict)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn plan(deadline_ms: u64, kinds: Vec<ProbeKind>) -> Plan {
    Plan {
        protocol: PROTOCOL,
        nonce: "binary".to_owned(),
        deadline_ms,
        probes: (0..)
            .zip(kinds)
            .map(|(id, kind)| ProbeSpec { id, kind })
            .collect(),
    }
}

/// A query to a socket that nobody reads.
fn unanswered(silent: &UdpSocket) -> ProbeKind {
    ProbeKind::Dns {
        server: silent.local_addr().expect("it is bound"),
        transport: Transport::Udp,
        name: "kubernetes.default.svc.cluster.local.".to_owned(),
        query: QueryType::A,
        tries: 5,
        gap_ms: 1,
        timeout_ms: 600_000,
    }
}

fn not_run(transcript: &Transcript, id: u32) -> &str {
    let result = transcript.results.iter().find(|result| result.id == id);
    match &result.expect("a result per probe").outcome {
        Outcome::NotRun { why } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plan_in_the_argument_is_run_and_the_verdict_left_for_kubelet() {
    let folder = Folder::new("argument");
    let plan = plan(30_000, vec![ProbeKind::Resolv]);
    let output = agent(&folder)
        .args(["run", &plan.encode()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
    let log = String::from_utf8(output.stdout).unwrap();
    let transcript = Transcript::read(&log, "binary").unwrap();
    assert!(transcript.complete && !transcript.cut, "{log}");
    assert!(matches!(transcript.results[0].outcome, Outcome::Resolv(_)));
    let message = std::fs::read_to_string(folder.0.join("termination-log")).unwrap();
    let verdict = Verdict::read(&message, "binary").expect("a verdict");
    assert_eq!(verdict.results, transcript.results);
}

#[test]
fn a_plan_too_long_for_an_argument_is_read_from_its_file() {
    let folder = Folder::new("file");
    let long = format!("{}.example.", "a.".repeat(60));
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let refusing = silent.local_addr().unwrap();
    drop(silent);
    let kinds = (0..500).map(|_| ProbeKind::Dns {
        server: refusing,
        transport: Transport::Tcp,
        name: long.clone(),
        query: QueryType::A,
        tries: 1,
        gap_ms: 0,
        timeout_ms: 30_000,
    });
    let text = plan(60_000, kinds.collect()).encode();
    assert!(text.len() > eksnet_probe::MAX_ARGUMENT_BYTES);
    let file = folder.file("plan", &format!("{text}\n"));
    let output = agent(&folder)
        .args(["run", &format!("@{}", file.display())])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let log = String::from_utf8(output.stdout).unwrap();
    let transcript = Transcript::read(&log, "binary").unwrap();
    assert!(transcript.complete && !transcript.cut);
    assert_eq!(transcript.results.len(), 500);
    let message = std::fs::read_to_string(folder.0.join("termination-log")).unwrap();
    assert!(message.len() <= eksnet_probe::MAX_TERMINATION_BYTES);
    assert_eq!(Verdict::read(&message, "binary").unwrap().count, 500);
}

#[test]
fn at_the_deadline_the_agent_reports_what_it_has_and_succeeds() {
    let folder = Folder::new("deadline");
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let plan = plan(2000, vec![unanswered(&silent), ProbeKind::Resolv]);
    let output = agent(&folder)
        .args(["run", &plan.encode()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let log = String::from_utf8(output.stdout).unwrap();
    let transcript = Transcript::read(&log, "binary").unwrap();
    assert!(transcript.complete && transcript.cut, "{log}");
    assert_eq!(not_run(&transcript, 0), "deadline");
    assert!(matches!(transcript.results[0].outcome, Outcome::Resolv(_)));
}

#[test]
fn on_sigterm_the_agent_reports_what_it_has_and_ends() {
    let folder = Folder::new("sigterm");
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let plan = plan(600_000, vec![unanswered(&silent), ProbeKind::Resolv]);
    let mut child = agent(&folder)
        .args(["run", &plan.encode()])
        .spawn()
        .unwrap();
    let mut stream = BufReader::new(child.stdout.take().unwrap());
    let mut log = String::new();
    // The first result is there: the agent is past setting up its signal handler.
    stream.read_line(&mut log).unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    stream.read_to_string(&mut log).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let transcript = Transcript::read(&log, "binary").unwrap();
    assert!(transcript.complete && transcript.cut, "{log}");
    assert_eq!(not_run(&transcript, 0), "terminated");
    let message = std::fs::read_to_string(folder.0.join("termination-log")).unwrap();
    assert_eq!(Verdict::read(&message, "binary").unwrap().count, 2);
}

#[test]
fn what_is_no_plan_ends_with_two_and_a_reason_and_nothing_on_stdout() {
    let folder = Folder::new("refused");
    let foreign = Plan {
        protocol: PROTOCOL + 1,
        ..plan(1, Vec::new())
    };
    let twice = Plan {
        probes: vec![
            ProbeSpec {
                id: 7,
                kind: ProbeKind::Resolv,
            };
            2
        ],
        ..plan(1, Vec::new())
    };
    for (arguments, reason) in [
        (vec![], "usage"),
        (vec!["walk".to_owned()], "usage"),
        (vec!["run".to_owned(), "zz".to_owned()], "malformed"),
        (vec!["run".to_owned(), "@/absent".to_owned()], "/absent"),
        (vec!["run".to_owned(), foreign.encode()], "protocol 2"),
        (
            vec!["run".to_owned(), twice.encode()],
            "two probes with id 7",
        ),
    ] {
        let output = agent(&folder).args(&arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(reason), "{errors}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn the_version_names_the_protocol() {
    let folder = Folder::new("version");
    let output = agent(&folder).arg("version").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text.trim(),
        format!("eksnet-agent {} (protocol 1)", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_termination_log_that_cannot_be_written_changes_nothing() {
    let folder = Folder::new("no-log");
    let output = agent(&folder)
        .env("EKSNET_TERMINATION_LOG", "/absent/termination-log")
        .args(["run", &plan(30_000, vec![ProbeKind::Resolv]).encode()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
}
