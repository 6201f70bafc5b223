//! One call of an AWS API, whatever protocol it came by.

use serde_json::Value;

use crate::aws::eks;
use crate::net::audit::Request;
use crate::net::server::pairs;

/// How a service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Form in, XML out, lists as `item`.
    Ec2,
    /// Form in, XML out, lists as `member`.
    Query,
    /// Paths in, JSON out.
    RestJson,
    /// `X-Amz-Target` and JSON in, JSON out.
    Json,
}

/// One call of an AWS API.
#[derive(Clone, Debug)]
pub struct AwsCall {
    /// Signing name of the service, such as `ec2`, `eks`, `autoscaling`.
    pub service: String,
    /// Operation, such as `DescribeSubnets`.
    pub action: String,
    /// Region that the call was signed for; empty when it was not signed.
    pub region: String,
    /// Access key that signed it; empty when it was not signed.
    pub access_key: String,
    /// Form fields of the query protocols (`Filter.1.Name`), labels and query of REST paths.
    pub params: Vec<(String, String)>,
    /// JSON body; null where there is none.
    pub body: Value,
    /// The request as it arrived.
    pub request: Request,
    pub(crate) protocol: Protocol,
}

impl AwsCall {
    /// Value of a parameter.
    #[must_use]
    pub fn param(&self, key: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Values of `KEY.1`, `KEY.2`, ... (EC2), `KEY.member.1`, ... (query).
    #[must_use]
    pub fn list(&self, key: &str) -> Vec<&str> {
        (1..)
            .map_while(|at| {
                self.param(&format!("{key}.{at}"))
                    .or_else(|| self.param(&format!("{key}.member.{at}")))
            })
            .collect()
    }

    /// Values of the EC2 filter (`Filter.N.Name`, `Filter.N.Value.M`) with this name.
    #[must_use]
    pub fn filter(&self, name: &str) -> Vec<&str> {
        (1..)
            .map_while(|at| Some((at, self.param(&format!("Filter.{at}.Name"))?)))
            .find(|(_, found)| *found == name)
            .map(|(at, _)| self.list(&format!("Filter.{at}.Value")))
            .unwrap_or_default()
    }

    /// Takes a request apart.
    pub(crate) fn of(request: &Request) -> Self {
        let (access_key, region, signed_for) = scope(request);
        let mut call = Self {
            service: signed_for,
            action: String::new(),
            region,
            access_key,
            params: request.params.clone(),
            body: request.json(),
            request: request.clone(),
            protocol: Protocol::RestJson,
        };
        if let Some(target) = request.header("x-amz-target") {
            call.protocol = Protocol::Json;
            call.action = target.rsplit('.').next().unwrap_or_default().to_owned();
        } else if is_form(request) || call.param("Action").is_some() {
            if is_form(request) {
                let form = String::from_utf8_lossy(&request.body).into_owned();
                call.params.extend(pairs(&form));
            }
            call.action = call.param("Action").unwrap_or_default().to_owned();
            if call.service.is_empty() {
                call.service = by_version(call.param("Version").unwrap_or_default()).to_owned();
            }
            call.protocol = if call.service == "ec2" {
                Protocol::Ec2
            } else {
                Protocol::Query
            };
        } else if let Some((action, labels)) = eks::operation(&request.method, &request.raw_path) {
            if call.service.is_empty() {
                "eks".clone_into(&mut call.service);
            }
            call.action = action.to_owned();
            call.params.splice(0..0, labels);
        }
        call
    }
}

fn is_form(request: &Request) -> bool {
    request
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

/// Access key, region and service of the SigV4 credential scope.
fn scope(request: &Request) -> (String, String, String) {
    let credential = request
        .header("authorization")
        .and_then(|text| text.split_once("Credential="))
        .map(|(_, rest)| rest.split([',', ' ']).next().unwrap_or_default())
        .unwrap_or_default();
    let mut parts = credential.split('/').map(str::to_owned);
    let mut part = || parts.next().unwrap_or_default();
    let (key, _day, region, service) = (part(), part(), part(), part());
    (key, region, service)
}

/// The service of an unsigned form, by the version of its API.
fn by_version(version: &str) -> &'static str {
    match version {
        "2016-11-15" => "ec2",
        "2011-01-01" => "autoscaling",
        "2010-05-08" => "iam",
        _ => "sts",
    }
}

pub(super) fn decode(text: &str) -> String {
    crate::net::server::decode(text, false)
}
