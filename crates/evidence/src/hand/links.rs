//! `ip addr` and `ip link`: network interfaces.

use eksnet_model::observed::{LinkState, Vantage};

use super::MAX;

/// The interfaces of a text.
#[derive(Default)]
pub(super) struct Links {
    pub(super) links: Vec<LinkState>,
    /// Whether lines of the newest interface may follow.
    open: bool,
}

impl Links {
    pub(super) fn line(&mut self, text: &str, from: &Vantage) -> bool {
        if let Some(link) = head(text, from) {
            self.open = self.links.len() < MAX;
            if self.open {
                self.links.push(link);
            }
            return true;
        }
        let Some(link) = self.links.last_mut().filter(|_| self.open) else {
            return false;
        };
        let mut words = text.split_whitespace();
        match words.next() {
            Some(kind) if kind.starts_with("link/") => {
                link.mac = words.next().unwrap_or_default().into();
            }
            Some("inet" | "inet6") => {
                link.addresses.extend(words.next().map(Into::into));
            }
            Some("valid_lft" | "altname" | "link-netns" | "RX:" | "TX:") => {}
            _ => {
                self.open = false;
                return false;
            }
        }
        true
    }
}

/// `2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 9001 qdisc mq state UP group default`.
fn head(text: &str, from: &Vantage) -> Option<LinkState> {
    let (index, rest) = text.split_once(": ")?;
    index.parse::<u32>().ok()?;
    let (name, rest) = rest.split_once(": <")?;
    let (flags, rest) = rest.split_once('>')?;
    let mut link = LinkState {
        from: from.clone(),
        name: name.split('@').next().unwrap_or(name).into(),
        flags: flags.split(',').map(Into::into).collect(),
        ..LinkState::default()
    };
    let mut words = rest.split_whitespace();
    while let Some(key) = words.next() {
        match key {
            "mtu" => link.mtu = words.next().and_then(|mtu| mtu.parse().ok()),
            "state" => link.state = words.next().unwrap_or_default().into(),
            _ => {}
        }
    }
    Some(link)
}
