//! What it means that one transport is dead, and what to do.

use eksnet_model::Finding;

use super::Dead;

pub(super) fn detail(dead: Dead, truncated: bool) -> &'static str {
    match dead {
        Dead::Udp => {
            "Programs ask over UDP first: names do not resolve there, though the DNS pods are well. A rule on the way admits TCP 53 alone: of a security group, a network ACL, or a NetworkPolicy, where a port without protocol is TCP."
        }
        Dead::Tcp if truncated => {
            "The answer over UDP did not fit a packet, and the same question over TCP gets nothing: names with many addresses fail, short answers work. A rule on the way admits UDP 53 alone: of a security group, a network ACL, or a NetworkPolicy."
        }
        Dead::Tcp => {
            "Answers that do not fit a packet fail, and so does NodeLocal DNSCache, which asks cluster DNS over TCP. A rule on the way admits UDP 53 alone: of a security group, a network ACL, or a NetworkPolicy."
        }
    }
}

pub(super) fn remedied(
    finding: Finding,
    dead: Dead,
    server: &str,
    domain: &str,
    pods: &[&str],
) -> Finding {
    let (option, protocol) = match dead {
        Dead::Udp => ("+notcp", "udp"),
        Dead::Tcp => ("+tcp", "tcp"),
    };
    let pods = if pods.is_empty() {
        "COREDNS_POD_IP".to_owned()
    } else {
        pods.join(",")
    };
    finding
        .confirm(format!(
            "kubectl -n NAMESPACE exec POD -- dig {option} +time=2 +tries=3 @{server} kubernetes.default.svc.{domain}"
        ))
        .confirm(format!(
            "aws ec2 describe-network-interfaces --filters Name=addresses.private-ip-address,Values={pods} --query 'NetworkInterfaces[].[NetworkInterfaceId,SubnetId,Groups]'"
        ))
        .confirm("kubectl get networkpolicies -A -o yaml")
        .fix(format!(
            "aws ec2 authorize-security-group-ingress --group-id SG_OF_COREDNS --ip-permissions 'IpProtocol={protocol},FromPort=53,ToPort=53,UserIdGroupPairs=[{{GroupId=SG_OF_CLIENTS}}]'   # where the group lacks it"
        ))
        .fix(format!(
            "In a NetworkPolicy, name port 53 twice, with protocol UDP and with protocol TCP; in a network ACL, admit {protocol} 53 one way and {protocol} 1024-65535 the other, in both subnets"
        ))
}
