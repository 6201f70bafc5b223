//! What IAM is asked, and what its answers become.

use eksnet_collect::aws::{ContextValue, Question, RoleSource, RoleToSimulate, roles_to_simulate};
use eksnet_model::{Component, Evidence, Kubernetes, Source, Why};
use eksnet_testkit::{Answer, FakeAws};
use serde_json::{Value, json};

use crate::world::{everything, fetch, gap, hints, session, small_aws};

const ROLE: &str = "arn:aws:iam::123456789012:role/autoscaler";

fn role(role: RoleSource) -> RoleToSimulate {
    RoleToSimulate {
        component: Component::ClusterAutoscaler,
        service_account: "kube-system/cluster-autoscaler".to_owned(),
        role,
        via: "irsa".to_owned(),
        questions: vec![Question {
            actions: vec![
                "autoscaling:SetDesiredCapacity".to_owned(),
                "autoscaling:TerminateInstanceInAutoScalingGroup".to_owned(),
            ],
            resource: Some("arn:nodes".to_owned()),
            context: vec![ContextValue {
                key: "aws:ResourceTag/k8s.io/cluster-autoscaler/enabled".to_owned(),
                values: vec!["true".to_owned()],
            }],
        }],
    }
}

fn allowed(action: &str) -> Value {
    json!({"EvalActionName": action, "EvalResourceName": "arn:nodes", "EvalDecision": "allowed"})
}

#[tokio::test]
async fn decisions_keep_statements_missing_keys_boundary_and_organization() {
    let aws = FakeAws::start();
    aws.answer(
        "iam",
        "SimulatePrincipalPolicy",
        json!({"IsTruncated": false, "EvaluationResults": [
            allowed("autoscaling:SetDesiredCapacity"),
            {"EvalActionName": "autoscaling:TerminateInstanceInAutoScalingGroup",
             "EvalResourceName": "arn:nodes", "EvalDecision": "explicitDeny",
             "MatchedStatements": [{"SourcePolicyId": "guard", "SourcePolicyType": "IAM Policy"}],
             "MissingContextValues": ["aws:SourceVpc"],
             "PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": false},
             "OrganizationsDecisionDetail": {"AllowedByOrganizations": true}},
        ]}),
    );
    let session = session(&aws.url(), &hints()).await;
    let asked = [role(RoleSource::Arn(ROLE.to_owned()))];
    let Evidence::Present(found) = session.simulate(&asked).await else {
        panic!("not complete");
    };
    assert_eq!(found[0].role_arn, ROLE);
    assert_eq!(found[0].via, "irsa");
    let [set, terminate] = &found[0].results[..] else {
        panic!("not two results");
    };
    assert_eq!(set.eval_decision, "allowed");
    assert_eq!(terminate.eval_decision, "explicitDeny");
    assert_eq!(terminate.matched_statements[0].source_policy_id, "guard");
    assert_eq!(terminate.missing_context_values, ["aws:SourceVpc"]);
    let boundary = terminate.permissions_boundary_decision_detail.as_ref();
    assert!(!boundary.unwrap().allowed_by_permissions_boundary);
    let organization = terminate.organizations_decision_detail.as_ref();
    assert!(organization.unwrap().allowed_by_organizations);

    let calls = aws.calls();
    let call = calls.last().unwrap();
    assert_eq!(call.param("PolicySourceArn"), Some(ROLE));
    assert_eq!(call.list("ActionNames").len(), 2);
    assert_eq!(call.list("ResourceArns"), ["arn:nodes"]);
    assert_eq!(
        call.param("ContextEntries.member.1.ContextKeyName"),
        Some("aws:ResourceTag/k8s.io/cluster-autoscaler/enabled")
    );
    assert_eq!(
        call.param("ContextEntries.member.1.ContextKeyValues.member.1"),
        Some("true")
    );
}

#[tokio::test]
async fn more_than_a_hundred_actions_are_asked_in_parts_and_pages_are_followed() {
    let aws = FakeAws::start();
    aws.on("iam", "SimulatePrincipalPolicy", |call| {
        let actions: Vec<Value> = call.list("ActionNames").into_iter().map(allowed).collect();
        let half = actions.len() / 2;
        match call.param("Marker") {
            None => {
                json!({"EvaluationResults": actions[..half], "IsTruncated": true, "Marker": "m"})
            }
            Some(_) => json!({"EvaluationResults": actions[half..], "IsTruncated": false}),
        }
        .into()
    });
    let mut many = role(RoleSource::Arn(ROLE.to_owned()));
    many.questions[0].actions = (0..150).map(|n| format!("ec2:Action{n}")).collect();
    let session = session(&aws.url(), &hints()).await;
    let found = session.simulate(&[many]).await;
    assert_eq!(found.value().unwrap()[0].results.len(), 150);
    assert_eq!(session.calls()["iam:SimulatePrincipalPolicy"], 4);
}

#[tokio::test]
async fn the_role_of_an_instance_profile_is_looked_up_once() {
    let aws = FakeAws::start();
    aws.answer(
        "iam",
        "GetInstanceProfile",
        json!({"InstanceProfile": {"Path": "/eks/", "InstanceProfileName": "nodes",
            "InstanceProfileId": "AIPA", "Arn": "arn:x", "CreateDate": "2026-01-01T00:00:00Z",
            "Roles": [{"Path": "/", "RoleName": "nodes", "RoleId": "AROA",
                "Arn": "arn:aws:iam::123456789012:role/nodes", "CreateDate": "2026-01-01T00:00:00Z"}]}}),
    );
    let results = json!({"EvaluationResults": [allowed("x:Y")], "IsTruncated": false});
    aws.answer("iam", "SimulatePrincipalPolicy", results);
    let profile = "arn:aws:iam::123456789012:instance-profile/eks/nodes";
    let one = role(RoleSource::InstanceProfile(profile.to_owned()));
    let session = session(&aws.url(), &hints()).await;
    let found = session.simulate(&[one.clone(), one]).await;
    let found = found.value().unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].role_arn, "arn:aws:iam::123456789012:role/nodes");
    assert_eq!(session.calls()["iam:GetInstanceProfile"], 1);
    let asked = aws.calls();
    let asked = asked
        .iter()
        .find(|call| call.action == "GetInstanceProfile");
    assert_eq!(asked.unwrap().param("InstanceProfileName"), Some("nodes"));
}

#[tokio::test]
async fn a_simulation_that_is_refused_or_half_done_is_no_decision() {
    let aws = FakeAws::start();
    aws.deny("iam", "SimulatePrincipalPolicy");
    let session = session(&aws.url(), &hints()).await;
    let asked = [role(RoleSource::Arn(ROLE.to_owned()))];
    let found = session.simulate(&asked).await;
    assert_eq!(found.value(), None);
    assert_eq!(
        gap(&found).why,
        Why::Denied("iam:SimulatePrincipalPolicy".into())
    );
    assert_eq!(gap(&found).source, Source::SimulatedPolicies);

    aws.on("iam", "SimulatePrincipalPolicy", |call| {
        match (call.param("PolicySourceArn"), call.param("Marker")) {
            (Some(ROLE), _) => {
                json!({"EvaluationResults": [allowed("x:Y")], "IsTruncated": false}).into()
            }
            (_, None) => {
                json!({"EvaluationResults": [allowed("x:Y")], "IsTruncated": true, "Marker": "m"})
                    .into()
            }
            (_, Some(_)) => Answer::error(404, "NoSuchEntity", "The role is gone"),
        }
    });
    let gone = role(RoleSource::Arn(
        "arn:aws:iam::123456789012:role/gone".to_owned(),
    ));
    let found = session.simulate(&[gone, asked[0].clone()]).await;
    assert_eq!(found.value().unwrap().len(), 1);
    assert!(
        gap(&found).detail.contains("role/gone"),
        "{:?}",
        found.gap()
    );
    assert!(session.simulate(&[]).await.is_complete());
}

fn kubernetes() -> Kubernetes {
    let pod = |name: &str, image: &str, account: &str, env: Value| {
        json!({"metadata": {"namespace": "kube-system", "name": name},
            "spec": {"nodeName": "node-1", "serviceAccountName": account,
                "containers": [{"name": "c", "image": image, "env": env}]}})
    };
    let autoscaler = "registry.k8s.io/autoscaling/cluster-autoscaler:v1.33.0";
    let cni = "602401143452.dkr.ecr.us-west-2.amazonaws.com/amazon-k8s-cni:v1.19.0";
    let irsa = json!([{"name": "AWS_ROLE_ARN", "value": ROLE}]);
    let identity = json!([{"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://169.254.170.23/v1/credentials"}]);
    serde_json::from_value(json!({
        "nodes": [{"metadata": {"name": "node-1"}, "spec": {"providerID": "aws:///us-west-2a/i-0a"}}],
        "pods": [
            pod("ca-1", autoscaler, "ca", irsa.clone()),
            pod("ca-2", autoscaler, "ca", irsa),
            pod("ca-3", autoscaler, "cluster-autoscaler", identity),
            pod("aws-node-1", cni, "aws-node", json!([])),
            pod("web", "nginx", "default", json!([])),
        ],
    }))
    .unwrap()
}

#[tokio::test]
async fn each_component_is_simulated_as_the_role_that_its_pods_run_as() {
    let aws = small_aws();
    let found = fetch(&aws).await;
    let mut evidence = found.aws;
    if let Some(instances) = evidence.instances.value_mut() {
        instances[0].tags.push(eksnet_model::aws::Tag {
            key: "eks:nodegroup-name".to_owned(),
            value: "c5".to_owned(),
            propagate_at_launch: None,
        });
    }
    let roles = roles_to_simulate(&kubernetes(), &evidence, &found.facts);
    assert_eq!(roles.gaps, []);
    let seen: Vec<(Component, &str, &RoleSource)> = roles
        .known
        .iter()
        .map(|role| (role.component, role.via.as_str(), &role.role))
        .collect();
    let arn = |arn: &str| RoleSource::Arn(arn.to_owned());
    assert_eq!(
        seen,
        [
            (Component::ClusterAutoscaler, "irsa", &arn(ROLE)),
            (
                Component::ClusterAutoscaler,
                "pod-identity",
                &arn("arn:aws:iam::123456789012:role/a-1")
            ),
            (
                Component::AwsNode,
                "node",
                &arn("arn:aws:iam::123456789012:role/nodes")
            ),
        ]
    );
    let writes = roles.known[0]
        .questions
        .iter()
        .find(|question| question.resource.as_deref() == Some("arn:nodes"));
    assert!(writes.is_some(), "writes are asked for the group");
}

#[tokio::test]
async fn a_role_that_cannot_be_told_is_a_gap_with_the_reason() {
    let aws = small_aws();
    aws.deny("eks", "ListPodIdentityAssociations");
    aws.deny("ec2", "DescribeInstances");
    let session = session(&aws.url(), &hints()).await;
    let found = session.fetch(&everything()).await;
    let roles = roles_to_simulate(&kubernetes(), &found.aws, &found.facts);
    assert_eq!(roles.known.len(), 1, "IRSA needs neither");
    let why: Vec<&Why> = roles.gaps.iter().map(|gap| &gap.why).collect();
    let denied = |action: &str| Why::Denied(action.into());
    assert_eq!(
        why,
        [
            &denied("eks:ListPodIdentityAssociations"),
            &denied("ec2:DescribeInstances")
        ]
    );
}
