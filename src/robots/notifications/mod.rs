//! Robots that tell people what needs their attention.
//!
//! Each runs on every node and watches that node; what it remembers is in the database under keys
//! and series with the node's name, so that robots of two nodes never write to the same row.

mod cpu_and_memory_monitor;
mod disk_space_monitors;

use crate::robot::Robot;

pub(super) const ROBOTS: &[&'static dyn Robot] = &[
    &cpu_and_memory_monitor::WatchCpuAndMemory,
    &disk_space_monitors::WatchDiskSpace,
];
