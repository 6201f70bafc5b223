//! Where the answer for a name gets lost, and what to do about it.

use eksnet_model::endpoints::zone_in;
use eksnet_model::kubernetes::Pod;
use eksnet_model::{Cx, Finding, Resolution};
use eksnet_probe::DnsOutcome;

use super::way_out::WayOut;
use super::{Host, says};

impl Host<'_> {
    /// Where the answer gets lost, and what to do about it.
    pub(super) fn explained(
        &self,
        cx: &Cx<'_>,
        host: &str,
        finding: Finding,
        way_out: &WayOut<'_>,
        resolves_now: bool,
        past: bool,
    ) -> Finding {
        let mut finding = finding;
        for log in self
            .logs
            .iter()
            .filter(|log| !log.scan.pod.is_empty())
            .take(1)
        {
            finding = finding.confirm(format!(
                "kubectl -n {} logs {} | grep {host}",
                log.scan.namespace, log.scan.pod
            ));
        }
        finding = finding.confirm("kubectl eksnet doctor --only dns,endpoints");
        if let Some(zone) = zone_in(host) {
            let region = zone.trim_end_matches(|c: char| c.is_ascii_lowercase());
            return finding
                .signal("zone-as-region")
                .detail(format!(
                    "The name holds the zone {zone} where a region belongs; no such name exists."
                ))
                .fix(format!(
                    "Set AWS_REGION={region} on the workload instead of {zone}"
                ));
        }
        let resolver =
            |test: fn(&Resolution) -> bool| self.resolver.iter().any(|(_, found)| test(found));
        if resolver(Resolution::resolved) && !resolves_now {
            finding
                .signal("resolver-ok")
                .detail("The VPC resolver has the answer, so the name exists and the way out works: cluster DNS, or the way to it, loses it.")
                .fix("kubectl eksnet doctor --only dns,kube-proxy,net/sg-node-dns,isolation   # the fault in cluster DNS that it names is the one to mend")
        } else if resolver(|found| {
            found.failed_with(DnsOutcome::Nxdomain) || found.failed_with(DnsOutcome::Nodata)
        }) {
            let vpc = cx.topology().vpc_id().unwrap_or("VPC_ID");
            let region = cx.cluster().region.as_deref().unwrap_or("REGION");
            finding
                .signal("resolver-nxdomain")
                .detail("The VPC resolver itself says that the name does not exist: a private hosted zone of the VPC covers it without a record for it.")
                .fix(format!("aws route53 list-hosted-zones-by-vpc --vpc-id {vpc} --vpc-region {region}"))
                .fix(format!("Add a record for {host} to the zone that covers it, or take the VPC out of the zone"))
        } else if resolver(|found| found.failed_with(DnsOutcome::Timeout)) {
            finding
                .signal("resolver-dead")
                .detail("The VPC resolver does not answer either: what CoreDNS forwards to is out of reach.")
                .fix("kubectl eksnet doctor --only dns/vpc-resolver-unreachable,net/vpc-dns-attributes,isolation")
        } else if resolves_now && !past {
            finding
                .detail("A probe on the same node resolves it now. Either it just healed, or packets of this workload are treated unlike the probe's: its NetworkPolicies, its security groups.")
                .fix(self.as_workload(cx))
        } else if resolves_now || past {
            finding
                .detail("The log goes on without the failure. It was cut off from DNS for that time.")
                .fix("Nothing to mend now; the times above are when to look for a change of nodes, CoreDNS or security groups")
        } else if self.logs.iter().any(|log| says(log, "no such host")) {
            let vpc = cx.topology().vpc_id().unwrap_or("VPC_ID");
            let region = cx.cluster().region.as_deref().unwrap_or("REGION");
            finding
                .detail("A DNS server answered that the name does not exist. Left as causes: a private hosted zone of the VPC that covers it without a record, a forwarder that does not know AWS's names, or a wrong name.")
                .fix(format!("aws route53 list-hosted-zones-by-vpc --vpc-id {vpc} --vpc-region {region}"))
                .fix(self.as_workload(cx))
        } else if self.asks_node(cx) {
            finding
                .detail("The call died before it had an address to connect to. This pod asks its node's resolver, not cluster DNS. Left as causes: the VPC resolver, the VPC's DHCP options, or the node's own network.")
                .fix("kubectl eksnet doctor --only dns/vpc-resolver-unreachable,net,endpoints")
        } else {
            let causes = "The call died before it had an address to connect to. Left as causes: CoreDNS has no endpoints, its nodes do not admit the queries, kube-proxy lacks the Service, or its upstream fails.";
            finding
                .detail(match way_out.leaves() {
                    Some(leaves) => format!("{leaves} {causes}"),
                    None => causes.to_owned(),
                })
                .fix(self.as_workload(cx))
        }
    }

    /// Whether the program resolves names as its node does.
    fn asks_node(&self, cx: &Cx<'_>) -> bool {
        let mut pods = self
            .logs
            .iter()
            .filter_map(|log| cx.topology().pod_of_log(log.scan));
        pods.any(Pod::asks_node_resolver)
    }

    /// The run that decides between the causes that are left.
    fn as_workload(&self, cx: &Cx<'_>) -> String {
        let workload = self.logs.iter().map(|log| log.as_workload(cx.topology()));
        format!(
            "kubectl eksnet doctor --only dns,endpoints,kube-proxy{}",
            workload.max().unwrap_or_default()
        )
    }
}
