//! The image of probe pods.

/// Architectures for which the image is built, as nodes spell them.
pub(crate) const ARCHITECTURES: [&str; 1] = ["amd64"];

/// The image that belongs to this version: `ghcr.io/OWNER/eksnet-agent:VERSION`, where OWNER is the
/// owner of the project's repository.
#[must_use]
pub fn default_image() -> String {
    // The one place where the image's name is made.
    let repository = env!("CARGO_PKG_REPOSITORY");
    let path = repository
        .split_once("://")
        .map_or(repository, |(_, rest)| rest);
    let owner = path.split('/').nth(1).unwrap_or("kubectl-eksnet");
    format!(
        "ghcr.io/{}/eksnet-agent:{}",
        owner.to_ascii_lowercase(),
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_image_is_that_of_this_version_and_of_the_repositorys_owner() {
        let image = super::default_image();
        let version = env!("CARGO_PKG_VERSION");
        assert!(image.starts_with("ghcr.io/kubectl-eksnet/"), "{image}");
        assert!(
            image.ends_with(&format!("/eksnet-agent:{version}")),
            "{image}"
        );
    }
}
