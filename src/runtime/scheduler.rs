//! Decides ticks: one decision for each planned instant, written together with the run it starts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::core::Core;
use crate::domain::id::{NodeId, RobotId};
use crate::domain::robot::Sharding;
use crate::domain::task::{PRIORITY_DEFAULT, Trigger};
use crate::domain::tick::{Decision, Overlap, Standing, TickDecision, TickPlan, decide, next_wake};
use crate::domain::time::Timestamp;
use crate::robot::registry::Entry;
use crate::store::StoreResult;
use crate::store::node::Term;
use crate::store::task::{NewTask, OpenRuns};
use crate::store::tick::NewTick;

/// Longest sleep: a step of the machine's clock is noticed within this time.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// Ticks recorded in one transaction; after a pause of the node there may be many more.
const TICKS_MAX: usize = 5_000;
/// Pause after the database refused; the instants stay undecided and are decided late.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Whose instants are decided together: a robot's, of all nodes together or of each by itself.
type Place = (RobotId, Option<NodeId>);

/// A robot with instants to be decided, where they are, its plan, and the last instant decided before.
struct Due<'a> {
    entry: &'a Arc<Entry>,
    plan: TickPlan<'a>,
    last: Option<Timestamp>,
}

struct Scheduler {
    core: Arc<Core>,
    /// The term in which this node decides, where it does.
    term: Option<Term>,
    /// Where each robot's decisions stand: the revision they were taken under and the last instant.
    decided: HashMap<RobotId, (i64, Option<Timestamp>)>,
}

/// The service.
pub(crate) async fn run(core: Arc<Core>) {
    let mut scheduler = Scheduler {
        core,
        term: None,
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
    /// Decides everything that is due, where this node leads; answers how long to sleep.
    async fn round(&mut self) -> StoreResult<Duration> {
        let view = self.core.membership.view();
        if self.core.fenced.is_cancelled() || view.term.is_none() {
            self.term = None;
            return Ok(SLEEP_MAX);
        }
        if self.term != view.term {
            // Others decided meanwhile: the ledger says what.
            self.decided.clear();
            self.term = view.term;
        }
        self.load().await?;
        let now = self.core.now();
        let mut sleep = SLEEP_MAX;
        let entries = self.core.tools.registry.all();
        let mut due = Vec::new();
        for entry in &entries {
            let Some(plan) = plan(entry) else { continue };
            if !self.knows(entry) {
                // Another node changed it a moment ago.
                self.core.reconfigure.notify_one();
                continue;
            }
            let last = self.last_decided(entry.id);
            match next_wake(&plan, last, now) {
                Some(at) if at <= now => due.push(Due { entry, plan, last }),
                Some(at) => sleep = sleep.min((at - now).to_std().unwrap_or_default()),
                None => {}
            }
        }
        if due.is_empty() {
            return Ok(sleep);
        }
        let places: Vec<_> = due
            .iter()
            .map(|due| places(due.entry, &view.alive))
            .collect();
        let open = self.open_runs(&due, &places).await?;
        let mut ticks = Vec::new();
        let mut moved = Vec::new();
        for (Due { entry, plan, last }, places) in due.into_iter().zip(places) {
            for place in places {
                let standing = self.standing(entry, place, open.get(&place));
                for decision in decide(&plan, last, now, &standing) {
                    let latest = decision.through.unwrap_or(decision.planned_at);
                    moved.push((entry.id, entry.revision, latest));
                    ticks.push(new_tick(entry, place, decision, now));
                }
            }
        }
        if ticks.is_empty() {
            return Ok(sleep);
        }
        if self.record(ticks, now).await? {
            for (robot, revision, latest) in moved {
                let (_, last) = self.decided.entry(robot).or_insert((revision, None));
                *last = (*last).max(Some(latest));
            }
            return Ok(Duration::ZERO);
        }
        log::info!("another node decides ticks by now");
        self.term = None;
        Ok(SLEEP_MAX)
    }

    /// Writes decisions. Where a part fails, the whole is decided again; what stands already is left as it is. Answers
    /// whether this node still leads.
    async fn record(&self, mut ticks: Vec<NewTick>, now: Timestamp) -> StoreResult<bool> {
        let Some(term) = self.term else {
            return Ok(false);
        };
        let (store, node) = (self.core.store(), self.core.tools.node);
        while !ticks.is_empty() {
            let rest = ticks.split_off(ticks.len().min(TICKS_MAX));
            if store.tick_record(node, term, ticks, now).await?.is_none() {
                return Ok(false);
            }
            ticks = rest;
        }
        Ok(true)
    }

    /// Reads where decisions stand for robots that are new or were changed since.
    async fn load(&mut self) -> StoreResult<()> {
        let entries = self.core.tools.registry.all();
        let unknown = entries.iter().filter(|entry| !self.knows(entry));
        let unknown: Vec<_> = unknown.map(|entry| entry.id).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        for row in self.core.store().robot_rows(unknown).await? {
            self.decided
                .insert(row.id, (row.revision, row.last_tick_at));
        }
        Ok(())
    }

    /// Whether it is known where the decisions stand for a robot as it is configured here.
    fn knows(&self, entry: &Entry) -> bool {
        let known = self.decided.get(&entry.id);
        known.is_some_and(|(revision, _)| *revision == entry.revision)
    }

    fn last_decided(&self, robot: RobotId) -> Option<Timestamp> {
        self.decided.get(&robot).and_then(|(_, last)| *last)
    }

    /// The open runs of those robots whose ticks must respect them.
    async fn open_runs(
        &self,
        due: &[Due<'_>],
        places: &[Vec<Place>],
    ) -> StoreResult<HashMap<Place, OpenRuns>> {
        let respecting = |due: &Due<'_>| match due.entry.config.overlap {
            Overlap::Allow => false,
            Overlap::Skip | Overlap::Queue => true,
        };
        let asked = due.iter().zip(places).filter(|(due, _)| respecting(due));
        let asked = asked.flat_map(|(_, places)| places.iter().copied());
        self.core.store().task_open_runs(asked.collect()).await
    }

    fn standing(&self, entry: &Entry, (_, node): Place, open: Option<&OpenRuns>) -> Standing {
        let open = open.copied().unwrap_or_default();
        // Of another node it is not known here.
        let here = node.is_none_or(|node| node == self.core.tools.node);
        Standing {
            enabled: entry.config.enabled,
            paused: entry.config.instances == 0
                || here
                    && entry
                        .health
                        .borrow()
                        .quarantined
                        .is_some_and(|(_, until)| until > self.core.now()),
            open_runs: open.all,
            waiting_runs: open.waiting,
        }
    }
}

/// Where a robot's instants are decided: once, or once for each node that lives.
fn places(entry: &Entry, alive: &[NodeId]) -> Vec<Place> {
    match entry.definition.identity.sharding {
        Sharding::PerNode => alive.iter().map(|node| (entry.id, Some(*node))).collect(),
        Sharding::Sharded | Sharding::Single => vec![(entry.id, None)],
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

fn new_tick(
    entry: &Entry,
    (_, for_node): Place,
    decision: TickDecision,
    now: Timestamp,
) -> NewTick {
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
        for_node,
    });
    NewTick {
        robot: entry.id,
        planned_at: decision.planned_at,
        through: decision.through,
        count: i64::try_from(decision.count).unwrap_or(i64::MAX),
        decision: decision.decision,
        task,
        for_node,
    }
}
