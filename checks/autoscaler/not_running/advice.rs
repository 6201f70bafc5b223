//! What to do about an autoscaler that does not work.

use eksnet_model::{Deployed, Finding};

use super::state::State;

pub(super) fn remedy(finding: Finding, one: &Deployed<'_>, state: &State<'_>) -> Finding {
    let (namespace, name) = (one.namespace, &one.name);
    let resource = one.resource();
    let pod = state.pod().map_or("POD", |pod| pod.metadata.name.as_str());
    let finding = finding.confirm(format!("kubectl -n {namespace} get {resource} -o wide"));
    match state {
        State::Works => finding
            .confirm(format!("kubectl -n {namespace} get lease -o wide"))
            .fix(format!("kubectl -n {namespace} rollout restart {resource}")),
        State::ScaledToZero => finding.fix(format!(
            "kubectl -n {namespace} scale deployment {name} --replicas=1"
        )),
        State::NoPods | State::Unseen => finding
            .confirm(format!("kubectl -n {namespace} describe {resource}"))
            .fix(format!(
                "kubectl -n {namespace} get events --field-selector reason=FailedCreate   # quota, admission or service account refuse the pod"
            )),
        State::DeadNode(_) => finding
            .confirm(format!("kubectl -n {namespace} get pod {pod} -o wide"))
            .fix(format!(
                "kubectl -n {namespace} delete pod {pod} --grace-period=0 --force"
            )),
        State::Pending(..) => finding
            .confirm(format!("kubectl -n {namespace} describe pod {pod}"))
            .fix(
                "Give it a node that it does not make itself: a managed node group with minSize 1, or a Fargate profile for its namespace",
            ),
        State::Crashes(..) => {
            let finding = finding.confirm(format!(
                "kubectl -n {namespace} logs {pod} --previous --tail=50"
            ));
            if state.is_oom() {
                finding.fix(format!(
                    "kubectl -n {namespace} set resources {resource} --limits=memory=1Gi --requests=memory=1Gi"
                ))
            } else {
                finding.fix(format!(
                    "kubectl -n {namespace} logs {pod} --previous | grep -E '^F|rror' | tail -5   # the last line names what it exits over"
                ))
            }
        }
        State::NotStarting(..) | State::Unready(_) => finding
            .confirm(format!("kubectl -n {namespace} describe pod {pod}"))
            .fix(format!("kubectl -n {namespace} rollout restart {resource}   # after mending what the Events name")),
    }
}
