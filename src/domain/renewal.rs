//! When a certificate is renewed: pure decisions from its life, what was tried, the window and the issuer's quota.

use std::time::Duration;

use super::time::Timestamp;
use super::window::Window;

/// The share of a certificate's life that is left when it is renewed at the earliest. Without it a certificate that lives
/// shorter than its lead would be renewed at every look.
const LEAD_SHARE: i32 = 3;

/// What decides about one certificate.
#[derive(Debug, Clone, Copy)]
pub struct Renewal<'a> {
    /// Begin and end of the certificate in force; none where there is none yet.
    pub life: Option<(Timestamp, Timestamp)>,
    /// How long before its end it is renewed.
    pub lead: Duration,
    /// Somebody asked for it.
    pub asked: bool,
    /// One is on its way that was begun and not finished.
    pub begun: bool,
    /// Not tried again before this.
    pub next_attempt_at: Option<Timestamp>,
    /// When it may be worked on; at any time where absent.
    pub window: Option<&'a Window>,
    /// What the issuer may still be asked for.
    pub quota: Quota,
}

/// What an issuer may still be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Orders that it got in its window of time.
    pub used: u32,
    /// Orders that it takes in it.
    pub max: u32,
}

/// What is to be done about one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is good until then.
    Keep(Timestamp),
    /// It is to be renewed, and must wait.
    Hold(Hold),
    /// It is to be renewed now.
    Renew,
}

/// Why a renewal waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The last attempt failed; the next one is at this instant.
    BackOff(Timestamp),
    /// Its window is closed.
    Window,
    /// The issuer has been asked often enough.
    Quota,
}

/// The instant from which a certificate with this life is to be renewed: `lead` before its end, but never before two
/// thirds of its life are over.
#[must_use]
pub fn due_at((begin, end): (Timestamp, Timestamp), lead: Duration) -> Timestamp {
    let share = (end - begin).max(chrono::TimeDelta::zero()) / LEAD_SHARE;
    let lead = chrono::TimeDelta::from_std(lead).unwrap_or(chrono::TimeDelta::MAX);
    end - lead.min(share)
}

/// Decides about one certificate. What was begun goes on without a look at its life or the quota: it was counted.
#[must_use]
pub fn decide(renewal: &Renewal<'_>, now: Timestamp) -> Verdict {
    if !renewal.begun
        && !renewal.asked
        && let Some(life) = renewal.life
    {
        let due = due_at(life, renewal.lead);
        if now < due {
            return Verdict::Keep(due);
        }
    }
    if let Some(hold) = held(renewal.next_attempt_at, renewal.window, now) {
        return Verdict::Hold(hold);
    }
    if !renewal.begun && renewal.quota.used >= renewal.quota.max {
        return Verdict::Hold(Hold::Quota);
    }
    Verdict::Renew
}

/// Why nothing is begun now: the back-off after a failure, or a closed window.
#[must_use]
pub fn held(
    next_attempt_at: Option<Timestamp>,
    window: Option<&Window>,
    now: Timestamp,
) -> Option<Hold> {
    if let Some(at) = next_attempt_at.filter(|at| now < *at) {
        return Some(Hold::BackOff(at));
    }
    window
        .is_some_and(|window| !window.is_open(now))
        .then_some(Hold::Window)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::from_micros;

    const DAY: Duration = Duration::from_hours(24);

    fn at(seconds: i64) -> Timestamp {
        from_micros(1_800_000_000_000_000 + seconds * 1_000_000)
    }

    fn renewal(life: Option<(Timestamp, Timestamp)>) -> Renewal<'static> {
        Renewal {
            life,
            lead: DAY * 30,
            asked: false,
            begun: false,
            next_attempt_at: None,
            window: None,
            quota: Quota { used: 0, max: 1 },
        }
    }

    #[test]
    fn the_lead_counts_until_it_is_a_third_of_the_life() {
        let begin = at(0);
        let year = (begin, begin + DAY * 365);
        assert_eq!(due_at(year, DAY * 30), begin + DAY * 335);
        let week = (begin, begin + DAY * 6);
        assert_eq!(due_at(week, DAY * 30), begin + DAY * 4);
        // One that ends before it begins is due at its end.
        assert_eq!(due_at((begin, begin - DAY), DAY), begin - DAY);
    }

    #[test]
    fn each_hold_has_its_turn() {
        let now = at(0);
        assert_eq!(decide(&renewal(None), now), Verdict::Renew);
        let later = now + DAY;
        let failed = Renewal {
            next_attempt_at: Some(later),
            ..renewal(None)
        };
        assert_eq!(decide(&failed, now), Verdict::Hold(Hold::BackOff(later)));
        assert_eq!(decide(&failed, later), Verdict::Renew);
        // 08:00 UTC.
        let night: Window = serde_json::from_str(r#"{"start":"22:00","end":"06:00"}"#).unwrap();
        let windowed = Renewal {
            window: Some(&night),
            ..renewal(None)
        };
        assert_eq!(decide(&windowed, now), Verdict::Hold(Hold::Window));
        assert_eq!(decide(&windowed, now + DAY * 15 / 24), Verdict::Renew);
        let spent = Renewal {
            quota: Quota { used: 1, max: 1 },
            ..renewal(None)
        };
        assert_eq!(decide(&spent, now), Verdict::Hold(Hold::Quota));
        let begun = Renewal {
            begun: true,
            ..spent
        };
        assert_eq!(decide(&begun, now), Verdict::Renew);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// No loop: what was just issued is kept, whatever its life and the lead.
        #[test]
        fn a_new_certificate_is_never_renewed_at_once(life in 3..4_000_000_000_i64, lead in 1..4_000_000_000_u64) {
            let begin = at(0);
            let new = Renewal {
                lead: Duration::from_secs(lead),
                ..renewal(Some((begin, begin + TimeDelta::seconds(life))))
            };
            let Verdict::Keep(due) = decide(&new, begin) else {
                return Err(TestCaseError::fail("renewed at once"));
            };
            prop_assert!(due > begin + TimeDelta::seconds(life / 2) && due < begin + TimeDelta::seconds(life));
        }

        /// No gap: from the instant that `Keep` names on, it is renewed, and before it is not.
        #[test]
        fn it_is_renewed_from_the_instant_named_on(
            life in 3..400_000_000_i64, lead in 1..400_000_000_u64, looks in 0..400_000_000_i64,
        ) {
            let begin = at(0);
            let span = (begin, begin + TimeDelta::seconds(life));
            let lead = Duration::from_secs(lead);
            let now = begin + TimeDelta::seconds(looks);
            let verdict = decide(&Renewal { lead, ..renewal(Some(span)) }, now);
            let due = due_at(span, lead);
            prop_assert_eq!(verdict, if now < due { Verdict::Keep(due) } else { Verdict::Renew });
        }

        /// A quota and a back-off are never overrun, whatever else holds.
        #[test]
        fn what_must_wait_waits(
            used in 0..5_u32, max in 0..5_u32, wait in -5..5_i64, asked: bool, begun: bool, has_life: bool,
        ) {
            let now = at(0);
            let life = has_life.then(|| (now - DAY * 90, now + DAY));
            let next = now + TimeDelta::seconds(wait);
            let verdict = decide(&Renewal {
                asked, begun,
                next_attempt_at: Some(next),
                quota: Quota { used, max },
                ..renewal(life)
            }, now);
            if wait > 0 {
                prop_assert_eq!(verdict, Verdict::Hold(Hold::BackOff(next)));
            } else if used >= max && !begun {
                prop_assert_eq!(verdict, Verdict::Hold(Hold::Quota));
            } else {
                prop_assert_eq!(verdict, Verdict::Renew);
            }
        }
    }
}
