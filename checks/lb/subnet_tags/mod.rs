//! `lb/subnet-tags`: the load balancer controller finds no subnet that it may use.

mod tags;

use std::sync::LazyLock;

use eksnet_model::{
    Check, Confidence, Cx, Finding, Meta, Role, Severity, SignatureSet, Source, Stop,
};

use crate::say::{self, Say};

const META: Meta = Meta {
    id: "lb/subnet-tags",
    title: "No subnet qualifies for the load balancer",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Subnets],
    helps: &[Source::Services, Source::Pods, Source::Logs, Source::Events],
    signals: &[
        "few-addresses",
        "same-zone",
        "one-zone",
        "no-subnet",
        "untagged",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

const SAYS: &[Say] = &[
    Say {
        signatures: &["lbc-few-addresses"],
        title: "Subnet {subnet} has too few free addresses for a load balancer",
        detail: "Elastic Load Balancing wants 8 free addresses in each subnet; subnets with fewer do not qualify.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "few-addresses",
        confirm: "aws ec2 describe-subnets --subnet-ids {subnet} --query 'Subnets[].AvailableIpAddressCount' --output text",
        fix: "Name subnets with room in the annotation alb.ingress.kubernetes.io/subnets, or tag them",
    },
    Say {
        signatures: &["lbc-same-zone"],
        title: "{who} names several subnets of one zone for its load balancer",
        detail: "A load balancer takes one subnet per zone. Subnets that are named by hand are taken as they are.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "same-zone",
        confirm: "aws ec2 describe-subnets --filters Name=tag-key,Values=kubernetes.io/role/elb,kubernetes.io/role/internal-elb --query 'Subnets[].[SubnetId,AvailabilityZone,AvailableIpAddressCount,Tags]' --output json",
        fix: "Leave one subnet per zone in the annotation alb.ingress.kubernetes.io/subnets or service.beta.kubernetes.io/aws-load-balancer-subnets",
    },
    Say {
        signatures: &["lbc-subnet-count"],
        title: "{who} gets no load balancer: fewer than two zones have a subnet that qualifies",
        detail: "An Application Load Balancer wants subnets of two zones. The controller takes subnets with the tag kubernetes.io/role/elb (internet-facing) or kubernetes.io/role/internal-elb (internal) that belong to no other cluster and have 8 free addresses. Fewer than two zones have one.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "one-zone",
        confirm: "aws ec2 describe-subnets --filters Name=tag-key,Values=kubernetes.io/role/elb,kubernetes.io/role/internal-elb --query 'Subnets[].[SubnetId,AvailabilityZone,AvailableIpAddressCount,Tags]' --output json",
        fix: "aws ec2 create-tags --resources SUBNET SUBNET --tags Key=kubernetes.io/role/elb,Value=1   # internal: kubernetes.io/role/internal-elb; or name them in the annotation alb.ingress.kubernetes.io/subnets",
    },
    Say {
        signatures: &["lbc-no-subnet", "lbc-no-subnet-old", "lbc-no-subnet-first"],
        title: "{who} gets no load balancer: no subnet qualifies",
        detail: "The controller takes subnets with the tag kubernetes.io/role/elb (internet-facing) or kubernetes.io/role/internal-elb (internal) that belong to no other cluster and have 8 free addresses. None does: no load balancer is made.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "no-subnet",
        confirm: "aws ec2 describe-subnets --filters Name=tag-key,Values=kubernetes.io/role/elb,kubernetes.io/role/internal-elb --query 'Subnets[].[SubnetId,AvailabilityZone,AvailableIpAddressCount,Tags]' --output json",
        fix: "aws ec2 create-tags --resources SUBNET SUBNET --tags Key=kubernetes.io/role/elb,Value=1   # internal: kubernetes.io/role/internal-elb; or name them in the annotation alb.ingress.kubernetes.io/subnets",
    },
    Say {
        signatures: &["ccm-no-subnet"],
        title: "{who} gets no load balancer: no subnet carries the tag of the cluster",
        detail: "The service controller of Kubernetes takes subnets with the tag kubernetes.io/cluster/{cluster}, and for internet-facing ones a route to an internet gateway.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "no-subnet",
        confirm: "aws ec2 describe-subnets --filters Name=tag-key,Values=kubernetes.io/cluster/{cluster} --query 'Subnets[].[SubnetId,AvailabilityZone]' --output table",
        fix: "aws ec2 create-tags --resources SUBNET SUBNET --tags Key=kubernetes.io/cluster/{cluster},Value=shared Key=kubernetes.io/role/elb,Value=1",
    },
];

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let said = say::findings(cx, &META, &SIGNATURES, "A Service or Ingress", SAYS, |_| {
        true
    });
    if !said.is_empty() {
        return Ok(said);
    }
    let subnets = cx.subnets().all()?;
    tags::judge(cx, subnets)
}
