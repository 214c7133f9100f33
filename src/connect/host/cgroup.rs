//! The memory limit that holds for this process, where it runs in a container.

use std::path::{Path, PathBuf};

use super::{kernel_file, mounts::parse_mountinfo};
use crate::connect::ConnectError;

/// Memory of the control group (version 2) that limits this process the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CgroupMemory {
    /// The limit in bytes; `None` when no group up to the root has one.
    pub limit: Option<u64>,
    /// What the group uses, in bytes, caches included.
    pub current: u64,
    /// The part of it that is cache and given back before the limit hurts, in bytes.
    pub reclaimable: u64,
    /// How often the kernel killed a process of the group for want of memory.
    pub oom_kills: u64,
}

/// Reads the tightest memory limit among this process's group and the groups above it.
///
/// `None` where there is no control group of version 2, or it does not account memory.
///
/// # Errors
///
/// [`ConnectError::Unreadable`] when the kernel's files cannot be read.
pub fn cgroup_memory() -> Result<Option<CgroupMemory>, ConnectError> {
    let own = kernel_file(Path::new("/proc/self/cgroup"))?.unwrap_or_default();
    let mounts = kernel_file(Path::new("/proc/self/mountinfo"))?.unwrap_or_default();
    let Some(root) = parse_mountinfo(&mounts)
        .into_iter()
        .find(|mount| mount.fs_type == "cgroup2")
        .map(|mount| mount.point)
    else {
        return Ok(None);
    };
    let mut tightest: Option<CgroupMemory> = None;
    for folder in group_folders(&root, &own) {
        let Some(group) = group_memory(&folder)? else {
            continue;
        };
        let tighter = match (tightest.and_then(|known| known.limit), group.limit) {
            (Some(known), Some(limit)) => limit < known,
            (None, Some(_)) => true,
            (_, None) => tightest.is_none(),
        };
        if tighter {
            tightest = Some(group);
        }
    }
    Ok(tightest)
}

/// The folder of this process's group and of every group above it, from the inside out.
fn group_folders(root: &Path, own: &str) -> Vec<PathBuf> {
    let Some(group) = own.lines().find_map(|line| line.strip_prefix("0::")) else {
        return Vec::new();
    };
    Path::new(group.trim_start_matches('/'))
        .ancestors()
        .map(|folder| root.join(folder))
        .collect()
}

/// One group's figures; `None` for the root group, which has no such files.
fn group_memory(folder: &Path) -> Result<Option<CgroupMemory>, ConnectError> {
    let current = kernel_file(&folder.join("memory.current"))?;
    let limit = kernel_file(&folder.join("memory.max"))?;
    let events = kernel_file(&folder.join("memory.events"))?;
    let stat = kernel_file(&folder.join("memory.stat"))?;
    Ok(parse_group(
        current.as_deref(),
        limit.as_deref(),
        events.as_deref(),
        stat.as_deref(),
    ))
}

fn parse_group(
    current: Option<&str>,
    limit: Option<&str>,
    events: Option<&str>,
    stat: Option<&str>,
) -> Option<CgroupMemory> {
    let count = |text: Option<&str>, name: &str| {
        let line = text
            .into_iter()
            .flat_map(str::lines)
            .find_map(|line| line.strip_prefix(name));
        line.and_then(|count| count.trim().parse().ok())
            .unwrap_or(0)
    };
    Some(CgroupMemory {
        // The word `max` stands for no limit.
        limit: limit.and_then(|text| text.trim().parse().ok()),
        current: current?.trim().parse().ok()?,
        reclaimable: count(stat, "inactive_file "),
        oom_kills: count(events, "oom_kill "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_from_the_inside_out() {
        let own = "4:memory:/old\n0::/system.slice/robotd.service\n";
        assert_eq!(
            group_folders(Path::new("/sys/fs/cgroup"), own),
            [
                "/sys/fs/cgroup/system.slice/robotd.service",
                "/sys/fs/cgroup/system.slice",
                "/sys/fs/cgroup/"
            ]
            .map(PathBuf::from)
        );
        assert!(group_folders(Path::new("/sys/fs/cgroup"), "4:memory:/old\n").is_empty());
    }

    #[test]
    fn a_group_reads_with_and_without_a_limit() {
        let events = "low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\noom_group_kill 0\n";
        assert_eq!(
            parse_group(
                Some("4096\n"),
                Some("8192\n"),
                Some(events),
                Some("anon 7\ninactive_file 1024\n")
            ),
            Some(CgroupMemory {
                limit: Some(8192),
                current: 4096,
                reclaimable: 1024,
                oom_kills: 2
            })
        );
        let unlimited = parse_group(Some("4096\n"), Some("max\n"), None, None).unwrap();
        assert_eq!((unlimited.limit, unlimited.oom_kills), (None, 0));
        assert_eq!(parse_group(None, Some("max\n"), None, None), None);
    }

    #[test]
    fn a_folder_of_files_reads_like_the_kernels() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(group_memory(folder.path()).unwrap(), None);
        std::fs::write(folder.path().join("memory.current"), "12\n").unwrap();
        std::fs::write(folder.path().join("memory.max"), "34\n").unwrap();
        let group = group_memory(folder.path()).unwrap().unwrap();
        assert_eq!((group.current, group.limit), (12, Some(34)));
    }
}
