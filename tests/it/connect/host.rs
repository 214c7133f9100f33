//! Figures of this machine, against `df`, `free` and file systems made for the purpose.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use robotd::connect::ConnectError;
use robotd::connect::host::{
    FileSystemProbe, FileSystemUsage, IGNORED_FS_TYPES, Mount, cgroup_memory, cpu_times,
    cpu_used_ratio, load_averages, memory, mounts, pressure, uptime,
};
use tempfile::TempDir;

use crate::support::counterpart::{PATIENCE, counterpart, skipped, wait_for};

fn said(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output().unwrap();
    assert!(done.status.success(), "{program} {arguments:?}");
    String::from_utf8(done.stdout).unwrap()
}

async fn usage(point: &Path) -> FileSystemUsage {
    FileSystemProbe::new().usage(point, PATIENCE).await.unwrap()
}

/// Something mounted in a temporary folder; unmounted when this goes.
struct Mounted {
    point: PathBuf,
    _folder: TempDir,
}

impl Mounted {
    /// `None` where nothing can be mounted, which was said loudly.
    fn with(arguments: &[&str], name: &str) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let point = folder.path().canonicalize().unwrap().join(name);
        std::fs::create_dir(&point).unwrap();
        let done = Command::new("mount").args(arguments).arg(&point).output();
        match done {
            Ok(done) if done.status.success() => Some(Self {
                point,
                _folder: folder,
            }),
            done => {
                skipped(&format!(
                    "`mount {arguments:?}` does not work here: {done:?}"
                ));
                None
            }
        }
    }

    fn tmpfs(megabytes: u32) -> Option<Self> {
        let size = format!("size={megabytes}m,nr_inodes=1000");
        Self::with(&["-t", "tmpfs", "-o", &size, "test-disk"], "a disk")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("-l").arg(&self.point).output();
        assert!(done.is_ok_and(|done| done.status.success()) || std::thread::panicking());
    }
}

fn watched(point: &Path) -> Vec<Mount> {
    mounts(&IGNORED_FS_TYPES)
        .unwrap()
        .into_iter()
        .filter(|mount| mount.point == point || mount.also_at.iter().any(|other| other == point))
        .collect()
}

#[tokio::test]
async fn a_file_system_that_fills_up_shows_the_figures_of_df() {
    let Some(disk) = Mounted::tmpfs(32) else {
        return;
    };
    let megabyte = vec![7_u8; 1024 * 1024];
    for filled in [0_u64, 10, 29] {
        let present = std::fs::read_dir(&disk.point).unwrap().count() as u64;
        for n in present..filled {
            std::fs::write(disk.point.join(n.to_string()), &megabyte).unwrap();
        }
        let found = usage(&disk.point).await;
        let point = disk.point.to_str().unwrap();
        let df = said(
            "df",
            &["-B1", "--output=size,used,avail,itotal,iused,iavail", point],
        );
        let df: Vec<u64> = df
            .lines()
            .nth(1)
            .unwrap()
            .split_whitespace()
            .map(|figure| figure.parse().unwrap())
            .collect();
        let ours = [
            found.total_bytes,
            found.used_bytes(),
            found.available_bytes,
            found.inodes,
            found.inodes - found.inodes_free,
            found.inodes_free,
        ];
        assert_eq!(ours.as_slice(), df.as_slice());
        assert_eq!(found.used_bytes(), filled * 1024 * 1024);
        let percent = said("df", &["--output=pcent", point]);
        let percent: f64 = percent
            .lines()
            .nth(1)
            .unwrap()
            .trim()
            .trim_end_matches('%')
            .parse()
            .unwrap();
        assert!(
            (percent - found.used_ratio() * 100.0).abs() <= 1.0,
            "df rounds up"
        );
        assert!(!found.read_only);
    }
}

#[tokio::test]
async fn a_bind_mount_is_the_same_disk_and_a_read_only_one_is_told() {
    let Some(disk) = Mounted::tmpfs(1) else {
        return;
    };
    let Some(bound) = Mounted::with(&["--bind", disk.point.to_str().unwrap()], "bound") else {
        return;
    };
    for point in [&disk.point, &bound.point] {
        let [mount] = watched(point).try_into().unwrap();
        assert_eq!(
            (mount.fs_type.as_str(), mount.source.as_str()),
            ("tmpfs", "test-disk")
        );
        assert_eq!(mount.also_at.len(), 1);
        assert!(!mount.read_only);
        assert_eq!(mount.device, usage(point).await.device);
    }
    said("mount", &["-o", "remount,ro", disk.point.to_str().unwrap()]);
    assert!(usage(&disk.point).await.read_only);
    assert!(watched(&disk.point)[0].read_only);
    let device = usage(&disk.point).await.device;
    let point = disk.point.clone();
    said("umount", &[bound.point.to_str().unwrap()]);
    said("mount", &["--bind", "/", bound.point.to_str().unwrap()]);
    assert_ne!(
        usage(&bound.point).await.device,
        device,
        "another disk answers at {point:?}"
    );
}

#[tokio::test]
async fn the_mounts_are_those_of_df() {
    let kinds: Vec<String> = IGNORED_FS_TYPES
        .iter()
        .map(|kind| format!("-x{kind}"))
        .collect();
    let mut arguments: Vec<&str> = kinds.iter().map(String::as_str).collect();
    arguments.extend(["-B1", "--output=target,size"]);
    let ours = mounts(&IGNORED_FS_TYPES).unwrap();
    let root = ours
        .iter()
        .find(|mount| mount.point == Path::new("/"))
        .unwrap();
    let found = usage(&root.point).await;
    // It fails where one mount does not answer, and other tests have such mounts; it has printed the others.
    let df = Command::new("df").args(&arguments).output().unwrap();
    let df = String::from_utf8(df.stdout).unwrap();
    let size: u64 = df
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("/ ")?.trim().parse().ok())
        .unwrap();
    assert_eq!(found.total_bytes, size);
    assert_eq!(found.device, root.device);
    assert!(ours.iter().all(|mount| mount.point != Path::new("/proc")));
}

#[tokio::test]
async fn a_real_file_system_that_hangs_hangs_nobody() {
    // A FUSE file system whose server never reads a request: what a dead NFS server looks
    // like from here, and it can be ended.
    const SERVER: &str = "import ctypes,os,sys,time\n\
        fd=os.open('/dev/fuse',os.O_RDWR)\n\
        libc=ctypes.CDLL(None,use_errno=True)\n\
        options=f'fd={fd},rootmode=40000,user_id=0,group_id=0'.encode()\n\
        done=libc.mount(b'hung',sys.argv[1].encode(),b'fuse.hung',0,options)\n\
        print('mounted' if done==0 else os.strerror(ctypes.get_errno()),flush=True)\n\
        sys.stdin.read()";
    let Some(python) = counterpart("python3", "apt-get install -y python3") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let point = folder.path().canonicalize().unwrap();
    let mut server = Command::new(python)
        .args(["-c", SERVER])
        .arg(&point)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(server.stdout.take().unwrap()),
        &mut first,
    )
    .unwrap();
    if first.trim() != "mounted" {
        server.wait().unwrap();
        return skipped(&format!("FUSE cannot be mounted here: {first}"));
    }
    assert_eq!(
        watched(&point).len(),
        1,
        "reading the mounts asks no file system"
    );
    let probe = FileSystemProbe::new();
    let limit = Duration::from_millis(200);
    let hung = probe.usage(&point, limit).await;
    let again = probe.usage(&point, limit).await;
    let other = probe.usage(Path::new("/"), PATIENCE).await;
    drop(server.stdin.take());
    server.wait().unwrap();
    said("umount", &["-l", point.to_str().unwrap()]);
    assert!(
        matches!(hung, Err(ConnectError::TimedOut { .. })),
        "{hung:?}"
    );
    assert!(
        matches!(again, Err(ConnectError::Busy { hanging: 1, .. })),
        "{again:?}"
    );
    assert!(other.is_ok());
    // Its server gone, the probe comes back and the place can be asked again.
    wait_for("the hung probe", || {
        let asked = futures_util::future::FutureExt::now_or_never(probe.usage(&point, limit));
        (!matches!(asked, Some(Err(ConnectError::Busy { .. })))).then_some(())
    });
}

#[test]
fn memory_is_that_of_free() {
    wait_for("two readings without a change between them", || {
        let before = memory().unwrap();
        let free = said("free", &["-b"]);
        let figures = |line: &str| -> Vec<u64> {
            free.lines()
                .find_map(|found| found.strip_prefix(line))
                .unwrap()
                .split_whitespace()
                .map(|figure| figure.parse().unwrap())
                .collect()
        };
        let (ram, swap) = (figures("Mem:"), figures("Swap:"));
        assert_eq!((before.total, before.swap_total), (ram[0], swap[0]));
        // Other tests take and give back memory meanwhile.
        let close = before.available.abs_diff(ram[5]) < before.total / 20;
        (close && before.swap_free.abs_diff(swap[2]) <= swap[0] / 20).then_some(())
    });
}

#[test]
fn the_processor_was_busy_while_we_kept_it_busy() {
    let first = cpu_times().unwrap();
    assert_eq!(
        first.cpus.to_string(),
        said("getconf", &["_NPROCESSORS_ONLN"]).trim()
    );
    let until = Instant::now() + Duration::from_millis(300);
    let mut sink = std::io::sink();
    while Instant::now() < until {
        sink.write_all(&[0; 64]).unwrap();
    }
    let ratio = cpu_used_ratio(first, cpu_times().unwrap()).unwrap();
    // We kept one of them busy, or others did and we waited.
    let least = 0.5 / f64::from(u32::try_from(first.cpus).unwrap());
    assert!(ratio >= least && ratio <= 1.0, "{ratio}");
}

#[test]
fn the_other_figures_are_those_of_proc() {
    let load = load_averages().unwrap();
    let text = std::fs::read_to_string("/proc/loadavg").unwrap();
    let one: f64 = text.split(' ').next().unwrap().parse().unwrap();
    assert!((load.one - one).abs() < 1.0);
    assert!(load.five >= 0.0 && load.fifteen >= 0.0);

    let up = uptime().unwrap();
    let boot = rustix_boottime();
    assert!(boot >= up && boot.checked_sub(up).unwrap() < PATIENCE);

    for resource in ["cpu", "memory", "io"] {
        let there = std::fs::read(format!("/proc/pressure/{resource}")).is_ok();
        let found = pressure(resource).unwrap();
        assert_eq!(found.is_some(), there, "{resource}");
        if let Some(found) = found {
            assert!((0.0..=1.0).contains(&found.some.over_10s));
        }
    }
    if let Some(group) = cgroup_memory().unwrap() {
        assert!(group.current > 0);
    }
}

/// The kernel's own clock since boot, by another way than ours.
fn rustix_boottime() -> Duration {
    let seconds = said(
        "python3",
        &[
            "-c",
            "import time; print(time.clock_gettime(time.CLOCK_BOOTTIME))",
        ],
    );
    Duration::from_secs_f64(seconds.trim().parse().unwrap())
}
