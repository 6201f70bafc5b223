//! Paths of the EKS API (`eks-2017-11-01`, REST JSON; read November 2026).

/// Method, path with labels, and operation.
const OPERATIONS: &[(&str, &str, &str)] = &[
    ("GET", "/clusters", "ListClusters"),
    ("GET", "/clusters/{name}", "DescribeCluster"),
    ("GET", "/clusters/{name}/node-groups", "ListNodegroups"),
    (
        "GET",
        "/clusters/{name}/node-groups/{nodegroupName}",
        "DescribeNodegroup",
    ),
    ("GET", "/clusters/{name}/addons", "ListAddons"),
    (
        "GET",
        "/clusters/{name}/addons/{addonName}",
        "DescribeAddon",
    ),
    ("GET", "/addons/supported-versions", "DescribeAddonVersions"),
    (
        "GET",
        "/addons/configuration-schemas",
        "DescribeAddonConfiguration",
    ),
    ("GET", "/cluster-versions", "DescribeClusterVersions"),
    (
        "GET",
        "/clusters/{name}/fargate-profiles",
        "ListFargateProfiles",
    ),
    (
        "GET",
        "/clusters/{name}/fargate-profiles/{fargateProfileName}",
        "DescribeFargateProfile",
    ),
    (
        "GET",
        "/clusters/{name}/access-entries",
        "ListAccessEntries",
    ),
    (
        "GET",
        "/clusters/{name}/access-entries/{principalArn}",
        "DescribeAccessEntry",
    ),
    (
        "GET",
        "/clusters/{name}/access-entries/{principalArn}/access-policies",
        "ListAssociatedAccessPolicies",
    ),
    (
        "GET",
        "/clusters/{name}/identity-provider-configs",
        "ListIdentityProviderConfigs",
    ),
    (
        "POST",
        "/clusters/{name}/identity-provider-configs/describe",
        "DescribeIdentityProviderConfig",
    ),
    (
        "GET",
        "/clusters/{name}/pod-identity-associations",
        "ListPodIdentityAssociations",
    ),
    (
        "GET",
        "/clusters/{name}/pod-identity-associations/{associationId}",
        "DescribePodIdentityAssociation",
    ),
    ("POST", "/clusters/{name}/insights", "ListInsights"),
    ("GET", "/clusters/{name}/insights/{id}", "DescribeInsight"),
    ("GET", "/clusters/{name}/updates", "ListUpdates"),
    (
        "GET",
        "/clusters/{name}/updates/{updateId}",
        "DescribeUpdate",
    ),
];

/// The operation of a request and the labels in its path.
pub(super) fn operation(method: &str, path: &str) -> Option<(&'static str, Vec<(String, String)>)> {
    OPERATIONS.iter().find_map(|(of, pattern, operation)| {
        let labels = (*of == method).then(|| labels(pattern, path))??;
        Some((*operation, labels))
    })
}

fn labels(pattern: &str, path: &str) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    let mut rest = path.trim_end_matches('/').split('/');
    for wanted in pattern.split('/') {
        let found = rest.next()?;
        match wanted
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
        {
            Some(name) => labels.push((name.to_owned(), super::call::decode(found))),
            None if wanted == found => {}
            None => return None,
        }
    }
    rest.next().is_none().then_some(labels)
}

#[cfg(test)]
mod tests {
    use super::operation;

    #[test]
    fn paths_name_their_operation_and_labels() {
        let (name, labels) = operation("GET", "/clusters/prod/node-groups/a%2Fb").expect("known");
        assert_eq!(name, "DescribeNodegroup");
        assert_eq!(labels[1], ("nodegroupName".to_owned(), "a/b".to_owned()));
        assert_eq!(
            operation("GET", "/clusters").map(|(name, _)| name),
            Some("ListClusters")
        );
        assert!(operation("DELETE", "/clusters/prod").is_none());
        assert!(operation("GET", "/clusters/prod/unknown").is_none());
    }
}
