//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use eksnet_collect::{NodeChoice, Workload};

/// Finds out why networking on an Amazon EKS cluster is broken, proves it, and says how to fix it.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-eksnet",
    bin_name = "kubectl eksnet",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 nothing at or above --fail-on, 1 findings, 2 usage, 3 no verdict, 4 internal error, 130/143 ended by a signal"
)]
pub(crate) struct Args {
    /// Say more about what the program does, on standard error.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Judge a cluster, or saved evidence.
    Doctor(Doctor),
    /// Show from where which DNS server answers, as a table.
    Dns(Box<Dns>),
    /// Count how many more pods can start and which limit binds first, or plan without a cluster.
    Capacity(Box<Capacity>),
    /// Save the evidence of a cluster in a file, for later or for someone else.
    Collect(Collect),
    /// List the checks.
    Checks(Checks),
    /// Show the runbook of a check.
    Explain(Explain),
    /// Print the permissions that checks need, as a ClusterRole and an IAM policy.
    Permissions(Permissions),
    /// Delete probe pods that a run left behind.
    Cleanup(Cleanup),
    /// Print the version.
    Version(Version),
    /// Print what is generated from the code.
    #[command(hide = true)]
    Generate(Generate),
}

/// kubectl's flags, with kubectl's meanings.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct Kubectl {
    /// Path of the kubeconfig file.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// Cluster of the kubeconfig.
    #[arg(long)]
    pub(crate) cluster: Option<String>,
    /// User of the kubeconfig.
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// User to act as.
    #[arg(long = "as", value_name = "USER")]
    pub(crate) impersonate: Option<String>,
    /// Group to act as; may be given several times.
    #[arg(long = "as-group", value_name = "GROUP")]
    pub(crate) impersonate_groups: Vec<String>,
    /// UID to act as.
    #[arg(long = "as-uid", value_name = "UID")]
    pub(crate) impersonate_uid: Option<String>,
    /// Longest single request, such as 5s; 0 means no limit of its own.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) request_timeout: Option<Duration>,
    /// Namespace that the report is about; others are listed where this is allowed.
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
    /// Report on all namespaces, as without -n.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
}

/// How AWS is reached.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "AWS")]
pub(crate) struct Aws {
    /// Call no AWS API; checks that need one end as unknown.
    #[arg(long)]
    pub(crate) no_aws: bool,
    /// Profile of the AWS configuration.
    #[arg(long)]
    pub(crate) profile: Option<String>,
    /// Region, where it cannot be found from the cluster.
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// Name of the EKS cluster, where it cannot be found from the cluster.
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster_name: Option<String>,
}

/// What probe pods do.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Probe pods")]
pub(crate) struct Probes {
    /// Create no pod; checks that need one end as unknown.
    #[arg(long)]
    pub(crate) no_probe: bool,
    /// Nodes to probe from: `all`, or names separated by commas; else one of each class.
    #[arg(long, value_name = "all|NAME,..")]
    pub(crate) nodes: Option<NodeChoice>,
    /// Namespace of the probe pods.
    #[arg(long, value_name = "NAMESPACE", default_value = "default")]
    pub(crate) probe_namespace: String,
    /// Probe as this workload as well: in its namespace, with its service account.
    #[arg(long, value_name = "NAMESPACE/KIND/NAME")]
    pub(crate) as_workload: Option<Workload>,
    /// Image of the probe pods.
    #[arg(long, value_name = "IMAGE")]
    pub(crate) agent_image: Option<String>,
    /// Secret to pull the image with.
    #[arg(long, value_name = "SECRET")]
    pub(crate) image_pull_secret: Option<String>,
    /// Limit of the whole run, cleaning up not included.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) timeout: Duration,
}

/// Which checks run.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Checks")]
pub(crate) struct Select {
    /// Run only these: ids, families or globs, separated by commas.
    #[arg(long, value_name = "ID|FAMILY|GLOB,..", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Leave these out.
    #[arg(long, value_name = "ID|FAMILY|GLOB,..", value_delimiter = ',')]
    pub(crate) skip: Vec<String>,
}

/// What is looked at instead of a cluster.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct Saved {
    /// Look at saved evidence instead of a cluster: a bundle of `collect`, a file, an archive, or a folder of
    /// them; `-` reads standard input.
    #[arg(long, value_name = "PATH", conflicts_with = "demo")]
    pub(crate) from: Option<PathBuf>,
    /// Look at the outage that is built in.
    #[arg(long)]
    pub(crate) demo: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) saved: Saved,
    /// Show what would be read and created, and stop.
    #[arg(long, conflicts_with_all = ["from", "demo"])]
    pub(crate) plan: bool,
    /// Lowest severity that makes the exit code 1.
    #[arg(long, value_enum, default_value_t = FailOn::Error)]
    pub(crate) fail_on: FailOn,
    /// Format of the report.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
    #[command(flatten)]
    pub(crate) select: Select,
    #[command(flatten)]
    pub(crate) kubectl: Kubectl,
    #[command(flatten)]
    pub(crate) aws: Aws,
    #[command(flatten)]
    pub(crate) probes: Probes,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Dns {
    /// Ask for this name as well, of every server, and show its answers alone: a host name, or a Service as
    /// NAME.NAMESPACE.
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) saved: Saved,
    /// Format.
    #[arg(short, long, value_enum, default_value_t = DnsFormat::Text)]
    pub(crate) output: DnsFormat,
    #[command(flatten)]
    pub(crate) kubectl: Kubectl,
    #[command(flatten)]
    pub(crate) aws: Aws,
    #[command(flatten)]
    pub(crate) probes: Probes,
}

/// Planning without a cluster.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Plan without a cluster")]
pub(crate) struct PlanFlags {
    /// Instance types, separated by commas, as alternatives; ALL lists every known one.
    #[arg(
        long = "instance-type",
        value_name = "TYPE,..|ALL",
        value_delimiter = ',',
        conflicts_with_all = ["from", "demo"]
    )]
    pub(crate) instance_types: Vec<String>,
    /// How many nodes.
    #[arg(long, value_name = "N", requires = "instance_types")]
    pub(crate) nodes: Option<u32>,
    /// Subnets that pods' addresses come from, one per zone; may be given several times.
    #[arg(
        long,
        value_name = "CIDR,..",
        value_delimiter = ',',
        requires = "instance_types"
    )]
    pub(crate) subnet_cidr: Vec<ipnet::Ipv4Net>,
    /// Nodes more than those while a node group is updated; two per subnet unless given.
    #[arg(long, value_name = "N", requires = "instance_types")]
    pub(crate) surge: Option<u32>,
}

/// What to suppose of the VPC CNI.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Suppose of the VPC CNI")]
pub(crate) struct CniFlags {
    /// Whole /28 prefixes instead of single addresses.
    #[arg(long)]
    pub(crate) prefix_delegation: bool,
    /// Pods have subnets of their own (custom networking).
    #[arg(long)]
    pub(crate) custom_networking: bool,
    /// Security groups for pods: a trunk interface takes a slot.
    #[arg(long)]
    pub(crate) pod_eni: bool,
    /// Most interfaces of a node.
    #[arg(long, value_name = "N")]
    pub(crate) max_eni: Option<u32>,
    /// A variable of the VPC CNI, such as WARM_IP_TARGET=5; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub(crate) set: Vec<(String, String)>,
}

/// What to suppose of a cluster.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "What if", group = clap::ArgGroup::new("supposes").multiple(true).conflicts_with("instance_types"))]
pub(crate) struct WhatIfFlags {
    /// This many more pods.
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "workload",
        group = "supposes"
    )]
    pub(crate) pods: Option<u32>,
    /// CPU that each of them requests, such as 100m.
    #[arg(long, value_name = "QUANTITY", requires = "pods", value_parser = milli_cpu)]
    pub(crate) cpu: Option<u64>,
    /// Memory that each of them requests, such as 128Mi.
    #[arg(long, value_name = "QUANTITY", requires = "pods", value_parser = bytes)]
    pub(crate) memory: Option<u64>,
    /// A workload of the cluster, with its requests, affinity, spread and node selector.
    #[arg(
        long,
        value_name = "NAMESPACE/KIND/NAME",
        requires = "replicas",
        group = "supposes"
    )]
    pub(crate) workload: Option<eksnet_capacity::WorkloadName>,
    /// Replicas that it shall have in all.
    #[arg(long, value_name = "N", requires = "workload")]
    pub(crate) replicas: Option<u32>,
    /// A block more in the VPC that pods take addresses from; may be given several times.
    #[arg(long, value_name = "CIDR", group = "supposes")]
    pub(crate) add_cidr: Vec<ipnet::Ipv4Net>,
    /// A node group that may grow.
    #[arg(long, value_name = "NAME", requires = "max", group = "supposes")]
    pub(crate) nodegroup: Option<String>,
    /// Most nodes that it may have.
    #[arg(long, value_name = "N", requires = "nodegroup")]
    pub(crate) max: Option<u32>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Capacity {
    #[command(flatten)]
    pub(crate) plan: PlanFlags,
    #[command(flatten)]
    pub(crate) what_if: WhatIfFlags,
    #[command(flatten)]
    pub(crate) cni: CniFlags,
    #[command(flatten)]
    pub(crate) saved: Saved,
    /// Format.
    #[arg(short, long, value_enum, default_value_t = CapacityFormat::Text)]
    pub(crate) output: CapacityFormat,
    /// Limit of the whole run.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) kubectl: Kubectl,
    #[command(flatten)]
    pub(crate) aws: Aws,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Collect {
    /// File to write; `-` for standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) select: Select,
    #[command(flatten)]
    pub(crate) kubectl: Kubectl,
    #[command(flatten)]
    pub(crate) aws: Aws,
    #[command(flatten)]
    pub(crate) probes: Probes,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Checks {
    /// Format of the list.
    #[arg(short, long, value_enum, default_value_t = ListFormat::Text)]
    pub(crate) output: ListFormat,
    #[command(flatten)]
    pub(crate) select: Select,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Explain {
    /// Id of the check, such as `net/sg-node-dns`.
    pub(crate) id: String,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Permissions {
    /// Only for these checks: ids, families or globs, separated by commas.
    #[arg(long = "for", value_name = "ID|FAMILY|GLOB,..", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// `yaml` for the Kubernetes roles, `json` for the IAM policy; both without it.
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<PermissionFormat>,
    /// Namespace of the probe pods.
    #[arg(long, value_name = "NAMESPACE", default_value = "default")]
    pub(crate) probe_namespace: String,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Cleanup {
    /// Delete only what is older than this.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub(crate) older_than: Duration,
    #[command(flatten)]
    pub(crate) kubectl: Kubectl,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Version {
    /// Format.
    #[arg(short, long, value_enum, default_value_t = ListFormat::Text)]
    pub(crate) output: ListFormat,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Generate {
    /// What to print.
    #[arg(value_enum)]
    pub(crate) what: Generated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Generated {
    /// JSON schema of reports.
    Schema,
    /// The command line, Markdown.
    Cli,
    /// Index of the checks, Markdown.
    Checks,
    /// Permissions, Markdown.
    Permissions,
    /// The default image of the probe pods.
    AgentImage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    Critical,
    Error,
    Warning,
    /// Findings never make the exit code 1.
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    /// Text with every proof and every diagnosis in full, and from where which DNS server answers.
    Wide,
    /// One line for each diagnosis; nothing when healthy.
    Short,
    /// For a ticket.
    Markdown,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DnsFormat {
    /// A table that fits one screen: what sees the same shares a row.
    Text,
    /// Text with every row.
    Wide,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CapacityFormat {
    Text,
    /// Text with every node, subnet and gap.
    Wide,
    Json,
    /// For a ticket.
    Markdown,
    /// A page with each subnet as a map of its addresses.
    Html,
    /// The names of CNI Metrics Helper, and the project's own.
    Prometheus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PermissionFormat {
    Yaml,
    Json,
}

/// `NAME=VALUE`.
fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not NAME=VALUE")),
    }
}

fn milli_cpu(text: &str) -> Result<u64, String> {
    eksnet_model::kubernetes::milli_cpu(text)
        .ok_or_else(|| format!("{text:?} is no quantity such as 100m or 0.5"))
}

fn bytes(text: &str) -> Result<u64, String> {
    eksnet_model::kubernetes::bytes(text)
        .ok_or_else(|| format!("{text:?} is no quantity such as 128Mi or 1Gi"))
}

/// kubectl's durations: `90s`, `2m`, `1h30m`, or a bare number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no duration such as 90s, 2m or 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
        let after = &rest[digits..];
        let (unit_ms, taken) = match after {
            _ if after.starts_with("ms") => (1, 2),
            _ if after.starts_with('s') => (1000, 1),
            _ if after.starts_with('m') => (60_000, 1),
            _ if after.starts_with('h') => (3_600_000, 1),
            _ => return Err(bad()),
        };
        let part = number
            .checked_mul(unit_ms)
            .map(Duration::from_millis)
            .ok_or_else(bad)?;
        total = total.checked_add(part).ok_or_else(bad)?;
        rest = &after[taken..];
    }
    if text.is_empty() {
        Err(bad())
    } else {
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }

    #[test]
    fn durations_are_those_of_kubectl() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for wrong in ["", "s", "5x", "-1s", "1.5s", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
