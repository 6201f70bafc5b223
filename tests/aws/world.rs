//! The AWS side, and the plugin between both.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use eksnet_testkit::{FakeApi, FakeAws, Moto};
use serde_json::{Value, json};

use crate::cluster::{Health, ours, start};
use crate::past::{Ids, demo, now};

/// Name of the context: the ARN that `aws eks update-kubeconfig` gives.
pub(crate) const CONTEXT: &str = "arn:aws:eks:us-west-2:123456789012:cluster/prod";

/// Builds the AWS of a bundle in moto; prints what its ids became.
const BUILD: &str = include_str!("build.py");

/// The security group of the nodes that CoreDNS runs on, in the demo.
const COREDNS_NODES: &str = "prod-c5-xlarge-nodes";

/// The demo's AWS inside moto.
pub(crate) struct Account {
    moto: Moto,
    ids: Ids,
}

impl Account {
    /// Starts moto and builds the outage, or what it is after the rule for DNS was added.
    ///
    /// Errors when moto does not run here.
    pub(crate) fn build(health: Health) -> Result<Self, String> {
        let moto = Moto::start()?;
        let aws = demo()["aws"].clone();
        let groups = aws["securityGroups"].as_array().expect("groups");
        let coredns = groups
            .iter()
            .find(|group| group["GroupName"] == COREDNS_NODES)
            .expect("the group of CoreDNS' nodes")["GroupId"]
            .clone();
        let allow = match health {
            Health::Outage => Value::Null,
            Health::Cured => coredns,
        };
        let order = json!({"aws": aws, "allowDnsTo": allow});
        let mut python = Command::new("python3")
            .args(["-c", BUILD])
            .envs(moto.env())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs moto");
        let mut input = python.stdin.take().expect("a pipe");
        input.write_all(order.to_string().as_bytes()).expect("read");
        drop(input);
        let output = python.wait_with_output().expect("an end");
        assert!(output.status.success(), "building in moto failed");
        let ids = serde_json::from_slice(&output.stdout).expect("ids");
        Ok(Self { moto, ids })
    }

    /// The outage, built once for all tests: they only read it. moto ends with this process.
    pub(crate) fn outage() -> Result<&'static Self, String> {
        static OUTAGE: OnceLock<Result<Account, String>> = OnceLock::new();
        OUTAGE
            .get_or_init(|| Self::build(Health::Outage))
            .as_ref()
            .map_err(Clone::clone)
    }
}

/// A cluster, EKS that knows it, and where the rest of AWS is.
pub(crate) struct World {
    pub(crate) api: FakeApi,
    pub(crate) eks: FakeAws,
    snapshot: Value,
    environment: Vec<(String, String)>,
}

impl World {
    /// The cluster on the instances of an account.
    pub(crate) fn on(account: &Account, health: Health) -> Self {
        let mut world = Self::alone(now(&account.ids), health);
        world.environment = account.moto.env();
        let eks = ("AWS_ENDPOINT_URL_EKS".to_owned(), world.eks.url());
        world.environment.retain(|(name, _)| *name != eks.0);
        world.environment.push(eks);
        world
    }

    /// The cluster in the outage, with no AWS behind it but the EKS fixtures, and no credentials.
    pub(crate) fn without_account() -> Self {
        Self::alone(now(&Ids::default()), Health::Outage)
    }

    fn alone(snapshot: Value, health: Health) -> Self {
        let world = Self {
            api: start(&snapshot, health),
            eks: FakeAws::start(),
            snapshot,
            environment: Vec::new(),
        };
        let empty = |list: &str| json!({list: []});
        world
            .eks
            .answer("eks", "ListNodegroups", empty("nodegroups"));
        world.eks.answer("eks", "ListAddons", empty("addons"));
        world
            .eks
            .answer("eks", "ListAccessEntries", empty("accessEntries"));
        let associations = "ListPodIdentityAssociations";
        world.eks.answer("eks", associations, empty("associations"));
        world.describe(&world.api, &json!({}));
        world
    }

    /// From now on EKS describes the cluster with endpoint and authority of `api`, `fields` merged
    /// over them.
    pub(crate) fn describe(&self, api: &FakeApi, fields: &Value) {
        let mut cluster = self.snapshot["aws"]["cluster"].clone();
        for own in ["name", "endpoint"] {
            cluster.as_object_mut().expect("an object").remove(own);
        }
        for (key, value) in fields.as_object().expect("an object") {
            cluster[key] = value.clone();
        }
        self.eks.eks_cluster("prod", api, &cluster);
    }

    /// The environment of the next runs, instead of the account's.
    pub(crate) fn with_environment(mut self, environment: Vec<(String, String)>) -> Self {
        self.environment = environment;
        self
    }

    /// Runs the plugin, told of nothing but the context and the endpoints.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let kubeconfig = self.api.kubeconfig().context(CONTEXT).write();
        let output = Command::new(env!("CARGO_BIN_EXE_kubectl-eksnet"))
            .args(arguments)
            .args(["--context", CONTEXT])
            .env_clear()
            .env("HOME", "/nonexistent")
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("KUBECONFIG", kubeconfig.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            // moto answers what it does not know, such as IAM's simulation, by status 500.
            .env("AWS_MAX_ATTEMPTS", "1")
            .envs(self.environment.iter().cloned())
            .output()
            .expect("the plugin can be started");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Ran {
            exit: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The report of `doctor`, after which nothing of ours is left.
    pub(crate) fn doctor(&self) -> Report {
        let ran = self.run(&["doctor", "-o", "json"]);
        let report: Value = serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", ran.stdout, ran.stderr));
        let created = &report["created"];
        assert_eq!(created["pods"], self.api.pods_created(), "{}", ran.stderr);
        assert_eq!(created["pods"], created["deleted"]);
        assert_eq!(created["left"], 0);
        assert_eq!(ours(&self.api), Vec::<Value>::new());
        Report {
            exit: ran.exit,
            json: report,
        }
    }
}

/// How a run ended.
pub(crate) struct Ran {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A report and the exit code that came with it.
pub(crate) struct Report {
    pub(crate) exit: i32,
    pub(crate) json: Value,
}

impl Report {
    /// A list of the report.
    pub(crate) fn list(&self, field: &str) -> &[Value] {
        self.json[field].as_array().expect("a list")
    }

    /// Check and confidence of the first diagnosis.
    pub(crate) fn first(&self) -> (&str, &str) {
        let first = &self.json["diagnoses"][0];
        let text = |field: &str| first[field].as_str().unwrap_or("none");
        (text("check"), text("confidence"))
    }

    /// Checks of the findings that the first diagnosis explains.
    pub(crate) fn explained(&self) -> Vec<&str> {
        let explains = self.json["diagnoses"][0]["explains"].as_array();
        let findings = self.list("findings");
        explains
            .into_iter()
            .flatten()
            .filter_map(|id| findings.iter().find(|finding| finding["id"] == *id))
            .filter_map(|finding| finding["check"].as_str())
            .collect()
    }

    /// What a check came to.
    pub(crate) fn state(&self, check: &str) -> &str {
        let outcomes = self.list("outcomes").iter();
        let mut found = outcomes.filter(|outcome| outcome["check"] == check);
        let outcome = found.next().expect("a check");
        outcome["state"].as_str().expect("a state")
    }
}
