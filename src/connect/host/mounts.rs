//! Which file systems there are, from `/proc/self/mountinfo`.

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use procfs::process::MountInfo;

use super::{kernel_file, unreadable};
use crate::connect::ConnectError;

/// Kinds that hold no data of anybody, are full by nature, or start work when asked.
///
/// `tmpfs` and `overlay` are not among them: they fill up like disks.
pub const IGNORED_FS_TYPES: [&str; 30] = [
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cpuset",
    "debugfs",
    "devfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
];

/// Most mounts we look at: a machine with more has a program that forgets to unmount.
const MOUNTS_MAX: usize = 1024;

/// One file system and where it can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where to ask for it.
    pub point: PathBuf,
    /// Other places where the same device is mounted.
    pub also_at: Vec<PathBuf>,
    /// `major:minor` of the device.
    pub device: String,
    /// Kind of file system, such as `ext4`.
    pub fs_type: String,
    /// What is mounted, such as `/dev/sda1`; `none` when the kernel does not say.
    pub source: String,
    /// No writing, at this place or at all.
    pub read_only: bool,
    /// This place shows the whole file system, not a folder of it.
    is_whole: bool,
}

/// Reads the mounts worth watching: each device once, kinds in `ignored` left out.
///
/// # Errors
///
/// [`ConnectError::Unreadable`] without `/proc/self/mountinfo`.
pub fn mounts(ignored: &[&str]) -> Result<Vec<Mount>, ConnectError> {
    let path = Path::new("/proc/self/mountinfo");
    let text = kernel_file(path)?.ok_or_else(|| unreadable(path, &"there is no such file"))?;
    Ok(watchable(parse_mountinfo(&text), ignored))
}

/// Every line that reads as a mount, in the kernel's order.
///
/// A line that does not read is left out: one odd mount must not blind us to the others.
pub(super) fn parse_mountinfo(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| MountInfo::from_line(line).ok())
        .map(|read| Mount {
            point: unescaped(&read.mount_point.to_string_lossy()),
            also_at: Vec::new(),
            device: read.majmin,
            fs_type: read.fs_type,
            source: read.mount_source.unwrap_or_else(|| "none".to_owned()),
            read_only: read.mount_options.contains_key("ro")
                || read.super_options.contains_key("ro"),
            is_whole: read.root == "/",
        })
        .take(MOUNTS_MAX)
        .collect()
}

/// Leaves out ignored kinds and what is hidden, and keeps one mount of each device.
fn watchable(all: Vec<Mount>, ignored: &[&str]) -> Vec<Mount> {
    let mut visible: Vec<Mount> = Vec::new();
    for mount in all {
        // A later mount hides an earlier one at the same place.
        visible.retain(|earlier| earlier.point != mount.point);
        visible.push(mount);
    }
    let mut kept: Vec<Mount> = Vec::new();
    for mount in visible {
        if ignored.contains(&mount.fs_type.as_str()) {
            continue;
        }
        match kept.iter_mut().find(|known| known.device == mount.device) {
            Some(known) => merge(known, mount),
            None => kept.push(mount),
        }
    }
    kept
}

/// Joins a second mount of one device: the better place to ask becomes the point.
fn merge(known: &mut Mount, mut other: Mount) {
    let rank = |mount: &Mount| {
        (
            !mount.is_whole,
            mount.read_only,
            mount.point.as_os_str().len(),
        )
    };
    if rank(&other) < rank(known) {
        std::mem::swap(known, &mut other);
    }
    known.also_at.push(other.point);
    known.also_at.append(&mut other.also_at);
}

/// Undoes the kernel's `\040` for space, tab, newline and backslash in a path.
fn unescaped(written: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(written.len());
    let mut rest = written.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if *first == b'\\' => {
                Some(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(octal.unwrap_or(*first));
        rest = match octal {
            Some(_) => after.get(3..).unwrap_or_default(),
            None => after,
        };
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOUNTINFO: &str = "\
        22 27 0:21 / /proc rw,relatime - proc proc rw\n\
        27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n\
        30 27 0:40 / /run rw,nosuid - tmpfs tmpfs rw,size=1000k\n\
        31 27 254:0 /srv/data /backup\\040here ro,relatime shared:1 - ext4 /dev/vda rw\n\
        32 27 8:1 /inner /home/inner rw - xfs /dev/sda1 rw\n\
        33 27 8:1 / /home/longer/name rw - xfs /dev/sda1 rw\n\
        34 27 0:41 / /run rw,nosuid - tmpfs tmpfs rw,size=2000k\n\
        35 27 8:2 / /media/cd ro - iso9660 /dev/sr0 ro\n\
        this is no mount\n";

    fn found() -> Vec<Mount> {
        watchable(parse_mountinfo(MOUNTINFO), &IGNORED_FS_TYPES)
    }

    #[test]
    fn each_device_is_there_once_and_pseudo_file_systems_are_not() {
        let found = found();
        let points: Vec<_> = found.iter().map(|mount| mount.point.as_path()).collect();
        assert_eq!(
            points,
            ["/", "/home/longer/name", "/run"].map(Path::new),
            "the whole file system is a better place to ask than a folder of it"
        );
        assert_eq!(found[0].also_at, [PathBuf::from("/backup here")]);
        assert!(!found[0].read_only);
        assert_eq!(found[1].also_at, [PathBuf::from("/home/inner")]);
        assert_eq!(found[2].device, "0:41", "the later mount hides the earlier");
    }

    #[test]
    fn a_backslash_that_escapes_nothing_stays() {
        for (written, path) in [
            (r"/a\040b\011c\134d", "/a b\tc\\d"),
            (r"/a\04", r"/a\04"),
            (r"/a\999", r"/a\999"),
            (r"\", r"\"),
        ] {
            assert_eq!(unescaped(written), PathBuf::from(path));
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_each_device_and_each_place_at_most_once(
            text in "([0-9] [0-9] [0-9]:[0-9] / /[a-c]{0,2} (rw|ro) - (ext4|proc|tmpfs) [a-z]{1,3} (rw|ro)\n|.|\n){0,40}",
        ) {
            let found = watchable(parse_mountinfo(&text), &IGNORED_FS_TYPES);
            for (place, mount) in found.iter().enumerate() {
                prop_assert!(found[..place].iter().all(|other| other.device != mount.device && other.point != mount.point));
                prop_assert!(!IGNORED_FS_TYPES.contains(&mount.fs_type.as_str()));
            }
        }

        #[test]
        fn escaping_as_the_kernel_does_reads_back(path in "[ -~\t\nß]{0,30}") {
            let mut written = String::new();
            for c in path.chars() {
                match c {
                    ' ' => written.push_str(r"\040"),
                    '\t' => written.push_str(r"\011"),
                    '\n' => written.push_str(r"\012"),
                    '\\' => written.push_str(r"\134"),
                    c => written.push(c),
                }
            }
            prop_assert_eq!(unescaped(&written), PathBuf::from(path));
        }
    }
}
