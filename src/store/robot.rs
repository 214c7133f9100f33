//! Robots' rows: identity, changed configuration, revision, standing.

use crate::domain::id::RobotId;
use crate::domain::robot::Overrides;
use crate::domain::time::Timestamp;

use super::audit::NewAudit;
use super::backend::{read, write};
use super::event::NewEvent;
use super::signal::Signal;
use super::task::bounded;
use super::{Store, StoreResult};

/// A robot as the database knows it; what it is by default is known by the code or `robotd.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct RobotRow {
    /// Its id, stable for ever.
    pub id: RobotId,
    /// `category.robot`.
    pub name: String,
    /// What was changed over HTTP (RFC 7396 patch over the defaults).
    pub overrides: Overrides,
    /// Counts changes; the `ETag`.
    pub revision: i64,
    /// First instant of an `every` schedule; set anew when the schedule changes.
    pub anchor: Timestamp,
    /// Last planned instant that was decided.
    pub last_tick_at: Option<Timestamp>,
}

/// A guarded change of a robot's overrides.
#[derive(Debug, Clone, PartialEq)]
pub struct RobotChange {
    /// Which.
    pub id: RobotId,
    /// The revision the caller saw; another one is a `Conflict`.
    pub revision: i64,
    /// The whole new overrides.
    pub overrides: Overrides,
    /// New anchor and forgotten `last_tick_at`, where the schedule changed.
    pub anchor: Option<Timestamp>,
    /// Written in the same transaction, with its syslog message.
    pub audit: NewAudit,
    /// Published in the same transaction (`robot.settings_changed`).
    pub event: Option<NewEvent>,
}

/// Most robots of one installation: the catalogue's 48, and 10,000 of the operator's own with room to spare.
pub const ROBOTS_MAX: usize = 16_000;

impl Store {
    /// Makes sure each `(name, anchor)` has a row (anchor is used for new ones only). Answers all of them in order.
    pub async fn robot_register(
        &self,
        robots: Vec<(String, Timestamp)>,
    ) -> StoreResult<Vec<RobotRow>> {
        bounded("robots", robots.len(), ROBOTS_MAX)?;
        write!(self, robot::register(&robots))
    }

    /// All rows, of vanished robots too.
    pub async fn robot_list(&self) -> StoreResult<Vec<RobotRow>> {
        read!(self, robot::list())
    }

    /// The rows of these robots, those that are there.
    pub async fn robot_rows(&self, robots: Vec<RobotId>) -> StoreResult<Vec<RobotRow>> {
        read!(self, robot::rows(&robots))
    }

    /// Applies a change; audit entry, syslog message and event are in the same transaction. `Conflict` on a stale revision.
    pub async fn robot_change(&self, change: RobotChange, now: Timestamp) -> StoreResult<RobotRow> {
        let ids = self.publication_ids(change.event.as_slice(), now).await?;
        let (row, published) = write!(self, robot::change(&change, &ids, now))?;
        self.tell(Signal::Robot(row.id));
        self.tell(Signal::Syslog);
        self.tell_published(published);
        Ok(row)
    }

    /// Tells whoever listens here that another node's change of a robot is in force.
    pub fn robot_heard(&self, id: RobotId) {
        self.tell_here(Signal::Robot(id));
    }
}
