use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;

use super::*;

const WINDOW: Duration = Duration::from_mins(30);

const POLICY: AttemptPolicy = AttemptPolicy {
    retry: RetryPolicy {
        max_attempts: 6,
        initial: Duration::from_secs(10),
        factor: 2.0,
        max: Duration::from_mins(10),
    },
    window: WINDOW,
};

fn at(seconds: i64) -> Timestamp {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + seconds)
}

fn again(state: OperationState, seconds: i64) -> After {
    After::Again {
        state,
        at: at(seconds),
    }
}

#[test]
fn what_can_help_is_done_and_nothing_else() {
    use AttemptEnd::{Done, Failed, Unverified};
    use FailureClass::{AuthFailed, PasswordPolicy, Timeout};
    let after = |end, attempts| POLICY.after(end, attempts, at(0), 0.5);
    for (end, attempts, expected) in [
        (Done, 1, After::Finished(OperationState::Succeeded)),
        (Failed(Timeout), 1, again(OperationState::Retrying, 10)),
        (Failed(Timeout), 3, again(OperationState::Retrying, 40)),
        (Failed(Timeout), 6, After::Finished(OperationState::Failed)),
        (
            Failed(AuthFailed),
            1,
            After::Finished(OperationState::Failed),
        ),
        (
            Failed(PasswordPolicy),
            1,
            After::Finished(OperationState::Failed),
        ),
        (
            Unverified(Timeout),
            2,
            again(OperationState::Unverified, 20),
        ),
        (
            Unverified(AuthFailed),
            1,
            again(OperationState::Unverified, 1_800),
        ),
        (
            Unverified(Timeout),
            6,
            After::Finished(OperationState::Unverified),
        ),
    ] {
        assert_eq!(after(end, attempts), expected, "{end:?} {attempts}");
    }
}

#[test]
fn a_refusal_counts_for_its_window() {
    let past = |seconds: &[i64]| -> Vec<Refusals> {
        let one = |second: &i64| Refusals {
            at: at(*second),
            count: 1,
        };
        seconds.iter().map(one).collect()
    };
    let allowance = |seconds, now| Allowance::after(&past(seconds), WINDOW, at(now));
    assert_eq!(allowance(&[], 0), Allowance::Tries(2));
    assert_eq!(allowance(&[0], 1_799), Allowance::Tries(1));
    assert_eq!(allowance(&[0], 1_800), Allowance::Tries(2));
    assert_eq!(allowance(&[0, 60], 61), Allowance::Wait(at(1_860)));
    assert_eq!(allowance(&[0, 60], 1_800), Allowance::Tries(1));
}

fn ends() -> impl Strategy<Value = AttemptEnd> {
    let class = prop::sample::select(FailureClass::ALL.to_vec());
    prop_oneof![
        Just(AttemptEnd::Done),
        class.clone().prop_map(AttemptEnd::Failed),
        class.prop_map(AttemptEnd::Unverified),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_operation_ends_and_says_what_is_true(
        series in prop::collection::vec((ends(), 0.0..1.0), 1..20),
    ) {
        let mut now = at(0);
        let mut ended = None;
        let mut made = 0_u32;
        for ((end, jitter), attempts) in series.iter().zip(1..) {
            made = attempts;
            match POLICY.after(*end, attempts, now, *jitter) {
                After::Finished(state) => {
                    let true_word = match end {
                        AttemptEnd::Done => OperationState::Succeeded,
                        AttemptEnd::Failed(_) => OperationState::Failed,
                        AttemptEnd::Unverified(_) => OperationState::Unverified,
                    };
                    prop_assert_eq!(state, true_word);
                    ended = Some(state);
                    break;
                }
                After::Again { state, at } => {
                    let open = matches!(end, AttemptEnd::Unverified(_));
                    prop_assert_eq!(state == OperationState::Unverified, open);
                    prop_assert!(at >= now + TimeDelta::seconds(8), "{at} after {now}");
                    prop_assert!(at <= now + TimeDelta::minutes(30));
                    if let AttemptEnd::Unverified(class) | AttemptEnd::Failed(class) = end {
                        prop_assert!(!is_refusal(*class) || at >= now + TimeDelta::minutes(30));
                    }
                    now = at;
                }
            }
        }
        prop_assert!(ended.is_some() || made < 6, "six attempts are the last");
    }

    /// An executor that makes every try it may, at whatever times: no window sees more than two.
    #[test]
    fn no_window_sees_more_refusals_than_allowed(
        steps in prop::collection::vec((0_i64..2_400, 0_u32..4), 1..60),
    ) {
        let mut past: Vec<Refusals> = Vec::new();
        let mut now = 0;
        for (pause, greed) in steps {
            now += pause;
            if let Allowance::Tries(left) = Allowance::after(&past, WINDOW, at(now)) {
                prop_assert!((1..=TRIES_MAX).contains(&left));
                past.push(Refusals { at: at(now), count: left.min(greed) });
            }
        }
        for first in &past {
            let inside = past.iter().filter(|one| one.at >= first.at && one.at < first.at + TimeDelta::minutes(30));
            prop_assert!(inside.map(|one| one.count).sum::<u32>() <= TRIES_MAX);
        }
    }

    #[test]
    fn nobody_waits_longer_than_a_window(
        tries in prop::collection::vec((0_i64..10_000, 0_u32..4), 0..20),
    ) {
        let past: Vec<Refusals> = tries.iter().map(|(s, count)| Refusals { at: at(*s), count: *count }).collect();
        let now = at(10_000);
        if let Allowance::Wait(until) = Allowance::after(&past, WINDOW, now) {
            prop_assert!(until > now && until <= now + TimeDelta::minutes(30));
            prop_assert!(matches!(Allowance::after(&past, WINDOW, until), Allowance::Tries(_)));
        }
    }
}

#[test]
fn each_kind_has_its_life_at_its_number() {
    for kind in OperationKind::ALL {
        let lives = serde_json::json!({ kind.as_str(): "PT5M" });
        let lives: Lives = serde_json::from_value(lives).unwrap();
        let place = usize::try_from(kind.code()).unwrap();
        for (number, life) in lives.by_code().into_iter().enumerate() {
            let own = Some(Duration::from_mins(5)).filter(|_| number == place);
            assert_eq!(life, own, "{kind} {number}");
        }
    }
}
