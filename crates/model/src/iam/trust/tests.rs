use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "oidc.eks.eu-west-1.amazonaws.com/id/AB12";
const ARN: &str =
    "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/AB12";

fn who(subject: &str) -> WebIdentity {
    WebIdentity {
        issuer: Some(ISSUER.to_owned()),
        subject: format!("system:serviceaccount:{subject}"),
        audience: AUDIENCE.to_owned(),
        account: Some("111122223333".to_owned()),
    }
}

fn trust(condition: &Value) -> PolicyDocument {
    trusts(ARN, "sts:AssumeRoleWithWebIdentity", condition)
}

fn trusts(arn: &str, action: &str, condition: &Value) -> PolicyDocument {
    PolicyDocument::parse(&json!({"Statement": [{
        "Effect": "Allow", "Principal": {"Federated": arn}, "Action": action, "Condition": condition
    }]}))
    .unwrap()
}

fn key(claim: &str) -> String {
    format!("{ISSUER}:{claim}")
}

#[test]
fn the_account_that_is_named_is_admitted() {
    let one = trust(
        &json!({"StringEquals": {key("sub"): "system:serviceaccount:a:b", key("aud"): AUDIENCE}}),
    );
    assert_eq!(admits(&one, &who("a:b")), Admission::Admits);
    let many = trust(
        &json!({"StringLike": {key("sub"): ["system:serviceaccount:x:*", "system:serviceaccount:a:b?"]}}),
    );
    assert_eq!(admits(&many, &who("a:b1")), Admission::Admits);
    assert_eq!(admits(&trust(&json!({})), &who("a:b")), Admission::Admits);
}

#[test]
fn another_name_is_refused_with_both_values() {
    let one = trust(&json!({"StringEquals": {key("sub"): "system:serviceaccount:a:c"}}));
    let Admission::Refuses(reasons) = admits(&one, &who("a:b")) else {
        panic!("admitted");
    };
    assert_eq!(
        reasons[0].to_string(),
        format!(
            "StringEquals {ISSUER}:sub wants system:serviceaccount:a:c, and the token has system:serviceaccount:a:b"
        )
    );
}

#[test]
fn a_wildcard_is_literal_where_values_must_be_equal() {
    let equals = trust(&json!({"StringEquals": {key("sub"): "system:serviceaccount:a:*"}}));
    assert!(matches!(
        admits(&equals, &who("a:b")),
        Admission::Refuses(_)
    ));
    assert!(matches!(slips(&equals)[..], [Slip::LiteralWildcard { .. }]));
    let likes = trust(&json!({"StringLike": {key("sub"): "system:serviceaccount:a:*"}}));
    assert_eq!(admits(&likes, &who("a:b")), Admission::Admits);
    assert!(slips(&likes).is_empty());
}

#[test]
fn the_provider_of_another_cluster_does_not_admit() {
    let other = ARN.replace("AB12", "CD34");
    let old = trusts(&other, WEB_IDENTITY, &json!({}));
    assert!(matches!(
        admits(&old, &who("a:b")),
        Admission::Refuses(reasons) if matches!(reasons[..], [Refusal::Provider { .. }])
    ));
    let half = trust(
        &json!({"StringEquals": {"oidc.eks.eu-west-1.amazonaws.com/id/CD34:sub": "system:serviceaccount:a:b"}}),
    );
    assert!(matches!(
        admits(&half, &who("a:b")),
        Admission::Refuses(reasons) if matches!(reasons[..], [Refusal::OtherIssuer { .. }])
    ));
    assert!(matches!(slips(&half)[..], [Slip::ForeignKey { .. }]));
}

#[test]
fn the_provider_lies_in_the_account_of_the_role() {
    let mut asked = who("a:b");
    asked.account = Some("444455556666".to_owned());
    assert!(matches!(
        admits(&trust(&json!({})), &asked),
        Admission::Refuses(reasons) if matches!(reasons[..], [Refusal::Account { .. }])
    ));
}

#[test]
fn what_is_not_known_stays_open() {
    let by_address = trust(&json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}));
    assert!(matches!(
        admits(&by_address, &who("a:b")),
        Admission::Open(_)
    ));
    let blotted = trusts(&ARN.replace("AB12", "XXXX"), WEB_IDENTITY, &json!({}));
    assert!(matches!(admits(&blotted, &who("a:b")), Admission::Open(_)));
    // A name that is refused is refused whatever the address is.
    let both = trust(
        &json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "StringEquals": {key("sub"): "system:serviceaccount:a:c"}}),
    );
    assert!(matches!(admits(&both, &who("a:b")), Admission::Refuses(_)));
}

#[test]
fn without_the_issuer_the_statement_is_taken_at_its_word() {
    let mut asked = who("a:b");
    asked.issuer = None;
    let one = trust(&json!({"StringEquals": {key("sub"): "system:serviceaccount:a:c"}}));
    assert!(matches!(admits(&one, &asked), Admission::Refuses(_)));
    let fits = trust(&json!({"StringEquals": {key("sub"): "system:serviceaccount:a:b"}}));
    assert_eq!(admits(&fits, &asked), Admission::Admits);
}

#[test]
fn a_denial_and_a_missing_statement_refuse() {
    let ec2 = PolicyDocument::parse(&json!({"Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}})).unwrap();
    assert_eq!(
        admits(&ec2, &who("a:b")),
        Admission::Refuses(vec![Refusal::NoStatement])
    );
    assert!(slips(&ec2).is_empty());
    let denied = PolicyDocument::parse(&json!({"Statement": [
        {"Effect": "Allow", "Principal": {"Federated": ARN}, "Action": WEB_IDENTITY},
        {"Effect": "Deny", "Principal": "*", "Action": "sts:*"}
    ]}))
    .unwrap();
    assert_eq!(
        admits(&denied, &who("a:b")),
        Admission::Refuses(vec![Refusal::Denied])
    );
}

#[test]
fn operators_with_prefix_and_suffix_are_known() {
    for (operator, admitted) in [
        ("ForAnyValue:StringEquals", true),
        ("ForAllValues:StringLike", true),
        ("StringEqualsIfExists", true),
        ("StringNotEquals", false),
    ] {
        let one = trust(&json!({operator: {key("sub"): "system:serviceaccount:a:b"}}));
        assert_eq!(
            admits(&one, &who("a:b")) == Admission::Admits,
            admitted,
            "{operator}"
        );
    }
    let absent = trust(&json!({"Null": {key("sub"): "false"}}));
    assert_eq!(admits(&absent, &who("a:b")), Admission::Admits);
}

#[test]
fn mistakes_are_seen_without_knowing_the_cluster() {
    let action = trusts(ARN, "sts:AssumeRole", &json!({}));
    assert!(matches!(slips(&action)[..], [Slip::OtherAction { .. }]));
    let host = trusts(
        "arn:aws:iam::111122223333:oidc-provider/oidc.eu-west-1.eks.amazonaws.com/id/AB12",
        WEB_IDENTITY,
        &json!({}),
    );
    assert!(matches!(slips(&host)[..], [Slip::Host { .. }]));
    for value in [
        "system:serviceaccount:b",
        "serviceaccount:a:b",
        "a:b",
        "system:serviceaccount:a:b:c",
    ] {
        let one = trust(&json!({"StringEquals": {key("sub"): value}}));
        assert!(matches!(slips(&one)[..], [Slip::Subject { .. }]), "{value}");
    }
    for value in [
        "system:serviceaccount:*:b",
        "system:serviceaccount:a*",
        "system:*",
        "*",
    ] {
        let one = trust(&json!({"StringLike": {key("sub"): value}}));
        assert!(slips(&one).is_empty(), "{value}");
    }
    let audience = trust(&json!({"StringEquals": {key("aud"): "sts.eu-west-1.amazonaws.com"}}));
    assert!(matches!(slips(&audience)[..], [Slip::Audience { .. }]));
}

#[test]
fn pod_identity_needs_both_actions() {
    let policy = |action: Value, condition: Value| {
        PolicyDocument::parse(&json!({"Statement": {"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": action, "Condition": condition}})).unwrap()
    };
    assert_eq!(
        lacks_for_pod_identity(&policy(json!("sts:AssumeRole"), json!({}))),
        Some(vec!["sts:TagSession"])
    );
    assert_eq!(
        lacks_for_pod_identity(&policy(
            json!(["sts:AssumeRole", "sts:TagSession"]),
            json!({})
        )),
        Some(Vec::new())
    );
    assert_eq!(
        lacks_for_pod_identity(&policy(
            json!(["sts:AssumeRole", "sts:TagSession"]),
            json!({"StringEquals": {"aws:SourceAccount": "1"}})
        )),
        None
    );
}
