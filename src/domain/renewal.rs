//! When a certificate is renewed: pure decisions from its life, what its issuer suggests (RFC 9773), what was tried, the window, the
//! issuer's quota, and who must agree.

use std::time::Duration;

use chrono::TimeDelta;

use super::time::Timestamp;
use super::window::Window;

/// The share of a certificate's life that is left when it is renewed at the earliest. Without it a certificate that lives
/// shorter than its lead would be renewed at every look.
const LEAD_SHARE: i32 = 3;
/// The share of its life before which no suggestion has it renewed: an issuer that suggests the past makes no loop.
const SUGGESTION_EARLIEST_SHARE: i32 = 100;
/// The share of its life that is left when it is renewed at the latest, whatever is suggested.
const SUGGESTION_LATEST_SHARE: i32 = 10;
/// Instants of a suggested window that are told apart.
const WINDOW_PARTS: u32 = 10_000;

/// What decides about one certificate.
#[derive(Debug, Clone, Copy)]
pub struct Renewal<'a> {
    /// Begin and end of the certificate in force; none where there is none yet.
    pub life: Option<(Timestamp, Timestamp)>,
    /// How long before its end it is renewed.
    pub lead: Duration,
    /// When its issuer suggests that it is renewed; decides in place of the lead.
    pub suggested: Option<Timestamp>,
    /// It was revoked: another one only where somebody asks for it.
    pub revoked: bool,
    /// Somebody must agree, and has not.
    pub unapproved: bool,
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
    /// It was revoked, and nobody asks for another one.
    Revoked,
    /// Somebody must agree first.
    Approval,
    /// The last attempt failed; the next one is at this instant.
    BackOff(Timestamp),
    /// Its window is closed.
    Window,
    /// The issuer has been asked often enough.
    Quota,
}

/// The instant from which a certificate with this life is to be renewed: `lead` before its end, but never before two
/// thirds of its life are over.
///
/// Where the issuer suggests an instant, at that one, but neither in the first hundredth of its life
/// nor in the last tenth.
#[must_use]
pub fn due_at(
    (begin, end): (Timestamp, Timestamp),
    lead: Duration,
    suggested: Option<Timestamp>,
) -> Timestamp {
    let life = (end - begin).max(TimeDelta::zero());
    if let Some(at) = suggested {
        let latest = end - life / SUGGESTION_LATEST_SHARE;
        return at.max(begin + life / SUGGESTION_EARLIEST_SHARE).min(latest);
    }
    let lead = TimeDelta::from_std(lead).unwrap_or(TimeDelta::MAX);
    end - lead.min(life / LEAD_SHARE)
}

/// The instant within a suggested window at which one certificate is renewed.
///
/// The same `seed` has the same one, and those of many
/// seeds lie evenly (RFC 9773, section 4.2: "a uniform random time within the suggested window").
#[must_use]
pub fn within((start, end): (Timestamp, Timestamp), seed: u64) -> Timestamp {
    let part = u32::try_from(seed % u64::from(WINDOW_PARTS)).unwrap_or(0);
    let width = (end - start)
        .max(TimeDelta::zero())
        .to_std()
        .unwrap_or_default();
    start + width / WINDOW_PARTS * part
}

/// Decides about one certificate. What was begun goes on without a look at its life, an approval or the quota: it was counted.
#[must_use]
pub fn decide(renewal: &Renewal<'_>, now: Timestamp) -> Verdict {
    if !renewal.begun && !renewal.asked {
        if renewal.revoked {
            return Verdict::Hold(Hold::Revoked);
        }
        if let Some(life) = renewal.life {
            let due = due_at(life, renewal.lead, renewal.suggested);
            if now < due {
                return Verdict::Keep(due);
            }
        }
    }
    if renewal.unapproved && !renewal.begun {
        return Verdict::Hold(Hold::Approval);
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
            suggested: None,
            revoked: false,
            unapproved: false,
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
        assert_eq!(due_at(year, DAY * 30, None), begin + DAY * 335);
        let week = (begin, begin + DAY * 6);
        assert_eq!(due_at(week, DAY * 30, None), begin + DAY * 4);
        // One that ends before it begins is due at its end.
        for suggested in [None, Some(begin)] {
            let due = due_at((begin, begin - DAY), DAY, suggested);
            assert_eq!(due, begin - DAY);
        }
    }

    #[test]
    fn a_suggestion_decides_within_its_bounds() {
        let begin = at(0);
        let life = (begin, begin + DAY * 100);
        for (suggested, due) in [
            (DAY * 50, DAY * 50),
            (DAY * 89, DAY * 89),
            (DAY * 95, DAY * 90),
            (DAY * 200, DAY * 90),
            (Duration::ZERO, DAY),
        ] {
            let suggested = Some(begin + suggested);
            assert_eq!(due_at(life, DAY * 30, suggested), begin + due);
        }
        let past = Some(begin - DAY);
        assert_eq!(due_at(life, DAY * 30, past), begin + DAY);
        let window = (begin, begin + DAY);
        let picked = [0, 5_000, 9_999, 10_000].map(|seed| within(window, seed));
        assert_eq!((picked[0], picked[1]), (begin, begin + DAY / 2));
        assert!(picked[2] > begin + DAY * 99 / 100 && picked[2] < window.1);
        assert_eq!(picked[3], begin);
        assert_eq!(within((begin, begin - DAY), 7), begin);
    }

    #[test]
    fn what_is_revoked_or_not_agreed_to_waits_for_people() {
        let now = at(0);
        let revoked = Renewal {
            revoked: true,
            ..renewal(Some((now - DAY * 90, now + DAY)))
        };
        assert_eq!(decide(&revoked, now), Verdict::Hold(Hold::Revoked));
        let asked = Renewal {
            asked: true,
            ..revoked
        };
        assert_eq!(decide(&asked, now), Verdict::Renew);
        let unapproved = Renewal {
            unapproved: true,
            ..asked
        };
        assert_eq!(decide(&unapproved, now), Verdict::Hold(Hold::Approval));
        let begun = Renewal {
            begun: true,
            ..unapproved
        };
        assert_eq!(decide(&begun, now), Verdict::Renew);
        let good = Renewal {
            unapproved: true,
            ..renewal(Some((now - DAY, now + DAY * 90)))
        };
        assert!(matches!(decide(&good, now), Verdict::Keep(_)));
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
        fn a_new_certificate_is_never_renewed_at_once(
            life in 3..4_000_000_000_i64, lead in 1..4_000_000_000_u64,
            suggested in proptest::option::of(-4_000_000_000..4_000_000_000_i64),
        ) {
            let begin = at(0);
            let new = Renewal {
                lead: Duration::from_secs(lead),
                suggested: suggested.map(at),
                ..renewal(Some((begin, begin + TimeDelta::seconds(life))))
            };
            let Verdict::Keep(due) = decide(&new, begin) else {
                return Err(TestCaseError::fail("renewed at once"));
            };
            let least = if suggested.is_some() { 0 } else { life / 2 };
            prop_assert!(due > begin + TimeDelta::seconds(least) && due < begin + TimeDelta::seconds(life));
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
            let due = due_at(span, lead, None);
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
