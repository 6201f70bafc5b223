//! VPC endpoints: which service a host name belongs to, and which endpoint serves it.

use crate::aws::{RouteTable, VpcEndpoint};
use crate::endpoints::{region_of, service_of};

/// The service of a host name as VPC endpoints name it: `ecr.dkr` of `123456789012.dkr.ecr.eu-west-1.amazonaws.com`,
/// `s3` of a bucket. `None` for global names, which no endpoint serves, and for hosts that are not AWS's.
#[must_use]
pub fn endpoint_service(host: &str) -> Option<String> {
    region_of(host)?;
    let labels: Vec<&str> = host.split('.').collect();
    match labels.as_slice() {
        [_, "dkr", "ecr", ..] => Some("ecr.dkr".to_owned()),
        ["api", "ecr", ..] => Some("ecr.api".to_owned()),
        [_, "s3", ..] | ["s3", ..] => Some("s3".to_owned()),
        _ => service_of(host).map(str::to_owned),
    }
}

/// `com.amazonaws.REGION.SERVICE`, with the prefix of China's partition where the region is there.
#[must_use]
pub fn endpoint_service_name(region: &str, service: &str) -> String {
    let prefix = if region.starts_with("cn-") { "cn." } else { "" };
    format!("{prefix}com.amazonaws.{region}.{service}")
}

impl VpcEndpoint {
    /// Whether it is there for that service, such as `ecr.api`.
    #[must_use]
    pub fn is_for(&self, service: &str) -> bool {
        let name = self
            .service_name
            .strip_prefix("cn.")
            .unwrap_or(&self.service_name);
        let mut parts = name.splitn(4, '.');
        parts.next() == Some("com")
            && parts.next() == Some("amazonaws")
            && parts.next().is_some()
            && parts.next() == Some(service)
    }

    /// Whether it takes calls.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.state.is_empty() || self.state.eq_ignore_ascii_case("available")
    }

    /// Whether it is a gateway: an entry of route tables instead of an interface.
    #[must_use]
    pub fn is_gateway(&self) -> bool {
        self.vpc_endpoint_type.eq_ignore_ascii_case("gateway")
    }

    /// Whether it serves subnets with that route table: an interface serves the whole VPC, a gateway those
    /// tables that it is entered in.
    #[must_use]
    pub fn serves(&self, table: Option<&RouteTable>) -> bool {
        !self.is_gateway()
            || table.is_none_or(|table| self.route_table_ids.contains(&table.route_table_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_the_service_that_endpoints_name() {
        for (host, service) in [
            ("sts.eu-west-1.amazonaws.com", Some("sts")),
            ("sts.amazonaws.com", None),
            ("api.ecr.eu-west-1.amazonaws.com", Some("ecr.api")),
            (
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
                Some("ecr.dkr"),
            ),
            (
                "prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com",
                Some("s3"),
            ),
            ("eks-auth.us-west-2.api.aws", Some("eks-auth")),
        ] {
            assert_eq!(endpoint_service(host).as_deref(), service, "{host}");
        }
    }

    #[test]
    fn an_endpoint_is_for_the_service_in_its_name() {
        let endpoint = |name: &str| VpcEndpoint {
            service_name: name.to_owned(),
            ..VpcEndpoint::default()
        };
        assert!(endpoint("com.amazonaws.eu-west-1.ecr.api").is_for("ecr.api"));
        assert!(!endpoint("com.amazonaws.eu-west-1.ecr.api").is_for("api"));
        assert!(endpoint("cn.com.amazonaws.cn-north-1.sts").is_for("sts"));
        assert_eq!(
            endpoint_service_name("cn-north-1", "sts"),
            "cn.com.amazonaws.cn-north-1.sts"
        );
    }
}
