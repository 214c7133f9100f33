//! Real file systems: those of the machine, and a small one that is filled up.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::robots::rig::{Rig, count};
use crate::support::counterpart::skipped;
use crate::support::database::{Database, on_both};

on_both!(
    figures_agree_with_df,
    a_full_disk_is_told_once_and_its_end_once,
    a_vanished_mount_is_told_and_its_other_alarms_stay,
    quiet_hours_are_kept_and_made_up_for,
);

const NAME: &str = "notifications.disk_space_monitors";
const MIB: usize = 1024 * 1024;

/// A file system of 32 MiB; unmounted when dropped.
struct SmallDisk {
    folder: tempfile::TempDir,
    mounted: bool,
}

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"])
            .arg(folder.path())
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            skipped("a tmpfs of 32 MiB cannot be mounted: run the tests as root");
            return None;
        }
        Some(Self { folder, mounted })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn fill(&self, mib: usize) {
        std::fs::write(self.path().join("filler"), vec![1u8; mib * MIB]).unwrap();
    }

    fn unmount(&mut self) {
        if std::mem::take(&mut self.mounted) {
            let status = Command::new("umount")
                .arg(self.folder.path())
                .status()
                .unwrap();
            assert!(status.success());
        }
    }

    /// Settings that name this disk and nothing else.
    fn settings(&self) -> Value {
        json!({
            "mounts": [{"path": self.path(), "warn_percent": 50, "critical_percent": 90}],
            "ignored_fs_types": every_type(),
            "recipients": ["ana@example.org"],
        })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.unmount();
    }
}

/// Every kind of file system here, so that the machine's own disks do not disturb.
fn every_type() -> Vec<String> {
    let mut types: Vec<_> = std::fs::read_to_string("/proc/self/mountinfo")
        .unwrap()
        .lines()
        .filter_map(|line| {
            line.split(" - ")
                .nth(1)?
                .split(' ')
                .next()
                .map(str::to_owned)
        })
        .collect();
    types.sort();
    types.dedup();
    types
}

async fn alerts(database: &Database, thing: &str) -> usize {
    let known = database
        .store
        .alert_list(&format!("disk:node-1:{thing}:"))
        .await
        .unwrap();
    known
        .iter()
        .filter(|state| state.level > robotd::domain::alert::Level::Ok)
        .count()
}

async fn figures_agree_with_df(database: &Database) {
    let rig = Rig::new(database, None).await;
    let outcome = rig.run(NAME, json!({})).await.unwrap();
    assert!(count(&outcome, "answered") > 0);
    let latest = database
        .store
        .sample_latest("disk.available_bytes:")
        .await
        .unwrap();
    for sample in latest {
        let path = PathBuf::from(sample.series.split_once(':').unwrap().1);
        let df = Command::new("df")
            .args(["-B1", "--output=avail"])
            .arg(&path)
            .output()
            .unwrap();
        let text = String::from_utf8(df.stdout).unwrap();
        let available: f64 = text.lines().nth(1).unwrap().trim().parse().unwrap();
        let off = (sample.value - available).abs();
        // Other tests write meanwhile.
        assert!(
            off < 2e9,
            "{}: we say {}, df {available}",
            path.display(),
            sample.value
        );
    }
}

async fn a_full_disk_is_told_once_and_its_end_once(database: &Database) {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let rig = Rig::new(database, None).await;
    let mut queued = Vec::new();
    for mib in [1, 30, 30, 30, 20, 1, 1] {
        disk.fill(mib);
        queued.push(count(
            &rig.run(NAME, disk.settings()).await.unwrap(),
            "mails_queued",
        ));
        rig.pass(300);
    }
    assert_eq!(
        queued,
        [0, 1, 0, 0, 1, 1, 0],
        "critical, eased, cleared, each told once"
    );
    disk.fill(30);
    rig.run(NAME, disk.settings()).await.unwrap();
    rig.pass(4 * 3600);
    let reminder = rig.run(NAME, disk.settings()).await.unwrap();
    assert_eq!(count(&reminder, "mails_queued"), 1);
    let subject = format!("subject = '{}'", disk.path().display());
    for (kind, expected) in [
        ("storage.critical", 2),
        ("storage.low", 1),
        ("storage.cleared", 1),
    ] {
        let events = rig
            .rows("events", &format!("type = '{kind}' AND {subject}"))
            .await;
        assert_eq!(events, expected, "{kind}");
    }
    // Each batch of mails wakes the sender, unless it is waiting already.
    assert_eq!(rig.rows("events", "type = 'mail.queued'").await, 5);
    assert!(rig.rows("tasks", "1 = 1").await >= 1);
}

/// The planned failure: the mount goes away, and the folder beneath it is on a healthy disk.
async fn a_vanished_mount_is_told_and_its_other_alarms_stay(database: &Database) {
    let Some(mut disk) = SmallDisk::mount() else {
        return;
    };
    let rig = Rig::new(database, None).await;
    disk.fill(30);
    rig.run(NAME, disk.settings()).await.unwrap();
    assert_eq!(alerts(database, "space").await, 1);
    disk.unmount();
    for _ in 0..2 {
        rig.pass(300);
        rig.run(NAME, disk.settings()).await.unwrap();
        assert_eq!(
            (
                alerts(database, "mount").await,
                alerts(database, "space").await
            ),
            (1, 1)
        );
    }
    assert_eq!(rig.rows("mail_outbox", "1 = 1").await, 2);
}

async fn quiet_hours_are_kept_and_made_up_for(database: &Database) {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let rig = Rig::new(database, None).await;
    disk.fill(30);
    let mut settings = disk.settings();
    // The clock stands at 08:00 UTC.
    settings["quiet_hours"] = json!({"start": "07:00", "end": "08:10"});
    let mut queued = Vec::new();
    for _ in 0..4 {
        queued.push(count(
            &rig.run(NAME, settings.clone()).await.unwrap(),
            "mails_queued",
        ));
        rig.pass(300);
    }
    assert_eq!(queued, [0, 0, 1, 0]);
    assert_eq!(
        rig.rows("events", "type = 'storage.critical'").await,
        1,
        "programs are told at once"
    );
}
