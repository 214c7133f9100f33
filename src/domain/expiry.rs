//! How close an end must be before it is worth telling: a lead that is nearly as long as a thing's life says only that the thing is
//! new.

use chrono::TimeDelta;

use super::time::Timestamp;

/// The share of a life before which nothing is told of its end. Renewals are due when as much is left of it (`renewal`).
const QUIET_SHARE: i32 = 3;

/// The instant before which nobody is told that a thing with this life ends: a third of it is over.
#[must_use]
pub fn told_from((begin, end): (Timestamp, Timestamp)) -> Timestamp {
    begin + (end - begin).max(TimeDelta::zero()) / QUIET_SHARE
}

/// Whether `lead` before its end is worth telling of a thing with this life: it is at most two thirds of it.
#[must_use]
pub fn counts(lead: TimeDelta, life: (Timestamp, Timestamp)) -> bool {
    lead <= life.1 - told_from(life)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::from_micros;

    fn life(seconds: i64) -> (Timestamp, Timestamp) {
        let begin = from_micros(1_800_000_000_000_000);
        (begin, begin + TimeDelta::seconds(seconds))
    }

    #[test]
    fn a_lead_counts_up_to_two_thirds_of_the_life() {
        let days = |days: i64| life(days * 86_400);
        for (lead, of, expected) in [
            (90, 90, false),
            (61, 90, false),
            (60, 90, true),
            (90, 135, true),
            (7, 6, false),
            (4, 6, true),
            (0, 1, true),
        ] {
            let found = counts(TimeDelta::days(lead), days(of));
            assert_eq!(found, expected, "{lead} of {of}");
        }
        // One that ends before it begins has no life.
        assert!(!counts(TimeDelta::seconds(1), life(-10)));
    }

    proptest! {
        /// A lead that counts begins when a third of the life is over at the earliest, and one that is shorter counts as well.
        #[test]
        fn no_lead_that_counts_begins_with_the_life(
            span in -1_000..4_000_000_000_i64, lead in 0..4_000_000_000_i64, less in 0..4_000_000_000_i64,
        ) {
            let life = life(span);
            let lead = TimeDelta::seconds(lead);
            let told = told_from(life);
            prop_assert!(told >= life.0 && (span <= 0 || told < life.1));
            prop_assert_eq!(counts(lead, life), life.1 - lead >= told);
            let shorter = (lead - TimeDelta::seconds(less)).max(TimeDelta::zero());
            prop_assert!(!counts(lead, life) || counts(shorter, life));
        }
    }
}
