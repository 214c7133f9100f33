//! The robots that are measured: they do nothing, or say how long it took to reach them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::robot::{FieldError, Sharding};
use crate::domain::time::to_micros;
use crate::robot::spec::Wakes;
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};

/// The robot whose tasks do nothing.
pub(super) const NOOP: &str = "custom.bench_noop";
/// The robot that counts by how many microseconds it was reached after `sent_at_micros`.
pub(super) const STAMP: &str = "custom.bench_stamp";
/// The event that wakes [`STAMP`].
pub(super) const STAMP_EVENT: &str = "bench.stamp";
/// What [`STAMP`] counts.
pub(super) const STAMP_COUNTER: &str = "reached_after_micros";

/// Runs of [`NOOP`] at once: as many as a claim hands out twice over.
const NOOP_INSTANCES: u32 = 4_000;

/// Robots beside the two that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::Args)]
pub struct Crowd {
    /// How many robots there are beside the two
    #[arg(long, default_value_t = 0)]
    pub(super) robots: u32,
    /// Whether each of them has a tick every second
    #[arg(long)]
    pub(super) ticking: bool,
}

/// The two robots, and a crowd of others that do nothing.
#[must_use]
pub fn robots(crowd: Crowd) -> Vec<Arc<dyn Robot>> {
    let mut all: Vec<Arc<dyn Robot>> = Vec::from([
        Arc::new(Noop::on_demand()) as Arc<dyn Robot>,
        Arc::new(Stamp),
    ]);
    all.extend(
        (0..crowd.robots).map(|number| Arc::new(Noop::one_of(crowd, number)) as Arc<dyn Robot>),
    );
    all
}

struct Noop {
    name: String,
    spec: RobotSpec,
}

impl Noop {
    fn on_demand() -> Self {
        Self {
            name: NOOP.to_owned(),
            spec: RobotSpec {
                title: "No-op",
                summary: "Does nothing",
                sharding: Sharding::Sharded,
                instances: NOOP_INSTANCES,
                ..RobotSpec::DEFAULT
            },
        }
    }

    fn one_of(crowd: Crowd, number: u32) -> Self {
        Self {
            name: format!("custom.bench_crowd_{number:05}"),
            spec: RobotSpec {
                title: "One of a crowd",
                summary: "Does nothing",
                wakes: if crowd.ticking {
                    Wakes::Every(Duration::from_secs(1))
                } else {
                    Wakes::OnDemand
                },
                ..RobotSpec::DEFAULT
            },
        }
    }
}

#[async_trait]
impl Robot for Noop {
    fn definition(&self) -> Result<Definition, FieldError> {
        let mut definition = self.spec.definition()?;
        definition.identity.name.clone_from(&self.name);
        Ok(definition)
    }

    async fn run(&self, _: &Context) -> Result<Outcome, RobotError> {
        Ok(Outcome::done())
    }
}

struct Stamp;

#[async_trait]
impl Robot for Stamp {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: STAMP,
            title: "Stamp",
            summary: "Counts how long it took to reach it",
            events: &[STAMP_EVENT],
            coalesce_events: false,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let now = to_micros(ctx.clock().now());
        let payload = ctx.payload();
        // Of a task, or of the event that it carries.
        let sent = payload
            .get("sent_at_micros")
            .or_else(|| payload.pointer("/data/sent_at_micros"))
            .and_then(serde_json::Value::as_i64)
            .ok_or_else(|| RobotError::fail("payload", "it says not when it was sent"))?;
        let after =
            usize::try_from(now - sent).map_err(|error| RobotError::fail("clock", error))?;
        Ok(Outcome::counted(STAMP_COUNTER, after))
    }
}
