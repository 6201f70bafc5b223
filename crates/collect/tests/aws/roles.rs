//! What IAM holds of the cluster's roles.

use std::collections::BTreeSet;

use eksnet_model::{Evidence, Snapshot, Source, Why};
use eksnet_testkit::{FakeAws, Moto, require};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::moto::build;
use crate::world::{hints, session};

/// A role with an inline and a managed policy, its instance profile, and two OIDC providers.
const BUILD: &str = r#"
import json, boto3
iam = boto3.client("iam")
trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]}
allow = lambda action: json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}})
role = iam.create_role(RoleName="nodes", Path="/eks/", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
iam.put_role_policy(RoleName="nodes", PolicyName="inline", PolicyDocument=allow("ec2:Describe*"))
managed = iam.create_policy(PolicyName="managed", PolicyDocument=allow("autoscaling:SetDesiredCapacity"))["Policy"]["Arn"]
iam.attach_role_policy(RoleName="nodes", PolicyArn=managed)
profile = iam.create_instance_profile(InstanceProfileName="nodes")["InstanceProfile"]["Arn"]
iam.add_role_to_instance_profile(InstanceProfileName="nodes", RoleName="nodes")
for issuer in ("ours", "other"):
    iam.create_open_id_connect_provider(Url="https://oidc.example/id/" + issuer, ClientIDList=["sts.amazonaws.com"], ThumbprintList=["0" * 40])
print(json.dumps({"role": role, "profile": profile, "managed": managed}))
"#;

const SOURCES: [Source; 4] = [
    Source::Roles,
    Source::Policies,
    Source::OidcProviders,
    Source::InstanceProfiles,
];

/// A cluster with one node, whose instance has that profile.
fn cluster(profile: &str, role: &str) -> Snapshot {
    serde_json::from_value(json!({
        "cluster": {"name": "prod"},
        "kubernetes": {
            "nodes": [{"metadata": {"name": "n"}, "spec": {"providerID": "aws:///us-west-2a/i-0a"}}],
            "pods": [], "serviceaccounts": [],
        },
        "aws": {
            "cluster": {"name": "prod", "identity": {"oidc": {"issuer": "https://oidc.example/id/ours"}}},
            "nodegroups": [{"nodegroupName": "g", "nodeRole": role}],
            "podIdentityAssociations": [],
            "instances": [
                {"InstanceId": "i-0a", "IamInstanceProfile": {"Arn": profile}},
                {"InstanceId": "i-0b", "IamInstanceProfile": {"Arn": "arn:aws:iam::123456789012:instance-profile/bastion"}},
            ],
        },
    }))
    .unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[tokio::test]
async fn roles_come_with_their_trust_and_every_policy() {
    let Some(moto) = require("moto", Moto::start()) else {
        return;
    };
    let built = build(&moto, BUILD);
    let text = |key: &str| built[key].as_str().unwrap();
    let snapshot = cluster(text("profile"), text("role"));
    let wanted = BTreeSet::from(SOURCES);
    let held = session(moto.url(), &hints())
        .await
        .held_by_iam(&snapshot, &wanted, soon())
        .await;
    let Evidence::Present(roles) = held.roles else {
        panic!("{:?}", held.roles.gap());
    };
    let [role] = &roles[..] else {
        panic!("{roles:?}");
    };
    assert_eq!(role.arn, text("role"));
    let trust = role.assume_role_policy_document.as_ref().unwrap();
    assert_eq!(trust.statement[0].action, ["sts:AssumeRole"]);
    assert_eq!(
        role.policy_names.as_deref(),
        Some(&["inline".to_owned()][..])
    );
    assert_eq!(
        role.attached_policies.as_ref().unwrap()[0].policy_arn,
        text("managed")
    );
    let policies = held.policies.value().unwrap();
    let actions: BTreeSet<&str> = policies
        .iter()
        .flat_map(|policy| &policy.policy_document.statement)
        .flat_map(|statement| &statement.action)
        .map(String::as_str)
        .collect();
    assert_eq!(
        actions,
        BTreeSet::from(["autoscaling:SetDesiredCapacity", "ec2:Describe*"])
    );
    assert!(held.policies.is_complete());
    // The bastion's profile is none of the cluster's: it was not asked for.
    let profiles = held.instance_profiles.value().unwrap();
    assert_eq!(profiles.len(), 1);
    assert_eq!(profiles[0].roles[0].arn, text("role"));
    let providers = held.oidc_providers.value().unwrap();
    let audiences: Vec<(&str, bool)> = providers
        .iter()
        .map(|one| (one.issuer(), one.client_id_list.is_some()))
        .collect();
    assert!(
        audiences.contains(&("oidc.example/id/ours", true)),
        "{audiences:?}"
    );
    assert!(
        audiences.contains(&("oidc.example/id/other", false)),
        "{audiences:?}"
    );
}

fn answers(aws: &FakeAws, role: &str) {
    let document = "%7B%22Statement%22%3A%5B%5D%7D";
    let empty: Value = json!({"AttachedPolicies": [], "PolicyNames": [], "IsTruncated": false});
    aws.answer(
        "iam",
        "GetRole",
        json!({"Role": {"RoleName": "nodes", "Arn": role, "Path": "/", "RoleId": "A", "CreateDate": "2026-01-01T00:00:00Z",
            "AssumeRolePolicyDocument": document}}),
    );
    aws.answer("iam", "ListAttachedRolePolicies", empty.clone());
    aws.answer("iam", "ListRolePolicies", empty);
}

#[tokio::test]
async fn a_list_of_policies_that_may_not_be_read_is_a_gap_of_roles_and_of_policies() {
    let role = "arn:aws:iam::123456789012:role/nodes";
    for action in ["ListAttachedRolePolicies", "ListRolePolicies"] {
        let aws = FakeAws::start();
        answers(&aws, role);
        aws.deny("iam", action);
        let mut snapshot = cluster("", role);
        snapshot.aws.instances = Evidence::Present(Vec::new());
        let wanted = BTreeSet::from(SOURCES);
        let held = session(&aws.url(), &hints())
            .await
            .held_by_iam(&snapshot, &wanted, soon())
            .await;
        let why = Why::Denied(format!("iam:{action}").into());
        assert_eq!(held.roles.value().unwrap()[0].arn, role, "{action}");
        assert_eq!(held.roles.gap().unwrap().why, why, "{action}");
        assert_eq!(held.policies.gap().unwrap().why, why, "{action}");
    }
}

#[tokio::test]
async fn roles_that_pods_nobody_saw_may_name_are_a_gap() {
    let role = "arn:aws:iam::123456789012:role/nodes";
    let aws = FakeAws::start();
    answers(&aws, role);
    let mut snapshot = cluster("", role);
    snapshot.aws.instances = Evidence::Present(Vec::new());
    snapshot.kubernetes.pods = Evidence::not_requested(Source::Pods);
    let wanted = BTreeSet::from([Source::Roles]);
    let held = session(&aws.url(), &hints())
        .await
        .held_by_iam(&snapshot, &wanted, soon())
        .await;
    let gap = held.roles.gap().unwrap();
    assert!(gap.detail.contains("k8s/pods"), "{gap:?}");
}
