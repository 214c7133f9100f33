//! What is done to which node, and when: all of it decided by a number.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde::Serialize;

/// What is done to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Blow {
    /// SIGKILL; it is started again afterwards.
    Killed,
    /// SIGSTOP; it is continued afterwards, and started again where it finds that it was declared dead.
    Stopped,
    /// Its ways to the database and from its callers are cut: connections break, new ones too.
    Cut,
    /// Its way to the database falls silent: what is sent is taken and lost, and connections of that time never speak again.
    Silent,
    /// Its machine's clock is stepped, and afterwards stepped back.
    Stepped,
}

impl Blow {
    /// All of them.
    pub(super) const ALL: [Self; 5] = [
        Self::Killed,
        Self::Stopped,
        Self::Cut,
        Self::Silent,
        Self::Stepped,
    ];
}

/// One blow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Strike {
    /// How long after the one before is over, or after the beginning.
    pub(super) after: Duration,
    /// Whom it meets.
    pub(super) node: usize,
    /// What is done.
    pub(super) blow: Blow,
    /// How long it is left like this.
    pub(super) lasts: Duration,
    /// How far a clock is stepped, in seconds.
    pub(super) step: i64,
}

/// Between two blows, in milliseconds: a node has time to become the leader.
const AFTER: std::ops::RangeInclusive<u64> = 300..=3_000;
/// Shorter and longer than the silence that a node is declared dead for, in milliseconds.
const LASTS: std::ops::RangeInclusive<u64> = 200..=6_000;
/// A clock is stepped by up to ten minutes, forth or back.
const STEP: std::ops::RangeInclusive<i64> = 30..=600;

/// The blows of one run, one after the other, so that somebody always works; each of the `nodes` may be met. The last one
/// is over before `length`; there is one at least.
pub(super) fn plan(seed: u64, nodes: usize, length: Duration) -> Vec<Strike> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut strikes, mut over) = (Vec::new(), Duration::ZERO);
    loop {
        let size = random.random_range(STEP);
        let strike = Strike {
            after: Duration::from_millis(random.random_range(AFTER)),
            node: random.random_range(0..nodes),
            blow: *Blow::ALL.choose(&mut random).unwrap_or(&Blow::Killed),
            lasts: Duration::from_millis(random.random_range(LASTS)),
            step: if random.random() { size } else { -size },
        };
        over += strike.after + strike.lasts;
        if over > length && !strikes.is_empty() {
            return strikes;
        }
        strikes.push(strike);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_number_decides_all_and_the_time_is_kept(seed: u64, nodes in 1..9_usize, seconds in 10..600_u64) {
            let length = Duration::from_secs(seconds);
            let strikes = plan(seed, nodes, length);
            prop_assert_eq!(&strikes, &plan(seed, nodes, length));
            let total: Duration = strikes.iter().map(|strike| strike.after + strike.lasts).sum();
            prop_assert!(total <= length && !strikes.is_empty());
            prop_assert!(strikes.iter().all(|strike| strike.node < nodes));
        }
    }
}
