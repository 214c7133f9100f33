//! Watches that robots run when they should: ticks, runs, queues and pools.
//!
//! - **Looks at**: every robot's configuration, last decided tick, queue and runs; the pools of this
//!   node; the machine's clock against its time since boot.
//! - **Changes**: writes alerts and the file `schedule_monitor.alive` in the data directory, queues
//!   mails, publishes `schedule.task_late`, `schedule.robot_stalled`, `schedule.queue_backlog` and
//!   `schedule.cleared`.
//! - **Safe to repeat**: yes; a repeated run tells nobody again.
//! - **If it stops**: nobody is told of robots that do not run. A watchdog outside notices by the
//!   age of the file, which is written at the end of each run.
//!
//! Number 30 of the catalogue. It judges itself like any other robot; what it cannot see, its own
//! not running, is what the file is for, and the first run after a pause tells of the pause.

mod judgement;
mod settings;

use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use self::judgement::{Observed, event_of, judge_robot};
use self::settings::Settings;
use crate::connect::host;
use crate::domain::alert::Level;
use crate::domain::category::Category;
use crate::domain::robot::{FieldError, RobotConfig};
use crate::domain::schedule::Schedule;
use crate::domain::time::Timestamp;
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::alerts::Round;
use crate::robots::settings::check;

/// Alert keys of this robot.
const PREFIX: &str = "schedule:";
/// The file an outside watchdog looks at.
const ALIVE_FILE: &str = "schedule_monitor.alive";
/// Watermark: when this robot last ran, on whatever node.
const RAN_AT: &str = "ran_at";
/// A step of the clock is told for so long; one run long it would be over before it is read.
const JUMP_TOLD_FOR: TimeDelta = TimeDelta::hours(1);

pub(super) struct WatchSchedules;

#[async_trait]
impl Robot for WatchSchedules {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "system_monitors.schedule_monitor",
            title: "Schedule monitor",
            category: Category::SystemMonitors,
            summary: "Watches that every robot runs when it should and that no queue stands still",
            wakes: Wakes::Every(Duration::from_mins(1)),
            events: &["robot.settings_changed"],
            timeout: Duration::from_mins(1),
            settings: settings_of::<Settings>,
            check_settings: check::<Settings>,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let settings: Settings = ctx.settings()?;
        let now = ctx.clock().now();
        let mut round = Round::open(ctx, PREFIX).await?;
        let watched = judge_robots(ctx, &settings, &mut round, now).await?;
        judge_clock(ctx, &settings, &mut round, now).await?;
        let outcome = Outcome::counted("robots", watched.all)
            .and("late", watched.late)
            .and("switched_off", watched.off);
        let outcome = round
            .close(ctx, settings.audience(), event_of, outcome)
            .await?;
        // Last, so that the file is young only while the whole round works.
        write_alive(ctx, now).await?;
        Ok(outcome)
    }
}

#[derive(Debug, Default)]
struct Watched {
    all: usize,
    late: usize,
    off: usize,
}

async fn judge_robots(
    ctx: &Context,
    settings: &Settings,
    round: &mut Round,
    now: Timestamp,
) -> Result<Watched, RobotError> {
    let rows = ctx.store().robot_list().await?;
    let loads = ctx.store().robot_loads(now - settings.dead_within).await?;
    let mut watched = Watched::default();
    for entry in ctx.tools().registry.all() {
        watched.all += 1;
        if !entry.config.enabled {
            watched.off += 1;
            ctx.info(format!("`{}` is switched off", entry.name()));
            continue;
        }
        let health = entry.health.borrow().clone();
        let observed = Observed {
            name: entry.name(),
            config: &entry.config,
            anchor: entry.anchor,
            last_tick_at: rows
                .iter()
                .find(|row| row.id == entry.id)
                .and_then(|row| row.last_tick_at),
            load: loads.iter().find(|load| load.robot == entry.id),
            health: &health,
            node_started_at: ctx.tools().node_started_at,
            now,
        };
        let before = round.findings.len();
        judge_robot(round, settings, &observed);
        let new = round.findings.iter().skip(before);
        watched.late += new.filter(|finding| finding.key.ends_with(":late")).count();
    }
    Ok(watched)
}

/// What the last run on this node saw of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct ClockMark {
    /// The time of day.
    at: Timestamp,
    /// The time since boot, suspended time included.
    uptime_millis: u64,
    /// When the clock was last found to have stepped, and by how much.
    jump: Option<(Timestamp, i64)>,
}

/// How far the time of day went away from the time since boot, in seconds; `None` after a boot.
fn drift(before: ClockMark, at: Timestamp, uptime_millis: u64) -> Option<i64> {
    let passed = i64::try_from(uptime_millis.checked_sub(before.uptime_millis)?).ok()?;
    Some(((at - before.at).num_milliseconds() - passed) / 1_000)
}

async fn judge_clock(
    ctx: &Context,
    settings: &Settings,
    round: &mut Round,
    now: Timestamp,
) -> Result<(), RobotError> {
    let node = &ctx.tools().node_name;
    let mark_key = format!("clock:{node}");
    let robot = ctx.run().robot;
    let stored = ctx.store().watermark_get(robot, &mark_key).await?;
    let before: Option<ClockMark> = stored.and_then(|text| serde_json::from_str(&text).ok());
    let uptime_millis = u64::try_from(host::uptime()?.as_millis()).unwrap_or(u64::MAX);
    let stepped = before.and_then(|before| drift(before, now, uptime_millis));
    let limit = i64::try_from(settings.clock_jump.as_secs()).unwrap_or(i64::MAX);
    let fresh = stepped
        .filter(|seconds| seconds.abs() >= limit)
        .map(|seconds| (now, seconds));
    let jump = fresh.or_else(|| before.and_then(|before| before.jump));
    let told = jump.filter(|(at, _)| now - *at < JUMP_TOLD_FOR && *at <= now);
    if let Some((at, seconds)) = told {
        round.push(
            format!("{PREFIX}clock:{node}"),
            Level::Warning,
            format!("the clock of `{node}` was set by {seconds} s"),
            format!("Found at {}.", at.format("%Y-%m-%d %H:%M:%S UTC")),
        );
    }
    judge_own_pause(ctx, settings, round, fresh.is_some(), now).await?;
    let mark = ClockMark {
        at: now,
        uptime_millis,
        jump: told,
    };
    let text =
        serde_json::to_string(&mark).map_err(|error| RobotError::fail("clock_mark", error))?;
    Ok(ctx.store().watermark_set(robot, &mark_key, &text).await?)
}

/// Tells of a pause of this very robot, unless the clock was set or the node was not up.
async fn judge_own_pause(
    ctx: &Context,
    settings: &Settings,
    round: &mut Round,
    clock_was_set: bool,
    now: Timestamp,
) -> Result<(), RobotError> {
    let robot = ctx.run().robot;
    let ran_at = ctx.store().watermark_get(robot, RAN_AT).await?;
    let ran_at = ran_at.and_then(|text| text.parse::<Timestamp>().ok());
    let up_since = ctx.tools().node_started_at + settings.grace;
    let paused = ran_at
        .filter(|ran_at| *ran_at > up_since && !clock_was_set)
        .and_then(|ran_at| (now - ran_at).to_std().ok());
    if let (Some(paused), Some(limit)) = (paused, own_pause_max(ctx.config(), settings))
        && paused > limit
    {
        round.push(
            format!("{PREFIX}{}:pause", ctx.robot()),
            Level::Warning,
            format!(
                "the schedule monitor itself did not run for {} s",
                paused.as_secs()
            ),
            "While it does not run, nobody is told of robots that do not run.".to_owned(),
        );
    }
    Ok(ctx
        .store()
        .watermark_set(robot, RAN_AT, &now.to_rfc3339())
        .await?)
}

/// How long this robot may rest: two intervals and the tolerance. `None` where its rests are meant
/// (a window) or of no fixed length (cron).
fn own_pause_max(config: &RobotConfig, settings: &Settings) -> Option<Duration> {
    match (&config.schedule, &config.window) {
        (Some(Schedule::Every { interval }), None) => Some(*interval * 2 + settings.tolerance),
        _ => None,
    }
}

/// Writes the file beside its place and moves it there, so that nobody reads half of it.
async fn write_alive(ctx: &Context, now: Timestamp) -> Result<(), RobotError> {
    let path = ctx.tools().data_dir.join(ALIVE_FILE);
    let beside = ctx.tools().data_dir.join(format!("{ALIVE_FILE}.new"));
    let text = format!(
        "{}\n",
        now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
    );
    let written = async {
        tokio::fs::write(&beside, text).await?;
        tokio::fs::rename(&beside, &path).await
    };
    written.await.map_err(|error| {
        RobotError::retry("alive_file", format!("write `{}`: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    #[test]
    fn a_step_of_the_clock_is_told_from_time_passing() {
        let at = chrono::Utc.timestamp_opt(1_800_000_000, 0).unwrap();
        let before = ClockMark {
            at,
            uptime_millis: 500_000,
            jump: None,
        };
        assert_eq!(drift(before, at + TimeDelta::seconds(60), 560_000), Some(0));
        assert_eq!(
            drift(before, at + TimeDelta::seconds(3_660), 560_000),
            Some(3_600)
        );
        assert_eq!(
            drift(before, at - TimeDelta::seconds(60), 560_000),
            Some(-120)
        );
        assert_eq!(
            drift(before, at + TimeDelta::seconds(60), 1_000),
            None,
            "a boot in between"
        );
    }
}
