//! cluster-autoscaler's command line: which groups it manages, and which nodes it drains.
//!
//! Source: kubernetes/autoscaler, `cluster-autoscaler/main.go`, `config/flags` and
//! `cloudprovider/aws` of the release branches 1.14 to 1.34, read November 2026.

mod discovery;
mod go;

use crate::{Deployed, Running};

use discovery::{named_group, tags_of};

pub use discovery::{DISCOVERY_PREFIX, Discovery, Instead, Lack, NamedGroup, TagFilter};
pub use go::{go_seconds, go_time};

/// First minor release that merges the tags of all discovery flags into one set; before, each flag
/// was an alternative.
const MERGES_SINCE: u32 = 24;
/// First minor release in which a pod of kube-system blocks its node only while it is young.
const SYSTEM_PODS_AGE_SINCE: u32 = 33;

/// cluster-autoscaler, by its command line.
#[derive(Clone, Copy, Debug)]
pub struct ClusterAutoscaler<'a> {
    running: Running<'a>,
}

/// How long a pod of kube-system without a PodDisruptionBudget keeps its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemPods {
    /// Always.
    Kept,
    /// Never: `--skip-nodes-with-system-pods=false`.
    Drained,
    /// For its first so many seconds (1.33 and later).
    KeptFor(i64),
}

impl<'a> ClusterAutoscaler<'a> {
    /// The autoscaler whose container this is.
    #[must_use]
    pub fn new(running: Running<'a>) -> Self {
        Self { running }
    }

    /// The autoscaler of an installation.
    #[must_use]
    pub fn of(deployed: &Deployed<'a>) -> Option<Self> {
        deployed.running().map(Self::new)
    }

    /// Minor release, by the image's tag.
    #[must_use]
    pub fn minor(&self) -> Option<u32> {
        match self.running.version()? {
            (1, minor) => Some(minor),
            _ => None,
        }
    }

    /// Every value of a flag that takes one. The flags are pflag's: underscores count as dashes, and
    /// the value follows an equals sign or is the next word.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&'a str> {
        let words: Vec<&str> = self.running.words().collect();
        occurrences(&words, name)
            .into_iter()
            .filter_map(|(at, value)| value.or_else(|| words.get(at + 1).copied()))
            .map(|value| value.trim_matches(['"', '\'']))
            .collect()
    }

    /// The value of a flag that counts: the last.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.values(name).pop()
    }

    /// A boolean flag. pflag never takes the next word for it: `--flag false` means true.
    #[must_use]
    pub fn is_on(&self, name: &str, default: bool) -> bool {
        let words: Vec<&str> = self.running.words().collect();
        match occurrences(&words, name).pop() {
            None => default,
            Some((_, None)) => true,
            Some((_, Some(value))) => match value.trim_matches(['"', '\'']) {
                "0" | "f" | "F" | "false" | "False" | "FALSE" => false,
                "1" | "t" | "T" | "true" | "True" | "TRUE" => true,
                _ => default,
            },
        }
    }

    /// A flag that holds a duration, in seconds.
    #[must_use]
    pub fn seconds(&self, name: &str, default: i64) -> i64 {
        self.value(name).and_then(go_seconds).unwrap_or(default)
    }

    /// A flag that holds a number; 0, which means no limit, where it is not set.
    #[must_use]
    pub fn number(&self, name: &str) -> u32 {
        self.value(name)
            .and_then(|value| value.parse().ok())
            .unwrap_or(0)
    }

    /// What a pod of kube-system without a PodDisruptionBudget does to the draining of its node;
    /// `None` when that hangs on the release and the release is not known.
    #[must_use]
    pub fn system_pods(&self) -> Option<SystemPods> {
        if !self.is_on("skip-nodes-with-system-pods", true) {
            return Some(SystemPods::Drained);
        }
        // The misspelling is the flag's own.
        let kept = self.seconds("blocking-system-pod-distruption-timeout", 3600);
        self.minor().map(|minor| {
            if minor >= SYSTEM_PODS_AGE_SINCE {
                SystemPods::KeptFor(kept)
            } else {
                SystemPods::Kept
            }
        })
    }

    /// Which groups it manages.
    #[must_use]
    pub fn discovery(&self) -> Discovery {
        let mut found = Discovery::default();
        for value in self.values("node-group-auto-discovery") {
            let spec = self.expand(value, &mut found.unresolved);
            match tags_of(&spec) {
                Ok(tags) => found.written.push(tags),
                Err(why) => found.refused.push(why),
            }
            found.flags.push(spec);
        }
        for value in self.values("nodes") {
            let spec = self.expand(value, &mut found.unresolved);
            match named_group(&spec) {
                Some(group) => found.named.push(group),
                None => found
                    .refused
                    .push(format!("--nodes={spec} is not MIN:MAX:NAME")),
            }
        }
        found.alternatives.clone_from(&found.written);
        // Without a known release the current rule is taken.
        if found.alternatives.len() > 1 && self.minor().is_none_or(|minor| minor >= MERGES_SINCE) {
            found.merged = true;
            let mut merged: Vec<TagFilter> = Vec::new();
            for filter in found.alternatives.drain(..).flatten() {
                merged.retain(|known| known.key != filter.key);
                merged.push(filter);
            }
            found.alternatives.push(merged);
        }
        found
    }

    /// Replaces `$(NAME)` by the container's variable, as the kubelet does; what is no variable of
    /// the container stays as it is.
    fn expand(&self, value: &str, unresolved: &mut Vec<String>) -> String {
        let mut text = String::new();
        let mut rest = value;
        while let Some((before, after)) = rest.split_once("$(") {
            let Some((name, tail)) = after.split_once(')') else {
                break;
            };
            text.push_str(before);
            match self.running.env(name) {
                Some(value) => text.push_str(value),
                None => {
                    if self.running.has_env(name) {
                        unresolved.push(name.to_owned());
                    }
                    text.push_str(&format!("$({name})"));
                }
            }
            rest = tail;
        }
        text.push_str(rest);
        text
    }
}

/// Where a flag stands among the words, and the value behind its equals sign.
fn occurrences<'w>(words: &[&'w str], name: &str) -> Vec<(usize, Option<&'w str>)> {
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
            continue;
        };
        let (key, value) = match flag.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (flag, None),
        };
        if key.replace('_', "-") == name {
            found.push((at, value));
        }
    }
    found
}

#[cfg(test)]
mod tests;
