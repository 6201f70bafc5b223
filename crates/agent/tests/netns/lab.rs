//! Namespaces that are made for one case and gone after it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::oneshot;

use crate::case::Node;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The namespaces of one case; dropping it takes all of them away.
pub(crate) struct Lab {
    prefix: String,
    namespaces: Vec<String>,
    servers: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// Why namespaces cannot be made here; `None` where they can.
pub(crate) fn lacking() -> Option<&'static str> {
    static LACKING: OnceLock<Option<String>> = OnceLock::new();
    LACKING
        .get_or_init(|| {
            sweep();
            let mut lab = Lab::empty();
            lab.add_namespace("try")
                .and_then(|name| load_filter(&name, &["udp dport 53 drop".to_owned()], &[]))
                .err()
        })
        .as_deref()
}

impl Lab {
    fn empty() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            prefix: format!("eksnet-{}-{number}", std::process::id()),
            namespaces: Vec::new(),
            servers: Vec::new(),
        }
    }

    /// Puts every node on one switch, with its addresses, routes, filters and files.
    pub(crate) fn build(nodes: &BTreeMap<String, Node>) -> Result<Self, String> {
        let mut lab = Self::empty();
        let switch = lab.add_namespace("switch")?;
        ip(&switch, "link add br0 type bridge\nlink set br0 up\n")?;
        for (place, (name, node)) in nodes.iter().enumerate() {
            let namespace = lab.add_namespace(name)?;
            ip(
                &switch,
                &format!(
                    "link add port{place} type veth peer name eth0 netns {namespace}\n\
                     link set port{place} master br0\nlink set port{place} up\n"
                ),
            )?;
            ip(&namespace, "link set lo up\nlink set eth0 up\n")?;
            for address in &node.addresses {
                // Without duplicate detection an IPv6 address is there at once.
                let nodad = if address.contains(':') { "nodad" } else { "" };
                ip(
                    &namespace,
                    &format!("addr add {address} dev eth0 {nodad}\n"),
                )?;
            }
            for route in &node.routes {
                ip(&namespace, &format!("route add {route}\n"))?;
            }
            load_filter(&namespace, &node.input, &node.output)?;
            lab.write_files(&namespace, node)?;
        }
        Ok(lab)
    }

    pub(crate) fn namespace(&self, node: &str) -> String {
        format!("{}-{node}", self.prefix)
    }

    /// Loads nftables rules into the namespace of `node`.
    pub(crate) fn load(&self, node: &str, table: &str) -> Result<(), String> {
        load(&self.namespace(node), table)
    }

    /// Runs `serve` on a thread of its own inside the namespace of `node`, until the lab ends.
    /// Returns when `serve` has said that it listens.
    pub(crate) fn serve<F>(
        &mut self,
        node: &str,
        serve: impl FnOnce(std::sync::mpsc::Sender<()>) -> F + Send + 'static,
    ) where
        F: Future<Output = ()>,
    {
        let path = Path::new("/run/netns").join(self.namespace(node));
        let namespace = File::open(&path).expect("the namespace was made");
        let (listening, listens) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            use std::os::fd::AsFd as _;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("root may enter a namespace");
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listening) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        self.servers.push((stop, thread));
        listens.recv().expect("the server listens");
    }

    fn add_namespace(&mut self, node: &str) -> Result<String, String> {
        let name = self.namespace(node);
        run(Command::new("ip").args(["netns", "add", &name]), "")?;
        self.namespaces.push(name.clone());
        Ok(name)
    }

    /// `ip netns exec` mounts the files of this folder over those in `/etc`.
    fn write_files(&self, namespace: &str, node: &Node) -> Result<(), String> {
        let folder = etc(namespace);
        let write = |name: &str, lines: &[String]| {
            let text = lines.iter().map(|line| format!("{line}\n"));
            std::fs::write(folder.join(name), text.collect::<String>())
        };
        std::fs::create_dir_all(&folder)
            .and_then(|()| write("resolv.conf", &node.resolv_conf))
            .and_then(|()| write("hosts", &node.hosts))
            .map_err(|error| format!("writing to {} failed: {error}", folder.display()))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for (stop, thread) in self.servers.drain(..) {
            let _ = stop.send(());
            let _ = thread.join();
        }
        for name in &self.namespaces {
            remove(name);
        }
    }
}

fn etc(namespace: &str) -> PathBuf {
    Path::new("/etc/netns").join(namespace)
}

fn remove(namespace: &str) {
    let _ = run(Command::new("ip").args(["netns", "del", namespace]), "");
    let _ = std::fs::remove_dir_all(etc(namespace));
}

/// Removes what a killed run left behind.
fn sweep() {
    for entry in std::fs::read_dir("/run/netns")
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix("eksnet-")
            .and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            remove(&name);
        }
    }
}

fn load_filter(namespace: &str, input: &[String], output: &[String]) -> Result<(), String> {
    if input.is_empty() && output.is_empty() {
        return Ok(());
    }
    let chain = |hook: &str, rules: &[String]| {
        format!(
            "chain {hook} {{ type filter hook {hook} priority 0; policy accept;\n{}\n}}\n",
            rules.join("\n")
        )
    };
    let table = format!(
        "table inet case {{\n{}{}}}\n",
        chain("input", input),
        chain("output", output)
    );
    load(namespace, &table)
}

/// Loads nftables rules.
fn load(namespace: &str, table: &str) -> Result<(), String> {
    let mut nft = Command::new("ip");
    nft.args(["netns", "exec", namespace, "nft", "-f", "-"]);
    run(&mut nft, table)
}

fn ip(namespace: &str, lines: &str) -> Result<(), String> {
    run(
        Command::new("ip").args(["-n", namespace, "-batch", "-"]),
        lines,
    )
}

fn run(command: &mut Command, input: &str) -> Result<(), String> {
    let failed = |why: &dyn std::fmt::Display| format!("{command:?} failed: {why}");
    let spawned = Command::new(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|error| failed(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(&error))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(failed(&format_args!(
            "{}\n{}\n{input}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )))
    }
}
