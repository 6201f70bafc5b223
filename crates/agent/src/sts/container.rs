//! Credentials from an endpoint that the pod's variables name: EKS Pod Identity, and ECS.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use aws_credential_types::Credentials;
use http_body_util::Full;
use hyper::header::AUTHORIZATION;
use hyper::{Request, Uri};
use tokio::time::Instant;

use super::Failure;
use super::credentials::{read_document, read_token};
use crate::http::fetch;
use crate::lookup::literal;
use crate::surroundings::{Environment, Surroundings};
use crate::text::bounded;

/// Hosts to which an SDK sends the token without TLS, beside the loopback: the endpoints of ECS
/// and of the Pod Identity agent
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>,
/// read 2026-11).
const TRUSTED_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// An endpoint and the token that opens it.
pub(super) struct Source<'a> {
    uri: Uri,
    token: Option<Token<'a>>,
}

enum Token<'a> {
    File(&'a Path),
    Fixed(&'a str),
}

impl<'a> Source<'a> {
    /// What the environment names, if anything.
    pub(super) fn of(environment: &'a Environment) -> Result<Option<Self>, Failure> {
        let relative = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let uri = match relative {
            Some(path) => format!("http://{}{path}", TRUSTED_HOSTS[0]),
            None => match environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
                Some(full) => full.to_owned(),
                None => return Ok(None),
            },
        };
        let refused = |why: &str| {
            let message = format!("AWS_CONTAINER_CREDENTIALS_*_URI is {uri}: {why}");
            Failure::code("bad-credentials-uri", bounded(&message))
        };
        let parsed: Uri = uri.parse().map_err(|_| refused("it is no URI"))?;
        if !is_trusted(&parsed) {
            return Err(refused(
                "without TLS only the loopback and the endpoints of EKS and ECS are asked",
            ));
        }
        let file = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        let fixed = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN");
        Ok(Some(Self {
            uri: parsed,
            token: file
                .map(|path| Token::File(Path::new(path)))
                .or(fixed.map(Token::Fixed)),
        }))
    }

    pub(super) async fn fetch(
        self,
        deadline: Instant,
        surroundings: &Arc<Surroundings>,
        secrets: &mut Vec<String>,
    ) -> Result<Credentials, Failure> {
        let mut request = Request::get(self.uri);
        let token = match self.token {
            Some(Token::File(path)) => Some(read_token(path)?),
            Some(Token::Fixed(token)) => Some(token.to_owned()),
            None => None,
        };
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, &token);
            secrets.push(token);
        }
        let request = request.body(Full::default()).map_err(|_| {
            let message = "the token holds characters that no header may hold".to_owned();
            Failure::code("token-unreadable", message)
        })?;
        let answer = fetch(request, deadline, surroundings)
            .await
            .map_err(Failure::unanswered)?;
        match answer.status().as_u16() {
            200 => read_document(answer.body(), "container"),
            status => {
                // The agent of EKS answers in prose that names the refusal of EKS Auth.
                let body = String::from_utf8_lossy(answer.body());
                Err(Failure::code(
                    &format!("status-{status}"),
                    bounded(body.trim()),
                ))
            }
        }
    }
}

fn is_trusted(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    match (uri.scheme_str(), literal(host)) {
        (Some("https"), _) => !host.is_empty(),
        (Some("http"), Some(address)) => {
            address.is_loopback()
                || TRUSTED_HOSTS
                    .iter()
                    .any(|trusted| trusted.parse::<IpAddr>() == Ok(address))
        }
        (Some("http"), None) => host == "localhost",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str) -> Result<String, Failure> {
        let name = "AWS_CONTAINER_CREDENTIALS_FULL_URI".to_owned();
        let environment = Environment::from_iter([(name, uri.to_owned())]);
        Source::of(&environment).map(|source| source.unwrap().uri.to_string())
    }

    #[test]
    fn the_pod_identity_agent_is_asked_over_both_families() {
        for uri in [
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://127.0.0.1:8080/x",
            "https://vault.example/x",
        ] {
            assert_eq!(source(uri).unwrap(), uri);
        }
    }

    #[test]
    fn a_token_is_never_sent_in_the_clear_to_anybody_else() {
        for uri in [
            "http://10.0.0.9/x",
            "http://vault.example/x",
            "ftp://x/",
            "/x",
        ] {
            let failure = source(uri).unwrap_err();
            assert!(
                format!("{failure:?}").contains("bad-credentials-uri"),
                "{failure:?}"
            );
        }
    }

    #[test]
    fn without_a_variable_there_is_no_endpoint_and_a_relative_one_goes_to_ecs() {
        assert!(Source::of(&Environment::default()).unwrap().is_none());
        let name = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI".to_owned();
        let environment = Environment::from_iter([(name, "/v2/x".to_owned())]);
        let source = Source::of(&environment).unwrap().unwrap();
        assert_eq!(source.uri.to_string(), "http://169.254.170.2/v2/x");
    }
}
