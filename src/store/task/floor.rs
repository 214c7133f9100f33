//! Where a claim may begin: behind what the last one took.
//!
//! Rows that were claimed or have ended stand in the queue's index until the server has cleaned up, which an open
//! transaction of anybody's keeps it from. Walking over them once a claim would cost more with every task.
//!
//! Beside other nodes a floor is a guess: what comes to stand before it is found when the queue behind it is exhausted.
//! A node alone is told of all that is queued, so that its floors are exact: what is queued later moves them forward.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::id::{RobotId, TaskId};

/// How long claims may go on from where the last one ended. A task that came to stand before that unheard of, by a
/// repeated attempt or a slow transaction of another node, waits for no longer.
const FLOOR_LIFE_MIN: Duration = Duration::from_secs(1);
/// The same, as a multiple of what a claim from the beginning took: so that those cost a twentieth at most.
const FLOOR_LIFE_FACTOR: u32 = 20;
/// The same where the floor is exact: looking from the beginning only makes sure of it, and is to cost a hundredth at most.
const EXACT_LIFE_FACTOR: u32 = 100;
/// Smaller claims beside other nodes begin at the beginning: it is near.
const COUNT_MIN: u32 = 100;

/// A place in a robot's queue: behind this task, which a claim took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Floor {
    /// Its priority.
    pub(in crate::store) priority: i16,
    /// Its id.
    pub(in crate::store) task: i64,
}

impl Floor {
    /// Before everything.
    pub(in crate::store) const NONE: Self = Self {
        priority: i16::MAX,
        task: 0,
    };
    /// Behind everything.
    pub(in crate::store) const END: Self = Self {
        priority: i16::MIN,
        task: i64::MAX,
    };

    /// Right before a task.
    pub(in crate::store) fn before(priority: i16, task: TaskId) -> Self {
        Self {
            priority,
            task: task.0 - 1,
        }
    }

    /// The one of two that stands nearer to the beginning: the higher priority, then the older task.
    pub(in crate::store) fn nearer(self, other: Self) -> Self {
        std::cmp::min_by_key(self, other, |floor| (Reverse(floor.priority), floor.task))
    }
}

/// Where the queues of some robots begin.
pub(in crate::store) type Beginnings = BTreeMap<RobotId, Floor>;

/// One robot's part of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Demand {
    /// Whose tasks.
    pub(in crate::store) robot: RobotId,
    /// How many at most.
    pub(in crate::store) count: u32,
    /// What stands before them in the queue and need not be looked at.
    pub(in crate::store) floor: Floor,
    /// Whether nothing is queued before the floor that nobody will tell of.
    pub(in crate::store) exact: bool,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    floor: Floor,
    until: Instant,
    exact: bool,
    /// The place nearest to the beginning that was queued at since the floor was last asked for.
    queued: Floor,
}

/// The floors of all robots that claims went on from lately.
#[derive(Debug, Default)]
pub(in crate::store) struct Floors(Mutex<HashMap<RobotId, Known>>);

impl Floors {
    /// What is asked for, each from its floor on, by a node that is `alone` or beside others.
    pub(super) fn demands(
        &self,
        wanted: &[(RobotId, u32)],
        alone: bool,
        now: Instant,
    ) -> Vec<Demand> {
        let mut all = self.lock();
        let demand = |&(robot, count): &(RobotId, u32)| {
            let known = all.get(&robot).copied();
            let known = known.filter(|known| known.exact == alone && now < known.until);
            let floor = known.map_or(Floor::NONE, |known| known.floor);
            if alone {
                let known = Known {
                    floor,
                    until: known.map_or(now, |known| known.until),
                    exact: true,
                    queued: Floor::END,
                };
                all.insert(robot, known);
            }
            Demand {
                robot,
                count,
                floor,
                exact: alone,
            }
        };
        wanted.iter().map(demand).collect()
    }

    /// Takes note of how far a claim of `demands` came in the queues that it did not exhaust.
    pub(super) fn learn(
        &self,
        demands: &[Demand],
        reached: &HashMap<RobotId, Floor>,
        began: Instant,
        took: Duration,
    ) {
        let mut all = self.lock();
        for demand in demands {
            let floor = reached.get(&demand.robot).copied();
            let known = all.get(&demand.robot).copied();
            let floor = match (demand.exact, known) {
                // Exhausted, but for what was queued meanwhile.
                (true, Some(known)) if known.exact => {
                    Some(floor.unwrap_or(Floor::END).nearer(known.queued))
                }
                // Forgotten meanwhile.
                (true, _) => None,
                (false, _) => floor.filter(|_| demand.count >= COUNT_MIN),
            };
            let Some(floor) = floor else {
                all.remove(&demand.robot);
                continue;
            };
            let until = match known {
                Some(known) if demand.floor != Floor::NONE => known.until,
                _ if demand.exact => began + FLOOR_LIFE_MIN.max(took * EXACT_LIFE_FACTOR),
                _ => began + FLOOR_LIFE_MIN.max(took * FLOOR_LIFE_FACTOR),
            };
            let known = Known {
                floor,
                until,
                exact: demand.exact,
                queued: Floor::END,
            };
            all.insert(demand.robot, known);
        }
    }

    /// Where queues begin, as far as a node that is `alone` knows for certain: nothing is queued before.
    pub(in crate::store) fn beginnings(&self, alone: bool, now: Instant) -> Beginnings {
        let all = self.lock();
        let certain = all
            .iter()
            .filter(|(_, known)| alone && known.exact && now < known.until);
        certain
            .map(|(robot, known)| (*robot, known.floor))
            .collect()
    }

    /// Takes note of new tasks, by the place of the first one of each robot. After their commit, and before anybody is
    /// told of them.
    pub(in crate::store) fn queued(&self, places: impl IntoIterator<Item = (RobotId, Floor)>) {
        let mut all = self.lock();
        for (robot, place) in places {
            if let Some(known) = all.get_mut(&robot).filter(|known| known.exact) {
                known.floor = known.floor.nearer(place);
                known.queued = known.queued.nearer(place);
            }
        }
    }

    /// Has the next claim begin at the beginning: old tasks of these robots are queued again.
    pub(in crate::store) fn forget(&self, robots: &[RobotId]) {
        let mut all = self.lock();
        for robot in robots {
            all.remove(robot);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RobotId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const ROBOT: RobotId = RobotId(7);
    const FLOOR: Floor = Floor {
        priority: 4,
        task: 1_000,
    };

    fn at(demands: &[Demand]) -> Floor {
        demands.first().unwrap().floor
    }

    #[test]
    fn a_claim_goes_on_until_it_is_time_to_look_from_the_beginning() {
        let (floors, start) = (Floors::default(), Instant::now());
        let ask = |now| floors.demands(&[(ROBOT, 500)], false, now);
        let reached = HashMap::from([(ROBOT, FLOOR)]);
        assert_eq!(at(&ask(start)), Floor::NONE);
        floors.learn(&ask(start), &reached, start, Duration::from_millis(1));
        let later = start + Duration::from_millis(900);
        assert_eq!(at(&ask(later)), FLOOR);
        let further = Floor {
            task: 1_500,
            ..FLOOR
        };
        let reached = HashMap::from([(ROBOT, further)]);
        floors.learn(&ask(later), &reached, later, Duration::from_millis(1));
        assert_eq!(at(&ask(later)), further);
        assert_eq!(
            at(&ask(start + Duration::from_millis(1_001))),
            Floor::NONE,
            "going on does not make it last"
        );
    }

    #[test]
    fn a_costly_look_from_the_beginning_lasts_longer() {
        let (floors, start) = (Floors::default(), Instant::now());
        let ask = |now| floors.demands(&[(ROBOT, 500)], false, now);
        let reached = HashMap::from([(ROBOT, FLOOR)]);
        floors.learn(&ask(start), &reached, start, Duration::from_millis(500));
        assert_eq!(at(&ask(start + Duration::from_secs(9))), FLOOR);
        assert_eq!(at(&ask(start + Duration::from_secs(11))), Floor::NONE);
    }

    #[test]
    fn short_queues_and_small_claims_have_no_floor() {
        let (floors, start) = (Floors::default(), Instant::now());
        let ask = |count| floors.demands(&[(ROBOT, count)], false, start);
        let reached = HashMap::from([(ROBOT, FLOOR)]);
        floors.learn(&ask(COUNT_MIN - 1), &reached, start, Duration::ZERO);
        assert_eq!(at(&ask(500)), Floor::NONE);
        floors.learn(&ask(500), &reached, start, Duration::ZERO);
        assert_eq!(at(&ask(500)), FLOOR);
        floors.learn(&ask(500), &HashMap::new(), start, Duration::ZERO);
        assert_eq!(at(&ask(500)), Floor::NONE);
    }

    #[test]
    fn a_node_alone_looks_at_nothing_twice() {
        let (floors, start) = (Floors::default(), Instant::now());
        let ask = |now| floors.demands(&[(ROBOT, 8)], true, now);
        let took = Duration::from_millis(500);
        floors.learn(&ask(start), &HashMap::new(), start, took);
        let later = start + Duration::from_secs(9);
        assert_eq!(at(&ask(later)), Floor::END, "it was exhausted");
        assert_eq!(at(&ask(start + Duration::from_secs(49))), Floor::END);
        let beginnings = |alone| floors.beginnings(alone, later);
        assert_eq!(beginnings(true), BTreeMap::from([(ROBOT, Floor::END)]));
        assert_eq!(beginnings(false), BTreeMap::new());
        floors.queued([(ROBOT, Floor::before(4, TaskId(1_001)))]);
        assert_eq!(at(&ask(later)), FLOOR);
        floors.learn(&ask(later), &HashMap::new(), later, Duration::ZERO);
        assert_eq!(at(&ask(later)), Floor::END);
        floors.forget(&[ROBOT]);
        assert_eq!(at(&ask(later)), Floor::NONE);
        floors.learn(&ask(later), &HashMap::new(), later, Duration::ZERO);
        assert_eq!(
            at(&floors.demands(&[(ROBOT, 8)], false, later)),
            Floor::NONE,
            "others have come"
        );
        floors.learn(&ask(start), &HashMap::new(), start, took);
        assert_eq!(at(&ask(start + Duration::from_secs(51))), Floor::NONE);
    }

    /// One step of a queue's life.
    #[derive(Debug, Clone)]
    enum Step {
        /// A task of this priority is registered.
        Register(i16),
        /// One that ended is queued again.
        Again,
        /// A claim of so many looks into the queue, and the steps come to pass before it ends.
        Claim(u32, Vec<Step>),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let leaf = prop_oneof![(0_i16..3).prop_map(Step::Register), Just(Step::Again)];
        let within = proptest::collection::vec(leaf.clone(), 0..3);
        let claim = (1_u32..4, within).prop_map(|(count, steps)| Step::Claim(count, steps));
        proptest::collection::vec(prop_oneof![leaf, claim], 1..40)
    }

    /// A queue as the database has it: what is queued, and what was.
    #[derive(Default)]
    struct Model {
        queued: BTreeSet<(Reverse<i16>, i64)>,
        ended: Vec<(Reverse<i16>, i64)>,
        last: i64,
    }

    impl Model {
        fn step(&mut self, floors: &Floors, step: &Step) {
            match step {
                Step::Register(priority) => {
                    self.last += 1;
                    self.queued.insert((Reverse(*priority), self.last));
                    floors.queued([(ROBOT, Floor::before(*priority, TaskId(self.last)))]);
                }
                Step::Again => {
                    self.queued.extend(self.ended.pop());
                    floors.forget(&[ROBOT]);
                }
                Step::Claim(count, meanwhile) => self.claim(floors, *count, meanwhile),
            }
        }

        fn claim(&mut self, floors: &Floors, count: u32, meanwhile: &[Step]) {
            let now = Instant::now();
            let demands = floors.demands(&[(ROBOT, count)], true, now);
            let floor = at(&demands);
            let place = (Reverse(floor.priority), floor.task);
            let first = self.queued.iter().next().copied();
            assert!(
                first.is_none_or(|first| place < first),
                "{first:?} is hidden by {place:?}"
            );
            let taken: Vec<_> = self.queued.iter().copied().take(count as usize).collect();
            for one in &taken {
                self.queued.remove(one);
                self.ended.push(*one);
            }
            for step in meanwhile {
                self.step(floors, step);
            }
            let mut reached = HashMap::new();
            if let Some((priority, task)) = taken.last().filter(|_| taken.len() == count as usize) {
                let floor = Floor {
                    priority: priority.0,
                    task: *task,
                };
                reached.insert(ROBOT, floor);
            }
            floors.learn(&demands, &reached, now, Duration::from_secs(60));
        }
    }

    proptest! {
        #[test]
        fn no_queued_task_is_hidden_from_a_node_alone(steps in steps()) {
            let (floors, mut model) = (Floors::default(), Model::default());
            for step in &steps {
                model.step(&floors, step);
            }
            model.claim(&floors, 1, &[]);
        }
    }
}
