//! What was decided of task definitions by their schedules. The definitions themselves are the inventory's.

use crate::domain::id::{InventoryId, TaskId};
use crate::domain::tick::Decision;
use crate::domain::time::Timestamp;

use super::backend::write;
use super::{Store, StoreResult};

/// What became of a definition's planned instants, up to the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// Which definition.
    pub definition: InventoryId,
    /// The revision by which it was decided.
    pub revision: i64,
    /// The last planned instant.
    pub planned_at: Timestamp,
    /// What became of it.
    pub decision: Decision,
    /// The last task that was begun, where one was.
    pub task: Option<TaskId>,
}

impl Store {
    /// Notes a decision, unless the definition is another one by now, or a later instant is decided; answers whether it did.
    pub async fn task_definition_decided(&self, decided: Decided) -> StoreResult<bool> {
        write!(self, task_definition::decided(decided))
    }
}
