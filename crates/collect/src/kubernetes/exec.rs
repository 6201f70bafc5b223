//! The credential plugin of a kubeconfig, run once.
//!
//! kube 5.0 runs it three times for one client, blocking and without a limit. The protocol is that
//! of <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>
//! (read November 2026).

use std::process::Stdio;
use std::time::Duration;

use eksnet_model::Text;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::error::ConnectError;

/// Most of a credential that is read, in bytes.
const MAX_STDOUT: usize = 1024 * 1024;
/// Most of standard error that is kept, in bytes: its end.
const MAX_STDERR: usize = 2 * 1024;
/// How long output is waited for after the plugin itself has ended: a child of its own may keep
/// the pipe open for ever.
const AFTER_EXIT: Duration = Duration::from_millis(500);

/// A plugin as the kubeconfig writes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExecPlugin {
    pub(crate) api_version: String,
    pub(crate) command: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) install_hint: Option<String>,
    /// Whether it cannot work without a terminal.
    pub(crate) needs_terminal: bool,
    /// What it is told of the cluster, where the kubeconfig says so.
    pub(crate) cluster: Option<Value>,
}

/// What a plugin gave.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) token: Option<String>,
    /// Certificate and key, PEM.
    pub(crate) certificate: Option<(String, String)>,
}

/// Never shows what it holds.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential")
            .field("token", &self.token.is_some())
            .field("certificate", &self.certificate.is_some())
            .finish()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

impl ExecPlugin {
    /// The command line, as a reader would type it.
    pub(crate) fn command_line(&self) -> Text {
        let words = std::iter::once(&self.command).chain(&self.args);
        words
            .map(|word| eksnet_model::scrubbed_argument(word))
            .collect::<Vec<_>>()
            .join(" ")
            .into()
    }

    /// Runs the plugin; `now` is compared with the credential's expiry.
    ///
    /// # Errors
    /// [`ConnectError::Exec`], [`ConnectError::ExecTimeout`] or [`ConnectError::Expired`].
    pub(crate) async fn run(
        &self,
        limit: Duration,
        now: jiff::Timestamp,
    ) -> Result<Credential, ConnectError> {
        const VERSIONS: [&str; 2] = [
            "client.authentication.k8s.io/v1",
            "client.authentication.k8s.io/v1beta1",
        ];
        if !VERSIONS.contains(&self.api_version.as_str()) {
            return Err(self.failed(format!(
                "the kubeconfig asks for {}, which no current plugin speaks: renew it with `aws eks update-kubeconfig`",
                quoted(&self.api_version)
            )));
        }
        if self.needs_terminal {
            return Err(self.failed(
                "its interactiveMode is Always, and it is run without a terminal here".to_owned(),
            ));
        }
        let mut child = self.spawn()?;
        let group = Group::of(&child);
        let mut stdout = Tail::new(MAX_STDOUT + 1, Keep::Start);
        let mut stderr = Tail::new(MAX_STDERR, Keep::End);
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let ended = timeout(limit, async {
            let mut reads = std::pin::pin!(async {
                tokio::join!(stdout.read(out), stderr.read(err));
            });
            tokio::select! {
                () = &mut reads => child.wait().await,
                status = child.wait() => {
                    let _ = timeout(AFTER_EXIT, reads).await;
                    status
                }
            }
        })
        .await;
        drop(group);
        let said = Text::from(String::from_utf8_lossy(&stderr.bytes).trim().to_owned());
        let status = match ended {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => return Err(self.failed(format!("waiting for it: {error}"))),
            Err(_) => {
                return Err(ConnectError::ExecTimeout {
                    command: self.command_line(),
                    after: limit,
                    stderr: said,
                });
            }
        };
        if !status.success() {
            let why = if said.is_empty() {
                "it said nothing"
            } else {
                said.as_str()
            };
            return Err(self.failed(format!("{status}: {why}")));
        }
        if stdout.bytes.len() > MAX_STDOUT {
            return Err(self.failed(format!("it wrote more than {MAX_STDOUT} bytes")));
        }
        self.read(&stdout.bytes, now)
    }

    fn spawn(&self) -> Result<Child, ConnectError> {
        let mut spec = json!({"interactive": false});
        if let Some(cluster) = &self.cluster {
            spec["cluster"] = cluster.clone();
        }
        let info = json!({
            "kind": "ExecCredential",
            "apiVersion": self.api_version,
            "spec": spec,
        });
        Command::new(&self.command)
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("KUBERNETES_EXEC_INFO", info.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that what the plugin starts can be ended with it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                let hint = match &self.install_hint {
                    Some(hint) if error.kind() == std::io::ErrorKind::NotFound => {
                        format!("{error}; {}", hint.trim())
                    }
                    _ => error.to_string(),
                };
                self.failed(hint)
            })
    }

    /// Reads what the plugin wrote. Nothing of it goes into a message: it may be a token.
    fn read(&self, stdout: &[u8], now: jiff::Timestamp) -> Result<Credential, ConnectError> {
        let wrote: ExecCredential = serde_json::from_slice(stdout).map_err(|error| {
            self.failed(format!(
                "its output is no ExecCredential in JSON (line {}, column {})",
                error.line(),
                error.column()
            ))
        })?;
        if wrote.kind != "ExecCredential" {
            return Err(self.failed(format!(
                "its output has kind {}, not ExecCredential",
                quoted(&wrote.kind)
            )));
        }
        if wrote.api_version != self.api_version {
            return Err(self.failed(format!(
                "it answered in {}, the kubeconfig asks for {}",
                quoted(&wrote.api_version),
                self.api_version
            )));
        }
        let status = wrote
            .status
            .ok_or_else(|| self.failed("its ExecCredential has no status".to_owned()))?;
        if let Some(at) = status
            .expiration_timestamp
            .as_deref()
            .filter(|at| !at.is_empty())
        {
            match at.parse::<jiff::Timestamp>() {
                Ok(time) if time <= now => {
                    return Err(ConnectError::Expired {
                        command: self.command_line(),
                        at: at.into(),
                    });
                }
                Ok(_) => {}
                Err(_) => {
                    return Err(
                        self.failed(format!("its expirationTimestamp {} is no time", quoted(at)))
                    );
                }
            }
        }
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let token = given(status.token);
        let certificate = match (
            given(status.client_certificate_data),
            given(status.client_key_data),
        ) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                return Err(self.failed(
                    "it gave one of client certificate and key, without the other".to_owned(),
                ));
            }
        };
        if token.is_none() && certificate.is_none() {
            return Err(self.failed("it gave neither token nor client certificate".to_owned()));
        }
        // A token that cannot stand in a header would fail at each request, and be shown there.
        if token
            .as_ref()
            .is_some_and(|token| token.bytes().any(|byte| !(0x21..0x7f).contains(&byte)))
        {
            return Err(self.failed("its token holds characters that no token has".to_owned()));
        }
        Ok(Credential { token, certificate })
    }

    fn failed(&self, why: String) -> ConnectError {
        ConnectError::Exec {
            command: self.command_line(),
            why: why.into(),
        }
    }
}

fn quoted(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    format!("{short:?}")
}

/// A process group that ends when this is dropped: at the end, at a timeout, or when the run is
/// given up in the middle.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Gone already is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

enum Keep {
    Start,
    End,
}

/// A bounded part of a stream; the rest is read and dropped, so that the writer does not block.
struct Tail {
    bytes: Vec<u8>,
    most: usize,
    keep: Keep,
}

impl Tail {
    fn new(most: usize, keep: Keep) -> Self {
        Self {
            bytes: Vec::new(),
            most,
            keep,
        }
    }

    async fn read(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            match self.keep {
                Keep::Start => {
                    let room = self.most - self.bytes.len();
                    self.bytes.extend_from_slice(&chunk[..read.min(room)]);
                }
                Keep::End => {
                    self.bytes.extend_from_slice(&chunk[..read]);
                    let over = self.bytes.len().saturating_sub(self.most);
                    self.bytes.drain(..over);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
