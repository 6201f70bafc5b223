//! How CoreDNS is brought back, by what keeps it from serving.

use eksnet_model::Finding;
use eksnet_model::kubernetes::Node;

use super::pods::{Missing, Why};
use super::{Lack, Seen};

impl Seen<'_> {
    /// The finding with commands that confirm and mend what was seen.
    pub(super) fn remedied(&self, finding: Finding) -> Finding {
        let mut finding = finding
            .confirm("kubectl -n kube-system get pods -l k8s-app=kube-dns -o wide")
            .confirm(
                "kubectl -n kube-system get endpointslices -l kubernetes.io/service-name=kube-dns",
            );
        let cluster = self.cx.cluster_name();
        match self.lack {
            Some(Lack::ScaledToZero) => {
                return finding.fix(format!(
                    "kubectl -n kube-system scale deployment {} --replicas=2",
                    self.deployment_name()
                ));
            }
            Some(Lack::NoPods) if self.deployment.is_some() => {
                return finding
                    .fix("kubectl -n kube-system describe replicasets -l k8s-app=kube-dns")
                    .fix("Remove what its Events name (quota, admission webhook): the pods follow by themselves");
            }
            Some(Lack::NoPods) => {
                return finding.fix(format!(
                    "aws eks create-addon --cluster-name {cluster} --addon-name coredns"
                ));
            }
            Some(Lack::Service) => {
                return finding.fix(format!(
                    "aws eks update-addon --cluster-name {cluster} --addon-name coredns --resolve-conflicts OVERWRITE"
                ));
            }
            Some(Lack::NotListed(_)) => {
                return finding
                    .confirm("kubectl -n kube-system get service kube-dns -o jsonpath='{.spec.selector}'")
                    .fix("Make the selector of Service kube-system/kube-dns match the labels of the CoreDNS pods");
            }
            Some(Lack::Unseen) => {
                return finding.fix(
                    "The state of the CoreDNS pods names the fix: kubectl -n kube-system describe pods -l k8s-app=kube-dns",
                );
            }
            None => {}
        }
        let mut done: Vec<&Why<'_>> = Vec::new();
        for one in &self.missing {
            if done.iter().any(|known| known.same(&one.why)) {
                continue;
            }
            done.push(&one.why);
            finding = self.remedied_of(finding, one);
        }
        finding
    }

    fn remedied_of(&self, finding: Finding, one: &Missing<'_>) -> Finding {
        let name = one.name();
        let deployment = self.deployment_name();
        let restart = format!("kubectl -n kube-system rollout restart deployment {deployment}");
        match &one.why {
            Why::DeadNode(node) => {
                let node = &node.metadata.name;
                let finding = finding.confirm(format!("kubectl describe node {node}"));
                if self.has_live_node() {
                    // New pods start beside the old ones, on nodes that are Ready.
                    finding.fix(restart)
                } else {
                    finding.fix(format!("Bring node {node} back: no node is Ready"))
                }
            }
            Why::Pending(_) if self.wants_ec2_on_fargate() => finding.fix(format!(
                "kubectl -n kube-system patch deployment {deployment} --type json -p '[{{\"op\":\"remove\",\"path\":\"/spec/template/metadata/annotations/eks.amazonaws.com~1compute-type\"}}]'"
            )).fix("A Fargate profile has to match namespace kube-system and label k8s-app=kube-dns"),
            Why::Pending(_) => finding
                .confirm(format!("kubectl -n kube-system describe pod {name}"))
                .fix("Add a node or free what the scheduler names: the pods start by themselves once one fits"),
            Why::Crash(_) => finding
                .confirm(format!("kubectl -n kube-system logs {name} --previous"))
                .fix(format!("Correct what the log names, then: {restart}")),
            Why::NotStarting(reason, _) => finding
                .confirm(format!("kubectl -n kube-system describe pod {name}"))
                .fix(format!(
                    "Remove what holds the container at {reason}; the Events of the pod name it"
                )),
            Why::Unready(_) => finding
                .confirm(format!("kubectl -n kube-system logs {name} --tail=50"))
                .fix(restart),
        }
    }

    fn deployment_name(&self) -> &str {
        self.deployment
            .map_or("coredns", |one| one.metadata.name.as_str())
    }

    fn has_live_node(&self) -> bool {
        let nodes = self.cx.nodes().optional();
        nodes.is_some_and(|nodes| {
            nodes
                .iter()
                .any(|node| node.is_ready() == Some(true) && !node.spec.unschedulable)
        })
    }

    /// Whether the pods ask for EC2 where all nodes are Fargate's (or there is none): what a new
    /// cluster with Fargate alone looks like.
    fn wants_ec2_on_fargate(&self) -> bool {
        let asks = self.deployment.is_some_and(|one| {
            let annotations = &one.spec.template.metadata.annotations;
            annotations
                .get("eks.amazonaws.com/compute-type")
                .map(String::as_str)
                == Some("ec2")
        });
        let nodes = self.cx.nodes().optional();
        asks && nodes.is_some_and(|nodes| nodes.iter().all(is_fargate))
    }
}

fn is_fargate(node: &Node) -> bool {
    node.compute_type() == Some("fargate")
}
