//! The config map `kube-system/aws-auth`: which roles the API server takes for nodes.

use serde::Deserialize;

/// A role that is mapped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MappedRole {
    /// ARN of the role.
    #[serde(alias = "roleARN")]
    pub rolearn: String,
    /// Name that it gets; nodes have `system:node:{{EC2PrivateDNSName}}`.
    pub username: String,
    /// Groups that it gets.
    pub groups: Vec<String>,
}

/// Reads `mapRoles`.
///
/// # Errors
/// Says where it is no YAML, or no list of roles: all of it is ignored then.
pub fn mapped_roles(yaml: &str) -> Result<Vec<MappedRole>, String> {
    if yaml.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_saphyr::from_str::<Option<Vec<MappedRole>>>(yaml)
        .map(Option::unwrap_or_default)
        .map_err(|error| {
            error
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
        })
}

impl MappedRole {
    /// Whether it lets instances in as nodes.
    #[must_use]
    pub fn is_for_nodes(&self) -> bool {
        self.groups.iter().any(|group| group == "system:nodes")
            && self.username.starts_with("system:node:{{")
    }
}

/// An ARN of a role as aws-auth has to have it: paths are not part of what the API server compares.
#[must_use]
pub fn without_path(arn: &str) -> String {
    match arn.split_once(":role/") {
        Some((head, path)) => {
            let name = path.rsplit('/').next().unwrap_or(path);
            format!("{head}:role/{name}")
        }
        None => arn.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_of_nodes_are_told_from_others() {
        let yaml = "- rolearn: arn:aws:iam::111122223333:role/nodes\n  username: system:node:{{EC2PrivateDNSName}}\n  groups:\n  - system:bootstrappers\n  - system:nodes\n- rolearn: arn:aws:iam::111122223333:role/admin\n  username: admin\n  groups: [system:masters]\n";
        let roles = mapped_roles(yaml).unwrap();
        assert!(roles[0].is_for_nodes() && !roles[1].is_for_nodes());
        assert!(mapped_roles("- rolearn: a\n username: b\n").is_err());
        assert_eq!(mapped_roles("").unwrap(), []);
    }

    #[test]
    fn a_path_is_no_part_of_the_mapping() {
        assert_eq!(
            without_path("arn:aws:iam::1:role/team/a/nodes"),
            "arn:aws:iam::1:role/nodes"
        );
    }
}
