//! The autoscaler's log in the demo is what a scan of such a log gives.

use eksnet_model::{LogScan, Scanner, Snapshot};
use serde_json::Value;

use crate::story::{demo, golden};

#[test]
fn the_demos_log_is_what_a_scan_of_the_autoscalers_log_gives() {
    let bundle = demo();
    let snapshot = Snapshot::read_bundle(bundle.to_string().as_bytes()).expect("a bundle");
    let known = &snapshot.kubernetes.logs.value().expect("logs")[0];
    let signatures = eksnet_checks::signatures().expect("signatures");
    let head = LogScan {
        hits: Vec::new(),
        lines: 0,
        first_at: None,
        last_at: None,
        ..known.clone()
    };
    let mut scanner = Scanner::new(&signatures, head, snapshot.taken_at);
    let log = std::fs::read_to_string(golden().join("cluster-autoscaler.log")).expect("the log");
    log.lines().for_each(|line| scanner.line(line));
    let scanned = scanner.finish();
    let shown: Value = serde_json::to_value(&scanned).expect("plain data");
    assert_eq!(known, &scanned, "the scan gives:\n{shown}");
}
