//! Decides ticks: one decision for each planned instant, written together with the run it starts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::core::Core;
use crate::domain::id::{IdMap, RobotId};
use crate::domain::task::{PRIORITY_DEFAULT, Trigger};
use crate::domain::tick::{Decision, Overlap, Standing, TickDecision, TickPlan, decide, next_wake};
use crate::domain::time::Timestamp;
use crate::robot::registry::Entry;
use crate::store::StoreResult;
use crate::store::task::{NewTask, OpenRuns};
use crate::store::tick::NewTick;

/// Longest sleep: a step of the machine's clock is noticed within this time.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// Ticks recorded in one transaction; after a pause of the node there may be many more.
const TICKS_MAX: usize = 5_000;
/// Pause after the database refused; the instants stay undecided and are decided late.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// A robot with instants to be decided, its plan, and the last instant decided before.
type Due<'a> = (&'a Arc<Entry>, TickPlan<'a>, Option<Timestamp>);

struct Scheduler {
    core: Arc<Core>,
    /// Where each robot's decisions stand: the revision they were taken under and the last instant.
    decided: HashMap<RobotId, (i64, Option<Timestamp>)>,
}

/// The service.
pub(crate) async fn run(core: Arc<Core>) {
    let mut scheduler = Scheduler {
        core,
        decided: HashMap::new(),
    };
    loop {
        let pause = match scheduler.round().await {
            Ok(pause) => pause,
            Err(error) => {
                log::warn!("failed to record ticks: {error}");
                // Whether a commit was lost with its connection is not known: the ledger says.
                scheduler.decided.clear();
                RETRY_PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = scheduler.core.replan.notified() => {}
            () = scheduler.core.draining.cancelled() => {
                scheduler.core.stopping.cancelled().await;
                return;
            }
        }
    }
}

impl Scheduler {
    /// Decides everything that is due; answers how long to sleep.
    async fn round(&mut self) -> StoreResult<Duration> {
        if self.core.fenced.is_cancelled() {
            return Ok(SLEEP_MAX);
        }
        self.load().await?;
        let now = self.core.now();
        let mut sleep = SLEEP_MAX;
        let entries = self.core.tools.registry.all();
        let mut due = Vec::new();
        for entry in &entries {
            let Some(plan) = plan(entry) else { continue };
            let last = self.last_decided(entry.id);
            match next_wake(&plan, last, now) {
                Some(at) if at <= now => due.push((entry, plan, last)),
                Some(at) => sleep = sleep.min((at - now).to_std().unwrap_or_default()),
                None => {}
            }
        }
        let open = self.open_runs(&due).await?;
        let mut ticks = Vec::new();
        let mut moved = Vec::new();
        for (entry, plan, last) in due {
            let standing = self.standing(entry, open.get(&entry.id));
            let decisions = decide(&plan, last, now, &standing);
            if let Some(latest) = decisions
                .iter()
                .map(|d| d.through.unwrap_or(d.planned_at))
                .max()
            {
                moved.push((entry.id, entry.revision, latest));
            }
            ticks.extend(
                decisions
                    .into_iter()
                    .map(|decision| new_tick(entry, decision, now)),
            );
            sleep = Duration::ZERO;
        }
        // Where a part fails, the whole is decided again; what stands already is left as it is.
        while !ticks.is_empty() {
            let rest = ticks.split_off(ticks.len().min(TICKS_MAX));
            self.core
                .store()
                .tick_record(self.core.tools.node, ticks, now)
                .await?;
            ticks = rest;
        }
        for (robot, revision, latest) in moved {
            self.decided.insert(robot, (revision, Some(latest)));
        }
        Ok(sleep)
    }

    /// Reads where decisions stand for robots that are new or were changed since.
    async fn load(&mut self) -> StoreResult<()> {
        let entries = self.core.tools.registry.all();
        let current = |entry: &Entry| {
            self.decided
                .get(&entry.id)
                .is_some_and(|(revision, _)| *revision == entry.revision)
        };
        if entries.iter().all(|entry| current(entry)) {
            return Ok(());
        }
        for row in self.core.store().robot_list().await? {
            self.decided
                .insert(row.id, (row.revision, row.last_tick_at));
        }
        Ok(())
    }

    fn last_decided(&self, robot: RobotId) -> Option<Timestamp> {
        self.decided.get(&robot).and_then(|(_, last)| *last)
    }

    /// The open runs of those robots whose ticks must respect them.
    async fn open_runs(&self, due: &[Due<'_>]) -> StoreResult<IdMap<RobotId, OpenRuns>> {
        let respecting = due.iter().filter(|(entry, ..)| match entry.config.overlap {
            Overlap::Allow => false,
            Overlap::Skip | Overlap::Queue => true,
        });
        let robots: Vec<_> = respecting.map(|(entry, ..)| entry.id).collect();
        self.core.store().task_open_runs(robots).await
    }

    fn standing(&self, entry: &Entry, open: Option<&OpenRuns>) -> Standing {
        let open = open.copied().unwrap_or_default();
        Standing {
            enabled: entry.config.enabled,
            paused: entry.config.instances == 0
                || entry
                    .health
                    .borrow()
                    .quarantined
                    .is_some_and(|(_, until)| until > self.core.now()),
            open_runs: open.all,
            waiting_runs: open.waiting,
        }
    }
}

/// The plan of a robot's ticks, where it has a schedule.
pub(crate) fn plan(entry: &Entry) -> Option<TickPlan<'_>> {
    let config = &entry.config;
    config.schedule.as_ref().map(|schedule| TickPlan {
        schedule,
        anchor: entry.anchor,
        window: config.window.as_ref(),
        overlap: config.overlap,
        catch_up: config.catch_up,
    })
}

fn new_tick(entry: &Entry, decision: TickDecision, now: Timestamp) -> NewTick {
    let starts = matches!(decision.decision, Decision::Fired | Decision::CaughtUp);
    let task = starts.then(|| NewTask {
        robot: entry.id,
        trigger: Trigger::Tick,
        payload: Value::Null,
        priority: PRIORITY_DEFAULT,
        run_at: Some(now),
        deadline: None,
        unique_key: None,
        max_attempts: i32::try_from(entry.config.retry.max_attempts).unwrap_or(i32::MAX),
        planned_at: Some(decision.planned_at),
        event: None,
        requested_by: "schedule".to_owned(),
    });
    NewTick {
        robot: entry.id,
        planned_at: decision.planned_at,
        through: decision.through,
        count: i64::try_from(decision.count).unwrap_or(i64::MAX),
        decision: decision.decision,
        task,
    }
}
