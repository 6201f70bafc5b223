//! What the agent takes from the place in which it runs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

/// Descriptors that are not probe sockets: standard streams, the runtime's own, files being read.
const RESERVED_DESCRIPTORS: u64 = 64;

/// Most probe sockets that are open at one time.
const MAX_SOCKETS: u64 = 4096;

/// Shortest pause between two packets that start a DNS query. An ENI passes 1024 packets per
/// second to the VPC resolver and drops the rest
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html>, read 2026-11):
/// a plan that sent everything in one burst would measure the loss that it made.
const DNS_SPACING: Duration = Duration::from_millis(2);

/// Variables that configure AWS clients.
///
/// Some hold credentials, so only their names are ever shown.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process whose names start with `AWS_`.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |name: OsString| name.into_string().ok();
        std::env::vars_os()
            .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
            .filter(|(name, _)| name.starts_with("AWS_"))
            .collect()
    }

    /// Value of a variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(|value| value.trim());
        value.filter(|value| !value.is_empty())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Files and limits of the pod, shared by all probes of a run.
#[derive(Debug)]
pub struct Surroundings {
    /// The resolver's configuration, `/etc/resolv.conf` in a pod.
    pub resolv_conf: PathBuf,
    /// The static host table, `/etc/hosts` in a pod.
    pub hosts: PathBuf,
    /// Roots that are trusted beside the public ones, PEM.
    pub ca_pem: Option<String>,
    /// Variables that configure AWS clients.
    pub environment: Environment,
    sockets: Semaphore,
    next_query: Mutex<Option<Instant>>,
}

impl Surroundings {
    /// Those of the pod in which the agent runs. Raises the soft limit of open files to the hard
    /// one, because containers often start with 1,024.
    #[must_use]
    pub fn of_pod() -> Self {
        let mut pod = Self::with_files("/etc/resolv.conf".into(), "/etc/hosts".into());
        pod.environment = Environment::of_process();
        pod
    }

    /// Those of the pod, but with these files in place of its own and no variables.
    #[must_use]
    pub fn with_files(resolv_conf: PathBuf, hosts: PathBuf) -> Self {
        Self {
            resolv_conf,
            hosts,
            ca_pem: None,
            environment: Environment::default(),
            sockets: Semaphore::new(socket_budget(raise_file_limit())),
            next_query: Mutex::new(None),
        }
    }

    /// Waits until one more socket may be opened. The permit is held as long as the socket.
    pub(crate) async fn socket(&self) -> SemaphorePermit<'_> {
        self.sockets
            .acquire()
            .await
            .expect("the semaphore is never closed")
    }

    /// Waits for this query's turn, so that queries leave at least [`DNS_SPACING`] apart.
    pub(crate) async fn dns_turn(&self) {
        let turn = {
            let mut next = self
                .next_query
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let turn = next.map_or(now, |next| next.max(now));
            *next = Some(turn + DNS_SPACING);
            turn
        };
        sleep_until(turn).await;
    }
}

fn raise_file_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

fn socket_budget(files: Option<u64>) -> usize {
    let sockets = files.map_or(MAX_SOCKETS, |files| {
        files
            .saturating_sub(RESERVED_DESCRIPTORS)
            .clamp(16, MAX_SOCKETS)
    });
    usize::try_from(sockets).unwrap_or(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_budget_leaves_descriptors_for_everything_else() {
        assert_eq!(socket_budget(Some(1024)), 960);
        assert_eq!(socket_budget(Some(1_048_576)), 4096);
        assert_eq!(socket_budget(None), 4096);
        assert_eq!(socket_budget(Some(20)), 16);
    }

    #[test]
    fn the_environment_shows_names_and_never_values() {
        let secret = ("AWS_SECRET_ACCESS_KEY".to_owned(), "s3cret".to_owned());
        let shown = format!("{:?}", Environment::from_iter([secret]));
        assert!(shown.contains("AWS_SECRET_ACCESS_KEY"), "{shown}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[tokio::test(start_paused = true)]
    async fn queries_that_start_together_leave_two_milliseconds_apart() {
        let surroundings = Surroundings::of_pod();
        let start = Instant::now();
        for _ in 0..501 {
            surroundings.dns_turn().await;
        }
        assert_eq!(start.elapsed(), DNS_SPACING * 500);
    }
}
