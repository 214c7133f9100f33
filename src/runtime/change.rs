//! What follows from a change of a robot's configuration, as pure decisions.

use serde_json::Value;

use crate::domain::robot::{Overrides, RobotConfig};
use crate::domain::schedule::Schedule;
use crate::domain::time::Timestamp;

/// First instant of a schedule that was changed at `now`: an interval from now, so that a change does not
/// itself start a run.
pub(super) fn first_instant(schedule: Option<&Schedule>, now: Timestamp) -> Timestamp {
    match schedule {
        Some(Schedule::Every { interval }) => now + *interval,
        Some(Schedule::Cron { .. }) | None => now,
    }
}

/// The fields that differ, before and after.
pub(super) fn difference(before: &RobotConfig, after: &RobotConfig) -> (Value, Value) {
    let fields = |config| match serde_json::to_value(config) {
        Ok(Value::Object(fields)) => fields,
        _ => Overrides::new(),
    };
    let (mut before, mut after) = (fields(before), fields(after));
    let unchanged: Vec<_> = before
        .iter()
        .filter(|(k, v)| after.get(*k) == Some(v))
        .map(|(k, _)| k.clone())
        .collect();
    for key in unchanged {
        before.remove(&key);
        after.remove(&key);
    }
    (before.into(), after.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, TimeDelta};
    use serde_json::json;

    use super::*;
    use crate::robot::RobotSpec;

    fn config() -> RobotConfig {
        RobotSpec::DEFAULT.definition().unwrap().defaults
    }

    #[test]
    fn a_changed_interval_starts_no_run_by_itself() {
        let now = DateTime::UNIX_EPOCH;
        let every = Schedule::Every {
            interval: Duration::from_secs(90),
        };
        assert_eq!(
            first_instant(Some(&every), now),
            now + TimeDelta::seconds(90)
        );
        let cron: Schedule = serde_json::from_value(json!({"cron": "5 * * * *"})).unwrap();
        assert_eq!(first_instant(Some(&cron), now), now);
        assert_eq!(first_instant(None, now), now);
    }

    #[test]
    fn only_what_differs_is_told_before_and_after() {
        let before = config();
        assert_eq!(difference(&before, &before), (json!({}), json!({})));
        let after = RobotConfig {
            instances: 3,
            timeout: Duration::from_secs(7),
            ..config()
        };
        assert_eq!(
            difference(&before, &after),
            (
                json!({"instances": 1, "timeout": "PT5M"}),
                json!({"instances": 3, "timeout": "PT7S"})
            )
        );
    }

    #[test]
    fn what_was_none_is_told_as_null() {
        let after = RobotConfig {
            range: Some(json!({"days": 2})),
            ..config()
        };
        assert_eq!(
            difference(&config(), &after),
            (json!({"range": null}), json!({"range": {"days": 2}}))
        );
    }
}
