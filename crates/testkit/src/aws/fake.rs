//! The fixture server.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::FakeApi;
use crate::api::update::merge;
use crate::aws::answer::Answer;
use crate::aws::call::{AwsCall, Protocol};
use crate::net::audit::{Audit, Request};
use crate::net::faults::{Action, FaultRule, Faults};
use crate::net::matching::glob;
use crate::net::reply::Reply;
use crate::net::server::{Common, Serve, Server};

type Handler = Arc<dyn Fn(&AwsCall) -> Answer + Send + Sync>;

/// What one kind of call is answered.
struct Fixture {
    service: String,
    action: String,
    /// Calls that it still answers; `None` for all.
    left: Option<usize>,
    handler: Handler,
}

/// A server of fixtures for the AWS APIs, on a loopback port, plain HTTP: EKS by REST JSON; EC2,
/// STS, IAM and Auto Scaling by their query protocols; others by `X-Amz-Target`.
///
/// `sts:GetCallerIdentity` is answered from the start. A call that no fixture is for gets error
/// 400 `TestkitNoFixture` and shows in [`FakeAws::unexpected`].
///
/// ```
/// use eksnet_testkit::{Answer, FakeAws};
/// use serde_json::json;
///
/// let aws = FakeAws::start();
/// aws.answer("eks", "DescribeCluster", json!({"cluster": {"name": "prod", "version": "1.33"}}));
/// aws.answer("ec2", "DescribeSubnets", json!({"subnetSet": [{"subnetId": "subnet-1"}]}));
/// aws.deny("iam", "*");
/// aws.throttle("ec2", "DescribeSubnets", 2);
/// // Run the plugin with the variables of `aws.env()`.
/// # assert!(aws.unexpected().is_empty());
/// ```
pub struct FakeAws {
    shared: Arc<Shared>,
    audit: Arc<Audit>,
    faults: Arc<Faults>,
    server: Server,
}

struct Shared {
    fixtures: Mutex<Vec<Fixture>>,
    unexpected: Mutex<Vec<String>>,
}

/// Who calls, as far as [`FakeAws`] knows.
const CALLER: &str = "arn:aws:iam::123456789012:user/testkit";

impl FakeAws {
    /// Starts a server.
    ///
    /// # Panics
    /// When no loopback port can be had.
    #[must_use]
    pub fn start() -> Self {
        match Self::try_start() {
            Ok(aws) => aws,
            Err(error) => panic!("the fake AWS server did not start: {error}"),
        }
    }

    fn try_start() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            fixtures: Mutex::default(),
            unexpected: Mutex::default(),
        });
        let (audit, faults) = (Arc::new(Audit::default()), Arc::new(Faults::default()));
        let common = Common {
            serve: shared.clone(),
            audit: audit.clone(),
            faults: faults.clone(),
        };
        let server = Server::start(0, None, common)?;
        let aws = Self {
            shared,
            audit,
            faults,
            server,
        };
        aws.answer(
            "sts",
            "GetCallerIdentity",
            json!({"Arn": CALLER, "UserId": "AIDATESTKIT", "Account": "123456789012"}),
        );
        Ok(aws)
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.addr)
    }

    /// Environment that points an AWS SDK, and nothing else, at this server: endpoints, a region,
    /// credentials of nobody, no profile and no instance metadata.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        env(&self.url())
    }

    /// Answers a call from now on; the fixture added last counts. `*` stands for any text in
    /// service and action.
    pub fn answer(&self, service: &str, action: &str, answer: impl Into<Answer>) {
        let answer = answer.into();
        self.add(service, action, None, move |_| answer.clone());
    }

    /// The same with an answer that depends on the call.
    pub fn on(
        &self,
        service: &str,
        action: &str,
        handler: impl Fn(&AwsCall) -> Answer + Send + Sync + 'static,
    ) {
        self.add(service, action, None, handler);
    }

    /// Answers the next `times` calls only; after these the fixture before counts again.
    pub fn answer_times(
        &self,
        service: &str,
        action: &str,
        times: usize,
        answer: impl Into<Answer>,
    ) {
        let answer = answer.into();
        self.add(service, action, Some(times), move |_| answer.clone());
    }

    /// Answers `eks:DescribeCluster` for the cluster whose API server is `api`: its endpoint and
    /// its authority, so that both sides agree on who they are. `fields` are merged over the rest
    /// of the `cluster` object.
    ///
    /// ```
    /// use eksnet_testkit::{FakeApi, FakeAws};
    /// use serde_json::json;
    ///
    /// let (api, aws) = (FakeApi::start(), FakeAws::start());
    /// aws.eks_cluster("prod", &api, &json!({"version": "1.34"}));
    /// ```
    pub fn eks_cluster(&self, name: &str, api: &FakeApi, fields: &Value) {
        let mut cluster = json!({
            "name": name,
            "arn": format!("arn:aws:eks:us-west-2:123456789012:cluster/{name}"),
            "createdAt": 1_767_225_600.0,
            "version": "1.33",
            "platformVersion": "eks.10",
            "status": "ACTIVE",
            "endpoint": api.url(),
            "certificateAuthority": {"data": STANDARD.encode(api.ca_pem().unwrap_or_default())},
            "roleArn": "arn:aws:iam::123456789012:role/cluster",
            "resourcesVpcConfig": {
                "subnetIds": [],
                "securityGroupIds": [],
                "vpcId": "vpc-0123456789abcdef0",
                "endpointPublicAccess": true,
                "endpointPrivateAccess": true,
                "publicAccessCidrs": ["0.0.0.0/0"],
            },
            "kubernetesNetworkConfig": {"serviceIpv4Cidr": "10.100.0.0/16", "ipFamily": "ipv4"},
            "tags": {},
        });
        merge(&mut cluster, fields);
        let name = name.to_owned();
        self.on("eks", "DescribeCluster", move |call| {
            match call.param("name") {
                Some(asked) if asked == name => json!({"cluster": cluster}).into(),
                asked => {
                    let asked = asked.unwrap_or_default();
                    let message = format!("No cluster found for name: {asked}.");
                    Answer::error(404, "ResourceNotFoundException", &message)
                }
            }
        });
    }

    /// Answers with the files of a folder: `SERVICE.ACTION.json` and `SERVICE.ACTION.xml`, each a
    /// whole response body.
    ///
    /// # Errors
    /// When the folder or a file cannot be read.
    pub fn load(&self, folder: &Path) -> io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let parts: Vec<&str> = name.split('.').collect();
            if let [service, action, "json" | "xml"] = parts.as_slice() {
                let text = std::fs::read_to_string(&path)?;
                self.answer(service, action, text);
            }
        }
        Ok(())
    }

    /// Does not allow an action.
    pub fn deny(&self, service: &str, action: &str) {
        self.add(service, action, None, |call| Answer::denied(call, CALLER));
    }

    /// Throttles the next `times` calls of an action.
    pub fn throttle(&self, service: &str, action: &str, times: usize) {
        self.add(service, action, Some(times), Answer::throttled);
    }

    /// From now on the credentials of every call have expired.
    pub fn expire_credentials(&self) {
        self.add("*", "*", None, Answer::expired);
    }

    /// Makes something go wrong; [`crate::Match::verb`] takes action and service.
    pub fn fault(&self, rule: FaultRule) {
        self.faults.add(rule);
    }

    /// What was asked so far.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The calls so far, taken apart.
    #[must_use]
    pub fn calls(&self) -> Vec<AwsCall> {
        self.audit.requests().iter().map(AwsCall::of).collect()
    }

    /// `SERVICE:ACTION` of the calls that no fixture was for.
    #[must_use]
    pub fn unexpected(&self) -> Vec<String> {
        self.shared
            .unexpected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn add(
        &self,
        service: &str,
        action: &str,
        left: Option<usize>,
        handler: impl Fn(&AwsCall) -> Answer + Send + Sync + 'static,
    ) {
        let mut fixtures = self
            .shared
            .fixtures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        fixtures.push(Fixture {
            service: service.to_owned(),
            action: action.to_owned(),
            left,
            handler: Arc::new(handler),
        });
    }
}

impl Shared {
    /// The handler that counts for a call; uses up one of its times.
    fn handler(&self, call: &AwsCall) -> Option<Handler> {
        let mut fixtures = self.fixtures.lock().unwrap_or_else(PoisonError::into_inner);
        let fixture = fixtures.iter_mut().rev().find(|fixture| {
            fixture.left != Some(0)
                && glob(&fixture.service, &call.service)
                && glob(&fixture.action, &call.action)
        })?;
        if let Some(left) = &mut fixture.left {
            *left -= 1;
        }
        Some(fixture.handler.clone())
    }
}

impl Serve for Shared {
    fn classify(&self, request: &mut Request) {
        let call = AwsCall::of(request);
        request.params = call.params;
        request.verb = call.action;
        request.resource = call.service;
    }

    fn answer(
        self: Arc<Self>,
        request: Request,
        _: Option<Action>,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send>> {
        Box::pin(async move {
            let call = AwsCall::of(&request);
            match self.handler(&call) {
                Some(handler) => handler(&call).reply(&call),
                None => {
                    let name = format!("{}:{}", call.service, call.action);
                    let what = format!("{name} ({} {})", request.method, request.path);
                    self.unexpected
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(name);
                    Answer::error(
                        400,
                        "TestkitNoFixture",
                        &format!("no fixture is for {what}"),
                    )
                    .reply(&call)
                }
            }
        })
    }

    fn refusal(&self, request: &Request, code: u16, error: Option<(&str, &str)>) -> Reply {
        let call = AwsCall::of(request);
        let answer = match (error, code) {
            (Some((error, message)), _) => Answer::error(code, error, message),
            (None, 429) => Answer::throttled(&call),
            (None, 403) => Answer::denied(&call, CALLER),
            (None, 503) => {
                let name = match call.protocol {
                    Protocol::Ec2 => "Unavailable",
                    Protocol::Query => "ServiceUnavailable",
                    _ => "ServiceUnavailableException",
                };
                Answer::error(503, name, "The service is temporarily unavailable.")
            }
            (None, code) => {
                Answer::error(code, "InternalFailure", "An internal error has occurred.")
            }
        };
        // The status that the rule asked for, whatever this service would use.
        let mut reply = answer.reply(&call);
        reply.status = code;
        reply
    }
}

/// Environment that points an AWS SDK at `url`.
pub(crate) fn env(url: &str) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = [
        ("AWS_ACCESS_KEY_ID", "AKIATESTKIT"),
        ("AWS_SECRET_ACCESS_KEY", "testkit"),
        ("AWS_REGION", "us-west-2"),
        ("AWS_DEFAULT_REGION", "us-west-2"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_ENDPOINT_URL", url),
    ]
    .iter()
    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    .collect();
    for service in ["AUTO_SCALING", "EC2", "EKS", "IAM", "STS"] {
        env.push((format!("AWS_ENDPOINT_URL_{service}"), url.to_owned()));
    }
    env
}
