//! Watches how full the file systems of each node are, and whether they still answer.
//!
//! - **Looks at**: the mounts of this node, the file system of the data directory, the mounts named
//!   in the settings; their own samples of the last week.
//! - **Changes**: writes samples and alerts, queues mails, publishes `storage.low`,
//!   `storage.critical` and `storage.cleared` with the mount as subject.
//! - **Safe to repeat**: yes; a repeated run writes one sample more and tells nobody again.
//! - **If it stops**: nobody hears of a disk that fills up until writes fail.
//!
//! Number 3 of the catalogue. A file system that hangs (a dead file server) is asked from a thread
//! of its own, so it can hold neither this robot nor the node; see `connect::host`.

mod judgement;
mod settings;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use futures_util::{StreamExt, stream};

use self::judgement::{Answer, History, Seen, disk_prefix, event_of, judge};
use self::settings::Settings;
use crate::connect::host::{self, FileSystemProbe, FileSystemUsage};
use crate::domain::category::Category;
use crate::domain::robot::{FieldError, Sharding};
use crate::domain::time::Timestamp;
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::alerts::Round;
use crate::robots::settings::check;
use crate::store::sample::{Resolution, Sample};

/// More file systems than this are looked at by nobody; the rest is named in the log.
const TARGETS_MAX: usize = 64;
/// Asked at the same time; below the connector's bound, so that one dead server leaves room.
const ASKED_AT_ONCE: usize = 4;
/// The longest span a trend is drawn through.
const TREND_LONG: TimeDelta = TimeDelta::hours(24);
/// The shortest span a trend is drawn through; both must agree before anybody is told.
const TREND_SHORT: TimeDelta = TimeDelta::hours(1);

/// Which file systems still hang belongs to this process: each holds one of its threads. All else
/// is in the database.
static PROBE: LazyLock<FileSystemProbe> = LazyLock::new(FileSystemProbe::new);

/// File systems whose share in use stands in the process row; the samples have them all.
const FIGURES_TOLD_MAX: usize = 32;

pub(super) struct WatchDiskSpace;

#[async_trait]
impl Robot for WatchDiskSpace {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "notifications.disk_space_monitors",
            title: "Disk space monitors",
            category: Category::Notifications,
            summary: "Watches how full the file systems of each node are and tells people in time",
            wakes: Wakes::Every(Duration::from_mins(5)),
            events: &["storage.write_failed"],
            sharding: Sharding::PerNode,
            timeout: Duration::from_mins(5),
            settings: settings_of::<Settings>,
            check_settings: check::<Settings>,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let settings: Settings = ctx.settings()?;
        let now = ctx.clock().now();
        let mut round = Round::open(ctx, &disk_prefix(&ctx.tools().node_name)).await?;
        let seen = look(ctx, &settings).await?;
        let mut samples = Vec::new();
        let mut answered = 0;
        for seen in &seen {
            let history = match &seen.answer {
                Answer::Usage(usage) => {
                    answered += 1;
                    let history = history(ctx, seen, usage, now).await?;
                    samples.extend(measured(ctx, seen, usage, now));
                    history
                }
                _ => History::default(),
            };
            judge(
                &mut round,
                &settings,
                &ctx.tools().node_name,
                seen,
                &history,
            );
        }
        ctx.store().sample_append(samples).await?;
        let outcome = Outcome::counted("file_systems", seen.len()).and("answered", answered);
        let outcome = seen
            .iter()
            .take(FIGURES_TOLD_MAX)
            .fold(outcome, |outcome, seen| match &seen.answer {
                Answer::Usage(usage) => {
                    let name = format!("used_percent:{}", seen.path.display());
                    outcome.measured(&name, usage.used_ratio() * 100.0)
                }
                Answer::Silent(_) | Answer::Refused(_) | Answer::NotMounted => outcome,
            });
        round
            .close(ctx, settings.audience(), event_of, outcome)
            .await
    }
}

/// Finds what is to be watched and asks all of it.
async fn look(ctx: &Context, settings: &Settings) -> Result<Vec<Seen>, RobotError> {
    let all = host::mounts(&[])?;
    let ignored: Vec<_> = settings
        .ignored_fs_types
        .iter()
        .map(String::as_str)
        .collect();
    let mut targets: Vec<(PathBuf, bool)> = Vec::new();
    for named in &settings.mounts {
        let mounted =
            |mount: &host::Mount| mount.point == named.path || mount.also_at.contains(&named.path);
        targets.push((named.path.clone(), all.iter().any(mounted)));
    }
    for mount in host::mounts(&ignored)? {
        let named = |path: &Path| settings.mounts.iter().any(|named| named.path == path);
        if !named(&mount.point) && !mount.also_at.iter().any(|path| named(path)) {
            targets.push((mount.point, true));
        }
    }
    for (left_out, _) in targets.iter().skip(TARGETS_MAX) {
        ctx.warn(format!(
            "`{}` is not watched: over {TARGETS_MAX} mounts",
            left_out.display()
        ));
    }
    targets.truncate(TARGETS_MAX);
    let asked = stream::iter(
        targets
            .into_iter()
            .map(|(path, mounted)| ask(path, mounted, settings)),
    );
    let mut seen: Vec<_> = asked.buffered(ASKED_AT_ONCE).collect().await;
    watch_data_dir(ctx, settings, &mut seen).await;
    for seen in &seen {
        ctx.info(seen.line());
    }
    Ok(seen)
}

async fn ask(path: PathBuf, mounted: bool, settings: &Settings) -> Seen {
    let answer = if mounted {
        match PROBE.usage(&path, settings.answer_within).await {
            Ok(usage) => Answer::Usage(usage),
            Err(error) if error.is_temporary() => Answer::Silent(error.to_string()),
            Err(error) => Answer::Refused(error.to_string()),
        }
    } else {
        Answer::NotMounted
    };
    Seen { path, answer }
}

/// The data directory is watched whatever its file system is, unless that is watched already.
async fn watch_data_dir(ctx: &Context, settings: &Settings, seen: &mut Vec<Seen>) {
    let own = ask(ctx.tools().data_dir.clone(), true, settings).await;
    let device = |seen: &Seen| match &seen.answer {
        Answer::Usage(usage) => Some(usage.device.clone()),
        _ => None,
    };
    let known =
        device(&own).is_some_and(|own| seen.iter().any(|s| device(s).as_ref() == Some(&own)));
    if !known {
        seen.push(own);
    }
}

fn series(what: &str, path: &Path) -> String {
    format!("disk.{what}:{}", path.display())
}

/// What is remembered of a file system, this run's figure included in the trends.
async fn history(
    ctx: &Context,
    seen: &Seen,
    usage: &FileSystemUsage,
    now: Timestamp,
) -> Result<History, RobotError> {
    let name = &ctx.tools().node_name;
    let used = series("used_bytes", &seen.path);
    let mut points = ctx
        .store()
        .sample_read(&used, name, now - TREND_LONG, Resolution::Raw)
        .await?;
    points.push((now, as_figure(usage.used_bytes())));
    let writable = series("writable", &seen.path);
    let before = ctx
        .store()
        .sample_read(&writable, name, now - TREND_LONG, Resolution::Raw)
        .await?;
    Ok(History {
        recent: points
            .iter()
            .filter(|(at, _)| *at >= now - TREND_SHORT)
            .copied()
            .collect(),
        day: points,
        was_writable: before.last().map(|(_, value)| *value > 0.5),
    })
}

fn measured(ctx: &Context, seen: &Seen, usage: &FileSystemUsage, now: Timestamp) -> Vec<Sample> {
    let figures = [
        ("used_ratio", Some(usage.used_ratio())),
        ("used_bytes", Some(as_figure(usage.used_bytes()))),
        ("available_bytes", Some(as_figure(usage.available_bytes))),
        ("inode_used_ratio", usage.inode_used_ratio()),
        ("writable", Some(if usage.read_only { 0.0 } else { 1.0 })),
    ];
    let tools = ctx.tools();
    let samples = figures.into_iter().filter_map(|(what, value)| {
        Some(Sample {
            series: series(what, &seen.path),
            node: tools.node,
            node_name: tools.node_name.clone(),
            at: now,
            value: value?,
        })
    });
    samples.collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "f64 counts bytes exactly up to 8 PiB"
)]
fn as_figure(bytes: u64) -> f64 {
    bytes as f64
}
