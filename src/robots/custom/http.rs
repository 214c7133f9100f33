//! A robot that posts to the operator's address.
//!
//! The body is the payload as JSON. The headers `X-Robotd-Task-Id`, `X-Robotd-Process-Id`,
//! `X-Robotd-Attempt` and `X-Robotd-Robot` say which run it is, and `Idempotency-Key` is the same for
//! all attempts at one task.

use std::time::Duration;

use async_trait::async_trait;

use crate::connect::error::ConnectError;
use crate::connect::webhook::{HttpEnd, HttpOutcome, HttpSpec, Webhook, outcome_of};
use crate::domain::robot::FieldError;
use crate::domain::time::Timestamp;
use crate::robot::journal::LogLevel;
use crate::robot::{Context, Definition, Outcome, Robot, RobotError};

use super::payload;

/// The shortest wait that a receiver can ask for; `Retry-After: 0` must not become a tight loop.
const SNOOZE_MIN: Duration = Duration::from_secs(1);

/// An address as a robot.
#[derive(Debug)]
pub struct HttpRobot {
    definition: Definition,
    webhook: Webhook,
}

impl HttpRobot {
    /// The robot that posts to the address of `spec`.
    ///
    /// # Errors
    /// An address or a file of certificates that cannot be used.
    pub fn new(definition: Definition, spec: &HttpSpec) -> Result<Self, ConnectError> {
        Ok(Self {
            definition,
            webhook: Webhook::new(spec)?,
        })
    }
}

#[async_trait]
impl Robot for HttpRobot {
    fn definition(&self) -> Result<Definition, FieldError> {
        Ok(self.definition.clone())
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let limit = ctx.config().timeout;
        let (payload, headers) = (payload(ctx), headers(ctx));
        let end = self
            .webhook
            .call(&payload, &headers, ctx.cancelled(), limit)
            .await?;
        ctx.info(format!("the receiver answered {}", end.status));
        for line in end.body_head.lines() {
            ctx.journal().write(LogLevel::Stdout, line).await;
        }
        answer(&end, ctx.clock().now())
    }
}

/// What the receiver's answer means; see the table in [`super`].
fn answer(end: &HttpEnd, now: Timestamp) -> Result<Outcome, RobotError> {
    match outcome_of(end) {
        HttpOutcome::Succeeded => Ok(Outcome::done()),
        HttpOutcome::TryAgain {
            after: Some(after), ..
        } => Ok(Outcome::snooze(now + after.max(SNOOZE_MIN))),
        HttpOutcome::TryAgain { why, after: None } => Err(RobotError::retry("try_again", why)),
        HttpOutcome::Failed(why) => Err(RobotError::retry("http_status", why)),
    }
}

fn headers(ctx: &Context) -> [(String, String); 5] {
    let run = ctx.run();
    [
        ("X-Robotd-Task-Id", run.task.to_string()),
        ("X-Robotd-Process-Id", run.process.to_string()),
        ("X-Robotd-Attempt", run.attempt.to_string()),
        ("X-Robotd-Robot", ctx.robot().to_owned()),
        ("Idempotency-Key", format!("robotd-task-{}", run.task)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;
    use crate::robot::outcome::Verdict;

    fn end(status: u16, retry_after: Option<u64>) -> HttpEnd {
        HttpEnd {
            status,
            retry_after: retry_after.map(Duration::from_secs),
            body_head: String::new(),
        }
    }

    #[test]
    fn the_status_and_retry_after_decide() {
        let now = chrono::Utc.timestamp_opt(1_800_000_000, 0).unwrap();
        let verdict = |end| answer(&end, now).map(|outcome| outcome.verdict);
        let later = |seconds| Verdict::Snooze(now + Duration::from_secs(seconds));
        assert_eq!(verdict(end(204, Some(9))).unwrap(), Verdict::Done);
        assert_eq!(verdict(end(503, Some(90))).unwrap(), later(90));
        assert_eq!(verdict(end(429, Some(0))).unwrap(), later(1));
        for (status, class) in [
            (503, "try_again"),
            (500, "http_status"),
            (404, "http_status"),
        ] {
            let error = verdict(end(status, None)).unwrap_err();
            assert_eq!((error.class, error.temporary), (class, true), "{status}");
        }
    }
}
