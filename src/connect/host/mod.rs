//! Figures of this machine: how busy it is and how full its file systems are.
//!
//! Reading is cheap and immediate except for file systems, which may hang: those are asked
//! through [`FileSystemProbe`]. Thresholds, samples and alarms are not decided here.

mod cgroup;
mod file_system;
mod load;
mod mounts;
mod oom;

pub use cgroup::{CgroupMemory, cgroup_memory};
pub use file_system::{FileSystemProbe, FileSystemUsage, PROBES_MAX};
pub use load::{
    CpuTimes, LoadAverages, Memory, Pressure, StallTimes, cpu_times, cpu_used_ratio, load_averages,
    memory, pressure, uptime,
};
pub use mounts::{IGNORED_FS_TYPES, Mount, mounts};
pub use oom::oom_kills;

use std::path::Path;

use super::ConnectError;

/// A small file of the kernel as text; `None` where this kernel has no such file.
fn kernel_file(path: &Path) -> Result<Option<String>, ConnectError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, reason: &dyn std::fmt::Display) -> ConnectError {
    ConnectError::Unreadable {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
