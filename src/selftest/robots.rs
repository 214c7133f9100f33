//! The robots that are watched while their nodes are broken.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::robot::{FieldError, Sharding};
use crate::domain::tick::{CatchUp, Overlap};
use crate::robot::spec::Wakes;
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};

/// The robot whose tasks are counted.
pub(super) const WORK: &str = "custom.selftest_work";
/// How many of them run at once, in all nodes together.
pub(super) const WORK_INSTANCES: u32 = 30;
/// How long one takes: long enough for each blow to meet some.
const WORK_TIME: Duration = Duration::from_millis(20);
/// The robot whose ticks are counted, one a second.
pub(super) const BEAT: &str = "custom.selftest_beat";

/// Both of them.
#[must_use]
pub fn robots() -> Vec<Arc<dyn Robot>> {
    Vec::from([Arc::new(Work) as Arc<dyn Robot>, Arc::new(Beat)])
}

struct Work;

#[async_trait]
impl Robot for Work {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: WORK,
            title: "Work",
            summary: "Takes a moment",
            sharding: Sharding::Sharded,
            instances: WORK_INSTANCES,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, _: &Context) -> Result<Outcome, RobotError> {
        tokio::time::sleep(WORK_TIME).await;
        Ok(Outcome::done())
    }
}

struct Beat;

#[async_trait]
impl Robot for Beat {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: BEAT,
            title: "Beat",
            summary: "Does nothing, once a second",
            wakes: Wakes::Every(Duration::from_secs(1)),
            overlap: Overlap::Allow,
            catch_up: CatchUp::All,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, _: &Context) -> Result<Outcome, RobotError> {
        Ok(Outcome::done())
    }
}
