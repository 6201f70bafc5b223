//! What the symptoms of failed AWS calls have in common: where, who, and the line.

use eksnet_model::{
    Confidence, Cx, Fact, FailedCalls, Finding, LogScan, Place, Reach, Role, Severity, Source,
    Subject, SubjectKind,
};

/// The symptom `id` for calls towards one host, with the given title.
pub(super) fn symptom(cx: &Cx<'_>, id: &str, calls: &FailedCalls<'_>, title: String) -> Finding {
    let severity = if calls.is_past(cx.now()) {
        Severity::Warning
    } else {
        Severity::Error
    };
    let mut place = Place::default().towards(calls.host.clone());
    place.nodes.extend(calls.node.clone());
    place.workloads.extend(calls.workload.clone());
    let sample = calls
        .sample
        .map_or_else(String::new, |sample| format!(": {}", sample.text));
    let line = format!("{}{sample}", calls.times());
    Finding::new(id, Role::Symptom, severity, title)
        .confidence(Confidence::Confirmed)
        .subject(Subject::new(SubjectKind::Host, calls.host.clone()))
        .subject(caller(cx, calls.scan))
        .fact(Fact::new(Source::Logs, calls.scan.place(), "failed calls", line).at(calls.last))
        .at(place.clone())
        .reaches(place)
}

/// The program that wrote a log, as the workload that it is.
pub(super) fn caller(cx: &Cx<'_>, scan: &LogScan) -> Subject {
    let path = cx
        .topology()
        .pod_of_log(scan)
        .map(|pod| pod.workload_path());
    let parts: Vec<&str> = path.iter().flat_map(|path| path.splitn(3, '/')).collect();
    if let [namespace, kind, name] = parts[..] {
        let kind = match kind {
            "Deployment" => SubjectKind::Deployment,
            "DaemonSet" => SubjectKind::DaemonSet,
            "Pod" => SubjectKind::Pod,
            _ => SubjectKind::Other,
        };
        return Subject::namespaced(kind, namespace, name);
    }
    match cx.topology().workload_of_log(scan) {
        Some(workload) => Subject::new(SubjectKind::Other, workload),
        None => Subject::new(SubjectKind::Other, scan.place()),
    }
}

/// Adds a symptom, or its facts to the one that is there: several logs of one workload, its replicas
/// or the container before a restart, are one symptom.
pub(super) fn add(findings: &mut Vec<Finding>, finding: Finding) {
    match findings.iter_mut().find(|known| known.id == finding.id) {
        Some(known) => {
            known.facts.extend(finding.facts);
            known.signals.extend(finding.signals);
            known.at.nodes.extend(finding.at.nodes);
            known.severity = known.severity.max(finding.severity);
            known.reach = Reach::Within(known.at.clone());
        }
        None => findings.push(finding),
    }
}
