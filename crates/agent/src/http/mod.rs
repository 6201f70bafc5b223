//! `P.http`: one GET over HTTPS.

mod fetch;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use eksnet_probe::{HttpOutcome, Outcome};
use http_body_util::Full;
use hyper::Request;
use hyper::header::DATE;
use tokio::time::Instant;

pub(crate) use fetch::{Unanswered, fetch};

use crate::dns::milliseconds;
use crate::lookup::literal;
use crate::surroundings::Surroundings;
use crate::text::bounded;

/// Asks `https://host:port/path` once, without redirects, and reads no body.
pub(crate) async fn probe(
    host: &str,
    port: u16,
    path: &str,
    limit: Duration,
    surroundings: Arc<Surroundings>,
) -> Outcome {
    let start = Instant::now();
    let uri = format!("https://{}:{port}{path}", bracketed(host));
    let request = match Request::get(&uri).body(Full::default()) {
        Ok(request) => request,
        Err(error) => {
            let why = format!("{:?} is no URI: {error}", bounded(&uri));
            return Outcome::NotRun { why };
        }
    };
    let asked = fetch::fetch_head(request, start + limit, &surroundings).await;
    let mut outcome = HttpOutcome {
        status: None,
        date: None,
        skew_s: None,
        aws_request_id: false,
        error: None,
        elapsed_ms: milliseconds(start.elapsed()),
    };
    match asked {
        Err(Unanswered::NotAsked(why)) => return Outcome::NotRun { why },
        Err(unanswered) => outcome.error = Some(unanswered.to_string()),
        Ok(answer) => {
            let date = answer.headers().get(DATE).and_then(|at| at.to_str().ok());
            outcome.status = Some(answer.status().as_u16());
            outcome.skew_s = date.and_then(|date| skew(date, SystemTime::now()));
            outcome.date = date.map(bounded);
            outcome.aws_request_id = answer.headers().contains_key("x-amzn-requestid");
        }
    }
    Outcome::Http(outcome)
}

/// `host` as a URI spells it.
pub(crate) fn bracketed(host: &str) -> String {
    match literal(host) {
        Some(std::net::IpAddr::V6(six)) => format!("[{six}]"),
        _ => host.to_owned(),
    }
}

/// Seconds by which `now` is ahead of an HTTP date.
fn skew(date: &str, now: SystemTime) -> Option<i64> {
    let date = httpdate::parse_http_date(date).ok()?;
    let seconds = |ahead: Duration| i64::try_from(ahead.as_secs()).ok();
    match now.duration_since(date) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => seconds(behind.duration()).map(|behind| -behind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_ahead_has_a_positive_skew() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let at = httpdate::parse_http_date(date).unwrap();
        assert_eq!(skew(date, at + Duration::from_secs(301)), Some(301));
        assert_eq!(skew(date, at - Duration::from_secs(61)), Some(-61));
        assert_eq!(skew("yesterday", at), None);
    }

    #[test]
    fn an_ipv6_literal_is_bracketed_once() {
        assert_eq!(bracketed("fd00::1"), "[fd00::1]");
        assert_eq!(bracketed("[fd00::1]"), "[fd00::1]");
        assert_eq!(bracketed("sts.amazonaws.com"), "sts.amazonaws.com");
    }
}
