//! Which Auto Scaling groups cluster-autoscaler manages.

use crate::aws::{AutoScalingGroup, tag};

/// Which groups the autoscaler manages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The discovery flags as written, `$(NAME)` replaced as the kubelet does.
    pub flags: Vec<String>,
    /// The tags of each flag by itself.
    pub written: Vec<Vec<TagFilter>>,
    /// A group is discovered when it has every tag of one of these lists.
    pub alternatives: Vec<Vec<TagFilter>>,
    /// Whether several flags were merged into one list.
    pub merged: bool,
    /// Groups named by `--nodes`.
    pub named: Vec<NamedGroup>,
    /// Flags that the autoscaler refuses; it exits over them.
    pub refused: Vec<String>,
    /// Variables in the flags whose values are not known.
    pub unresolved: Vec<String>,
}

/// A tag that discovery asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagFilter {
    /// Key, exactly as the autoscaler looks for it: white space included.
    pub key: String,
    /// Value; `None` when any will do.
    pub value: Option<String>,
}

/// A group named by `--nodes=MIN:MAX:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedGroup {
    /// Least nodes.
    pub min: u32,
    /// Most nodes.
    pub max: u32,
    /// Name of the Auto Scaling group.
    pub name: String,
}

/// A tag that a group would need to be discovered, and what it has instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What discovery asks for.
    pub filter: TagFilter,
    /// What is there.
    pub instead: Instead,
}

/// What a group has in place of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// Nothing alike.
    Nothing,
    /// The key, with this value.
    Value(String),
    /// A key that looks like it.
    Misspelt(String),
    /// The key of another cluster.
    OtherCluster(String),
    /// The key without the white space that the flag has.
    Unspaced(String),
}

/// The tags of `asg:tag=KEY[=VALUE],..`; white space belongs to the key that it stands in.
pub(super) fn tags_of(spec: &str) -> Result<Vec<TagFilter>, String> {
    let wrong =
        || format!("--node-group-auto-discovery={spec} is not asg:tag=KEY[=VALUE][,KEY[=VALUE]]");
    let (discoverer, parameter) = spec.split_once(':').ok_or_else(wrong)?;
    let (name, tags) = parameter.split_once('=').ok_or_else(wrong)?;
    if discoverer != "asg" || name != "tag" || tags.is_empty() {
        return Err(wrong());
    }
    Ok(tags
        .split(',')
        .map(|each| match each.split_once('=') {
            Some((key, value)) if !value.is_empty() => TagFilter {
                key: key.to_owned(),
                value: Some(value.to_owned()),
            },
            Some((key, _)) => TagFilter {
                key: key.to_owned(),
                value: None,
            },
            None => TagFilter {
                key: each.to_owned(),
                value: None,
            },
        })
        .collect())
}

pub(super) fn named_group(spec: &str) -> Option<NamedGroup> {
    let mut parts = spec.splitn(3, ':');
    Some(NamedGroup {
        min: parts.next()?.parse().ok()?,
        max: parts.next()?.parse().ok()?,
        name: parts.next().filter(|name| !name.is_empty())?.to_owned(),
    })
}

impl Discovery {
    /// Whether the flags name no group at all, by tags or by name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.alternatives.is_empty() && self.named.is_empty()
    }

    /// What `--nodes` says of a group.
    #[must_use]
    pub fn named(&self, group: &AutoScalingGroup) -> Option<&NamedGroup> {
        self.named
            .iter()
            .find(|named| named.name == group.auto_scaling_group_name)
    }

    /// Whether the autoscaler manages the group.
    #[must_use]
    pub fn selects(&self, group: &AutoScalingGroup) -> bool {
        self.named(group).is_some()
            || self
                .alternatives
                .iter()
                .any(|filters| filters.iter().all(|filter| filter.holds(group)))
    }

    /// What the group lacks to be discovered, by the alternative that asks least; empty when it is
    /// selected, and when nothing is discovered by tags.
    #[must_use]
    pub fn lacks(&self, group: &AutoScalingGroup) -> Vec<Lack> {
        if self.selects(group) {
            return Vec::new();
        }
        let of = |filters: &Vec<TagFilter>| -> Vec<Lack> {
            filters
                .iter()
                .filter(|filter| !filter.holds(group))
                .map(|filter| Lack {
                    filter: filter.clone(),
                    instead: filter.instead(group, filters),
                })
                .collect()
        };
        self.alternatives
            .iter()
            .map(of)
            .min_by_key(Vec::len)
            .unwrap_or_default()
    }

    /// Every tag that discovery asks for.
    pub fn filters(&self) -> impl Iterator<Item = &TagFilter> {
        self.alternatives.iter().flatten()
    }
}

/// What the key of a cluster starts with.
pub const DISCOVERY_PREFIX: &str = "k8s.io/cluster-autoscaler/";

impl TagFilter {
    /// Whether the group has the tag.
    #[must_use]
    pub fn holds(&self, group: &AutoScalingGroup) -> bool {
        match (tag(&group.tags, &self.key), &self.value) {
            (Some(saw), Some(wanted)) => saw == wanted,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// The cluster that the key names, where it has the usual form.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.key
            .strip_prefix(DISCOVERY_PREFIX)
            .filter(|name| !matches!(*name, "" | "enabled" | "disabled") && !name.contains('/'))
    }

    /// Whether white space stands around the key, as a folded line of YAML leaves it.
    #[must_use]
    pub fn is_spaced(&self) -> bool {
        self.key.trim() != self.key
    }

    /// Whether the key holds what an example has where the cluster's name belongs.
    #[must_use]
    pub fn is_placeholder(&self) -> bool {
        let lower = self.key.to_ascii_lowercase();
        let last = lower.rsplit('/').next().unwrap_or(&lower);
        last.contains(['<', '>', '$', '{', '}'])
            || (last.contains("your") && last.contains("cluster"))
            || matches!(
                last,
                "cluster_name" | "cluster-name" | "clustername" | "cluster name"
            )
    }

    fn instead(&self, group: &AutoScalingGroup, filters: &[TagFilter]) -> Instead {
        if let Some(value) = tag(&group.tags, &self.key) {
            return Instead::Value(value.to_owned());
        }
        let trimmed = self.key.trim();
        if trimmed != self.key && tag(&group.tags, trimmed).is_some() {
            return Instead::Unspaced(trimmed.to_owned());
        }
        let others = || {
            group
                .tags
                .iter()
                .map(|tag| tag.key.as_str())
                .filter(|key| filters.iter().all(|filter| filter.key != *key))
        };
        if self.cluster().is_some() {
            let other = others().find(|key| {
                let filter = TagFilter {
                    key: (*key).to_owned(),
                    value: None,
                };
                filter.cluster().is_some()
            });
            if let Some(other) = other {
                return Instead::OtherCluster(other.to_owned());
            }
        }
        let near = |key: &&str| {
            distance(
                &key.to_ascii_lowercase(),
                &self.key.trim().to_ascii_lowercase(),
            ) <= 2
        };
        let last = |key: &str| key.rsplit('/').next().unwrap_or(key).to_owned();
        let other_prefix = |key: &&str| key.contains('/') && last(key) == last(&self.key);
        match others().find(near).or_else(|| others().find(other_prefix)) {
            Some(key) => Instead::Misspelt(key.to_owned()),
            None => Instead::Nothing,
        }
    }
}

/// Levenshtein distance, by characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}
