//! What is done to which node, and when: all of it decided by a number.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// What is done to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blow {
    /// SIGKILL; it is started again afterwards.
    Kill,
    /// SIGSTOP; it is continued afterwards, and started again where it finds that it was declared dead.
    Pause,
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
}

/// Between two blows, in milliseconds: a node has time to become the leader.
const AFTER: std::ops::RangeInclusive<u64> = 300..=3_000;
/// Shorter and longer than the silence that a node is declared dead for, in milliseconds.
const LASTS: std::ops::RangeInclusive<u64> = 200..=6_000;

/// The blows of one run, one after the other, so that somebody always works; each of the `nodes` may be met. The last one
/// is over before `length`; there is one at least.
pub(super) fn plan(seed: u64, nodes: usize, length: Duration) -> Vec<Strike> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut strikes, mut over) = (Vec::new(), Duration::ZERO);
    loop {
        let strike = Strike {
            after: Duration::from_millis(random.random_range(AFTER)),
            node: random.random_range(0..nodes),
            blow: if random.random_bool(0.5) {
                Blow::Kill
            } else {
                Blow::Pause
            },
            lasts: Duration::from_millis(random.random_range(LASTS)),
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
