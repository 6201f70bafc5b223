//! What the reporter typed: a shell's prompt and the command behind it.

/// The command of a line that begins with a prompt: `$ kubectl get pods`, `[ec2-user@ip-10-0-1-2 ~]$ ip r`,
/// `root@pod:/# cat /etc/resolv.conf`, `/ # nslookup kubernetes`.
pub(crate) fn command(text: &str) -> Option<&str> {
    let text = text.trim_start();
    for prompt in ["$ ", "% ", "/ # ", "~ # ", "/ $ ", "~ $ ", "➜ ", "❯ "] {
        if let Some(command) = text.strip_prefix(prompt) {
            return Some(command.trim());
        }
    }
    if let Some(command) = text.strip_prefix("# ") {
        // A comment looks the same.
        return (is_program(command) || is_program_of_nodes(command)).then(|| command.trim());
    }
    // `user@host:path$ command`, `[user@host path]$ command`, `bash-5.1# command`
    let (prompt, command) = text
        .split_once("# ")
        .into_iter()
        .chain(text.split_once("$ "))
        .next()?;
    let is_prompt = prompt.len() < 80
        && (prompt.contains('@')
            || prompt.starts_with("bash-")
            || prompt.starts_with("sh-")
            || prompt.starts_with("root"))
        && !prompt.contains(": ");
    is_prompt.then(|| command.trim())
}

/// The host that a prompt names: `[ec2-user@HOST ~]$`, `root@HOST:/#`; `container` for the bare prompts of
/// small images.
pub(crate) fn host(text: &str) -> Option<&str> {
    let text = text.trim_start();
    if ["/ # ", "~ # ", "/ $ ", "~ $ ", "/app # "]
        .iter()
        .any(|start| text.starts_with(start))
    {
        return Some("container");
    }
    let (prompt, _) = text
        .split_once("# ")
        .into_iter()
        .chain(text.split_once("$ "))
        .next()?;
    let (_, host) = prompt.rsplit_once('@')?;
    let host = host.split([':', ' ', ']', '/']).next()?;
    (!host.is_empty()).then_some(host)
}

/// Whether a prompt's host looks like that of a container: a pod's name ends in what Kubernetes appends.
pub(crate) fn is_in_container(host: &str) -> bool {
    host == "container" || crate::words::owner(host) != host
}

/// A bare command line: `kubectl get svc` without a prompt.
pub(crate) fn bare(text: &str) -> Option<&str> {
    is_program(text).then_some(text)
}

fn is_program_of_nodes(text: &str) -> bool {
    let word = text.split_whitespace().next().unwrap_or_default();
    matches!(
        word,
        "ip" | "iptables"
            | "sysctl"
            | "cat"
            | "host"
            | "nc"
            | "getent"
            | "nstat"
            | "journalctl"
            | "exit"
    )
}

fn is_program(text: &str) -> bool {
    let word = text.split_whitespace().next().unwrap_or_default();
    text.contains(' ')
        && matches!(
            word,
            "kubectl"
                | "aws"
                | "dig"
                | "nslookup"
                | "ping"
                | "curl"
                | "wget"
                | "k"
                | "kc"
                | "tcpdump"
                | "ethtool"
                | "conntrack"
                | "iptables-save"
                | "traceroute"
                | "telnet"
                | "eksctl"
        )
}

/// What `kubectl logs` names: the container, else the pod, workload or selector.
pub(crate) fn log_of(command: &str) -> Option<&str> {
    let mut words = command.split(['|', ';', '>']).next()?.split_whitespace();
    words
        .next()
        .filter(|program| matches!(*program, "kubectl" | "k" | "kc" | "oc"))?;
    let (mut is_logs, mut container, mut target) = (false, None, None);
    while let Some(word) = words.next() {
        match word {
            "logs" | "log" => is_logs = true,
            "-n" | "--namespace" | "--context" | "--kubeconfig" | "--tail" | "--since" => {
                words.next();
            }
            "-c" | "--container" => container = words.next(),
            "-l" | "--selector" => target = words.next(),
            _ if word.starts_with("-c=") || word.starts_with("--container=") => {
                container = word.split_once('=').map(|(_, name)| name);
            }
            _ if word.starts_with("-l") || word.starts_with("--selector=") => target = Some(word),
            _ if is_logs && !word.starts_with('-') && target.is_none() => target = Some(word),
            _ => {}
        }
    }
    container.or(target).filter(|_| is_logs)
}

/// The namespace that a kubectl command names: `-n NAME`, `--namespace NAME` or `--namespace=NAME`.
pub(crate) fn namespace(command: &str) -> Option<&str> {
    let mut words = command.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "-n" | "--namespace" => return words.next(),
            _ => {
                if let Some(name) = word.strip_prefix("--namespace=").or_else(|| {
                    word.strip_prefix("-n")
                        .filter(|name| !name.is_empty() && !name.starts_with('-'))
                }) {
                    return Some(name.trim_start_matches('='));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_of_many_shells_are_known() {
        for (text, expected) in [
            ("$ kubectl get pods", "kubectl get pods"),
            ("[ec2-user@ip-10-80-10-5 ~]$ ip r", "ip r"),
            ("root@web-1:/# cat /etc/resolv.conf", "cat /etc/resolv.conf"),
            ("/ # nslookup kubernetes", "nslookup kubernetes"),
            ("bash-5.1# dig @10.100.0.10 a", "dig @10.100.0.10 a"),
            ("# dig a", "dig a"),
        ] {
            assert_eq!(command(text), Some(expected), "{text}");
        }
        for none in ["# Pod's terminal", "It costs 5$ a day", "E1019 06:00: $ x"] {
            assert_eq!(command(none), None, "{none}");
        }
    }

    #[test]
    fn a_command_names_the_log_that_it_prints() {
        for (command, expected) in [
            (
                "kubectl -n kube-system logs kube-proxy-x7 --tail 5",
                Some("kube-proxy-x7"),
            ),
            (
                "k logs -f ds/aws-node -c aws-eks-nodeagent | tail",
                Some("aws-eks-nodeagent"),
            ),
            (
                "kubectl logs -l k8s-app=kube-dns -n kube-system",
                Some("k8s-app=kube-dns"),
            ),
            ("kubectl get pods", None),
            ("docker logs kube-proxy", None),
        ] {
            assert_eq!(log_of(command), expected, "{command}");
        }
    }

    #[test]
    fn a_command_may_name_the_namespace() {
        assert_eq!(
            namespace("kc get svc -n kube-system kube-dns"),
            Some("kube-system")
        );
        assert_eq!(namespace("kubectl --namespace=a get po"), Some("a"));
        assert_eq!(namespace("kubectl get nodes --no-headers"), None);
    }
}
