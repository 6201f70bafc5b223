//! What to do about a failure, by its tail.

use eksnet_model::{Cx, Finding};

use super::tail::{Failure, Tail};

pub(super) fn remedy(
    cx: &Cx<'_>,
    finding: Finding,
    (namespace, name): (&str, &str),
    failure: &Failure<'_>,
) -> Finding {
    let target = if failure.scan.pod.is_empty() {
        format!("deployment/{name}")
    } else {
        failure.scan.pod.to_string()
    };
    let previous = if failure.scan.previous {
        " --previous"
    } else {
        ""
    };
    let finding = finding.confirm(format!(
        "kubectl -n {namespace} logs {target}{previous} --since=10m | grep -A2 'Failed to {}'",
        failure.head
    ));
    let host = failure
        .hosts
        .iter()
        .next()
        .map_or("HOST", |host| host.as_str());
    match failure.tail {
        Tail::Dns => {
            let node = cx.topology().node_of_log(failure.scan);
            let pinned = node.map_or_else(String::new, |node| {
                format!(" --overrides='{{\"spec\":{{\"nodeName\":\"{node}\"}}}}'")
            });
            finding
                .confirm(format!(
                    "kubectl run dns-test --rm -it --restart=Never --image=busybox{pinned} -- nslookup {host}"
                ))
                .fix("kubectl eksnet doctor --only dns,endpoints,net/sg-node-dns   # mend what it names first")
                // It needs no name of the cluster: the API server is reached by address.
                .fix(format!(
                    "kubectl -n {namespace} patch deployment {name} -p '{{\"spec\":{{\"template\":{{\"spec\":{{\"dnsPolicy\":\"Default\"}}}}}}}}'   # until then: asks the VPC resolver, not CoreDNS"
                ))
        }
        Tail::Connect => finding
            .confirm(format!(
                "kubectl run tcp-test --rm -it --restart=Never --image=busybox -- nc -zvw5 {host} 443"
            ))
            .fix("kubectl eksnet doctor --only endpoints,net   # route, VPC endpoint or security group on the way"),
        Tail::X509 => finding.fix(format!(
            "kubectl -n {namespace} edit deployment {name}   # add {host} to NO_PROXY, or mount the proxy's CA and name it in AWS_CA_BUNDLE"
        )),
        Tail::WebIdentity => finding
            .fix("kubectl eksnet doctor --only iam   # OIDC provider, trust policy, audience or clock"),
        Tail::NoProviders => finding.fix(format!(
            "aws eks create-pod-identity-association --cluster-name {} --namespace {namespace} --service-account {} --role-arn ROLE_ARN",
            cx.cluster_name(),
            service_account(cx, failure, name)
        )),
        Tail::AccessDenied => {
            let action = failure.any("action").unwrap_or("ec2:DescribeInstanceTypes");
            finding.fix(format!(
                "aws iam put-role-policy --role-name {} --policy-name cluster-autoscaler-read --policy-document '{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":\"{action}\",\"Resource\":\"*\"}}]}}'",
                role(&failure.sample()).unwrap_or("ROLE")
            ))
        }
        Tail::Throttled => finding.fix(format!(
            "kubectl -n {namespace} edit deployment {name}   # --scan-interval=60s in place of 10s makes fewer calls"
        )),
        Tail::Region => finding.fix(format!(
            "kubectl -n {namespace} set env deployment/{name} AWS_REGION={}",
            cx.cluster().region.as_deref().unwrap_or("REGION")
        )),
        Tail::Unknown => finding.fix(format!(
            "kubectl -n {namespace} logs {target}{previous} | grep -A3 'Failed to {}'   # the end of the record names the cause",
            failure.head
        )),
    }
}

fn service_account<'a>(cx: &'a Cx<'_>, failure: &Failure<'_>, name: &'a str) -> &'a str {
    cx.topology()
        .pod_of_log(failure.scan)
        .map(|pod| pod.spec.service_account_name.as_str())
        .filter(|account| !account.is_empty())
        .unwrap_or(name)
}

/// The role in `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
fn role(record: &str) -> Option<&str> {
    let rest = record.split_once(":assumed-role/")?.1;
    rest.split('/').next().filter(|role| !role.is_empty())
}
