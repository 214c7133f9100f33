//! Alerts: one state a key, raised once, reminded at intervals, cleared once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing wrong.
    Ok,
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Critical,
}

/// What a monitor found of one thing it watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable key of the thing, prefixed by its kind: `disk:/var`.
    pub key: String,
    /// How bad.
    pub level: Level,
    /// One line for people.
    pub title: String,
    /// Figures for people.
    pub text: String,
}

/// What is remembered of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertState {
    /// The key.
    pub key: String,
    /// The level last found.
    pub level: Level,
    /// Since when it has this level.
    pub since: Timestamp,
    /// When somebody was last told; `None`: the last change has not been told to anybody yet.
    pub last_sent_at: Option<Timestamp>,
    /// The line last told, so that a cleared alert can be named when its cause has gone.
    pub title: String,
}

/// Why somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// New, or worse than before.
    Raised,
    /// Better than before but not over.
    Eased,
    /// As bad as before, for longer than the reminder interval.
    Reminder,
    /// Over.
    Cleared,
}

/// When people may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telling {
    /// How long after the last notice of a lasting alert it is told again.
    pub reminder: Duration,
    /// Nobody is told now; what changes meanwhile is told once this is over.
    pub quiet: bool,
    /// The most notices at one time, so that one cause with many effects is no flood of mails;
    /// the worst come first and the others at the next time.
    pub notices_max: usize,
}

/// What follows from one finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertStep {
    /// The new state.
    pub state: AlertState,
    /// The finding behind it.
    pub finding: Finding,
    /// How the level changed, whether anybody is told or not; for other programs.
    pub change: Option<Notice>,
    /// Whether and why people are told.
    pub notice: Option<Notice>,
    /// Whether the state differs from what is remembered and is to be written.
    pub is_new: bool,
}

/// Compares findings with what is remembered.
///
/// A key without a remembered state starts as [`Level::Ok`]. Every change is told exactly once;
/// changes that fall into a quiet time or over the cap are remembered as untold, and the newest
/// level is told later.
#[must_use]
pub fn judge(
    known: &[AlertState],
    findings: Vec<Finding>,
    now: Timestamp,
    telling: Telling,
) -> Vec<AlertStep> {
    let mut steps: Vec<_> = findings
        .into_iter()
        .map(|finding| judge_one(known, finding, now, telling))
        .collect();
    // A stable sort: among equals the caller's order stays.
    steps.sort_by_key(|step| std::cmp::Reverse(step.finding.level));
    let told = steps.iter_mut().filter(|step| step.notice.is_some());
    for step in told.skip(telling.notices_max) {
        withhold(known, step);
    }
    steps
}

fn judge_one(
    known: &[AlertState],
    finding: Finding,
    now: Timestamp,
    telling: Telling,
) -> AlertStep {
    let before = known.iter().find(|state| state.key == finding.key);
    let old_level = before.map_or(Level::Ok, |state| state.level);
    let change = match (old_level, finding.level) {
        (old, new) if new > old => Some(Notice::Raised),
        (old, Level::Ok) if old > Level::Ok => Some(Notice::Cleared),
        (old, new) if new < old => Some(Notice::Eased),
        _ => None,
    };
    let overdue = before.and_then(|state| overdue(state, now, telling.reminder));
    let notice = change.or(overdue);
    let since = before
        .filter(|state| state.level == finding.level)
        .map_or(now, |state| state.since);
    let state = AlertState {
        key: finding.key.clone(),
        level: finding.level,
        since,
        last_sent_at: match notice {
            Some(_) => Some(now),
            None => before.and_then(|state| state.last_sent_at),
        },
        title: finding.title.clone(),
    };
    let mut step = AlertStep {
        state,
        finding,
        change,
        notice,
        is_new: notice.is_some(),
    };
    if telling.quiet {
        withhold(known, &mut step);
    }
    step
}

/// What is still to be told of a state that does not change.
fn overdue(state: &AlertState, now: Timestamp, reminder: Duration) -> Option<Notice> {
    match (state.last_sent_at, state.level) {
        (None, Level::Ok) => Some(Notice::Cleared),
        (None, _) => Some(Notice::Raised),
        (Some(sent), level) => {
            (level > Level::Ok && sent + reminder <= now).then_some(Notice::Reminder)
        }
    }
}

/// Tells nobody now: a change is remembered as untold, anything else stays as it was.
fn withhold(known: &[AlertState], step: &mut AlertStep) {
    let before = known.iter().find(|state| state.key == step.state.key);
    step.notice = None;
    step.is_new = step.change.is_some();
    step.state.last_sent_at = match step.change {
        Some(_) => None,
        None => before.and_then(|state| state.last_sent_at),
    };
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    const ALOUD: Telling = Telling {
        reminder: Duration::from_secs(100),
        quiet: false,
        notices_max: 10,
    };
    const QUIET: Telling = Telling {
        quiet: true,
        ..ALOUD
    };

    fn at(secs: i64) -> Timestamp {
        chrono::Utc.timestamp_opt(1_800_000_000 + secs, 0).unwrap()
    }

    fn finding(level: Level) -> Finding {
        Finding {
            key: "disk:/".to_owned(),
            level,
            title: "t".to_owned(),
            text: String::new(),
        }
    }

    proptest! {
        /// The notices of one key alternate as people expect: never two raises of the same level in a
        /// row, never a reminder before its time, never a clear of what was not raised.
        #[test]
        fn notices_follow_the_levels(levels in prop::collection::vec(0u8..3, 1..50), step in 1i64..60) {
            let mut known: Vec<AlertState> = Vec::new();
            let mut told: Option<(Level, i64)> = None;
            for (i, level) in levels.into_iter().enumerate() {
                let level = [Level::Ok, Level::Warning, Level::Critical][usize::from(level)];
                let now = i64::try_from(i).unwrap() * step;
                let result = judge(&known, vec![finding(level)], at(now), ALOUD).remove(0);
                prop_assert_eq!(result.is_new, result.notice.is_some());
                match result.notice {
                    None => prop_assert!(told.map_or(level == Level::Ok, |(l, t)| l == level
                        && (level == Level::Ok || now - t < 100))),
                    Some(Notice::Reminder) => prop_assert!(told.is_some_and(|(l, t)| l == level && now - t >= 100)),
                    Some(Notice::Cleared) => prop_assert!(told.is_some_and(|(l, _)| l != Level::Ok) && level == Level::Ok),
                    Some(Notice::Raised) => prop_assert!(told.is_none_or(|(l, _)| l < level)),
                    Some(Notice::Eased) => prop_assert!(told.is_some_and(|(l, _)| l > level) && level != Level::Ok),
                }
                if result.notice.is_some() {
                    told = Some((level, now));
                }
                if result.is_new {
                    known = vec![result.state];
                }
            }
        }
    }

    /// Goes through levels quietly and answers what is told when the quiet time is over.
    fn told_after(levels: &[Level]) -> (Vec<Option<Notice>>, Option<Notice>) {
        let mut known: Vec<AlertState> = Vec::new();
        let mut changes = Vec::new();
        for level in levels {
            let step = judge(&known, vec![finding(*level)], at(0), QUIET).remove(0);
            assert_eq!(step.notice, None);
            changes.push(step.change);
            if step.is_new {
                known = vec![step.state];
            }
        }
        let last = finding(*levels.last().unwrap());
        let step = judge(&known, vec![last.clone()], at(1), ALOUD).remove(0);
        assert_eq!(step.change, None, "a change is published once");
        if step.is_new {
            known = vec![step.state];
        }
        let again = judge(&known, vec![last], at(2), ALOUD).remove(0);
        assert_eq!((again.notice, again.is_new), (None, false), "told once");
        (changes, step.notice)
    }

    #[test]
    fn what_changes_in_quiet_hours_is_told_after_them() {
        use Level::{Critical, Ok, Warning};
        let raised = Some(Notice::Raised);
        let cleared = Some(Notice::Cleared);
        assert_eq!(told_after(&[Warning]), (vec![raised], raised));
        assert_eq!(
            told_after(&[Warning, Critical]),
            (vec![raised, raised], raised)
        );
        assert_eq!(told_after(&[Warning, Ok]), (vec![raised, cleared], cleared));
        assert_eq!(told_after(&[Ok]), (vec![None], None));
    }

    #[test]
    fn a_storm_is_told_in_parts_and_the_worst_first() {
        let key = |i: usize, level| Finding {
            key: format!("disk:{i}"),
            ..finding(level)
        };
        let storm: Vec<_> = (0..25)
            .map(|i| {
                key(
                    i,
                    if i % 2 == 0 {
                        Level::Warning
                    } else {
                        Level::Critical
                    },
                )
            })
            .collect();
        let mut known = Vec::new();
        let mut told = Vec::new();
        for round in 0..4 {
            let steps = judge(&known, storm.clone(), at(round), ALOUD);
            assert_eq!(steps.iter().any(|step| step.change.is_some()), round == 0);
            told.push(steps.iter().filter(|step| step.notice.is_some()).count());
            let worst = steps[0].finding.level;
            assert_eq!(worst, Level::Critical);
            for step in steps.into_iter().filter(|step| step.is_new) {
                known.retain(|state: &AlertState| state.key != step.state.key);
                known.push(step.state);
            }
        }
        assert_eq!(told, [10, 10, 5, 0]);
    }
}
