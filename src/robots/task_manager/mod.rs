//! Robots that prepare and carry out what people order.
//!
//! The daily facts are theirs; reports and the panel read them.

mod daily_data;
mod executor;

use crate::robot::Robot;

pub(super) const ROBOTS: &[&'static dyn Robot] =
    &[&daily_data::BuildDailyFacts, &executor::ExecuteTasks];
