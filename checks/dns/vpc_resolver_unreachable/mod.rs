//! `dns/vpc-resolver-unreachable`: the resolver of the VPC answers nobody.

use std::collections::BTreeSet;
use std::net::IpAddr;

use eksnet_model::aws::Vpc;
use eksnet_model::dns::vpc_resolvers;
use eksnet_model::{
    Check, ClusterDns, Confidence, Cx, Fact, Finding, Gap, Meta, Place, ProbePod, Reach, Role,
    Severity, Source, Stop, Subject, SubjectKind, Why,
};
use eksnet_probe::{DnsOutcome, TcpState, Transport};

/// Most nodes that are spelt out.
const MAX_NODES: usize = 4;

const META: Meta = Meta {
    id: "dns/vpc-resolver-unreachable",
    title: "The VPC resolver does not answer",
    severity: Severity::Critical,
    role: Role::Mechanism,
    needs: &[Source::Probes],
    helps: &[Source::Vpcs, Source::DhcpOptions, Source::Pods],
    signals: &["dns-support-off", "dns-support-on", "on-coredns-node"],
    signatures: "",
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let _ = cx.vpcs().optional();
    let vpc = cx.topology().vpc();
    if let Some(servers) = custom_servers(cx, vpc) {
        return Err(Stop::not_applicable(format!(
            "the DHCP options name {servers} in place of the VPC resolver"
        )));
    }
    let probes = cx.probes().some();
    let mut dead = Vec::new();
    let mut judged = 0;
    let mut gap = None;
    if let Ok(run) = &probes {
        for pod in &run.pods {
            match Answers::of(pod, vpc).judge(pod) {
                Judgement::Answers => judged += 1,
                Judgement::Dead => dead.push(pod),
                Judgement::NotKnown(why) => gap = gap.or(Some(why)),
            }
        }
    }
    let support = vpc.and_then(|vpc| vpc.enable_dns_support);
    if !dead.is_empty() || support == Some(false) {
        return Ok(vec![finding(cx, vpc, support, &dead)]);
    }
    probes?;
    match gap {
        Some(why) => Err(Stop::unknown(Gap::new(Source::Probes, Why::Sampled, why))),
        None if judged == 0 => Err(Stop::unknown(Gap::new(
            Source::Probes,
            Why::Sampled,
            "no probe asked the VPC resolver",
        ))),
        None => Ok(Vec::new()),
    }
}

/// The servers that DHCP names, where the VPC resolver is not among them: nodes and CoreDNS ask those.
fn custom_servers(cx: &Cx<'_>, vpc: Option<&Vpc>) -> Option<String> {
    let own = cx.dhcp_options().optional()?.iter().find(|options| {
        Some(options.dhcp_options_id.as_str()) == vpc.map(|vpc| vpc.dhcp_options_id.as_str())
    })?;
    let servers: Vec<&str> = own
        .dhcp_configurations
        .iter()
        .filter(|option| option.key == "domain-name-servers")
        .flat_map(|option| &option.values)
        .map(|value| value.value.as_str())
        .collect();
    let resolvers = vpc_resolvers(vpc);
    let is_resolver = |server: &&str| {
        *server == "AmazonProvidedDNS"
            || server
                .parse::<IpAddr>()
                .is_ok_and(|ip| resolvers.contains(&ip))
    };
    (!servers.is_empty() && !servers.iter().any(is_resolver)).then(|| servers.join(", "))
}

/// What one pod got from the two addresses of the resolver.
struct Answers {
    /// Link-local address: tries and answers; `None` when it was not asked.
    local: Option<(usize, usize)>,
    /// Third address of the VPC's primary block.
    plus_two: Option<(usize, usize)>,
    /// Whether anything at all was lost in another way than by silence.
    refused: bool,
}

enum Judgement {
    Answers,
    Dead,
    NotKnown(&'static str),
}

impl Answers {
    fn of(pod: &ProbePod, vpc: Option<&Vpc>) -> Self {
        let local = eksnet_model::dns::VPC_RESOLVER_V4;
        let local_v6 = eksnet_model::dns::VPC_RESOLVER_V6;
        let all = vpc_resolvers(vpc);
        let count = |servers: &[IpAddr]| {
            let mut sum: Option<(usize, usize)> = None;
            for answer in pod.dns().filter(|one| servers.contains(&one.server)) {
                let (answered, tries) = sum.unwrap_or_default();
                sum = Some((answered + answer.answered(), tries + answer.tries.len()));
            }
            sum
        };
        let others: Vec<IpAddr> = all
            .iter()
            .copied()
            .filter(|ip| *ip != local && *ip != local_v6)
            .collect();
        Self {
            local: count(&[local, local_v6]),
            plus_two: count(&others),
            refused: pod
                .dns()
                .filter(|one| all.contains(&one.server))
                .any(|one| one.count(DnsOutcome::ConnRefused) > 0),
        }
    }

    /// Dead is: silence from both addresses in every try, from a pod whose own network works.
    fn judge(&self, pod: &ProbePod) -> Judgement {
        let answered = |of: Option<(usize, usize)>| of.is_some_and(|(answered, _)| answered > 0);
        if answered(self.local) || answered(self.plus_two) {
            return Judgement::Answers;
        }
        match (self.local, self.plus_two) {
            (None, None) => return Judgement::NotKnown("a probe did not ask the VPC resolver"),
            (Some(_), Some(_)) => {}
            (None, Some(_)) | (Some(_), None) => {
                return Judgement::NotKnown(
                    "one of the resolver's two addresses is silent and the other one was not asked: the VPC's block is not known (ec2:DescribeVpcs)",
                );
            }
        }
        if self.refused {
            return Judgement::NotKnown(
                "the resolver's address refuses connections: something else listens there",
            );
        }
        if !pod.reached_anything() {
            return Judgement::NotKnown(
                "the VPC resolver is silent for a probe that reached nothing else either: that pod has no network",
            );
        }
        Judgement::Dead
    }
}

fn finding(cx: &Cx<'_>, vpc: Option<&Vpc>, support: Option<bool>, dead: &[&ProbePod]) -> Finding {
    let _ = cx.pods().optional();
    let coredns = ClusterDns::of(cx.topology()).nodes();
    let nodes: BTreeSet<&str> = dead.iter().map(|pod| pod.at.node.as_str()).collect();
    let on_coredns = nodes.iter().any(|node| coredns.contains(node));
    let at = Place::nodes(nodes.iter().copied());
    let id = vpc.map_or("VPC_ID", |vpc| vpc.vpc_id.as_str());
    let title = if dead.is_empty() {
        format!("VPC {id} has its resolver switched off (enableDnsSupport is false)")
    } else {
        let on: Vec<&str> = nodes.iter().copied().take(MAX_NODES).collect();
        let more = match nodes.len() - on.len() {
            0 => String::new(),
            more => format!(" and {more} more nodes"),
        };
        format!(
            "VPC resolver does not answer pods on {}{more}",
            on.join(", ")
        )
    };
    let everywhere = dead.is_empty() || on_coredns;
    let mut finding = META
        .finding(
            if everywhere {
                Severity::Critical
            } else {
                Severity::Error
            },
            title,
        )
        .confidence(if support == Some(false) && !dead.is_empty() {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        })
        .detail(if everywhere {
            "CoreDNS forwards every name outside of the cluster to it, so none of those resolves, for any pod."
        } else {
            "Pods that ask it directly get no answer there. CoreDNS's own nodes are not among those that were found."
        })
        .subject(Subject::new(SubjectKind::Vpc, id))
        .facts(dead.iter().take(MAX_NODES).map(|pod| fact_of(pod, vpc)))
        .at(at.clone());
    if !everywhere {
        finding.reach = Reach::Within(at);
    }
    if let Some(support) = support {
        let fact = Fact::new(Source::Vpcs, id, "enableDnsSupport", support.to_string());
        finding = finding.fact(if support { fact } else { fact.expected("true") });
        finding = finding.signal(if support {
            "dns-support-on"
        } else {
            "dns-support-off"
        });
    }
    if on_coredns {
        finding = finding.signal("on-coredns-node");
    }
    remedied(finding, id, support)
}

/// The two addresses beside what does answer.
fn fact_of(pod: &ProbePod, vpc: Option<&Vpc>) -> Fact {
    let all = vpc_resolvers(vpc);
    let asked: Vec<String> = pod
        .dns()
        .filter(|answer| all.contains(&answer.server))
        .take(MAX_NODES)
        .map(|answer| {
            let transport = match answer.transport {
                Transport::Udp => "udp",
                Transport::Tcp => "tcp",
            };
            format!("{} {transport} {}", answer.server, answer.score())
        })
        .collect();
    let open = pod.tcp().find_map(|(host, port, tcp)| {
        let open = tcp.tries.iter().any(|each| each.state == TcpState::Open);
        open.then(|| format!("; TCP to {host}:{port} opens"))
    });
    Fact::new(
        Source::Probes,
        format!("{} in namespace {}", pod.at.node, pod.at.namespace),
        "VPC resolver",
        format!("{}{}", asked.join(", "), open.unwrap_or_default()),
    )
    .expected("answers")
    .at(pod.at_time)
}

fn remedied(finding: Finding, vpc: &str, support: Option<bool>) -> Finding {
    let finding = finding.confirm(format!(
        "aws ec2 describe-vpc-attribute --vpc-id {vpc} --attribute enableDnsSupport"
    ));
    match support {
        Some(false) => finding.fix(format!(
            "aws ec2 modify-vpc-attribute --vpc-id {vpc} --enable-dns-support Value=true"
        )),
        _ => finding
            .confirm(format!(
                "aws route53resolver list-firewall-rule-group-associations --vpc-id {vpc}"
            ))
            .confirm("kubectl get networkpolicies -A")
            .fix("Security groups and network ACLs do not apply to this resolver. Left as causes: enableDnsSupport, a rule group of Resolver DNS Firewall, or a NetworkPolicy or strict-mode branch interface on the probe's own namespace")
            .fix("kubectl eksnet doctor --only dns,net/vpc-dns-attributes,isolation --probe-namespace NAMESPACE   # with a namespace that no NetworkPolicy selects, tells the last two from the first"),
    }
}
