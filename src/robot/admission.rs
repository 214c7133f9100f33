//! What is refused before it is a task: a robot looks at the payload of a task that somebody registers.

use serde_json::Value;

use super::RobotError;
use super::inventory::Inventory;
use crate::domain::access::Role;
use crate::domain::robot::FieldError;
use crate::domain::task::Trigger;
use crate::store::StoreError;

/// A task that somebody is about to register over HTTP.
#[derive(Debug, Clone, Copy)]
pub struct Admission<'a> {
    /// Its payload.
    pub payload: &'a Value,
    /// By hand or by `POST /tasks`.
    pub trigger: Trigger,
    /// What the caller may do.
    pub role: Role,
    /// What payloads refer to.
    pub inventory: &'a Inventory,
}

/// Why a task is not registered, or, found later, why it is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A field below `payload`.
    #[error("{}: {}", .0.field, .0.detail)]
    Field(FieldError),
    /// The caller may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// The store's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refusal {
    /// The refusal of a field.
    pub fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Field(FieldError::new(field, detail))
    }
}

impl From<Refusal> for RobotError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Field(_) => Self::fail("payload", refusal),
            Refusal::Forbidden(_) => Self::fail("forbidden", refusal),
            Refusal::Store(error) => error.into(),
        }
    }
}
