//! `P.dns`: raw queries to a chosen server.

mod exchange;
mod question;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use eksnet_probe::{Answer, DnsOutcome, DnsTry, Outcome, QueryType, Transport};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

pub(crate) use exchange::{Failure, exchange};
pub(crate) use question::Question;

use crate::surroundings::Surroundings;
use crate::tries::in_order;

/// What is asked, of whom, how often.
pub(crate) struct Queries {
    pub(crate) server: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) name: String,
    pub(crate) query: QueryType,
    pub(crate) tries: u32,
    pub(crate) gap: Duration,
    pub(crate) timeout: Duration,
}

/// Sends all tries, each `gap` after the start of the one before, whether that has ended or not,
/// and each from a socket and so a source port of its own: kube-proxy pins a UDP flow to one
/// backend for as long as conntrack remembers it.
pub(crate) async fn probe(asked: Queries, surroundings: Arc<Surroundings>) -> Outcome {
    let asked = Arc::new(asked);
    if let Err(why) = Question::new(&asked.name, asked.query) {
        return Outcome::NotRun { why };
    }
    let start = Instant::now();
    let mut running = JoinSet::new();
    for number in 0..asked.tries {
        let (asked, surroundings) = (Arc::clone(&asked), Arc::clone(&surroundings));
        running.spawn(async move {
            sleep_until(start + asked.gap * number).await;
            (number, one_try(&asked, &surroundings).await)
        });
    }
    match in_order(running).await {
        Ok(tries) => Outcome::Dns { tries },
        Err(why) => Outcome::NotRun { why },
    }
}

async fn one_try(asked: &Queries, surroundings: &Surroundings) -> Result<DnsTry, String> {
    let _permit = surroundings.socket().await;
    surroundings.dns_turn().await;
    // A fresh question has a fresh random id.
    let question = Question::new(&asked.name, asked.query)?;
    let start = Instant::now();
    let ended = exchange(
        asked.server,
        asked.transport,
        question.bytes(),
        |answer| question.judge(answer),
        asked.timeout,
    )
    .await;
    let elapsed_ms = milliseconds(start.elapsed());
    let (outcome, answers): (DnsOutcome, Vec<Answer>) = match ended {
        Ok(judged) => judged,
        Err(failure) => (failure.outcome(asked.server)?, Vec::new()),
    };
    Ok(DnsTry {
        outcome,
        elapsed_ms,
        answers,
    })
}

/// Milliseconds to the microsecond: more digits than a clock is good for only fill the stream.
pub(crate) fn milliseconds(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_times_are_milliseconds_with_three_digits() {
        assert_eq!(milliseconds(Duration::from_nanos(1_234_567)), 1.235);
        assert_eq!(milliseconds(Duration::from_secs(2)), 2000.0);
    }
}
