//! Which component wrote a line: from what its own code puts into its lines, or, for want of that,
//! from the name of the file.

use std::collections::HashMap;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use eksnet_model::Component;

use crate::line::level;
use crate::stamp::Record;

/// Names of Go source files, as klog prints them, that only one component has. Sources: the
/// repositories of kubernetes/autoscaler (`cluster-autoscaler/`) and of kubernetes/kubernetes
/// (`pkg/kubelet`, `pkg/proxy`).
const SOURCE_FILES: [(&[&str], Component); 3] = [
    (
        &[
            "actuator.go",
            "auto_scaling.go",
            "auto_scaling_groups.go",
            "aws_cloud_provider.go",
            "aws_manager.go",
            "aws_util.go",
            "aws_wrapper.go",
            "clusterstate.go",
            "delete_in_batch.go",
            "eligibility.go",
            "executor.go",
            "filter_out_schedulable.go",
            "klogx.go",
            "legacy.go",
            "managed_nodegroup_cache.go",
            "mixed_nodeinfos_processor.go",
            "orchestrator.go",
            "planner.go",
            "pre_filtering_processor.go",
            "scale_down.go",
            "scale_up.go",
            "static_autoscaler.go",
            "waste.go",
        ],
        Component::ClusterAutoscaler,
    ),
    (
        &[
            "conntrack.go",
            "endpointslicecache.go",
            "ipset.go",
            "proxier.go",
            "proxier_health.go",
            "server_linux.go",
            "server_others.go",
            "service_health.go",
            "servicechangetracker.go",
        ],
        Component::KubeProxy,
    ),
    (
        &[
            "desired_state_of_world_populator.go",
            "eviction_manager.go",
            "kubelet.go",
            "kubelet_network.go",
            "kubelet_node_status.go",
            "kubelet_pods.go",
            "kubelet_volumes.go",
            "kuberuntime_container.go",
            "kuberuntime_manager.go",
            "kuberuntime_sandbox.go",
            "nestedpendingoperations.go",
            "pleg.go",
            "pod_container_deletor.go",
            "pod_startup_latency_tracker.go",
            "pod_workers.go",
            "prober.go",
            "reconciler_common.go",
            "remote_runtime.go",
            "setters.go",
            "status_manager.go",
            "volume_manager.go",
        ],
        Component::Kubelet,
    ),
];

/// Packages in front of a zap record's `caller`, of amazon-vpc-cni-k8s.
const CALLERS: [(&str, Component); 12] = [
    ("ipamd/", Component::Ipamd),
    ("datastore/", Component::Ipamd),
    ("awsutils/", Component::Ipamd),
    ("aws-k8s-agent/", Component::Ipamd),
    ("k8sapi/", Component::Ipamd),
    ("networkutils/", Component::Ipamd),
    ("rpc/", Component::Ipamd),
    ("eniconfig/", Component::Ipamd),
    ("entrypoint.sh", Component::AwsNode),
    ("aws-vpc-cni/", Component::AwsNode),
    ("routed-eni-cni-plugin/", Component::CniPlugin),
    ("driver/", Component::CniPlugin),
];

/// The component that a line speaks for by what only its code writes. `has_words` tells whether the line holds
/// any of [`WORDS`], as [`words_in`] finds them in a whole text at once.
pub(crate) fn of_line(
    text: &str,
    record: Option<&Record<'_>>,
    has_words: bool,
) -> Option<Component> {
    let by_form = if let Some(record) = record {
        of_record(record)
    } else if let Some(message) = level(text) {
        of_bracketed(message.trim_start())
    } else {
        klog_file(text).and_then(of_source_file)
    };
    by_form.or_else(|| has_words.then(|| of_words(text)).flatten())
}

fn of_source_file(file: &str) -> Option<Component> {
    static BY_NAME: LazyLock<HashMap<&str, Component>> = LazyLock::new(|| {
        let names = SOURCE_FILES
            .iter()
            .flat_map(|(files, component)| files.iter().map(move |file| (*file, *component)));
        names.collect()
    });
    BY_NAME.get(file).copied()
}

fn of_record(record: &Record<'_>) -> Option<Component> {
    fn field<'r>(field: &'r Option<std::borrow::Cow<'_, str>>) -> &'r str {
        field.as_deref().unwrap_or_default()
    }
    let (caller, logger) = (field(&record.caller), field(&record.logger));
    if let Some((_, component)) = CALLERS.iter().find(|(start, _)| caller.starts_with(start)) {
        return Some(*component);
    }
    // klog's JSON format names the bare file.
    if let Some(component) = caller
        .split(':')
        .next()
        .and_then(|file| of_source_file(file.rsplit('/').next()?))
    {
        return Some(component);
    }
    let (group, kind) = (field(&record.group), field(&record.kind));
    let controller = field(&record.controller);
    if group.contains("elbv2.k8s.aws")
        || kind == "TargetGroupBinding"
        || [logger, controller]
            .iter()
            .any(|name| name.ends_with("targetGroupBinding") || name.contains("backend-sg"))
        || matches!(controller, "ingress" | "service")
        || matches!(logger, "controllers.ingress" | "controllers.service")
    {
        return Some(Component::LoadBalancerController);
    }
    if group.contains("karpenter") || (logger.starts_with("controller") && record.commit.is_some())
    {
        return Some(Component::Karpenter);
    }
    matches!(logger, "ebpf-client" | "controllers.policyEndpoints")
        .then_some(Component::NetworkPolicyAgent)
}

/// What stands behind a level in brackets: CoreDNS names its plugins, ipamd of old has words of its own.
fn of_bracketed(message: &str) -> Option<Component> {
    const IPAMD: [&str; 5] = ["IP pool stats", "DataStore ", "ENI ", "IPAMD", "ipamd"];
    if message.starts_with("plugin/") || is_query(message) {
        Some(Component::CoreDns)
    } else if message.contains("nodelocaldns") || message.contains("iptables rule {raw") {
        Some(Component::NodeLocalDns)
    } else {
        IPAMD
            .iter()
            .any(|word| message.contains(word))
            .then_some(Component::Ipamd)
    }
}

/// CoreDNS's log of a query: `10.0.1.5:41234 - 3 "A IN name. udp 40 false 512" NOERROR ..`.
fn is_query(message: &str) -> bool {
    message
        .split_once(" - ")
        .is_some_and(|(from, rest)| from.contains(':') && rest.contains(" IN "))
}

/// Words that only one component writes, in any format; the first that stands in a line counts.
const WORDS: [(&str, Component); 19] = [
    ("CoreDNS-1.", Component::CoreDns),
    ("[ERROR] plugin/", Component::CoreDns),
    ("ERROR] plugin/", Component::CoreDns),
    ("IPAM daemon", Component::AwsNode),
    ("IPAM connectivity", Component::AwsNode),
    ("CNI plugin binary", Component::AwsNode),
    ("/host/opt/cni/bin/", Component::AwsNode),
    ("alb-ingress-controller", Component::LoadBalancerController),
    ("elbv2.k8s.aws", Component::LoadBalancerController),
    ("karpenter.sh", Component::Karpenter),
    ("karpenter.k8s.aws", Component::Karpenter),
    (":coredns\"", Component::CoreDns),
    (":aws-node\"", Component::AwsNode),
    (":cluster-autoscaler\"", Component::ClusterAutoscaler),
    (":karpenter\"", Component::Karpenter),
    (":external-dns\"", Component::ExternalDns),
    (":ebs-csi-controller-sa\"", Component::EbsCsi),
    (
        ":aws-load-balancer-controller\"",
        Component::LoadBalancerController,
    ),
    ("User \"system:kube-proxy\"", Component::KubeProxy),
];

/// All of [`WORDS`] at once. Leftmost-first, because that is searched with vector instructions.
static FINDER: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostFirst)
        .build(WORDS.iter().map(|(word, _)| word))
        .ok()
});

/// Where words stand in a text that only one component writes, in bytes from its start.
pub(crate) fn words_in(text: &str) -> Vec<usize> {
    FINDER.as_ref().map_or_else(Vec::new, |finder| {
        finder.find_iter(text).map(|found| found.start()).collect()
    })
}

fn of_words(text: &str) -> Option<Component> {
    let finder = FINDER.as_ref()?;
    let mut first: Option<usize> = None;
    for found in finder.find_iter(text) {
        let index = found.pattern().as_usize();
        // Names of service accounts count where a program says who it is.
        let counts =
            !WORDS[index].0.starts_with(':') || text.contains("User \"system:serviceaccount:");
        if counts {
            first = Some(first.map_or(index, |known| known.min(index)));
        }
    }
    first.map(|index| WORDS[index].1)
}

/// The source file in klog's head: `E1019 06:00:10.278115       1 aws_manager.go:259] ..`.
fn klog_file(text: &str) -> Option<&str> {
    if !crate::stamp::is_klog(text) {
        return None;
    }
    let (file, _) = text.get(21..)?.split_once(']')?.0.rsplit_once(':')?;
    file.split_whitespace().next_back()
}

/// The component behind a name: that of a file, a pod, a container or a program.
pub(crate) fn of_name(name: &str) -> Option<Component> {
    const NAMES: [(&str, Component); 20] = [
        ("autoscaler", Component::ClusterAutoscaler),
        ("nodelocal", Component::NodeLocalDns),
        ("node-local-dns", Component::NodeLocalDns),
        ("coredns", Component::CoreDns),
        ("core-dns", Component::CoreDns),
        ("kube-dns", Component::CoreDns),
        ("external-dns", Component::ExternalDns),
        ("network-policy-agent", Component::NetworkPolicyAgent),
        ("network-policy", Component::NetworkPolicyAgent),
        ("nodeagent", Component::NetworkPolicyAgent),
        ("ipamd", Component::Ipamd),
        ("cni-plugin", Component::CniPlugin),
        ("aws-node", Component::AwsNode),
        ("kube-proxy", Component::KubeProxy),
        ("kubeproxy", Component::KubeProxy),
        ("karpenter", Component::Karpenter),
        (
            "load-balancer-controller",
            Component::LoadBalancerController,
        ),
        ("alb-ingress-controller", Component::LoadBalancerController),
        ("pod-identity", Component::PodIdentityAgent),
        ("kubelet", Component::Kubelet),
    ];
    let lower = name.to_ascii_lowercase().replace('_', "-");
    if lower.contains("ebs-csi") {
        return Some(Component::EbsCsi);
    }
    if lower == "plugin.log" || lower.ends_with("/plugin.log") {
        return Some(Component::CniPlugin);
    }
    // Two kinds of autoscaler have nothing to do with nodes.
    if ["horizontal", "vertical", "dns-autoscaler", "proportional"]
        .iter()
        .any(|other| lower.contains(other))
    {
        return None;
    }
    NAMES
        .iter()
        .find(|(word, _)| lower.contains(word))
        .map(|(_, component)| *component)
}

/// The component that a path suggests: its file before its folders.
pub(crate) fn of_path(path: &str) -> Option<Component> {
    let file = path.rsplit('/').next().unwrap_or(path);
    of_name(file).or_else(|| of_name(path))
}

/// The component behind the program that the journal names.
pub(crate) fn of_program(program: &str) -> Option<Component> {
    match program {
        "kubelet" => Some(Component::Kubelet),
        "kube-proxy" => Some(Component::KubeProxy),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Component> {
        of_line(text, Record::read(text).as_ref(), true)
    }

    #[test]
    fn a_component_is_known_by_what_only_its_code_writes() {
        let cases = [
            (
                "E1019 06:00:10.278115       1 aws_manager.go:259] Failed to regenerate ASG cache: x",
                Component::ClusterAutoscaler,
            ),
            (
                "E0311 07:12:44.801122       1 proxier.go:1564] \"Failed to execute iptables-restore\"",
                Component::KubeProxy,
            ),
            (
                "E0312 08:14:02.113345    4021 kubelet.go:2412] \"Skipping pod synchronization\"",
                Component::Kubelet,
            ),
            (
                "[ERROR] plugin/errors: 2 a.example. A: read udp 10.0.1.20:4->10.0.0.2:53: i/o timeout",
                Component::CoreDns,
            ),
            (
                "[INFO] 10.0.1.5:41234 - 3 \"A IN a.example. udp 40 false 512\" NOERROR qr,rd,ra 98 0.002s",
                Component::CoreDns,
            ),
            (
                r#"{"level":"debug","ts":"2026-06-28T18:06:27.827Z","caller":"ipamd/ipamd.go:476","msg":"x"}"#,
                Component::Ipamd,
            ),
            (
                r#"{"level":"error","caller":"routed-eni-cni-plugin/cni.go:192","msg":"x"}"#,
                Component::CniPlugin,
            ),
            (
                r#"{"level":"info","ts":"2026-02-04T22:24:57.022Z","caller":"entrypoint.sh","msg":"x"}"#,
                Component::AwsNode,
            ),
            (
                r#"{"level":"ERROR","time":"2026-02-04T22:24:57.022Z","logger":"controller","message":"x","commit":"abc"}"#,
                Component::Karpenter,
            ),
            (
                r#"{"level":"error","ts":1616152638.9,"logger":"controller","msg":"Reconciler error","reconcilerGroup":"elbv2.k8s.aws","reconcilerKind":"TargetGroupBinding"}"#,
                Component::LoadBalancerController,
            ),
            (
                "time=\"2026-05-25T16:20:47Z\" level=info msg=\"Checking for IPAM connectivity... \"",
                Component::AwsNode,
            ),
            (
                "[INFO] DataStore has no available IP addresses",
                Component::Ipamd,
            ),
        ];
        for (text, component) in cases {
            assert_eq!(of(text), Some(component), "{text}");
        }
    }

    #[test]
    fn files_that_every_go_program_has_say_nothing() {
        for text in [
            "E0227 16:09:35.340376       1 reflector.go:148] factory.go:150: Failed to watch *v1.EndpointSlice: Unauthorized",
            "I0227 16:09:35.340376       1 leaderelection.go:248] attempting to acquire leader lease",
            "hello",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        let named = "E0904 05:18:18.317192       1 reflector.go:123] x is forbidden: User \"system:serviceaccount:kube-system:cluster-autoscaler\" cannot list";
        assert_eq!(of(named), Some(Component::ClusterAutoscaler));
    }

    #[test]
    fn names_are_hints() {
        assert_eq!(of_name("01-coredns.log"), Some(Component::CoreDns));
        assert_eq!(
            of_name("cluster_autoscaler.txt"),
            Some(Component::ClusterAutoscaler)
        );
        assert_eq!(of_name("dns-autoscaler-7b-x"), None);
        assert_eq!(of_name("notes.txt"), None);
    }
}
