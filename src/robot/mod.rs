//! The contract between the runtime and the robots: what a robot is, what it is given, what it answers.

pub mod admission;
pub mod context;
pub mod import;
pub mod inventory;
pub mod journal;
pub mod operation;
pub mod outcome;
pub mod registry;
pub mod safe;
pub mod spec;

use async_trait::async_trait;

pub use admission::{Admission, Refusal};
pub use context::Context;
pub use outcome::{Outcome, RobotError};
pub use spec::{Definition, RobotSpec};

use crate::domain::robot::FieldError;

/// A robot: a definition and the work.
///
/// One value serves all instances at once, so a robot keeps nothing between runs; what must be
/// remembered is in the database. A run must be safe to repeat: it may be ended at any await, and the
/// node may die at any instruction.
#[async_trait]
pub trait Robot: Send + Sync + 'static {
    /// What it is and how it is configured by default.
    ///
    /// # Errors
    /// A declaration that cannot be read; the program then refuses to start.
    fn definition(&self) -> Result<Definition, FieldError>;

    /// Looks at a task that somebody is about to register, so that what could only fail is refused at once. A run looks
    /// again: tasks come from events and schedules too, and the world moves on.
    ///
    /// # Errors
    /// [`Refusal`], with the field that is to blame.
    async fn admit(&self, _: &Admission<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    /// One run.
    ///
    /// # Errors
    /// [`RobotError::retry`] when another attempt may succeed, [`RobotError::fail`] when not. No retry
    /// loops inside: the runtime repeats, by the robot's retry policy.
    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError>;
}

#[async_trait]
impl<T: Robot + ?Sized> Robot for &'static T {
    fn definition(&self) -> Result<Definition, FieldError> {
        (**self).definition()
    }

    async fn admit(&self, admission: &Admission<'_>) -> Result<(), Refusal> {
        (**self).admit(admission).await
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        (**self).run(ctx).await
    }
}
