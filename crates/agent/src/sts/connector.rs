//! The agent's own resolver, sockets, roots and HTTP under the AWS SDK.
//!
//! The SDK's HTTP client would resolve through libc and read the system's roots; an image made
//! from scratch has neither, and a lookup that fails must be told from a connection that does.

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::Full;
use hyper::body::Bytes;
use tokio::time::Instant;

use crate::http::{Unanswered, fetch};
use crate::surroundings::Surroundings;

/// Sends each request over a connection of its own.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    deadline: Instant,
    surroundings: Arc<Surroundings>,
}

impl Connector {
    pub(super) fn new(deadline: Instant, surroundings: Arc<Surroundings>) -> Self {
        Self {
            deadline,
            surroundings,
        }
    }
}

impl HttpClient for Connector {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|error| ConnectorError::user(error.into()))?;
            let (head, body) = request.into_parts();
            let body = Bytes::copy_from_slice(body.bytes().unwrap_or_default());
            let request = hyper::Request::from_parts(head, Full::new(body));
            let answer = fetch(request, connector.deadline, &connector.surroundings)
                .await
                .map_err(|failure: Unanswered| ConnectorError::io(failure.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
