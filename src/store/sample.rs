//! Measured series of the monitors: nodes, disks, primary keys.

use crate::domain::id::NodeId;
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::{Store, StoreResult};

/// Width of a stored sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// As measured.
    Raw,
    /// One hour, averaged.
    Hour,
    /// One day, averaged.
    Day,
}

impl Resolution {
    /// The number in the database (SMALLINT); never reused.
    pub(super) const fn code(self) -> i16 {
        match self {
            Self::Raw => 0,
            Self::Hour => 1,
            Self::Day => 2,
        }
    }

    /// The start of the (UTC) hour or day that `micros` lies in; raw samples stay where they are.
    pub(super) const fn start_of(self, micros: i64) -> i64 {
        const HOUR: i64 = 3_600_000_000;
        let width = match self {
            Self::Raw => 1,
            Self::Hour => HOUR,
            Self::Day => 24 * HOUR,
        };
        micros - micros.rem_euclid(width)
    }
}

/// Joins two averages with their weights: the average of all that is behind both.
pub(super) fn average_into((value, weight): (f64, i64), (more, by): (f64, i64)) -> (f64, i64) {
    let all = weight + by;
    #[expect(
        clippy::cast_precision_loss,
        reason = "weights count samples of one day, far below 2^53"
    )]
    let share = by as f64 / all as f64;
    (value + (more - value) * share, all)
}

/// The series of the tasks that wait for all robots together, once a minute.
pub const QUEUED: &str = "tasks.queued";
/// Stands for the node's name in series that are of all nodes together.
pub const OF_ALL_NODES: &str = "cluster";

/// Bound on the samples of one answer.
pub(super) const SAMPLES_MAX: i64 = 10_000;

/// One figure measured at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What: `cpu.used_ratio`, `memory.used_ratio`, `disk.used_bytes:/var`, `pk.used_ratio:tasks.id`, …
    pub series: String,
    /// The node it was measured on.
    pub node: NodeId,
    /// Name of that node, which outlives its restarts.
    pub node_name: String,
    /// When.
    pub at: Timestamp,
    /// The figure, in the unit of the series.
    pub value: f64,
}

impl Store {
    /// Writes samples; the same (series, node name, at) is written once. A figure that is not finite is left out.
    pub async fn sample_append(&self, samples: Vec<Sample>) -> StoreResult<()> {
        write!(self, sample::append(&samples))
    }

    /// Samples of one series and node name since `from`, oldest first, at most 10,000.
    pub async fn sample_read(
        &self,
        series: &str,
        node_name: &str,
        from: Timestamp,
        resolution: Resolution,
    ) -> StoreResult<Vec<(Timestamp, f64)>> {
        let (series, node_name) = (series.to_owned(), node_name.to_owned());
        read!(self, sample::read(&series, &node_name, from, resolution))
    }

    /// Newest raw sample of each (series, node name) with this series prefix, at most 10,000.
    pub async fn sample_latest(&self, prefix: &str) -> StoreResult<Vec<Sample>> {
        let prefix = prefix.to_owned();
        read!(self, sample::latest(&prefix))
    }

    /// Averages raw samples older than `raw_until` into hours, hours older than `hour_until` into days, and removes
    /// what was averaged; days older than `day_until` are removed. Safe to repeat. At most `limit` source
    /// rows; answers how many were worked off.
    pub async fn sample_roll_up(
        &self,
        raw_until: Timestamp,
        hour_until: Timestamp,
        day_until: Timestamp,
        limit: u32,
    ) -> StoreResult<u32> {
        write!(
            self,
            sample::roll_up(raw_until, hour_until, day_until, limit)
        )
    }
}
