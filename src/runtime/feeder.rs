//! Claims queued tasks in batches, as many as the pools can start at once, and no more.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::core::Core;
use super::service;
use super::supervisor::{Deliver, Supervisor};
use crate::domain::id::{IdMap, RobotId};
use crate::domain::time::Timestamp;
use crate::store::StoreResult;
use crate::store::signal::Signal;
use crate::store::task::Claimed;

/// Looks for work that no signal told of: a lost signal costs this much time and no work.
const SWEEP_PERIOD: Duration = Duration::from_secs(5);
/// Scheduled tasks queued at one time.
const PROMOTE_MAX: u32 = 1_000;
/// Tasks claimed in one transaction; larger ones hold the writer too long.
const CLAIM_MAX: u32 = 1_000;
/// Pause after the database refused.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

struct Feeder {
    core: Arc<Core>,
    supervisor: Addr<Supervisor>,
    /// Robots that may have queued tasks.
    waiting: HashSet<RobotId>,
    /// When the next scheduled task is due.
    next_due: Option<Timestamp>,
    next_sweep: Instant,
}

/// The service.
pub(crate) async fn run(core: Arc<Core>, supervisor: Addr<Supervisor>) {
    // Subscribe first, look second: nothing is missed in between.
    let mut signals = core.store().signals();
    for capacity in core.capacity.values() {
        capacity.set_awaited(false);
    }
    let mut feeder = Feeder {
        core,
        supervisor,
        waiting: HashSet::new(),
        next_due: None,
        next_sweep: Instant::now(),
    };
    loop {
        let result = feeder.round().await;
        let wait = match result {
            Ok(()) if feeder.core.may_start() => feeder.wait(),
            // Until the lease is renewed, which rings.
            Ok(()) => RETRY_PAUSE,
            Err(error) => {
                log::warn!("failed to claim tasks: {error}");
                RETRY_PAUSE
            }
        };
        tokio::select! {
            signal = signals.recv() => feeder.note(signal),
            () = feeder.core.room.notified() => {}
            () = tokio::time::sleep(wait) => {}
            () = feeder.core.draining.cancelled() => return service_end(&feeder.core).await,
        }
        while let Ok(signal) = signals.try_recv() {
            feeder.note(Ok(signal));
        }
    }
}

/// A draining node claims nothing; the service stays until the node stops.
async fn service_end(core: &Core) {
    core.stopping.cancelled().await;
}

impl Feeder {
    async fn round(&mut self) -> StoreResult<()> {
        if !self.core.may_start() {
            return Ok(());
        }
        self.take_up_unheard().await?;
        let began = Instant::now();
        let sweep = self.next_sweep <= began;
        let (store, now) = (self.core.store(), self.core.now());
        let promoted = if sweep {
            Some(store.task_sweep(now, PROMOTE_MAX).await?)
        } else if self.next_due.is_some_and(|due| due <= now) {
            Some(store.task_promote(now, PROMOTE_MAX).await?)
        } else {
            None
        };
        if let Some(promoted) = promoted {
            self.await_tasks(promoted.robots);
            self.next_due = promoted.next_run_at;
        }
        if sweep {
            self.next_sweep = Instant::now() + service::rest(began.elapsed(), SWEEP_PERIOD);
        }
        while self.claim().await? {}
        Ok(())
    }

    /// Claims once; answers whether there may be more to claim at once.
    async fn claim(&mut self) -> StoreResult<bool> {
        let mut left = CLAIM_MAX;
        let mut demands = Vec::new();
        for robot in &self.waiting {
            let capacity = self.core.capacity.get(robot);
            let free = capacity.map_or(0, |capacity| capacity.promise(left));
            if free > 0 {
                demands.push((*robot, free));
                left -= free;
            }
        }
        if demands.is_empty() {
            return Ok(false);
        }
        let (node, now) = (self.core.tools.node, self.core.now());
        let claimed = self
            .core
            .store()
            .task_claim(node, demands.clone(), now)
            .await;
        match claimed {
            Ok(claims) => {
                self.hand_out(&demands, claims);
                Ok(true)
            }
            Err(error) => {
                for (robot, count) in &demands {
                    self.core.capacity[robot].redeem(*count);
                }
                Err(error)
            }
        }
    }

    /// Hands out what transactions came to whose end was not heard of. Nobody else would: this node is alive and
    /// holds the tasks.
    async fn take_up_unheard(&self) -> StoreResult<()> {
        let claims = self.core.store().task_unheard(self.core.tools.node).await?;
        for (robot, own) in by_robot(claims) {
            if let Some(capacity) = self.core.capacity.get(&robot) {
                capacity.promise_made(u32::try_from(own.len()).unwrap_or(u32::MAX));
            }
            self.supervisor.do_send(Deliver(robot, own));
        }
        Ok(())
    }

    /// From now on these robots' queued tasks are claimed as soon as there is room.
    fn await_tasks(&mut self, robots: Vec<RobotId>) {
        for robot in robots {
            if let Some(capacity) = self.core.capacity.get(&robot) {
                capacity.set_awaited(true);
            }
            self.waiting.insert(robot);
        }
    }

    /// A robot that got less than it asked for has no more queued tasks.
    fn hand_out(&mut self, demands: &[(RobotId, u32)], claims: Vec<Claimed>) {
        let mut claims = by_robot(claims);
        for (robot, asked) in demands {
            let own = claims.remove(robot).unwrap_or_default();
            let got = u32::try_from(own.len()).unwrap_or(u32::MAX);
            if got < *asked {
                self.waiting.remove(robot);
                let capacity = &self.core.capacity[robot];
                capacity.set_awaited(false);
                capacity.redeem(*asked - got);
            }
            if got > 0 {
                self.supervisor.do_send(Deliver(*robot, own));
            }
        }
    }

    fn note(&mut self, signal: Result<Signal, RecvError>) {
        match signal {
            Ok(Signal::TasksReady(robots)) => self.await_tasks(robots),
            Ok(Signal::Scheduled(at)) => {
                self.next_due = Some(self.next_due.map_or(at, |due| due.min(at)))
            }
            Ok(Signal::Anything) | Err(RecvError::Lagged(_) | RecvError::Closed) => {
                self.next_sweep = Instant::now();
            }
            Ok(_) => {}
        }
    }

    fn wait(&self) -> Duration {
        let sweep = self.next_sweep.saturating_duration_since(Instant::now());
        let due = self
            .next_due
            .map(|due| (due - self.core.now()).to_std().unwrap_or_default());
        due.map_or(sweep, |due| due.min(sweep))
            .max(Duration::from_millis(1))
    }
}

fn by_robot(claims: Vec<Claimed>) -> IdMap<RobotId, Vec<Claimed>> {
    let mut of_robots: IdMap<RobotId, Vec<Claimed>> = IdMap::default();
    for claim in claims {
        of_robots.entry(claim.robot).or_default().push(claim);
    }
    of_robots
}

/// The service, restartable.
pub(crate) fn keep(core: &Arc<Core>, supervisor: &Addr<Supervisor>) {
    let supervisor = supervisor.clone();
    service::keep(core, "feeder", move |core| run(core, supervisor.clone()));
}
