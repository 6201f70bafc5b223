//! Kubeconfigs as `aws eks update-kubeconfig` writes them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the credential plugin of a kubeconfig does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exec {
    /// Prints a credential that is valid for 15 minutes.
    Works,
    /// Prints one that ran out long ago.
    Expired,
    /// Prints a message on standard error and exits with a code.
    Fails {
        /// What it says.
        message: String,
        /// Exit code, 1 to 255.
        code: u8,
    },
    /// Does not end.
    Hangs,
    /// Prints text that is no credential.
    Garbage(String),
    /// Is not installed.
    Missing,
}

/// Settings of a kubeconfig; [`KubeconfigBuilder::write`] writes it.
#[must_use]
pub struct KubeconfigBuilder {
    url: String,
    ca_pem: Option<String>,
    token: Option<String>,
    context: String,
    namespace: Option<String>,
    exec: Option<Exec>,
    proxy: Option<String>,
}

impl KubeconfigBuilder {
    /// For a server elsewhere; [`crate::FakeApi::kubeconfig`] makes one for itself.
    pub fn new(url: &str, ca_pem: Option<&str>, token: Option<&str>) -> Self {
        Self {
            url: url.to_owned(),
            ca_pem: ca_pem.map(str::to_owned),
            token: token.map(str::to_owned),
            context: "arn:aws:eks:us-west-2:123456789012:cluster/prod".to_owned(),
            namespace: None,
            exec: None,
            proxy: None,
        }
    }

    /// Name of context, cluster and user; by default the ARN of a cluster `prod`.
    pub fn context(mut self, name: &str) -> Self {
        self.context = name.to_owned();
        self
    }

    /// Namespace of the context.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Another bearer token than the server's own.
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Another URL, such as one behind which nothing listens.
    pub fn server(mut self, url: &str) -> Self {
        self.url = url.to_owned();
        self
    }

    /// Another authority than the server's own.
    pub fn ca_pem(mut self, pem: &str) -> Self {
        self.ca_pem = Some(pem.to_owned());
        self
    }

    /// Credentials from a plugin, as EKS does with `aws eks get-token`.
    pub fn exec(mut self, exec: Exec) -> Self {
        self.exec = Some(exec);
        self
    }

    /// `proxy-url` of the cluster.
    pub fn proxy(mut self, url: &str) -> Self {
        self.proxy = Some(url.to_owned());
        self
    }

    /// Writes the kubeconfig into a temporary folder.
    ///
    /// # Panics
    /// When the folder cannot be written.
    #[must_use]
    pub fn write(self) -> Kubeconfig {
        match self.try_write() {
            Ok(kubeconfig) => kubeconfig,
            Err(error) => panic!("the kubeconfig was not written: {error}"),
        }
    }

    fn try_write(self) -> io::Result<Kubeconfig> {
        let folder = tempfile::Builder::new().prefix("kubeconfig").tempdir()?;
        let path = folder.path().join("config");
        fs::write(&path, format!("{:#}\n", self.document(folder.path())))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        if let Some(exec) = &self.exec
            && *exec != Exec::Missing
        {
            let script = folder.path().join("get-token");
            fs::write(&script, self.script(exec, folder.path()))?;
            fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Kubeconfig { folder, path })
    }

    /// JSON, which is YAML.
    fn document(&self, folder: &Path) -> Value {
        let mut cluster = json!({"server": self.url});
        if let Some(pem) = &self.ca_pem {
            cluster["certificate-authority-data"] = json!(STANDARD.encode(pem));
        }
        if let Some(proxy) = &self.proxy {
            cluster["proxy-url"] = json!(proxy);
        }
        let user = match (&self.exec, &self.token) {
            (Some(_), _) => json!({"exec": {
                "apiVersion": "client.authentication.k8s.io/v1beta1",
                "command": folder.join("get-token"),
                "args": ["--region", "us-west-2", "eks", "get-token", "--cluster-name", "prod"],
                "env": [{"name": "AWS_PROFILE", "value": "testkit"}],
                "interactiveMode": "IfAvailable",
            }}),
            (None, Some(token)) => json!({"token": token}),
            (None, None) => json!({}),
        };
        let mut context = json!({"cluster": self.context, "user": self.context});
        if let Some(namespace) = &self.namespace {
            context["namespace"] = json!(namespace);
        }
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "preferences": {},
            "current-context": self.context,
            "clusters": [{"name": self.context, "cluster": cluster}],
            "users": [{"name": self.context, "user": user}],
            "contexts": [{"name": self.context, "context": context}],
        })
    }

    fn script(&self, exec: &Exec, folder: &Path) -> String {
        let credential = |expires: &str| {
            json!({
                "kind": "ExecCredential",
                "apiVersion": "client.authentication.k8s.io/v1beta1",
                "spec": {},
                "status": {"token": self.token, "expirationTimestamp": expires},
            })
        };
        let does = match exec {
            Exec::Works => {
                let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(15);
                print(&credential(&crate::clock::seconds(expires)).to_string())
            }
            Exec::Expired => print(&credential("2020-01-01T00:00:00Z").to_string()),
            Exec::Fails { message, code } => {
                format!("{} >&2\nexit {code}", print(message))
            }
            // The shell becomes the sleeper, so that killing the plugin leaves nothing behind.
            Exec::Hangs => "exec sleep 3600".to_owned(),
            Exec::Garbage(text) => print(text),
            Exec::Missing => String::new(),
        };
        let runs = quoted(&folder.join("runs").display().to_string());
        format!("#!/bin/sh\necho \"$$ $*\" >> {runs}\n{does}\n")
    }
}

fn print(text: &str) -> String {
    format!("printf '%s\\n' {}", quoted(text))
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A kubeconfig in a temporary folder that goes with it.
#[derive(Debug)]
pub struct Kubeconfig {
    folder: TempDir,
    path: PathBuf,
}

impl Kubeconfig {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How often the credential plugin ran.
    #[must_use]
    pub fn exec_runs(&self) -> usize {
        let runs = fs::read_to_string(self.folder.path().join("runs")).unwrap_or_default();
        runs.lines().count()
    }
}
