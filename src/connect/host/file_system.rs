//! How full a file system is, asked so that a hung one hangs nobody else.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{StatVfsMountFlags, major, minor, stat, statvfs};
use tokio::sync::oneshot;

use super::load::ratio;
use crate::connect::ConnectError;

/// Most probes that may be out at once; each is a thread that a dead server can hold for
/// hours. Eight are enough for the mounts of one dead server and leave room for the rest.
pub const PROBES_MAX: usize = 8;

/// A probe needs little more than one system call.
const PROBE_STACK_BYTES: usize = 64 * 1024;

/// What one file system says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystemUsage {
    /// `major:minor` of what answered; another one than before means that the mount has
    /// vanished and the folder beneath it answered.
    pub device: String,
    /// Size in bytes.
    pub total_bytes: u64,
    /// Bytes nobody uses, those reserved for root included.
    pub free_bytes: u64,
    /// Bytes an ordinary program can have.
    pub available_bytes: u64,
    /// Files it can hold; 0 where the kind has no fixed number.
    pub inodes: u64,
    /// Files that still fit.
    pub inodes_free: u64,
    /// No writing.
    pub read_only: bool,
}

impl FileSystemUsage {
    /// Bytes in use.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.total_bytes.saturating_sub(self.free_bytes)
    }

    /// The share in use, 0 to 1, of what ordinary programs can use, as `df` counts it.
    #[must_use]
    pub fn used_ratio(&self) -> f64 {
        let used = self.used_bytes();
        ratio(used, used.saturating_add(self.available_bytes))
    }

    /// The share of files in use, 0 to 1; `None` where there is no fixed number.
    #[must_use]
    pub fn inode_used_ratio(&self) -> Option<f64> {
        (self.inodes > 0).then(|| ratio(self.inodes.saturating_sub(self.inodes_free), self.inodes))
    }
}

type Ask = dyn Fn(&Path) -> io::Result<FileSystemUsage> + Send + Sync;

/// Asks file systems, each from a thread of its own.
///
/// Keep one of these: it remembers what still hangs.
#[derive(Clone)]
pub struct FileSystemProbe {
    ask: Arc<Ask>,
    /// Places with a probe that has not come back.
    out: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl fmt::Debug for FileSystemProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSystemProbe")
            .field("out", &self.out)
            .finish_non_exhaustive()
    }
}

impl Default for FileSystemProbe {
    fn default() -> Self {
        Self::new()
    }
}

impl FileSystemProbe {
    /// A probe with nothing out.
    #[must_use]
    pub fn new() -> Self {
        Self::asking(ask_kernel)
    }

    fn asking(ask: impl Fn(&Path) -> io::Result<FileSystemUsage> + Send + Sync + 'static) -> Self {
        Self {
            ask: Arc::new(ask),
            out: Arc::default(),
        }
    }

    /// Asks the file system at `point`, waiting at most `limit`.
    ///
    /// # Errors
    ///
    /// [`ConnectError::TimedOut`] when it hangs, [`ConnectError::Busy`] while the last
    /// probe of the same place still hangs or [`PROBES_MAX`] are out,
    /// [`ConnectError::Unreadable`] when it answers with an error.
    pub async fn usage(
        &self,
        point: &Path,
        limit: Duration,
    ) -> Result<FileSystemUsage, ConnectError> {
        let refused = |error: io::Error| ConnectError::Unreadable {
            path: point.to_owned(),
            reason: error.to_string(),
        };
        let lost = || refused(io::Error::other("the probe ended without an answer"));
        let pass = self.admit(point)?;
        let (answer, answered) = oneshot::channel();
        let ask = Arc::clone(&self.ask);
        std::thread::Builder::new()
            .name("statvfs".to_owned())
            .stack_size(PROBE_STACK_BYTES)
            .spawn(move || {
                // A local goes before what the closure owns, also when `ask` panics: the
                // place is free before anybody hears the answer.
                let pass = pass;
                let found = ask(&pass.point);
                drop(pass);
                // Nobody waits any more after the limit; then the answer is worth nothing.
                let _unheard = answer.send(found);
            })
            .map_err(refused)?;
        match tokio::time::timeout(limit, answered).await {
            Ok(Ok(found)) => found.map_err(refused),
            Ok(Err(_closed)) => Err(lost()),
            Err(_elapsed) => Err(ConnectError::TimedOut {
                target: point.display().to_string(),
                step: "get an answer from the file system at",
                limit,
            }),
        }
    }

    fn admit(&self, point: &Path) -> Result<Pass, ConnectError> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if out.len() >= PROBES_MAX || !out.insert(point.to_owned()) {
            return Err(ConnectError::Busy {
                target: point.display().to_string(),
                hanging: out.len(),
            });
        }
        Ok(Pass {
            point: point.to_owned(),
            out: Arc::clone(&self.out),
        })
    }
}

/// Strikes a place off the list when its probe comes back, by whatever way.
struct Pass {
    point: PathBuf,
    out: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.point);
    }
}

fn ask_kernel(point: &Path) -> io::Result<FileSystemUsage> {
    let figures = statvfs(point)?;
    let device = stat(point)?.st_dev;
    let bytes = |blocks: u64| blocks.saturating_mul(figures.f_frsize);
    Ok(FileSystemUsage {
        device: format!("{}:{}", major(device), minor(device)),
        total_bytes: bytes(figures.f_blocks),
        free_bytes: bytes(figures.f_bfree),
        available_bytes: bytes(figures.f_bavail),
        inodes: figures.f_files,
        inodes_free: figures.f_ffree,
        read_only: figures.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn usage() -> FileSystemUsage {
        FileSystemUsage {
            device: "8:1".to_owned(),
            total_bytes: 1_000,
            free_bytes: 300,
            available_bytes: 200,
            inodes: 10,
            inodes_free: 4,
            read_only: false,
        }
    }

    #[test]
    fn shares_are_those_of_df() {
        let usage = usage();
        assert!((usage.used_ratio() - 700.0 / 900.0).abs() < 1e-12);
        assert!((usage.inode_used_ratio().unwrap() - 0.6).abs() < 1e-12);
        let without_inodes = FileSystemUsage { inodes: 0, ..usage };
        assert_eq!(without_inodes.inode_used_ratio(), None);
    }

    /// Runs a probe that hangs until the test says otherwise.
    fn hanging() -> (FileSystemProbe, mpsc::Sender<()>) {
        let (release, released) = mpsc::channel();
        let released = Mutex::new(released);
        let probe = FileSystemProbe::asking(move |_point| {
            released.lock().unwrap().recv().map_err(io::Error::other)?;
            Ok(usage())
        });
        (probe, release)
    }

    const LIMIT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_hung_file_system_is_asked_once_and_hangs_nobody() {
        let (probe, release) = hanging();
        let dead = Path::new("/mnt/dead");
        let first = probe.usage(dead, LIMIT).await;
        assert!(matches!(first, Err(ConnectError::TimedOut { .. })));
        let second = probe.usage(dead, LIMIT).await;
        assert!(matches!(second, Err(ConnectError::Busy { hanging: 1, .. })));
        // The first to come back frees the place; its own answer is too late.
        release.send(()).unwrap();
        release.send(()).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        loop {
            match probe.usage(dead, Duration::from_secs(10)).await {
                Ok(found) => break assert_eq!(found, usage()),
                Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
            }
        }
    }

    #[tokio::test]
    async fn the_number_of_hung_probes_is_bounded() {
        let (probe, _release) = hanging();
        for place in 0..PROBES_MAX {
            let hung = probe
                .usage(&PathBuf::from(format!("/mnt/{place}")), LIMIT)
                .await;
            assert!(matches!(hung, Err(ConnectError::TimedOut { .. })));
        }
        let refused = probe.usage(Path::new("/mnt/more"), LIMIT).await;
        assert!(matches!(
            refused,
            Err(ConnectError::Busy {
                hanging: PROBES_MAX,
                ..
            })
        ));
    }

    #[tokio::test]
    async fn a_probe_that_panics_frees_its_place() {
        let probe = FileSystemProbe::asking(|_point| panic!("planned"));
        for _ in 0..2 {
            let lost = probe
                .usage(Path::new("/mnt"), Duration::from_secs(10))
                .await;
            assert!(matches!(lost, Err(ConnectError::Unreadable { .. })));
        }
    }
}
