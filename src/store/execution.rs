//! Executions of `task_manager.executor`: which operations a task has ordered.
//!
//! They are ordered in the transaction that writes down that they are, and their ids follow each other: so a task that is
//! run again, because its node died or its time was over, finds what it ordered and orders nothing twice. The ids are taken
//! when it begins, also those of operations that it orders later.

use serde_json::Value;

use crate::domain::id::{InventoryId, OperationId, TaskId};
use crate::domain::operation::OperationState;
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::event::NewEvent;
use super::operation::{NewOperation, OPERATIONS_MAX, Operation};
use super::task::bounded;
use super::{Store, StoreResult};

/// What a task has ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execution {
    /// The id of its first operation; the others follow.
    pub first: OperationId,
    /// How many it wants.
    pub wanted: u32,
    /// How many of them it has ordered, from the first on. Fewer were made where another one was open.
    pub ordered: u32,
}

/// A task that begins.
#[derive(Debug, Clone, PartialEq)]
pub struct NewExecution {
    /// Which.
    pub task: TaskId,
    /// The id of its first operation.
    pub first: OperationId,
    /// How many it wants.
    pub wanted: u32,
    /// What it means, in the robot's own words; at most a few KiB.
    pub plan: Value,
}

/// A task that has begun.
#[derive(Debug, Clone, PartialEq)]
pub struct Begun {
    /// What it has ordered.
    pub execution: Execution,
    /// What it means; none of a task that was begun by a program that kept none, and has ordered all.
    pub plan: Option<Value>,
}

/// Which credentials are meant: those that every given part fits. Disabled ones never are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Of these devices; empty: of any.
    pub devices: Vec<InventoryId>,
    /// Of devices of this site.
    pub site: Option<InventoryId>,
    /// With this tag, on themselves or on their device.
    pub tag: Option<String>,
    /// Of this account name, as it is written.
    pub username: Option<String>,
    /// Also those that sign in by a key.
    pub keys: bool,
    /// Not those that sign in by a password.
    pub no_passwords: bool,
}

/// How many operations of an execution stand so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Where they stand.
    pub state: OperationState,
    /// Whether they have ended.
    pub ended: bool,
    /// How many.
    pub count: u32,
}

impl Store {
    /// Credentials that a selection means, by their ids, at most `limit`.
    pub async fn execution_select(
        &self,
        selection: Selection,
        limit: u32,
    ) -> StoreResult<Vec<InventoryId>> {
        bounded("devices", selection.devices.len(), OPERATIONS_MAX)?;
        read!(self, execution::select(&selection, limit))
    }

    /// The execution of a task; none: it has not begun.
    pub async fn execution_get(&self, task: TaskId) -> StoreResult<Option<Begun>> {
        read!(self, execution::get(task))
    }

    /// Writes down that a task begins, and orders its first operations as [`Store::operation_order`] does. `Conflict`, and
    /// nothing is ordered, where it has begun before.
    pub async fn execution_start(
        &self,
        new: NewExecution,
        orders: Vec<NewOperation>,
        events: Vec<NewEvent>,
        now: Timestamp,
    ) -> StoreResult<Execution> {
        bounded("operations", orders.len(), OPERATIONS_MAX)?;
        let ids = self.publication_ids(&events, now).await?;
        let (execution, published) =
            write!(self, execution::start(&new, &orders, &events, &ids, now))?;
        self.tell_published(published);
        Ok(execution)
    }

    /// Orders the next operations of a task. `Conflict`, and nothing is ordered, where others were ordered since `seen`.
    pub async fn execution_continue(
        &self,
        task: TaskId,
        seen: Execution,
        orders: Vec<NewOperation>,
        events: Vec<NewEvent>,
        now: Timestamp,
    ) -> StoreResult<Execution> {
        bounded("operations", orders.len(), OPERATIONS_MAX)?;
        let ids = self.publication_ids(&events, now).await?;
        let (execution, published) = write!(
            self,
            execution::go_on(task, seen, &orders, &events, &ids, now)
        )?;
        self.tell_published(published);
        Ok(execution)
    }

    /// How its operations stand.
    pub async fn execution_standing(&self, execution: Execution) -> StoreResult<Vec<Standing>> {
        read!(self, execution::standing(execution))
    }

    /// Its operations that wait, for their time or for another attempt.
    pub async fn execution_waiting(&self, execution: Execution) -> StoreResult<Vec<Operation>> {
        read!(self, execution::waiting(execution))
    }
}
