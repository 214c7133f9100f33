//! What `task_manager.daily_data` and the two monitors of the database read and keep.

use chrono::NaiveDate;

use crate::domain::id::{ProcessId, RobotId, TaskId};
use crate::domain::tick::Decision;
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::tick::decision_code;
use super::{Store, StoreResult};

/// One counted fact of one day.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DailyFact {
    /// The day, in the zone of the robot's settings.
    pub day: NaiveDate,
    /// What was counted: `processes`, `tasks_registered`, `mails`, `events`, `ticks`, `audit_changes`.
    pub metric: String,
    /// First dimension: the robot's name (processes, tasks, ticks), the event's type, the audit entry's
    /// action; empty for mails and for the total of a metric.
    pub dimension: String,
    /// Second dimension: outcome, status, decision, a mail's state; empty for events, audit entries and totals.
    ///
    /// Each metric has one total (both dimensions empty) beside its details, whose sum it is.
    pub detail: String,
    /// The count.
    pub value: i64,
}

/// A column that can run out.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyColumn {
    /// `schema.table.column`, or `table.column` on SQLite.
    pub name: String,
    /// Last value given out, or the greatest one present.
    pub used: i64,
    /// Step between values (may be negative).
    pub increment: i64,
    /// The greatest value that column type and sequence both allow.
    pub limit: i64,
    /// Lowest bound, for descending sequences.
    pub floor: i64,
}

/// What the catalogue says about keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeySurvey {
    /// Columns with numbers to run out of.
    pub columns: Vec<KeyColumn>,
    /// Tables without a primary key.
    pub without_primary_key: Vec<String>,
    /// Foreign keys narrower than what they point to: `child.column -> parent.column`.
    pub narrow_foreign_keys: Vec<String>,
    /// PostgreSQL: transactions since the oldest frozen one, and the limit; `None` on SQLite.
    pub transaction_age: Option<(i64, i64)>,
    /// PostgreSQL: the same for multixacts.
    pub multixact_age: Option<(i64, i64)>,
    /// Tables that could not be read in time (locked); to be looked at again.
    pub skipped: Vec<String>,
}

/// Figures of one robot's queue and runs for the schedule monitor.
#[derive(Debug, Clone, PartialEq)]
pub struct RobotLoad {
    /// Which.
    pub robot: RobotId,
    /// Queued tasks, exact up to 10,000.
    pub queued: u32,
    /// When the oldest queued task became due.
    pub oldest_due_at: Option<Timestamp>,
    /// The longest running process: (process, task, `started_at`).
    pub longest_running: Option<(ProcessId, TaskId, Timestamp)>,
    /// Tasks that failed or were quarantined since `since`, up to 10,000.
    pub dead_tasks: u32,
    /// 95th percentile of the durations of the last 200 succeeded runs, in microseconds.
    pub duration_p95_micros: Option<i64>,
}

/// Bound on the facts of one answer.
pub(super) const FACTS_MAX: i64 = 10_000;

/// The decisions on ticks, by their numbers in the database.
pub(super) const DECISION_WORDS: [(i16, &str); 8] = [
    (decision_code(Decision::Fired), "fired"),
    (decision_code(Decision::SkippedWindow), "skipped:window"),
    (decision_code(Decision::SkippedOverlap), "skipped:overlap"),
    (decision_code(Decision::SkippedPaused), "skipped:paused"),
    (decision_code(Decision::SkippedDisabled), "skipped:disabled"),
    (decision_code(Decision::Missed), "missed"),
    (decision_code(Decision::CaughtUp), "caught_up"),
    (decision_code(Decision::Coalesced), "coalesced"),
];

/// The 95th percentile by nearest rank: the smallest value that 95 of 100 do not exceed.
pub(super) fn percentile_95(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    let rank = (values.len() * 95).div_ceil(100);
    values.get(rank.checked_sub(1)?).copied()
}

impl Store {
    /// Reads the catalogue of the database it runs on. No full scans; a locked table is skipped after 2 s.
    pub async fn key_survey(&self) -> StoreResult<KeySurvey> {
        read!(self, report::key_survey())
    }

    /// Figures of the robots whose tasks are queued, running or dead; a bounded read each.
    pub async fn robot_loads(&self, since: Timestamp) -> StoreResult<Vec<RobotLoad>> {
        let known = self.beginnings();
        read!(self, load::robot_loads(since, &known))
    }

    /// Counts everything that happened in `[from, to)` and replaces the facts of `day` with it, in one transaction.
    /// Answers the facts.
    pub async fn facts_rebuild(
        &self,
        day: NaiveDate,
        from: Timestamp,
        to: Timestamp,
    ) -> StoreResult<Vec<DailyFact>> {
        write!(self, fact::rebuild(day, from, to))
    }

    /// Facts of `[from, to]`, by day, metric, dimension; at most 10,000.
    pub async fn facts_read(&self, from: NaiveDate, to: NaiveDate) -> StoreResult<Vec<DailyFact>> {
        read!(self, fact::read(from, to))
    }

    /// A robot's remembered position, e.g. the last frozen day.
    pub async fn watermark_get(&self, robot: RobotId, key: &str) -> StoreResult<Option<String>> {
        let key = key.to_owned();
        read!(self, report::watermark_get(robot, &key))
    }

    /// Remembers a position.
    pub async fn watermark_set(&self, robot: RobotId, key: &str, value: &str) -> StoreResult<()> {
        let (key, value) = (key.to_owned(), value.to_owned());
        write!(self, report::watermark_set(robot, &key, &value))
    }

    /// Remembers a position in place of `seen` (none: of no position); answers whether it did, which it does not where another one
    /// is remembered by now.
    pub async fn watermark_move(
        &self,
        robot: RobotId,
        key: &str,
        seen: Option<String>,
        value: &str,
    ) -> StoreResult<bool> {
        let (key, value) = (key.to_owned(), value.to_owned());
        write!(
            self,
            report::watermark_move(robot, &key, seen.as_deref(), &value)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentile_is_one_of_the_values() {
        assert_eq!(percentile_95(vec![]), None);
        assert_eq!(percentile_95(vec![7]), Some(7));
        assert_eq!(percentile_95((1..=100).rev().collect()), Some(95));
        assert_eq!(percentile_95((1..=20).collect()), Some(19));
        assert_eq!(percentile_95((1..=21).collect()), Some(20));
    }
}
