//! What `robotd bench` needs of a database beside what a node does: whether it is empty, many old rows at once,
//! and a look at what a run has left.

use std::sync::mpsc;

use crate::domain::id::{NodeId, RobotId, TaskId};
use crate::domain::time::Timestamp;

use super::backend::{postgres, read, sqlite, write};
use super::id::Series;
use super::{Store, StoreConfig, StoreResult};

/// Rows made in one transaction.
const FILL_ROWS: u32 = 50_000;

impl StoreConfig {
    /// Whether nobody has made a table in it. Blocks; not for a thread of a runtime.
    pub fn is_empty(&self) -> StoreResult<bool> {
        match self {
            Self::Sqlite { path } => Ok(sqlite::outside::is_empty(path)),
            Self::Postgres { url, .. } => postgres::outside::is_empty(url),
        }
    }

    /// Removes every table, whoever made it: only for a database that was found empty. Blocks, as above.
    pub fn clear(&self) -> StoreResult<()> {
        match self {
            Self::Sqlite { path } => sqlite::outside::clear(path),
            Self::Postgres { url, .. } => postgres::outside::clear(url),
        }
    }

    /// Writes out what is pending and, on PostgreSQL, vacuums and counts, so that a measurement begins where
    /// every other one does. Blocks, as above.
    pub fn settle(&self) -> StoreResult<()> {
        match self {
            Self::Sqlite { path } => sqlite::outside::settle(path),
            Self::Postgres { url, .. } => postgres::outside::settle(url),
        }
    }

    /// Transactions that the server has ended in this database so far; `None` where there is no server. Blocks,
    /// as above.
    pub fn transactions(&self) -> StoreResult<Option<i64>> {
        match self {
            Self::Sqlite { .. } => Ok(None),
            Self::Postgres { url, .. } => postgres::outside::transactions(url).map(Some),
        }
    }
}

impl Store {
    /// Makes `count` finished tasks with a process each, spread over all robots; one in twenty failed. The first
    /// was registered at `from`, each following one `step_micros` later.
    pub async fn bench_fill_finished(
        &self,
        node: NodeId,
        count: u32,
        from: Timestamp,
        step_micros: i64,
    ) -> StoreResult<()> {
        let mut at = from;
        for rows in chunks(count) {
            let size = usize::try_from(rows).unwrap_or(usize::MAX);
            let task = self.ids(Series::Task, size, at).await?;
            let process = self.ids(Series::Process, size, at).await?;
            if at == from {
                write!(self, bench::forget_marks((task, process)))?;
            }
            write!(
                self,
                bench::fill_finished(node, (task, process), rows, at, step_micros)
            )?;
            at += chrono::TimeDelta::microseconds(i64::from(rows) * step_micros);
        }
        Ok(())
    }

    /// Makes `count` decided ticks, spread over all robots; one in twenty was skipped. The first was planned at `from`,
    /// each following one `step_micros` later.
    pub async fn bench_fill_ticks(
        &self,
        node: NodeId,
        count: u32,
        from: Timestamp,
        step_micros: i64,
    ) -> StoreResult<()> {
        let mut at = from;
        for rows in chunks(count) {
            write!(self, bench::fill_ticks(node, rows, at, step_micros))?;
            at += chrono::TimeDelta::microseconds(i64::from(rows) * step_micros);
        }
        Ok(())
    }

    /// Makes `count` entries of the audit trail, not chained to each other, the first at `from`, each following one
    /// `step_micros` later.
    pub async fn bench_fill_audit(
        &self,
        count: u32,
        from: Timestamp,
        step_micros: i64,
    ) -> StoreResult<()> {
        let mut at = from;
        for rows in chunks(count) {
            write!(self, bench::fill_audit(rows, at, step_micros))?;
            at += chrono::TimeDelta::microseconds(i64::from(rows) * step_micros);
        }
        Ok(())
    }

    /// Makes `count` tasks of `robot` that are due from `from` on, one a second.
    pub async fn bench_fill_scheduled(
        &self,
        robot: RobotId,
        count: u32,
        from: Timestamp,
    ) -> StoreResult<()> {
        let mut at = from;
        for rows in chunks(count) {
            let size = usize::try_from(rows).unwrap_or(usize::MAX);
            let task = self.ids(Series::Task, size, at).await?;
            write!(self, bench::fill_scheduled(robot, task, rows, at))?;
            at += chrono::TimeDelta::seconds(i64::from(rows));
        }
        Ok(())
    }

    /// Whether a task is not over.
    pub async fn bench_open(&self, task: TaskId) -> StoreResult<bool> {
        read!(self, bench::open(task))
    }

    /// Whether a task is running.
    pub async fn bench_running(&self) -> StoreResult<bool> {
        read!(self, bench::running())
    }

    /// Succeeded processes of `robot`, counted.
    pub async fn bench_succeeded(&self, robot: RobotId) -> StoreResult<u64> {
        read!(self, bench::succeeded(robot))
    }

    /// By how many microseconds each tick that was planned from `from` until `to` was decided late.
    pub async fn bench_lateness(&self, from: Timestamp, to: Timestamp) -> StoreResult<Vec<i64>> {
        read!(self, bench::lateness(from, to))
    }

    /// Keeps a snapshot open until `until` ends.
    pub async fn bench_hold_snapshot(&self, until: mpsc::Receiver<()>) -> StoreResult<()> {
        let until = std::sync::Mutex::new(until);
        read!(self, bench::hold_snapshot(&until))
    }
}

fn chunks(count: u32) -> impl Iterator<Item = u32> {
    let full = count / FILL_ROWS;
    let rest = count % FILL_ROWS;
    (0..full)
        .map(|_| FILL_ROWS)
        .chain((rest > 0).then_some(rest))
}
