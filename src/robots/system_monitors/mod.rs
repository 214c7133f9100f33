//! Robots that watch the platform itself.
//!
//! They only read what others own, and write alerts and samples of their own.

mod primary_key_monitor;
mod schedule_monitor;

use crate::robot::Robot;

pub(super) const ROBOTS: &[&'static dyn Robot] = &[
    &primary_key_monitor::WatchPrimaryKeys,
    &schedule_monitor::WatchSchedules,
];
