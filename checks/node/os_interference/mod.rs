//! `node/os-interference`: services of the operating system undo or drop what the CNI set up.

mod seen;

use std::sync::LazyLock;

use eksnet_model::{
    Check, Confidence, Cx, Finding, Meta, Role, Severity, SignatureSet, Source, Stop,
};

use crate::say::{self, Say};

const META: Meta = Meta {
    id: "node/os-interference",
    title: "Something on the node's operating system undoes or drops the CNI's network",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Logs],
    helps: &[Source::Events, Source::Observations],
    signals: &[
        "rules-removed",
        "monitoring-agent",
        "mac-policy",
        "nm-cloud-setup",
        "host-firewall",
        "xtables-lock",
        "network-manager",
        "reverse-path",
        "reply-dropped",
        "forwarding-off",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

const SAYS: &[Say] = &[
    Say {
        signatures: &["os-rule-deleted", "os-networkd-removes"],
        title: "{who}: rules or routes of the CNI were removed by a service of the operating system",
        detail: "aws-node writes policy routing rules when an interface is attached and when a pod starts, and does not write them again: what systemd-networkd or NetworkManager removes stays away until pods are made anew.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "rules-removed",
        confirm: "ip rule; ip route show table all   # on the node",
        fix: "Tell the service to leave them: ManageForeignRoutes=no and ManageForeignRoutingPolicyRules=no in /etc/systemd/networkd.conf, then replace the node",
    },
    Say {
        signatures: &["os-monitoring-agent"],
        title: "{who}: the node monitoring agent reports {reason}",
        detail: "The network that aws-node made on this node was changed by something else on it.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "monitoring-agent",
        confirm: "kubectl get events -A --field-selector reason={reason}",
        fix: "kubectl drain {node} --ignore-daemonsets --delete-emptydir-data   # replace the node, then stop what changed it in its image",
    },
    Say {
        signatures: &["os-udev-mac", "os-mac-policy"],
        title: "{who}: udev gives the interfaces of pods other MAC addresses (MACAddressPolicy=persistent)",
        detail: "The CNI tells each pod the MAC address of its peer on the host. Where udev changes that address afterwards the pod sends to nobody.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "mac-policy",
        confirm: "cat /usr/lib/systemd/network/99-default.link /etc/systemd/network/*.link   # on the node",
        fix: "printf '[Match]\\nDriver=veth\\n\\n[Link]\\nMACAddressPolicy=none\\n' > /etc/systemd/network/50-veth.link   # in the image, then new nodes",
    },
    Say {
        signatures: &["os-nm-cloud-setup"],
        title: "{who}: nm-cloud-setup changes the routes of the node",
        detail: "It writes addresses, rules and routes of its own for every interface of the instance, over those of aws-node.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "nm-cloud-setup",
        confirm: "systemctl status nm-cloud-setup.timer nm-cloud-setup.service   # on the node",
        fix: "systemctl disable --now nm-cloud-setup.timer nm-cloud-setup.service && reboot",
    },
    Say {
        signatures: &["os-firewalld"],
        title: "{who}: firewalld rejects packets of pods",
        detail: "The firewall of the operating system does not know the pods, and refuses what is forwarded to or from them.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "host-firewall",
        confirm: "firewall-cmd --state; iptables -S FORWARD   # on the node",
        fix: "systemctl disable --now firewalld   # in the image; security groups take its place",
    },
    Say {
        signatures: &["os-xtables-lock"],
        title: "{who}: another process holds the lock of iptables",
        detail: "kube-proxy and aws-node wait for the lock and give up: Service addresses and SNAT rules go stale.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "xtables-lock",
        confirm: "lsof /run/xtables.lock; ps aux | grep iptables   # on the node",
        fix: "Stop what calls iptables without end (security agents, fail2ban, firewalld), or give kube-proxy and it the same /run/xtables.lock",
    },
    Say {
        signatures: &["os-network-manager"],
        title: "{who}: NetworkManager manages the interfaces of pods",
        detail: "It may take addresses and routes off interfaces that it did not set up.",
        severity: Severity::Error,
        confidence: Confidence::Possible,
        signal: "network-manager",
        confirm: "nmcli device   # on the node",
        fix: "printf '[keyfile]\\nunmanaged-devices=interface-name:eni*;interface-name:cali*;interface-name:veth*\\n' > /etc/NetworkManager/conf.d/cni.conf && systemctl reload NetworkManager",
    },
    Say {
        signatures: &["os-martian"],
        title: "{who}: the kernel drops packets that come in on {device}, where it does not expect them",
        detail: "Reverse path filtering is strict, or a rule that would send the answer the same way is missing.",
        severity: Severity::Warning,
        confidence: Confidence::Possible,
        signal: "reverse-path",
        confirm: "sysctl -a | grep '\\.rp_filter'; ip rule   # on the node",
        fix: "sysctl -w net.ipv4.conf.{device}.rp_filter=2",
    },
];

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut found = say::findings(cx, &META, &SIGNATURES, "A node", SAYS, |_| true);
    if let Some(observations) = cx.observations().optional() {
        found.extend(seen::findings(observations));
    }
    if found.is_empty() {
        cx.logs().some()?;
    }
    Ok(found)
}
