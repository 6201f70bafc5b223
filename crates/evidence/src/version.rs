//! The version of Kubernetes, as `kubectl version` prints it.

/// `1.28` of the line that names the server's version, in the short form or as a Go struct.
pub(crate) fn of_server(text: &str) -> Option<&str> {
    let shown = text.trim().strip_prefix("Server Version: ")?;
    let version = match shown.split_once("GitVersion:\"") {
        Some((_, rest)) => rest.split('"').next()?,
        None => shown.split_whitespace().next()?,
    };
    let version = version.strip_prefix('v').unwrap_or(version);
    let (major, rest) = version.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    (is_number(major) && is_number(minor)).then(|| &version[..major.len() + 1 + minor.len()])
}

#[cfg(test)]
mod tests {
    use super::of_server;

    #[test]
    fn the_servers_line_counts_in_either_form() {
        let long = "Server Version: version.Info{Major:\"1\", Minor:\"22+\", GitVersion:\"v1.22.15-eks-fb459a0\", GitCommit:\"be82\"}";
        assert_eq!(of_server(long), Some("1.22"));
        assert_eq!(
            of_server("Server Version: v1.31.2-eks-7f9249a"),
            Some("1.31")
        );
        assert_eq!(of_server("Client Version: v1.31.2"), None);
        assert_eq!(of_server("Server Version: unknown"), None);
    }
}
