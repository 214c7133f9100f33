//! Where a claim may begin: behind what the last one took.
//!
//! Rows that were claimed or have ended stand in the queue's index until the server has cleaned up, which an open
//! transaction of anybody's keeps it from. Walking over them once a claim would cost more with every task.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::id::RobotId;

/// How long claims may go on from where the last one ended. A task that came to stand before that, by a repeated
/// attempt or a slow transaction, waits for no longer, and only while more than can be run stands behind.
const FLOOR_LIFE_MIN: Duration = Duration::from_secs(1);
/// The same, as a multiple of what a claim from the beginning took: so that those cost a twentieth at most.
const FLOOR_LIFE_FACTOR: u32 = 20;
/// Smaller claims begin at the beginning: it is near.
const COUNT_MIN: u32 = 100;

/// The last task of a robot's queue that a claim took.
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
}

/// One robot's part of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Demand {
    /// Whose tasks.
    pub(in crate::store) robot: RobotId,
    /// How many at most.
    pub(in crate::store) count: u32,
    /// What stands before them in the queue and need not be looked at.
    pub(in crate::store) floor: Floor,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    floor: Floor,
    until: Instant,
}

/// The floors of all robots that claims went on from lately.
#[derive(Debug, Default)]
pub(in crate::store) struct Floors(Mutex<HashMap<RobotId, Known>>);

impl Floors {
    /// What is asked for, each from its floor on.
    pub(super) fn demands(&self, wanted: &[(RobotId, u32)], now: Instant) -> Vec<Demand> {
        let known = self.lock();
        let demand = |&(robot, count): &(RobotId, u32)| {
            let known = known.get(&robot).filter(|known| now < known.until);
            Demand {
                robot,
                count,
                floor: known.map_or(Floor::NONE, |known| known.floor),
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
        let mut known = self.lock();
        for demand in demands {
            let floor = reached.get(&demand.robot).copied();
            let Some(floor) = floor.filter(|_| demand.count >= COUNT_MIN) else {
                known.remove(&demand.robot);
                continue;
            };
            let from_the_beginning = demand.floor == Floor::NONE;
            let until = match known.get(&demand.robot) {
                Some(known) if !from_the_beginning => known.until,
                _ => began + FLOOR_LIFE_MIN.max(took * FLOOR_LIFE_FACTOR),
            };
            known.insert(demand.robot, Known { floor, until });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RobotId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
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
        let ask = |now| floors.demands(&[(ROBOT, 500)], now);
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
        let ask = |now| floors.demands(&[(ROBOT, 500)], now);
        let reached = HashMap::from([(ROBOT, FLOOR)]);
        floors.learn(&ask(start), &reached, start, Duration::from_millis(500));
        assert_eq!(at(&ask(start + Duration::from_secs(9))), FLOOR);
        assert_eq!(at(&ask(start + Duration::from_secs(11))), Floor::NONE);
    }

    #[test]
    fn short_queues_and_small_claims_have_no_floor() {
        let (floors, start) = (Floors::default(), Instant::now());
        let ask = |count| floors.demands(&[(ROBOT, count)], start);
        let reached = HashMap::from([(ROBOT, FLOOR)]);
        floors.learn(&ask(COUNT_MIN - 1), &reached, start, Duration::ZERO);
        assert_eq!(at(&ask(500)), Floor::NONE);
        floors.learn(&ask(500), &reached, start, Duration::ZERO);
        assert_eq!(at(&ask(500)), FLOOR);
        floors.learn(&ask(500), &HashMap::new(), start, Duration::ZERO);
        assert_eq!(at(&ask(500)), Floor::NONE);
    }
}
