//! Whether one robot runs as it should: pure decisions from its figures to findings.

use std::time::Duration;

use chrono::TimeDelta;

use super::settings::Settings;
use crate::domain::alert::{Finding, Level, Notice};
use crate::domain::iso_duration;
use crate::domain::robot::RobotConfig;
use crate::domain::time::Timestamp;
use crate::robot::registry::PoolHealth;
use crate::robots::alerts::Round;
use crate::store::report::RobotLoad;

/// A run may exceed its time limit by this, while it is told to end and does.
const ENDING: Duration = Duration::from_secs(30);
/// A queue that waits so many times its limit is critical.
const CRITICAL_FACTOR: u32 = 10;
/// Restarts of workers in a minute that are more than an accident.
const RESTARTS_MAX: u32 = 3;

/// One enabled robot as it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observed<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its configuration in force.
    pub config: &'a RobotConfig,
    /// Where its schedule begins.
    pub anchor: Timestamp,
    /// The last planned instant that was decided.
    pub last_tick_at: Option<Timestamp>,
    /// Its queue and runs; `None`: it never had any.
    pub load: Option<&'a RobotLoad>,
    /// Its pool on this node.
    pub health: &'a PoolHealth,
    /// When this node started.
    pub node_started_at: Timestamp,
    /// Now.
    pub now: Timestamp,
}

impl Observed<'_> {
    fn in_window(&self, at: Timestamp) -> bool {
        self.config
            .window
            .as_ref()
            .is_none_or(|window| window.is_open(at))
    }

    /// How long ago, zero for the future.
    fn ago(&self, at: Timestamp) -> Duration {
        (self.now - at).to_std().unwrap_or(Duration::ZERO)
    }

    fn just_started(&self, grace: Duration) -> bool {
        self.ago(self.node_started_at) < grace
    }
}

/// Judges one enabled robot; what is in order makes no finding, so that its alert ends.
pub(super) fn judge_robot(round: &mut Round, settings: &Settings, robot: &Observed<'_>) {
    let found = [
        late(settings, robot),
        long_run(settings, robot),
        waiting(settings, robot),
        dead(settings, robot),
        quarantined(robot),
        short_of_instances(robot),
    ];
    for (kind, level, title, text) in found.into_iter().flatten() {
        let key = format!("schedule:{}:{kind}", robot.name);
        round.push(key, level, format!("`{}` {title}", robot.name), text);
    }
}

type Found = Option<(&'static str, Level, String, String)>;

/// A planned instant that nobody decided in time. Every planned instant is decided, those of a
/// closed window too, so an undecided one means that the scheduler does not do its work.
fn late(settings: &Settings, robot: &Observed<'_>) -> Found {
    let schedule = robot.config.schedule.as_ref()?;
    if robot.config.instances == 0 || robot.just_started(settings.grace) {
        return None;
    }
    let after = robot
        .last_tick_at
        .unwrap_or(robot.anchor - TimeDelta::microseconds(1));
    let due = schedule.next_after(robot.anchor, after)?;
    // What was due before the node started is caught up or missed by decision, from the start on.
    let late_by = robot.ago(due.max(robot.node_started_at));
    if late_by <= settings.tolerance || due > robot.now {
        return None;
    }
    if !robot.in_window(due) || !robot.in_window(robot.now) {
        return None;
    }
    Some((
        "late",
        Level::Critical,
        "was not started when it was due".to_owned(),
        format!(
            "Due at {}, {} ago.",
            due.format("%Y-%m-%d %H:%M:%S UTC"),
            seconds(robot.ago(due))
        ),
    ))
}

/// A run beyond its time limit, or far beyond what is usual.
fn long_run(settings: &Settings, robot: &Observed<'_>) -> Found {
    let load = robot.load?;
    let (process, task, started_at) = load.longest_running?;
    let running = robot.ago(started_at);
    let text = format!(
        "Process {process} of task {task} runs for {}.",
        seconds(running)
    );
    if running > robot.config.timeout + ENDING {
        let title = "has a run that does not end".to_owned();
        return Some(("stalled", Level::Critical, title, text));
    }
    let usual = Duration::from_micros(u64::try_from(load.duration_p95_micros?).ok()?);
    let limit = usual.mul_f64(settings.slow_factor).max(settings.slow_floor);
    (running > limit).then(|| {
        let text = format!("{text} 95 of 100 runs took at most {}.", seconds(usual));
        (
            "slow",
            Level::Warning,
            "has a run that takes unusually long".to_owned(),
            text,
        )
    })
}

/// Tasks that wait although they could run.
fn waiting(settings: &Settings, robot: &Observed<'_>) -> Found {
    let load = robot.load?;
    let oldest = load.oldest_due_at?;
    let limit = settings.queue_wait(robot.name);
    // Neither paused, nor kept by a window that was closed while they waited.
    let could_run = robot.config.instances > 0
        && robot.in_window(robot.now)
        && TimeDelta::from_std(limit).is_ok_and(|limit| robot.in_window(robot.now - limit));
    let waited = robot.ago(oldest);
    if !could_run || load.queued == 0 || waited <= limit || robot.just_started(settings.grace) {
        return None;
    }
    let critical = waited > limit.saturating_mul(CRITICAL_FACTOR);
    Some((
        "queue",
        if critical {
            Level::Critical
        } else {
            Level::Warning
        },
        format!("has {} tasks waiting", load.queued),
        format!(
            "The oldest waits for {}; allowed are {}.",
            seconds(waited),
            seconds(limit)
        ),
    ))
}

/// Tasks that came to nothing.
fn dead(settings: &Settings, robot: &Observed<'_>) -> Found {
    let load = robot.load?;
    (load.dead_tasks >= settings.dead_tasks).then(|| {
        let span = iso_duration::format(settings.dead_within);
        (
            "dead_tasks",
            Level::Warning,
            format!("has {} failed or quarantined tasks", load.dead_tasks),
            format!("Counted over the last {span}."),
        )
    })
}

/// A pool that crashed too often.
fn quarantined(robot: &Observed<'_>) -> Found {
    let (since, probe) = robot.health.quarantined?;
    let error = robot.health.last_error.as_deref().unwrap_or("none known");
    Some((
        "quarantined",
        Level::Critical,
        "is quarantined".to_owned(),
        format!(
            "Since {}, next probe at {}. Last error: {error}",
            since.format("%Y-%m-%d %H:%M:%S UTC"),
            probe.format("%Y-%m-%d %H:%M:%S UTC")
        ),
    ))
}

/// Workers that crash, or hang beyond being told to end: fewer instances than set do work.
fn short_of_instances(robot: &Observed<'_>) -> Found {
    let health = robot.health;
    let crashing = health.backing_off > 0 && health.restarts_recent >= RESTARTS_MAX;
    if health.quarantined.is_some() || (!crashing && health.zombies == 0) {
        return None;
    }
    let idle = health.backing_off.saturating_add(health.zombies);
    Some((
        "instances",
        Level::Warning,
        format!(
            "has {} of {} instances at work",
            health.wanted.saturating_sub(idle),
            health.wanted
        ),
        format!(
            "{} wait to be restarted, {} do not end, {} restarts in the last minute. Last error: {}",
            health.backing_off,
            health.zombies,
            health.restarts_recent,
            health.last_error.as_deref().unwrap_or("none known")
        ),
    ))
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

/// The event of a change: type and subject.
pub(super) fn event_of(finding: &Finding, change: Notice) -> Option<(&'static str, String)> {
    let (robot, kind) = finding.key.strip_prefix("schedule:")?.rsplit_once(':')?;
    let kind = match (kind, change) {
        _ if robot == "clock" => return None,
        (_, Notice::Cleared) => "schedule.cleared",
        ("late" | "pause", _) => "schedule.task_late",
        ("queue" | "dead_tasks", _) => "schedule.queue_backlog",
        _ => "schedule.robot_stalled",
    };
    Some((kind, robot.to_owned()))
}

#[cfg(test)]
mod tests;
