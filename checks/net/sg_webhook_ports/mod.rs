//! `net/sg-webhook-ports`: the control plane cannot reach an admission webhook or an aggregated API.

mod backends;
mod called;

use std::collections::BTreeMap;

use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Gap, Meta, Role, Severity, Source, Stop, Subject,
    SubjectKind, Why, logs_and_events,
};

use backends::{Judge, Judged};
use called::{Called, Callee, callees, failures};

const META: Meta = Meta {
    id: "net/sg-webhook-ports",
    title: "The control plane cannot reach a webhook or an aggregated API on the nodes",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[
        Source::ValidatingWebhooks,
        Source::MutatingWebhooks,
        Source::ApiServices,
        Source::Services,
        Source::EndpointSlices,
        Source::NetworkInterfaces,
        Source::SecurityGroups,
    ],
    helps: &[
        Source::Logs,
        Source::Events,
        Source::Cluster,
        Source::PrefixLists,
    ],
    signals: &["call-timeout", "port-denied", "address-not-allowed"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let scans = logs_and_events(cx, &set);
    let known = callees(cx);
    let mut called: BTreeMap<String, Called<'_>> = failures(cx, &scans, &set, &known);
    let judge = Judge::new(cx);
    if let (Ok(known), Ok(judge)) = (&known, &judge) {
        for callee in known {
            let judged = judge.judge(callee);
            let one = called.entry(callee.name.clone()).or_default();
            one.callee = Some(callee.clone());
            one.judged = Some(judged);
        }
    }
    let findings: Vec<Finding> = called
        .iter()
        .filter(|(_, one)| one.is_bad())
        .map(|(name, one)| finding(cx, name, one))
        .collect();
    if !findings.is_empty() {
        return Ok(findings);
    }
    let known = known?;
    if known.is_empty() {
        return Err(Stop::not_applicable(
            "no webhook and no aggregated API is answered by a Service of the cluster",
        ));
    }
    judge?;
    let open: Vec<&str> = called
        .iter()
        .filter(|(_, one)| matches!(&one.judged, Some(Judged::Unknown)))
        .map(|(name, _)| name.as_str())
        .collect();
    if !open.is_empty() {
        return Err(Stop::unknown(Gap::new(
            Source::SecurityGroups,
            Why::Failed,
            format!(
                "what may pass to the pods behind {} hangs on interfaces or rules that were not read",
                open.join(", ")
            ),
        )));
    }
    Ok(findings)
}

impl Called<'_> {
    /// Rules that are known to admit the call leave another cause for a timeout.
    fn is_bad(&self) -> bool {
        match &self.judged {
            Some(Judged::Denied(_)) => true,
            Some(Judged::Allowed) => self.not_allowed,
            Some(Judged::Unknown | Judged::NoBackend) | None => {
                !self.said.is_empty() || !self.facts.is_empty()
            }
        }
    }

    fn denied(&self) -> Option<&backends::Denied> {
        match &self.judged {
            Some(Judged::Denied(denied)) => Some(denied),
            _ => None,
        }
    }
}

fn finding(cx: &Cx<'_>, name: &str, one: &Called<'_>) -> Finding {
    let denied = one.denied();
    let port = denied.map(|denied| denied.port).or(one.port);
    let on = port.map_or_else(String::new, |port| format!(" on port {port}"));
    let is_now = !one.facts.is_empty() || one.said.iter().any(|said| !said.is_past(cx.now()));
    let vital = one.callee.as_ref().is_some_and(Callee::is_vital);
    let severity = match (is_now, one.said.is_empty()) {
        (true, _) if vital => Severity::Critical,
        (true, _) | (_, true) => Severity::Error,
        _ => Severity::Warning,
    };
    let kind = if one.is_api { "API" } else { "Webhook" };
    let mut finding = META
        .finding(
            severity,
            format!("{kind} {name}{on} cannot be reached from the control plane"),
        )
        .confidence(if denied.is_some() {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        })
        .detail(if one.not_allowed {
            "EKS refuses the address: the pod's address is none of the VPC. Pods of an overlay network cannot be called by the control plane; the webhook has to run on its node's network."
        } else if denied.is_some() {
            "No security group rule admits the control plane's interfaces to the port that the pods listen on. Every call waits for its timeout and fails."
        } else {
            "The API server's calls end without an answer, not with a refusal: the port that the pods listen on, not the Service's 443, has to be open from the cluster security group to the nodes."
        })
        .subject(Subject::new(SubjectKind::Other, name));
    for said in one.said.iter().take(3) {
        finding = finding.fact(said.fact("failed call"));
    }
    finding = finding.facts(one.facts.iter().cloned());
    if let Some(denied) = denied {
        finding = finding.signal("port-denied").fact(
            Fact::new(
                Source::SecurityGroups,
                denied.groups.join(", "),
                format!("{} tcp {}", denied.side.name(), denied.port),
                format!("no rule admits {}", denied.peer),
            )
            .expected("admitted"),
        );
    }
    if !one.said.is_empty() || !one.facts.is_empty() {
        finding = finding.signal(if one.not_allowed {
            "address-not-allowed"
        } else {
            "call-timeout"
        });
    }
    let service = one.service();
    finding = match &service {
        Some((namespace, service)) => finding.confirm(format!(
            "kubectl -n {namespace} get endpointslices -l kubernetes.io/service-name={service} -o wide   # the pods' own port"
        )),
        None if one.is_api => finding.confirm(format!("kubectl get apiservice {name} -o yaml")),
        None => finding.confirm(format!(
            "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o yaml | grep -A12 'name: {name}'"
        )),
    };
    let port = port.map_or_else(|| "PORT".to_owned(), |port| port.to_string());
    if one.not_allowed {
        let namespace = service.map_or_else(|| "NAMESPACE".to_owned(), |(namespace, _)| namespace);
        return finding.fix(format!(
            "kubectl -n {namespace} patch deployment WEBHOOK --type merge -p '{{\"spec\":{{\"template\":{{\"spec\":{{\"hostNetwork\":true}}}}}}}}'"
        ));
    }
    finding.fix(rule(cx, denied, &port))
}

/// The rule that is missing, with the cluster's own groups as far as they are known.
fn rule(cx: &Cx<'_>, denied: Option<&backends::Denied>, port: &str) -> String {
    let cluster = cx
        .eks_cluster()
        .optional()
        .map(|cluster| {
            cluster
                .resources_vpc_config
                .cluster_security_group_id
                .as_str()
        })
        .filter(|id| !id.is_empty())
        .or_else(|| denied.and_then(|denied| denied.caller.first().map(String::as_str)))
        .unwrap_or("CLUSTER_SG");
    match denied {
        Some(denied) if denied.side == eksnet_model::path::Side::Egress => format!(
            "aws ec2 authorize-security-group-egress --group-id {cluster} --ip-permissions IpProtocol=tcp,FromPort={port},ToPort={port},UserIdGroupPairs=[{{GroupId={}}}]",
            denied.server.first().map_or("NODE_SG", String::as_str)
        ),
        _ => format!(
            "aws ec2 authorize-security-group-ingress --group-id {} --protocol tcp --port {port} --source-group {cluster}",
            denied
                .and_then(|denied| denied.server.first().map(String::as_str))
                .unwrap_or("NODE_SG")
        ),
    }
}
