//! What the actors and services of one node share.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::crossing::Crossing;
use super::membership::{Membership, Terms};
use super::sharer::is_shared;
use crate::connect::nats::Broker;
use crate::domain::id::{IdMap, RobotId};
use crate::domain::time::Timestamp;
use crate::robot::Robot;
use crate::robot::context::Tools;
use crate::robot::journal::Journals;
use crate::robot::outcome::Report;
use crate::store::Store;
use crate::store::node::Heard;
use crate::store::task::Claimed;

/// A process that ended, on its way to the recorder.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What ran.
    pub(crate) run: Arc<Claimed>,
    /// How it ended.
    pub(crate) report: Report,
    /// When.
    pub(crate) finished_at: Timestamp,
}

/// How many tasks of one robot may be claimed, and whether some wait for it.
///
/// A claim counts from the moment it is asked for until its end is recorded, so that the database never
/// shows more runs of a robot than its instances.
#[derive(Debug, Default)]
pub(crate) struct Capacity(Mutex<Books>);

#[derive(Debug)]
struct Books {
    /// What the pool can start now (`PoolState::room`).
    room: u32,
    /// What this node may have in hand at most, whatever its pool can do.
    limit: u32,
    /// What it has in hand: claims from the moment they are asked for until their end is recorded.
    held: u32,
    /// Claims asked for that the pool has not seen yet.
    promised: u32,
    /// Runs that ended and are not recorded yet.
    unrecorded: u32,
    /// Whether the feeder will claim queued tasks as soon as there is room.
    awaited: bool,
}

impl Default for Books {
    fn default() -> Self {
        Self {
            room: 0,
            limit: u32::MAX,
            held: 0,
            promised: 0,
            unrecorded: 0,
            awaited: false,
        }
    }
}

impl Books {
    fn free(&self) -> u32 {
        let room = self.room.saturating_sub(self.promised + self.unrecorded);
        room.min(self.limit.saturating_sub(self.held))
    }

    fn promise(&mut self, most: u32) -> u32 {
        let claims = self.free().min(most);
        self.promise_made(claims);
        claims
    }

    fn promise_made(&mut self, claims: u32) {
        self.promised += claims;
        self.held += claims;
    }
}

impl Capacity {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims that may be asked for now.
    pub(crate) fn free(&self) -> u32 {
        self.books().free()
    }

    /// Answers whether there is more room than before.
    pub(crate) fn set_room(&self, room: u32) -> bool {
        mem::replace(&mut self.books().room, room) < room
    }

    /// At most so many runs may be in hand from now on; answers whether that is more than before.
    pub(crate) fn set_limit(&self, limit: u32) -> bool {
        mem::replace(&mut self.books().limit, limit) < limit
    }

    /// How many runs may be in hand.
    pub(crate) fn limit(&self) -> u32 {
        self.books().limit
    }

    /// What the node needs to keep: what it may have in hand, or what it still has.
    pub(crate) fn needed(&self) -> u32 {
        let books = self.books();
        books.limit.max(books.held)
    }

    /// Takes note of whether queued tasks are looked for as soon as there is room.
    pub(crate) fn set_awaited(&self, awaited: bool) {
        self.books().awaited = awaited;
    }

    /// At most so many claims are asked for, as far as they are free; answers how many.
    pub(crate) fn promise(&self, most: u32) -> u32 {
        self.books().promise(most)
    }

    /// As [`Capacity::promise`], for tasks that come just now: where others wait it is not their turn.
    pub(crate) fn promise_to_new(&self, most: u32) -> u32 {
        let mut books = self.books();
        if books.awaited {
            return 0;
        }
        books.promise(most)
    }

    /// So many claims were made, whether they were free or not.
    pub(crate) fn promise_made(&self, claims: u32) {
        self.books().promise_made(claims);
    }

    /// So many claims have reached the pool.
    pub(crate) fn delivered(&self, claims: u32) {
        self.books().promised -= claims;
    }

    /// So many claims came to nothing.
    pub(crate) fn redeem(&self, claims: u32) {
        let mut books = self.books();
        books.promised -= claims;
        books.held -= claims;
    }

    /// A run was given back unstarted.
    pub(crate) fn given_back(&self) {
        self.books().held -= 1;
    }

    /// A run ended; its end is on its way to the recorder.
    pub(crate) fn ended(&self) {
        self.books().unrecorded += 1;
    }

    /// Runs that ended and are not recorded yet.
    pub(crate) fn unrecorded(&self) -> u32 {
        self.books().unrecorded
    }

    /// An end is recorded.
    pub(crate) fn recorded(&self) {
        let mut books = self.books();
        books.unrecorded -= 1;
        books.held -= 1;
    }
}

/// Shared by all actors and services of a node.
pub(crate) struct Core {
    /// What robots are given, too.
    pub(crate) tools: Arc<Tools>,
    /// The code of each robot; does not change while the node runs.
    pub(crate) robots: HashMap<RobotId, Arc<dyn Robot>>,
    /// See [`Capacity`]; one for each of `robots`.
    pub(crate) capacity: IdMap<RobotId, Arc<Capacity>>,
    /// Where robots' code runs, and nothing else.
    pub(crate) jobs: tokio::runtime::Handle,
    /// The way there and back.
    pub(crate) crossing: Crossing,
    /// What running processes have said.
    pub(crate) journals: Arc<Journals>,
    /// The broker, where there is one.
    pub(crate) broker: Option<Broker>,
    /// Ends on their way to the recorder. Unbounded, because what may be claimed bounds it.
    pub(crate) ends: mpsc::UnboundedSender<Ended>,
    /// Rings when a pool has room again.
    pub(crate) room: Notify,
    /// Rings when a schedule may have changed.
    pub(crate) replan: Notify,
    /// Rings when another node may have changed configurations.
    pub(crate) reconfigure: Notify,
    /// This node among the others.
    pub(crate) membership: Membership,
    /// Fires when no more work is to be started.
    pub(crate) draining: CancellationToken,
    /// Fires when the services are to end.
    pub(crate) stopping: CancellationToken,
    /// Fires when this node signs off: what it hears of itself then is its own doing.
    pub(crate) leaving: CancellationToken,
    /// Fires when this node was declared dead and must not record anything any more.
    pub(crate) fenced: CancellationToken,
    /// All robots' revisions together, as of the last heartbeat.
    revisions: AtomicI64,
    depths: RwLock<HashMap<RobotId, u32>>,
    started: Instant,
    control_beat_millis: AtomicU64,
    beaten: AtomicBool,
}

/// A control thread silent for longer than this is stalled.
const CONTROL_SILENCE_MAX: Duration = Duration::from_secs(2);

impl Core {
    pub(crate) fn new(
        tools: Arc<Tools>,
        robots: HashMap<RobotId, Arc<dyn Robot>>,
        jobs: tokio::runtime::Handle,
        crossing: Crossing,
        broker: Option<Broker>,
        ends: mpsc::UnboundedSender<Ended>,
        terms: Terms,
    ) -> Self {
        let capacity: IdMap<RobotId, Arc<Capacity>> =
            robots.keys().map(|id| (*id, Arc::default())).collect();
        if tools.store.is_shared() {
            for entry in tools.registry.all().iter().filter(|entry| is_shared(entry)) {
                if let Some(capacity) = capacity.get(&entry.id) {
                    capacity.set_limit(0);
                }
            }
        }
        let stopping = CancellationToken::new();
        Self {
            tools,
            robots,
            capacity,
            jobs,
            crossing,
            journals: Arc::default(),
            broker,
            ends,
            room: Notify::new(),
            replan: Notify::new(),
            reconfigure: Notify::new(),
            membership: Membership::new(terms),
            revisions: AtomicI64::new(0),
            draining: CancellationToken::new(),
            leaving: stopping.child_token(),
            stopping,
            fenced: CancellationToken::new(),
            depths: RwLock::default(),
            started: Instant::now(),
            control_beat_millis: AtomicU64::new(0),
            beaten: AtomicBool::new(false),
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.tools.store
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.tools.clock.now()
    }

    /// Whether this node may start anything: it goes on living, and nobody can have declared it dead.
    pub(crate) fn may_start(&self) -> bool {
        let ending = self.draining.is_cancelled() || self.fenced.is_cancelled();
        !ending && (!self.store().is_shared() || self.membership.lease_holds(Instant::now()))
    }

    /// Takes note of what a heartbeat that was sent at `sent` was answered.
    pub(crate) fn heard(&self, sent: Instant, heard: &Heard) {
        let led = self.membership.view().term;
        let late = self.membership.heard(sent, Instant::now(), heard);
        self.store()
            .set_peers(heard.alive.iter().any(|node| *node != self.tools.node));
        if led != heard.term {
            match heard.term {
                Some(_) => log::info!("this node decides ticks from now on"),
                None => log::info!("another node decides ticks from now on"),
            }
            self.replan.notify_one();
        }
        if self.revisions.swap(heard.revisions, Ordering::Relaxed) != heard.revisions {
            self.reconfigure.notify_one();
        }
        if late {
            self.room.notify_one();
        }
    }

    /// Queue lengths as last counted.
    pub(crate) fn depth(&self, robot: RobotId) -> u32 {
        self.depths
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&robot)
            .copied()
            .unwrap_or(0)
    }

    /// Takes note of queue lengths; a robot without one has an empty queue.
    pub(crate) fn set_depths(&self, depths: Vec<(RobotId, u32)>) {
        *self.depths.write().unwrap_or_else(PoisonError::into_inner) = depths.into_iter().collect();
    }

    /// Queue lengths as last counted, together.
    pub(crate) fn queued(&self) -> u32 {
        let depths = self.depths.read().unwrap_or_else(PoisonError::into_inner);
        depths
            .values()
            .fold(0, |sum: u32, depth| sum.saturating_add(*depth))
    }

    /// The control thread says that it is alive.
    pub(crate) fn beat(&self) {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.control_beat_millis.store(millis, Ordering::Relaxed);
        self.beaten.store(true, Ordering::Relaxed);
    }

    /// Whether the control thread said so lately.
    pub(crate) fn control_alive(&self) -> bool {
        let last = Duration::from_millis(self.control_beat_millis.load(Ordering::Relaxed));
        self.beaten.load(Ordering::Relaxed) && self.started.elapsed() < last + CONTROL_SILENCE_MAX
    }
}
