//! What is never kept: values that may be secret are dropped when evidence is read, so there is
//! nothing to leak later.

/// Whether an annotation is kept. Annotations carry anything, whole manifests with secrets in them
/// (`kubectl.kubernetes.io/last-applied-configuration`) included: only those that checks read are kept.
#[must_use]
pub fn kept_annotation(key: &str) -> bool {
    const PREFIXES: [&str; 11] = [
        "eks.amazonaws.com/",
        // A common slip for the one above.
        "eks.amazon.com/",
        "vpc.amazonaws.com/",
        "k8s.amazonaws.com/",
        "cluster-autoscaler.kubernetes.io/",
        "karpenter.sh/",
        "karpenter.k8s.aws/",
        "service.beta.kubernetes.io/aws-load-balancer-",
        "alb.ingress.kubernetes.io/",
        "endpoints.kubernetes.io/",
        "deployment.kubernetes.io/revision",
    ];
    key == "kubernetes.io/config.source"
        || key == "iam.amazonaws.com/role"
        || PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// The value of an environment variable, where its name is one that checks read.
///
/// Proxies are kept without user and password.
#[must_use]
pub fn kept_env_value(name: &str, value: &str) -> Option<String> {
    const NAMES: [&str; 44] = [
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_STS_REGIONAL_ENDPOINTS",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_ENDPOINT_URL",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "ADDITIONAL_ENI_TAGS",
        "ANNOTATE_POD_IP",
        "CLUSTER_NAME",
        "CLUSTER_ENDPOINT",
        "VPC_ID",
        "DISABLE_INTROSPECTION",
        "DISABLE_METRICS",
        "DISABLE_NETWORK_RESOURCE_PROVISIONING",
        "DISABLE_TCP_EARLY_DEMUX",
        "DISABLE_LEAKED_ENI_CLEANUP",
        "DISABLE_POD_V6",
        "ENABLE_IPv4",
        "ENABLE_IPv6",
        "ENABLE_POD_ENI",
        "ENABLE_V4_EGRESS",
        "ENABLE_V6_EGRESS",
        "ENABLE_PREFIX_DELEGATION",
        "ENABLE_SUBNET_DISCOVERY",
        "ENABLE_IMDS_ONLY_MODE",
        "ENABLE_BANDWIDTH_PLUGIN",
        "ENI_CONFIG_LABEL_DEF",
        "ENI_CONFIG_ANNOTATION_DEF",
        "IP_COOLDOWN_PERIOD",
        "MANAGE_UNTAGGED_ENI",
        "MAX_ENI",
        "MINIMUM_IP_TARGET",
        "NETWORK_POLICY_ENFORCING_MODE",
        "POD_SECURITY_GROUP_ENFORCING_MODE",
        "WARM_ENI_TARGET",
        "WARM_IP_TARGET",
        "WARM_PREFIX_TARGET",
        "NO_PROXY",
        "no_proxy",
    ];
    let is_proxy = matches!(
        name,
        "HTTP_PROXY" | "HTTPS_PROXY" | "http_proxy" | "https_proxy" | "ALL_PROXY"
    );
    if is_proxy {
        Some(without_user(value))
    } else if NAMES.contains(&name) || name.starts_with("AWS_VPC_") {
        Some(value.to_owned())
    } else {
        None
    }
}

fn without_user(url: &str) -> String {
    let (scheme, rest) = url
        .split_once("://")
        .map_or(("", url), |(scheme, rest)| (scheme, rest));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if scheme.is_empty() {
        host.to_owned()
    } else {
        format!("{scheme}://{host}")
    }
}

/// A container argument, with what looks like a credential replaced by `[removed]`.
#[must_use]
pub fn scrubbed_argument(argument: &str) -> String {
    let Some((name, value)) = argument.split_once('=') else {
        return argument.to_owned();
    };
    let lower = name.to_ascii_lowercase();
    let secret = [
        "password",
        "passwd",
        "secret",
        "token",
        "credential",
        "private-key",
        "api-key",
        "apikey",
        "access-key",
    ];
    // Flags that name a file or a duration are no secrets and are read by checks.
    let harmless = ["file", "path", "ttl", "namespace", "name"];
    let looks_secret = secret.iter().any(|word| lower.contains(word))
        && !harmless.iter().any(|word| lower.ends_with(word));
    if looks_secret {
        format!("{name}=[removed]")
    } else if value.contains("://") && value.contains('@') {
        format!("{name}={}", without_user(value))
    } else {
        argument.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_in_annotations_are_dropped() {
        assert!(!kept_annotation(
            "kubectl.kubernetes.io/last-applied-configuration"
        ));
        assert!(kept_annotation("eks.amazonaws.com/role-arn"));
    }

    #[test]
    fn env_values_are_kept_by_name_and_proxies_without_password() {
        assert_eq!(kept_env_value("DB_PASSWORD", "x"), None);
        assert_eq!(kept_env_value("AWS_SECRET_ACCESS_KEY", "x"), None);
        assert_eq!(kept_env_value("WARM_IP_TARGET", "2").as_deref(), Some("2"));
        let proxy = kept_env_value("HTTPS_PROXY", "http://u:p@proxy:3128");
        assert_eq!(proxy.as_deref(), Some("http://proxy:3128"));
    }

    #[test]
    fn arguments_that_look_like_credentials_are_removed() {
        assert_eq!(
            scrubbed_argument("--aws-secret-access-key=abc"),
            "--aws-secret-access-key=[removed]"
        );
        assert_eq!(scrubbed_argument("--token-file=/a/b"), "--token-file=/a/b");
        assert_eq!(
            scrubbed_argument("--skip-nodes-with-system-pods=false"),
            "--skip-nodes-with-system-pods=false"
        );
    }
}
