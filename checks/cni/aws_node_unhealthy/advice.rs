//! How it reads and what to do.

use eksnet_model::kubernetes::Pod;
use eksnet_model::{Cx, Fact, Source, Text};

use super::reasons::Reason;
use super::{State, Trouble};

pub(super) fn title(trouble: &Trouble<'_>) -> String {
    let name = &trouble.name;
    let on = match trouble.node_name() {
        Some(node) => format!("aws-node on node {node}"),
        None => format!("aws-node ({name})"),
    };
    let what = match trouble.state {
        State::Missing => return format!("Node {name} has no aws-node pod"),
        State::NotReady => "is not ready".to_owned(),
        State::Restarting {
            times,
            last_minutes,
        } => {
            let last = last_minutes.map_or(String::new(), |m| format!(", the last {m} min ago"));
            format!("restarted {times} times{last}")
        }
        State::Told => "does not work".to_owned(),
    };
    match trouble.reasons.all.first() {
        Some(reason) => format!("{on} {what}: {}", reason.clause()),
        None => format!("{on} {what}"),
    }
}

pub(super) fn detail(trouble: &Trouble<'_>) -> &'static str {
    match trouble.state {
        State::Missing | State::NotReady | State::Told => {
            "Pods that start there wait in ContainerCreating; those that run keep their addresses."
        }
        State::Restarting { .. } => {
            "Pods that start or end while it is down wait for it, and addresses are given back late."
        }
    }
}

pub(super) fn pod_fact(pod: &Pod) -> Fact {
    let ready = pod.condition("Ready");
    let restarts: u32 = pod
        .status
        .container_statuses
        .iter()
        .map(|status| status.restart_count)
        .sum();
    let why = pod.trouble().map_or(String::new(), |(reason, message)| {
        format!(", {reason}: {message}")
    });
    Fact::new(
        Source::Pods,
        format!("Pod {}", pod.key()),
        "Ready",
        format!(
            "{} ({restarts} restarts{why})",
            ready.map_or("not set", |ready| &ready.status)
        ),
    )
    .expected("True")
    .at(ready.and_then(|ready| ready.last_transition_time))
}

pub(super) fn confirm(trouble: &Trouble<'_>) -> Vec<Text> {
    let mut commands: Vec<Text> = vec![match trouble.node_name() {
        Some(node) => format!(
            "kubectl -n kube-system get pods -l k8s-app=aws-node --field-selector spec.nodeName={node} -o wide"
        )
        .into(),
        None => "kubectl -n kube-system get pods -l k8s-app=aws-node -o wide".into(),
    }];
    if let Some(pod) = trouble.pod {
        commands.push(
            format!(
                "kubectl -n kube-system logs {} -c aws-node --previous",
                pod.metadata.name
            )
            .into(),
        );
        commands.push(format!("kubectl -n kube-system describe pod {}", pod.metadata.name).into());
    }
    commands
}

pub(super) fn fix(cx: &Cx<'_>, trouble: &Trouble<'_>) -> Vec<Text> {
    let restart = || match trouble.pod {
        Some(pod) => format!("kubectl -n kube-system delete pod {}", pod.metadata.name),
        None => "kubectl -n kube-system rollout restart daemonset/aws-node".to_owned(),
    };
    let pod = trouble.pod.map_or("AWS_NODE_POD", |pod| &pod.metadata.name);
    let Some(reason) = trouble.reasons.all.first() else {
        return vec![restart().into()];
    };
    let command = match reason {
        Reason::KubeletSilent => format!("kubectl describe node {}", trouble.name),
        Reason::ImagePull => {
            "Let the nodes reach the image's registry (ECR endpoints, node role), or correct the image".to_owned()
        }
        Reason::InitFailed => {
            format!("kubectl -n kube-system logs {pod} -c aws-vpc-cni-init --previous")
        }
        Reason::EnvInvalid => {
            "Correct the variable that the log names in the add-on's configuration or the DaemonSet".to_owned()
        }
        Reason::WarmPrefix => {
            "kubectl -n kube-system set env daemonset/aws-node WARM_PREFIX_TARGET=1".to_owned()
        }
        Reason::NoEniConfig => match trouble.node.and_then(|node| node.zone()) {
            Some(zone) => format!("Create an ENIConfig named {zone} with a subnet of that zone"),
            None => "Create an ENIConfig for each zone that has nodes".to_owned(),
        },
        Reason::MissingIam => format!(
            "aws iam attach-role-policy --policy-arn arn:{}:iam::aws:policy/AmazonEKS_CNI_Policy --role-name ROLE_OF_AWS_NODE",
            cx.cluster().partition.as_deref().unwrap_or("aws")
        ),
        Reason::ApiUnreachable => {
            "Open the way from the node to the API server (security groups, endpoint access, kube-proxy), then restart the pod".to_owned()
        }
        Reason::OomKilled => {
            "kubectl -n kube-system set resources daemonset/aws-node -c aws-node --limits=memory=512Mi".to_owned()
        }
        Reason::ProbeFailed | Reason::IpamdWait | Reason::SandboxIpamdDown => restart(),
    };
    vec![command.into()]
}
