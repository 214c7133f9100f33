//! What the figures of a file system mean: pure decisions from what was seen to findings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::as_figure;
use super::settings::{Settings, Thresholds};
use crate::connect::host::FileSystemUsage;
use crate::domain::alert::{Finding, Level, Notice};
use crate::domain::time::Timestamp;
use crate::domain::trend::Trend;
use crate::robots::alerts::Round;

/// Free space must exceed its threshold by this factor before a level is left.
const FREE_RELEASE: f64 = 1.1;
/// A forecast is over when the disk would be full no sooner than so many horizons.
const FORECAST_RELEASE: f64 = 1.25;
/// A trend must span this much before it is believed.
const TREND_SPAN_MIN: Duration = Duration::from_mins(30);

/// Alert keys of the disks of one node.
pub(super) fn disk_prefix(node: &str) -> String {
    format!("disk:{node}:")
}

fn key(node: &str, thing: &str, path: &Path) -> String {
    format!("{}{thing}:{}", disk_prefix(node), path.display())
}

/// One file system and what came back when it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Where it is mounted.
    pub path: PathBuf,
    /// What came back.
    pub answer: Answer,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Its figures.
    Usage(FileSystemUsage),
    /// Nothing in time.
    Silent(String),
    /// An error.
    Refused(String),
    /// Nothing is mounted at a place where something must be.
    NotMounted,
}

impl Seen {
    /// One line for the log.
    pub(super) fn line(&self) -> String {
        let path = self.path.display();
        match &self.answer {
            Answer::Usage(usage) => format!(
                "`{path}`: {:.1} % used, {} free{}",
                usage.used_ratio() * 100.0,
                size(usage.available_bytes),
                usage.inode_used_ratio().map_or(String::new(), |r| format!(
                    ", {:.1} % of its files",
                    r * 100.0
                )),
            ),
            Answer::Silent(why) | Answer::Refused(why) => format!("`{path}`: failed to {why}"),
            Answer::NotMounted => format!("`{path}`: nothing is mounted there"),
        }
    }
}

/// What is remembered of a file system.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// Used bytes of the last day, this run's figure last.
    pub day: Vec<(Timestamp, f64)>,
    /// The same of the last hour.
    pub recent: Vec<(Timestamp, f64)>,
    /// Whether it could be written to at the last look.
    pub was_writable: Option<bool>,
}

/// Judges one file system.
pub(super) fn judge(
    round: &mut Round,
    settings: &Settings,
    node: &str,
    seen: &Seen,
    history: &History,
) {
    let path = &seen.path;
    let shown = format!("`{}` on `{node}`", path.display());
    let mut presence = |thing, wrong: bool, title: String, text: &str| {
        let level = if wrong { Level::Critical } else { Level::Ok };
        round.push(key(node, thing, path), level, title, text.to_owned());
    };
    let named = settings.named(path);
    let not_mounted = seen.answer == Answer::NotMounted;
    if named.is_some() {
        presence(
            "mount",
            not_mounted,
            format!("nothing is mounted at {shown}"),
            "The folder beneath it belongs to the file system above, and what is written now is hidden \
             once it is mounted again.",
        );
    }
    let why = match &seen.answer {
        Answer::Silent(why) | Answer::Refused(why) => Some(why.as_str()),
        Answer::Usage(_) | Answer::NotMounted => None,
    };
    presence(
        "answer",
        why.is_some(),
        format!("{shown} does not answer"),
        why.unwrap_or("It answers."),
    );
    let Answer::Usage(usage) = &seen.answer else {
        for thing in ["space", "inodes", "forecast", "read_only", "device"] {
            round.undecided.push(key(node, thing, path));
        }
        return;
    };
    if let Some(device) = named.and_then(|named| named.device.as_deref()) {
        presence(
            "device",
            device != usage.device,
            format!("another file system than expected is at {shown}"),
            &format!("Expected device {device}, found {}.", usage.device),
        );
    }
    let limits = settings.thresholds(path);
    judge_space(round, node, seen, usage, &limits);
    judge_inodes(round, node, seen, usage, &limits);
    judge_writing(round, settings, node, seen, usage, history);
    judge_forecast(round, settings, node, seen, usage, history);
}

fn judge_space(
    round: &mut Round,
    node: &str,
    seen: &Seen,
    usage: &FileSystemUsage,
    limits: &Thresholds,
) {
    let key = key(node, "space", &seen.path);
    let before = round.level(&key);
    let percent = usage.used_ratio() * 100.0;
    let level = limits
        .space
        .level(percent, before)
        .max(free_level(usage, limits, before));
    round.push(
        key,
        level,
        format!(
            "`{}` on `{node}` is {percent:.1} % full",
            seen.path.display()
        ),
        format!(
            "{} of {} can still be used ({} bytes).",
            size(usage.available_bytes),
            size(usage.total_bytes),
            usage.available_bytes
        ),
    );
}

fn free_level(usage: &FileSystemUsage, limits: &Thresholds, before: Level) -> Level {
    let free = as_figure(usage.available_bytes);
    let below = |limit: Option<f64>, level: Level| {
        limit.is_some_and(|limit| free <= limit || (before >= level && free < limit * FREE_RELEASE))
    };
    if below(limits.critical_free, Level::Critical) {
        Level::Critical
    } else if below(limits.warn_free, Level::Warning) {
        Level::Warning
    } else {
        Level::Ok
    }
}

fn judge_inodes(
    round: &mut Round,
    node: &str,
    seen: &Seen,
    usage: &FileSystemUsage,
    limits: &Thresholds,
) {
    let Some(used) = usage.inode_used_ratio() else {
        return;
    };
    let key = key(node, "inodes", &seen.path);
    let percent = used * 100.0;
    let level = limits.inodes.level(percent, round.level(&key));
    round.push(
        key,
        level,
        format!(
            "`{}` on `{node}` has used {percent:.1} % of its files",
            seen.path.display()
        ),
        format!("{} files still fit.", usage.inodes_free),
    );
}

/// A file system that could be written to and cannot any more; one that never could is meant so.
fn judge_writing(
    round: &mut Round,
    settings: &Settings,
    node: &str,
    seen: &Seen,
    usage: &FileSystemUsage,
    history: &History,
) {
    let key = key(node, "read_only", &seen.path);
    let on_purpose = settings
        .named(&seen.path)
        .is_some_and(|named| named.read_only);
    let turned = history.was_writable == Some(true) || round.level(&key) > Level::Ok;
    let level = if usage.read_only && turned && !on_purpose {
        Level::Critical
    } else {
        Level::Ok
    };
    round.push(
        key,
        level,
        format!("`{}` on `{node}` has become read-only", seen.path.display()),
        "The kernel does this after an error of the disk.".to_owned(),
    );
}

fn judge_forecast(
    round: &mut Round,
    settings: &Settings,
    node: &str,
    seen: &Seen,
    usage: &FileSystemUsage,
    history: &History,
) {
    let key = key(node, "forecast", &seen.path);
    let left = full_in(usage, history);
    let release = if round.level(&key) > Level::Ok {
        FORECAST_RELEASE
    } else {
        1.0
    };
    let soon = left.is_some_and(|left| left <= settings.forecast_horizon.mul_f64(release));
    let hours = left.map_or(0.0, |left| left.as_secs_f64() / 3600.0);
    round.push(
        key,
        if soon { Level::Warning } else { Level::Ok },
        format!(
            "`{}` on `{node}` is full in about {hours:.0} hours",
            seen.path.display()
        ),
        format!("{} can still be used.", size(usage.available_bytes)),
    );
}

/// When it is full, going by the last hour and by the last day; the later of the two, since a burst
/// is not a trend.
fn full_in(usage: &FileSystemUsage, history: &History) -> Option<Duration> {
    let used = as_figure(usage.used_bytes());
    let limit = used + as_figure(usage.available_bytes);
    let of = |points: &[(Timestamp, f64)]| {
        let trend = Trend::fit(points).filter(|trend| trend.span >= TREND_SPAN_MIN)?;
        trend.reaches(used, limit)
    };
    Some(of(&history.day)?.max(of(&history.recent)?))
}

/// The event of a change: type and subject.
pub(super) fn event_of(finding: &Finding, change: Notice) -> Option<(&'static str, String)> {
    // `disk:node:thing:path`; the path may have colons, and so may the node's name.
    let (_, path) = finding.key.split_once(":/")?;
    let kind = match (change, finding.level) {
        (Notice::Cleared, _) => "storage.cleared",
        (_, Level::Critical) => "storage.critical",
        _ => "storage.low",
    };
    Some((kind, format!("/{path}")))
}

fn size(bytes: u64) -> String {
    let mut value = as_figure(bytes);
    let mut unit = "bytes";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests;
