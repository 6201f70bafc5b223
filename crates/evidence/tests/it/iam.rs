//! What `aws iam` prints, and what people paste beside it.

use crate::support::read;

const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/AB12"}, "Action": "sts:AssumeRoleWithWebIdentity"}}"#;

#[test]
fn roles_come_whole_encoded_or_as_their_trust_policy_alone() {
    let encoded: String = TRUST.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let text = format!(
        "$ aws iam get-role --role-name app\n{{\"Role\": {{\"Path\": \"/\", \"RoleName\": \"app\", \"Arn\": \"arn:aws:iam::111122223333:role/app\", \"AssumeRolePolicyDocument\": {TRUST}}}}}\n$ aws iam list-attached-role-policies --role-name app\n{{\n \"AttachedPolicies\": [\n  {{\"PolicyName\": \"A\", \"PolicyArn\": \"arn:aws:iam::aws:policy/A\"}}\n ]\n}}\n"
    );
    let raw = format!(
        "{{\"Role\": {{\"RoleName\": \"raw\", \"Arn\": \"arn:aws:iam::111122223333:role/raw\", \"AssumeRolePolicyDocument\": \"{encoded}\"}}}}"
    );
    let loaded = read(&[
        ("a.txt", text.as_bytes()),
        ("b.json", raw.as_bytes()),
        ("trust.json", TRUST.as_bytes()),
    ]);
    assert_eq!(loaded.unread, []);
    let roles = loaded.snapshot.aws.roles.value().expect("roles").clone();
    assert_eq!(roles.len(), 3);
    assert!(
        roles
            .iter()
            .all(|role| role.assume_role_policy_document == roles[0].assume_role_policy_document)
    );
    let app = roles.iter().find(|role| role.name() == "app").expect("app");
    assert_eq!(app.attached_policies.as_ref().map(Vec::len), Some(1));
}

#[test]
fn providers_policies_entries_issuer_and_claims_find_their_place() {
    let text = "$ aws iam list-open-id-connect-providers\n{\n    \"OpenIDConnectProviderList\": [\n        {\"Arn\": \"arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/AB12\"}\n    ]\n}\n$ aws eks describe-cluster --name c --query cluster.identity.oidc.issuer --output text\nhttps://oidc.eks.eu-west-1.amazonaws.com/id/CD34\n";
    let files: [(&str, &[u8]); 6] = [
        ("a.txt", text.as_bytes()),
        ("get.json", br#"{"Url": "oidc.eks.eu-west-1.amazonaws.com/id/AB12", "ClientIDList": ["sts.amazonaws.com"], "ThumbprintList": []}"#),
        ("policy.json", br#"{"RoleName": "app", "PolicyName": "p", "PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}}"#),
        ("version.json", br#"{"PolicyVersion": {"VersionId": "v1", "Document": {"Statement": []}}}"#),
        ("token.json", br#"{"aud": ["sts.amazonaws.com"], "iss": "https://oidc.eks.eu-west-1.amazonaws.com/id/CD34", "sub": "system:serviceaccount:a:b", "exp": 1}"#),
        ("entries.json", br#"{"accessEntries": ["arn:aws:iam::111122223333:role/nodes"]}"#),
    ];
    let loaded = read(&files);
    assert_eq!(loaded.unread, []);
    let aws = loaded.snapshot.aws;
    let providers = aws.oidc_providers.value().expect("providers");
    assert_eq!(providers.len(), 1);
    assert_eq!(
        providers[0].issuer(),
        "oidc.eks.eu-west-1.amazonaws.com/id/AB12"
    );
    assert!(providers[0].client_id_list.is_some() && !providers[0].arn.is_empty());
    assert_eq!(aws.policies.value().map(Vec::len), Some(2));
    let issuer = &aws.cluster.value().expect("cluster").identity.oidc.issuer;
    assert!(issuer.ends_with("CD34"));
    let claims = aws.token_claims.value().expect("claims");
    assert_eq!(claims[0].service_account(), Some(("a", "b")));
    assert_eq!(aws.access_entries.value().map(Vec::len), Some(1));
}

#[test]
fn the_description_of_a_service_account_shows_its_role() {
    let text = "Name:                app\nNamespace:           shop\nLabels:              <none>\nAnnotations:         eks.amazonaws.com/role-arn: arn:aws:iam::111122223333:role/app\nImage pull secrets:  <none>\nMountable secrets:   <none>\nTokens:              <none>\nEvents:              <none>\n";
    let accounts = read(&[("sa.txt", text.as_bytes())])
        .snapshot
        .kubernetes
        .serviceaccounts;
    let account = &accounts.value().expect("accounts")[0].metadata;
    assert_eq!(
        (account.namespace.as_str(), account.name.as_str()),
        ("shop", "app")
    );
    assert!(account.annotations["eks.amazonaws.com/role-arn"].ends_with("role/app"));
}
