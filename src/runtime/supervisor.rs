//! The root of the tree: one pool a robot, and the gate that its window and status make.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::FutureExt;
use tokio::sync::watch;

use super::core::Core;
use super::pool::{Drain, End, Pool, Resize, Submit};
use super::service;
use crate::domain::id::{ProcessId, RobotId};
use crate::domain::pool::{EndReason, PoolState};
use crate::domain::time::Timestamp;
use crate::domain::window::AtClose;
use crate::robot::registry::{Entry, PoolHealth};
use crate::store::task::Claimed;

/// How often windows are looked at; design.md promises their edges within a second. Edges lie on whole minutes,
/// so that a look just after each full second sees them at once.
const GATE_PERIOD: Duration = Duration::from_secs(1);
/// How long after the full second: timers may fire up to a millisecond early.
const GATE_MARGIN: Duration = Duration::from_millis(5);

/// How long runs may go on after the closing edge of a window with `at_close: drain`.
pub const DRAIN_GRACE: Duration = Duration::from_secs(60);

/// Owns the pools.
pub(crate) struct Supervisor {
    core: Arc<Core>,
    pools: HashMap<RobotId, Place>,
    draining: bool,
}

struct Place {
    pool: Addr<Pool>,
    generation: u64,
    health: watch::Sender<PoolHealth>,
    /// What the pool was last told.
    target: Option<u32>,
    /// When the window was seen to close, until its runs are dealt with.
    closed_at: Option<Timestamp>,
    was_open: bool,
}

/// These tasks were claimed.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Deliver(pub(crate) RobotId, pub(crate) Vec<Claimed>);

/// A robot's configuration changed.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Reconfigured;

/// A person wants this process to end.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct CancelRun(pub(crate) RobotId, pub(crate) ProcessId);

/// Start nothing more, and give back at once what may be given back.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct DrainAll;

/// End what still runs; its tasks are offered again.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct InterruptAll;

#[derive(Message)]
#[rtype(result = "()")]
struct PoolDown(RobotId, u64);

impl Supervisor {
    pub(crate) fn new(
        core: Arc<Core>,
        health: HashMap<RobotId, watch::Sender<PoolHealth>>,
        ctx: &Context<Self>,
    ) -> Self {
        let mut supervisor = Self {
            core,
            pools: HashMap::new(),
            draining: false,
        };
        for (robot, health) in health {
            supervisor.start_pool(robot, health, 0, ctx);
        }
        supervisor
    }

    /// Starts a pool under a guard: when it dies, its runs are recorded as lost (their owner's drop does
    /// that) and a fresh pool takes its place.
    fn start_pool(
        &mut self,
        id: RobotId,
        health: watch::Sender<PoolHealth>,
        generation: u64,
        ctx: &Context<Self>,
    ) {
        let (Some(robot), Some(entry)) = (
            self.core.robots.get(&id),
            self.core.tools.registry.by_id(id),
        ) else {
            return;
        };
        let pool = Pool::new(
            Arc::clone(&self.core),
            id,
            entry.name().to_owned(),
            Arc::clone(robot),
            health.clone(),
            PoolState::new(),
        );
        let context = actix::Context::new();
        let addr = context.address();
        let life = AssertUnwindSafe(context.into_future(pool)).catch_unwind();
        let root = ctx.address();
        service::spawn_control(async move {
            let _ended = life.await;
            root.do_send(PoolDown(id, generation));
        });
        let place = Place {
            pool: addr,
            generation,
            health,
            target: None,
            closed_at: None,
            was_open: true,
        };
        self.pools.insert(id, place);
    }

    /// Says that the control thread is alive, reviews, and does so again just after the next full second.
    fn watch(&mut self, ctx: &mut Context<Self>) {
        self.core.beat();
        self.review();
        let since = Duration::from_nanos(u64::from(self.core.now().timestamp_subsec_nanos()));
        let pause = GATE_PERIOD.saturating_sub(since) + GATE_MARGIN;
        ctx.run_later(pause, Self::watch);
    }

    /// Compares every robot's gate with what its pool was told. Cheap: no I/O, nothing allocated.
    fn review(&mut self) {
        if self.draining {
            return;
        }
        let now = self.core.now();
        for entry in self.core.tools.registry.all() {
            let limit = self.core.capacity.get(&entry.id);
            let limit = limit.map_or(0, |capacity| capacity.limit());
            if let Some(place) = self.pools.get_mut(&entry.id) {
                place.review(&entry, limit, now);
            }
        }
    }
}

impl Place {
    fn review(&mut self, entry: &Entry, limit: u32, now: Timestamp) {
        let config = &entry.config;
        let open = config
            .window
            .as_ref()
            .is_none_or(|window| window.is_open(now));
        let target = if config.enabled && open {
            config.instances.min(limit)
        } else {
            0
        };
        if self.target != Some(target) {
            self.target = Some(target);
            self.pool.do_send(Resize(target));
        }
        if self.was_open && !open {
            self.closed_at = Some(now);
        }
        self.was_open = open;
        let at_close = config.window.as_ref().map(|window| window.at_close);
        let due = match (self.closed_at, at_close) {
            (None, _) => return,
            (Some(_), _) if open => true,
            (Some(_), None | Some(AtClose::Finish)) => true,
            (Some(_), Some(AtClose::Cancel)) => {
                self.pool.do_send(End(None, EndReason::Interrupted));
                true
            }
            (Some(closed), Some(AtClose::Drain)) if closed + DRAIN_GRACE <= now => {
                self.pool.do_send(End(None, EndReason::Interrupted));
                true
            }
            (Some(_), Some(AtClose::Drain)) => false,
        };
        if due {
            self.closed_at = None;
        }
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.watch(ctx);
    }
}

impl Handler<Deliver> for Supervisor {
    type Result = ();

    fn handle(&mut self, Deliver(robot, claims): Deliver, _: &mut Self::Context) {
        if let Some(place) = self.pools.get(&robot) {
            place.pool.do_send(Submit(claims));
        }
    }
}

impl Handler<Reconfigured> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: Reconfigured, _: &mut Self::Context) {
        self.review();
    }
}

impl Handler<CancelRun> for Supervisor {
    type Result = ();

    fn handle(&mut self, CancelRun(robot, process): CancelRun, _: &mut Self::Context) {
        if let Some(place) = self.pools.get(&robot) {
            place.pool.do_send(End(Some(process), EndReason::Cancelled));
        }
    }
}

impl Handler<DrainAll> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: DrainAll, _: &mut Self::Context) {
        self.draining = true;
        for (id, place) in &self.pools {
            place.pool.do_send(Drain);
            let entry = self.core.tools.registry.by_id(*id);
            if entry.is_some_and(|entry| entry.definition.yields_on_drain) {
                place.pool.do_send(End(None, EndReason::Interrupted));
            }
        }
    }
}

impl Handler<InterruptAll> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: InterruptAll, _: &mut Self::Context) {
        for place in self.pools.values() {
            place.pool.do_send(End(None, EndReason::Interrupted));
        }
    }
}

impl Handler<PoolDown> for Supervisor {
    type Result = ();

    fn handle(&mut self, PoolDown(robot, generation): PoolDown, ctx: &mut Self::Context) {
        let Some(place) = self.pools.remove(&robot) else {
            return;
        };
        if self.draining || place.generation != generation {
            return;
        }
        log::error!("the pool of robot {robot} died and starts again");
        self.start_pool(robot, place.health, generation + 1, ctx);
        self.review();
    }
}
