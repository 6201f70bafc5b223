//! Credentials of the node's role, from the instance metadata service.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use tokio::time::Instant;

use super::Failure;
use super::credentials::read_document;
use crate::imds::{Service, Unavailable};
use crate::surroundings::{Environment, Surroundings};

/// Limit of one request, if the probe has that much time: SDKs wait one second before they decide
/// that there is no metadata service.
const LIMIT: Duration = Duration::from_secs(1);

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// Asks for the role of the node and for its credentials. A service that is out of reach, switched
/// off or without a role means that the pod has no credentials at all: this is the last provider.
pub(super) async fn fetch(
    deadline: Instant,
    surroundings: &Arc<Surroundings>,
) -> Result<Credentials, Failure> {
    let none = |why: String| {
        let message = format!(
            "no variable names credentials, and the instance metadata service gives none: {why}"
        );
        Failure::code("no-credentials", message)
    };
    let environment = &surroundings.environment;
    let disabled = environment.get("AWS_EC2_METADATA_DISABLED");
    if disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(none("AWS_EC2_METADATA_DISABLED is set".to_owned()));
    }
    let limit = LIMIT.min(deadline.saturating_duration_since(Instant::now()));
    let service = Service::new(&endpoint(environment), limit, Arc::clone(surroundings));
    let unavailable = |failure: Unavailable| match failure {
        Unavailable::State(state) => none(state),
        Unavailable::NotAsked(why) => Failure::NotAsked(why),
    };
    let token = service.token().await.map_err(unavailable)?;
    let roles = service.get(ROLES, &token).await.map_err(unavailable)?;
    let role = roles.lines().next().unwrap_or_default();
    let document = service
        .get(&format!("{ROLES}{role}"), &token)
        .await
        .map_err(unavailable)?;
    read_document(document.as_bytes(), "imds")
}

fn endpoint(environment: &Environment) -> String {
    let mode = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    let default = if mode.is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6")) {
        "http://[fd00:ec2::254]"
    } else {
        "http://169.254.169.254"
    };
    environment
        .get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
        .unwrap_or(default)
        .to_owned()
}
