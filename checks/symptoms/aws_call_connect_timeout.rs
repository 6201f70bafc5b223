//! `sym/aws-call-connect-timeout`: a program knew the address of an AWS endpoint and could not connect.

use eksnet_model::{Cx, FailedCalls, Finding, Stop, Symptom};

use super::failed_calls::{add, symptom};

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/aws-call-connect-timeout",
    observe,
};

const SIGNATURES: [&str; 2] = ["aws-post-connect-failure", "sts-global-timeout"];

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let logs = cx.logs().some()?;
    let mut findings = Vec::new();
    for calls in FailedCalls::in_logs(logs, &SIGNATURES, cx.topology()) {
        let title = format!("{} cannot connect to {}:443", calls.caller(), calls.host);
        let mut finding = symptom(cx, SYMPTOM.id, &calls, title);
        for address in calls
            .addresses
            .iter()
            .filter_map(|address| address.parse().ok())
        {
            finding = finding.signal(if cx.topology().is_private(address) {
                "address-private"
            } else {
                "address-public"
            });
        }
        add(&mut findings, finding);
    }
    Ok(findings)
}
