//! What follows a run, at random and by name.

use chrono::TimeZone;
use proptest::prelude::*;

use super::*;

fn at(secs: i64) -> Timestamp {
    chrono::Utc.timestamp_opt(1_800_000_000 + secs, 0).unwrap()
}

fn any_end() -> impl Strategy<Value = RunEnd> {
    prop_oneof![
        Just(RunEnd::Succeeded),
        Just(RunEnd::Skipped),
        (0i64..1000).prop_map(|s| RunEnd::Snoozed(at(s))),
        Just(RunEnd::FailedTemporarily),
        Just(RunEnd::FailedPermanently),
        Just(RunEnd::Unverified),
        Just(RunEnd::Panicked),
        Just(RunEnd::TimedOut),
        Just(RunEnd::Cancelled),
        Just(RunEnd::Expired),
        Just(RunEnd::Interrupted),
        Just(RunEnd::Lost),
    ]
}

proptest! {
    /// However its runs end, a task that neither snoozes nor is interrupted ends.
    #[test]
    fn every_task_ends(ends in prop::collection::vec(any_end(), 60), max_attempts in 1i32..20) {
        let (mut attempt, mut deaths, mut runs) = (1, 0, 0);
        for end in ends {
            let task = Attempted { attempt, max_attempts, deaths, deadline: None };
            match after_run(task, &end, &RetryPolicy::DEFAULT, at(0), 0.5) {
                AfterRun::Finished(status) => {
                    prop_assert!(status.is_final());
                    return Ok(());
                }
                AfterRun::Again { run_at, attempt_used, death } => {
                    prop_assert!(run_at >= at(0));
                    prop_assert!(!(attempt_used && death), "a run is a failure or a death");
                    attempt += i32::from(attempt_used);
                    deaths += i32::from(death);
                    runs += i32::from(attempt_used || death);
                }
            }
            prop_assert!(runs < max_attempts + DEATHS_WITH_NODE_MAX);
        }
    }

    /// Nothing is offered again after its deadline.
    #[test]
    fn the_deadline_holds(end in any_end(), deadline in 0i64..100) {
        let task = Attempted { attempt: 1, max_attempts: 5, deaths: 1, deadline: Some(at(deadline)) };
        if let AfterRun::Again { run_at, .. } = after_run(task, &end, &RetryPolicy::DEFAULT, at(0), 0.5) {
            prop_assert!(run_at <= at(deadline));
        }
    }
}

#[test]
fn the_third_death_is_quarantine_and_not_failure() {
    let mut task = Attempted {
        attempt: 1,
        max_attempts: 1,
        deaths: 0,
        deadline: None,
    };
    for _ in 1..DEATHS_MAX {
        let AfterRun::Again {
            death: true,
            attempt_used: false,
            ..
        } = after_run(task, &RunEnd::Lost, &RetryPolicy::DEFAULT, at(0), 0.0)
        else {
            panic!("a death below the limit must be offered again");
        };
        task.deaths += 1;
    }
    assert_eq!(
        after_run(task, &RunEnd::Panicked, &RetryPolicy::DEFAULT, at(0), 0.0),
        AfterRun::Finished(TaskStatus::Quarantined)
    );
}

#[test]
fn a_node_that_is_killed_again_and_again_takes_longer_to_be_blamed_on_a_task() {
    let lost = |deaths| {
        let task = Attempted {
            attempt: 1,
            max_attempts: 1,
            deaths,
            deadline: None,
        };
        after_run(task, &RunEnd::Lost, &RetryPolicy::DEFAULT, at(0), 0.0)
    };
    assert!(matches!(
        lost(DEATHS_WITH_NODE_MAX - 2),
        AfterRun::Again { death: true, .. }
    ));
    let last = lost(DEATHS_WITH_NODE_MAX - 1);
    assert_eq!(last, AfterRun::Finished(TaskStatus::Quarantined));
}

#[test]
fn words_and_codes_are_unique_and_round_trip() {
    for status in TaskStatus::ALL {
        assert_eq!(TaskStatus::from_code(status.code()), Some(*status));
        assert_eq!(status.as_str().parse(), Ok(*status));
    }
    for outcome in ProcessOutcome::ALL {
        assert_eq!(ProcessOutcome::from_code(outcome.code()), Some(*outcome));
        assert_eq!(outcome.as_str().parse(), Ok(*outcome));
    }
}
