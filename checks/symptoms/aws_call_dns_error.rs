//! `sym/aws-call-dns-error`: a program's call of AWS died because a name did not resolve.

use eksnet_model::{Cx, FailedCalls, Finding, Stop, Symptom};

use super::failed_calls::{add, symptom};

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/aws-call-dns-error",
    observe,
};

const SIGNATURES: [&str; 3] = [
    "aws-post-dns-failure",
    "aws-lookup-failure",
    "karpenter-sts-dns",
];

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let logs = cx.logs().some()?;
    let mut findings = Vec::new();
    for calls in FailedCalls::in_logs(logs, &SIGNATURES, cx.topology()) {
        let title = format!("{} fails to resolve {}", calls.caller(), calls.host);
        let mut finding = symptom(cx, SYMPTOM.id, &calls, title);
        if calls.how.iter().any(|how| *how == "no such host") {
            finding = finding.signal("tail-dns-nxdomain");
        }
        if let Some(pod) = cx.topology().pod_of_log(calls.scan) {
            finding = finding.signal(if pod.asks_node_resolver() {
                "dns-policy-node"
            } else {
                "dns-policy-cluster-first"
            });
        }
        add(&mut findings, finding);
    }
    Ok(findings)
}
