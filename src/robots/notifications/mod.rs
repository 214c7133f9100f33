//! Robots that tell people what needs their attention.
//!
//! The monitors run on every node and watch that node; what they remember is in the database under keys
//! and series with the node's name, so that robots of two nodes never write to the same row.

mod cpu_and_memory_monitor;
mod disk_space_monitors;
mod expiration_notification;
mod password_change_report;

use crate::robot::Robot;

pub(super) const ROBOTS: &[&'static dyn Robot] = &[
    &cpu_and_memory_monitor::WatchCpuAndMemory,
    &disk_space_monitors::WatchDiskSpace,
    &expiration_notification::TellOfExpirations,
    &password_change_report::ReportPasswordChanges,
];
