//! Look-ups of AWS's names that died in an autoscaler.

use eksnet_model::{
    Component, Confidence, Cx, Deployed, Fact, Finding, Heard, Severity, Subject, SubjectKind,
};

use super::META;

/// Lines older than this, in seconds, are history.
const WINDOW_S: i64 = 3600;

pub(super) struct Lookups<'a> {
    /// Karpenter as it starts.
    starts: Vec<Heard<'a>>,
    /// Any call of an autoscaler.
    calls: Vec<Heard<'a>>,
}

impl<'a> Lookups<'a> {
    pub(super) fn of(cx: &'a Cx<'_>) -> Self {
        let of = |signature: &str| {
            let mut all = Heard::in_logs(cx, &[signature], WINDOW_S);
            all.retain(|said| {
                let by = said.scan.component;
                matches!(by, Component::Karpenter | Component::ClusterAutoscaler)
                    && !said.is_past(cx.now())
                    && said.values("server").all(is_cluster_dns)
            });
            all
        };
        Self {
            starts: of("karpenter-start-dns"),
            calls: of("autoscaler-lookup-dead"),
        }
    }

    /// The look-ups of this autoscaler, as proof.
    pub(super) fn facts_of(&self, cx: &Cx<'_>, scaler: &Deployed<'_>) -> Vec<Fact> {
        let own = |said: &&Heard<'_>| {
            let workload = cx.topology().workload_of_log(said.scan);
            said.scan.component == scaler.component
                && workload.is_none_or(|workload| workload == scaler.workload())
        };
        let all = self.starts.iter().chain(&self.calls).filter(own);
        all.take(2).map(|said| said.fact("lines")).collect()
    }

    /// What Karpenter's own start says where nothing shows that cluster DNS works.
    pub(super) fn alone(&self, cx: &Cx<'_>) -> Option<Finding> {
        let said = self.starts.first()?;
        // A CoreDNS that has a node waits for no autoscaler.
        let mut pods = cx.topology().pods_of(Component::CoreDns);
        if pods.any(|pod| !pod.spec.node_name.is_empty() && !pod.is_terminal()) {
            return None;
        }
        let policy = cx.topology().pods_of(Component::Karpenter).next();
        if policy.is_some_and(eksnet_model::kubernetes::Pod::asks_node_resolver) {
            return None;
        }
        let host = said.value("host").unwrap_or("AWS");
        Some(
            META.finding(
                Severity::Critical,
                format!("Karpenter cannot start: cluster DNS does not answer for {host}, and CoreDNS has no node before Karpenter makes one"),
            )
            .detail("With dnsPolicy ClusterFirst, the default of pods, Karpenter asks CoreDNS for the names of AWS. In a cluster whose nodes Karpenter makes CoreDNS has no place until it runs. With dnsPolicy Default it asks the VPC resolver.")
            .confidence(Confidence::Likely)
            .subject(Subject::new(SubjectKind::Other, "karpenter"))
            .facts(self.starts.iter().take(2).map(|said| said.fact("lines")))
            .signal("locked-by-log")
            .at(said.at(cx.topology()))
            .confirm("kubectl -n kube-system get pods -l k8s-app=kube-dns -o wide")
            .confirm("kubectl get deployments -A -l app.kubernetes.io/name=karpenter -o jsonpath='{.items[*].spec.template.spec.dnsPolicy}'")
            .fix("helm upgrade karpenter oci://public.ecr.aws/karpenter/karpenter --namespace kube-system --reuse-values --set dnsPolicy=Default")
            .fix("kubectl -n kube-system describe pods -l k8s-app=kube-dns   # or a small static group (or a Fargate profile) on which CoreDNS fits"),
        )
    }
}

/// Whether a server may be cluster DNS: its address ends in ten, which the VPC resolver's never does.
fn is_cluster_dns(server: &str) -> bool {
    let address = server
        .rsplit_once(':')
        .map_or(server, |(address, _)| address);
    let address = address.trim_matches(['[', ']']);
    address.ends_with(".10") || address.ends_with(":a") || address.starts_with("169.254.20.")
}
