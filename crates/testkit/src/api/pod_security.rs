//! Pod Security admission: the baseline and restricted levels, as
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/> defines them (read
//! November 2026), with the wording of the built-in admission plugin.

use serde_json::Value;

/// Why the namespace's `enforce` level refuses the pod; `None` when it does not.
pub(crate) fn violation(namespace: &Value, pod: &Value) -> Option<String> {
    let label = |key: &str| {
        namespace["metadata"]["labels"][format!("pod-security.kubernetes.io/{key}")].as_str()
    };
    let level = label("enforce")?;
    if !matches!(level, "baseline" | "restricted") {
        return None;
    }
    let version = label("enforce-version").unwrap_or("latest");
    let found = violations(level == "restricted", pod);
    if found.is_empty() {
        return None;
    }
    Some(format!(
        "violates PodSecurity \"{level}:{version}\": {}",
        found.join(", ")
    ))
}

/// Capabilities that baseline lets a container add.
const HARMLESS: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Volume types that restricted allows.
const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

fn violations(restricted: bool, pod: &Value) -> Vec<String> {
    let spec = &pod["spec"];
    let mut found = Vec::new();
    let mut each = |title: &str, must: &str, bad: &dyn Fn(&Value) -> bool| {
        let names: Vec<String> = containers(spec)
            .filter(|container| bad(container))
            .map(|container| format!("{:?}", container["name"].as_str().unwrap_or_default()))
            .collect();
        if !names.is_empty() {
            let noun = if names.len() == 1 {
                "container"
            } else {
                "containers"
            };
            found.push(format!("{title} ({noun} {} {must})", names.join(", ")));
        }
    };
    each(
        "privileged",
        "must not set securityContext.privileged=true",
        &|c| c["securityContext"]["privileged"] == true,
    );
    let added = |c: &Value, fine: &[&str]| {
        list(&c["securityContext"]["capabilities"]["add"])
            .any(|name| !fine.contains(&name.as_str().unwrap_or_default()))
    };
    if !restricted {
        each(
            "non-default capabilities",
            "must not include such in securityContext.capabilities.add",
            &|c| added(c, HARMLESS),
        );
    }
    each("hostPort", "uses hostPorts", &|c| {
        list(&c["ports"]).any(|port| port["hostPort"].as_u64().unwrap_or(0) != 0)
    });
    if restricted {
        each(
            "allowPrivilegeEscalation != false",
            "must set securityContext.allowPrivilegeEscalation=false",
            &|c| c["securityContext"]["allowPrivilegeEscalation"] != false,
        );
        each(
            "unrestricted capabilities",
            "must set securityContext.capabilities.drop=[\"ALL\"]",
            &|c| {
                !list(&c["securityContext"]["capabilities"]["drop"]).any(|name| name == "ALL")
                    || added(c, &["NET_BIND_SERVICE"])
            },
        );
        let of_pod = &spec["securityContext"];
        each(
            "runAsNonRoot != true",
            "must set securityContext.runAsNonRoot=true",
            &|c| inherited(c, of_pod, "runAsNonRoot") != true,
        );
        each("runAsUser=0", "must not set runAsUser=0", &|c| {
            inherited(c, of_pod, "runAsUser") == 0
        });
        each(
            "seccompProfile",
            "must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            &|c| {
                let profile = inherited(c, of_pod, "seccompProfile");
                !matches!(
                    profile["type"].as_str(),
                    Some("RuntimeDefault" | "Localhost")
                )
            },
        );
    }
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec[key] == true {
            found.push(format!("host namespaces ({key}=true)"));
        }
    }
    for volume in list(&spec["volumes"]) {
        let name = volume["name"].as_str().unwrap_or_default();
        if !volume["hostPath"].is_null() {
            found.push(format!("hostPath volumes (volume {name:?})"));
        }
        let kind = volume
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str());
        let other = kind
            .into_iter()
            .find(|key| *key != "name" && !VOLUMES.contains(key));
        if let Some(kind) = other.filter(|_| restricted) {
            found.push(format!(
                "restricted volume types (volume {name:?} uses restricted volume type {kind:?})"
            ));
        }
    }
    found
}

/// What the container says, else what the pod says.
fn inherited<'a>(container: &'a Value, of_pod: &'a Value, key: &str) -> &'a Value {
    match &container["securityContext"][key] {
        Value::Null => &of_pod[key],
        own => own,
    }
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|key| list(&spec[key]))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn namespace(level: &str) -> Value {
        json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}})
    }

    fn tight() -> Value {
        json!({"spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "a", "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
            }}],
        }})
    }

    #[test]
    fn a_pod_that_drops_everything_passes_restricted() {
        assert_eq!(violation(&namespace("restricted"), &tight()), None);
    }

    #[test]
    fn what_restricted_misses_is_named_with_its_container() {
        let mut pod = tight();
        pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = Value::Null;
        let why = violation(&namespace("restricted"), &pod);
        assert_eq!(
            why.as_deref(),
            Some(
                "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"a\" must set securityContext.allowPrivilegeEscalation=false)"
            )
        );
        assert_eq!(violation(&namespace("baseline"), &pod), None);
        for (path, value) in [
            ("/spec/securityContext/runAsNonRoot", json!(false)),
            ("/spec/securityContext/seccompProfile", json!(null)),
            ("/spec/containers/0/securityContext/capabilities", json!({})),
        ] {
            let mut pod = tight();
            if let Some(place) = pod.pointer_mut(path) {
                *place = value;
            }
            assert!(
                violation(&namespace("restricted"), &pod).is_some(),
                "{path}"
            );
        }
    }

    #[test]
    fn host_access_violates_baseline_too() {
        let mut pod = tight();
        pod["spec"]["hostNetwork"] = json!(true);
        assert!(violation(&namespace("baseline"), &pod).is_some());
        assert_eq!(violation(&namespace("privileged"), &pod), None);
    }
}
