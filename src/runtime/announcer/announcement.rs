//! What is said of changes, and in which order.

use std::collections::HashMap;

use serde_json::json;

use crate::connect::nats::Outgoing;
use crate::domain::event::CloudEvent;
use crate::domain::id::RobotId;
use crate::store::outbox::{Change, OutboxLease, Waiting};

/// What the subjects begin with.
const SUBJECT: &str = "robotd.changes.";

/// The message for a change; `None` where there is nothing left to tell. `name` knows the robots.
pub(super) fn message(
    lease: OutboxLease,
    waiting: &Waiting,
    name: impl Fn(RobotId) -> Option<String>,
) -> Option<Outgoing> {
    let name = |robot: RobotId| name(robot).unwrap_or_else(|| format!("removed.{robot}"));
    let mut id = format!("{}-{}", lease.epoch, waiting.id);
    let (subject, kind, about, data) = match &waiting.change {
        Change::Task { id, robot, status } => {
            let robot = name(*robot);
            let data = json!({"id": id, "robot": robot, "status": status});
            (
                format!("task.{robot}.{status}"),
                "task.changed",
                id.to_string(),
                data,
            )
        }
        Change::Process { id, robot, outcome } => {
            let robot = name(*robot);
            let data = json!({"id": id, "robot": robot, "outcome": outcome});
            (
                format!("process.{robot}.{outcome}"),
                "process.changed",
                id.to_string(),
                data,
            )
        }
        Change::Robot(robot) => {
            let robot = name(*robot);
            (
                format!("robot.{robot}"),
                "robot.changed",
                robot.clone(),
                json!({"robot": robot}),
            )
        }
        Change::Event { event, .. } => {
            let event = event.as_deref()?;
            return outgoing(format!("event.{}", tokens(&event.kind)), id, event);
        }
        Change::Lagged(missed) => {
            // Its number was that of a change, which may have been published.
            id.push_str("-lagged");
            let data = json!({"missed": missed});
            ("lagged".to_owned(), "changes.lagged", String::new(), data)
        }
    };
    let about = Some(about).filter(|about| !about.is_empty());
    let mut event = CloudEvent::own("changes", id.clone(), kind, about, data);
    event.time = Some(waiting.at);
    outgoing(subject, id, &event)
}

fn outgoing(subject: String, id: String, event: &CloudEvent) -> Option<Outgoing> {
    let media = "application/cloudevents+json".to_owned();
    Some(Outgoing {
        subject: format!("{SUBJECT}{subject}"),
        id,
        headers: vec![("Content-Type".to_owned(), media)],
        payload: serde_json::to_vec(event).ok()?,
    })
}

/// An event's type as the end of a subject: what means something there is replaced.
fn tokens(kind: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_graphic() && !"*>".contains(c) {
            c
        } else {
            '_'
        }
    };
    let token = |token: &str| match token {
        "" => "_".to_owned(),
        token => token.chars().map(plain).collect(),
    };
    kind.split('.').map(token).collect::<Vec<_>>().join(".")
}

/// Parts a batch so that each wave has at most one change of a thing, and those of a thing are in the order of the
/// waves: a wave is published once the one before it is acknowledged, so that no lost message lets a later change of a
/// thing overtake an earlier one. What was given up stands between what was before it and what is after.
pub(super) fn waves(batch: Vec<Waiting>) -> Vec<Vec<Waiting>> {
    let mut waves: Vec<Vec<Waiting>> = Vec::new();
    let mut next: HashMap<(u8, i64), usize> = HashMap::new();
    let mut floor = 0;
    for waiting in batch {
        let wave = match thing(&waiting.change) {
            Some(thing) => {
                let wave = next.entry(thing).or_default();
                let own = floor.max(*wave);
                *wave = own + 1;
                own
            }
            None => {
                floor = waves.len() + 1;
                waves.len()
            }
        };
        if waves.len() <= wave {
            waves.resize_with(wave + 1, Vec::new);
        }
        if let Some(wave) = waves.get_mut(wave) {
            wave.push(waiting);
        }
    }
    waves
}

fn thing(change: &Change) -> Option<(u8, i64)> {
    match change {
        Change::Task { id, .. } => Some((0, id.0)),
        Change::Process { id, .. } => Some((1, id.0)),
        Change::Robot(id) => Some((2, id.0)),
        Change::Event { id, .. } => Some((3, id.0)),
        Change::Lagged(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::domain::id::{EventId, ProcessId, TaskId};
    use crate::domain::task::{ProcessOutcome, TaskStatus};
    use crate::domain::time::from_micros;

    const LEASE: OutboxLease = OutboxLease { epoch: 7 };

    fn waiting(id: i64, change: Change) -> Waiting {
        Waiting {
            id,
            at: from_micros(0),
            change,
        }
    }

    fn told(change: Change) -> Option<(String, String, Value)> {
        let name = |robot: RobotId| (robot.0 == 1).then(|| "custom.one".to_owned());
        let message = message(LEASE, &waiting(5, change), name)?;
        let event: Value = serde_json::from_slice(&message.payload).unwrap();
        Some((message.subject, message.id, event))
    }

    #[test]
    fn a_change_is_told_by_its_subject_its_id_and_its_data() {
        let task = Change::Task {
            id: TaskId(3),
            robot: RobotId(1),
            status: TaskStatus::Running,
        };
        let (subject, id, event) = told(task).unwrap();
        assert_eq!(subject, "robotd.changes.task.custom.one.running");
        assert_eq!(id, "7-5");
        assert_eq!(
            event,
            json!({"specversion": "1.0", "id": "7-5", "source": "/robotd/changes", "type": "task.changed",
                "subject": "3", "time": "1970-01-01T00:00:00Z",
                "data": {"id": "3", "robot": "custom.one", "status": "running"}})
        );
        let process = Change::Process {
            id: ProcessId(4),
            robot: RobotId(2),
            outcome: ProcessOutcome::TimedOut,
        };
        assert_eq!(
            told(process).unwrap().0,
            "robotd.changes.process.removed.2.timed_out"
        );
        assert_eq!(
            told(Change::Robot(RobotId(1))).unwrap().0,
            "robotd.changes.robot.custom.one"
        );
        let (subject, id, event) = told(Change::Lagged(9)).unwrap();
        assert_eq!(
            (subject.as_str(), id.as_str()),
            ("robotd.changes.lagged", "7-5-lagged")
        );
        assert_eq!(event["data"], json!({"missed": 9}));
    }

    #[test]
    fn an_event_is_told_as_it_is_unless_it_is_gone() {
        let own = CloudEvent::own("x", "1", "a..b *.>c", None, Value::Null);
        let event = Change::Event {
            id: EventId(1),
            event: Some(Box::new(own.clone())),
        };
        let (subject, id, event) = told(event).unwrap();
        assert_eq!(
            (subject.as_str(), id.as_str()),
            ("robotd.changes.event.a._.b__._c", "7-5")
        );
        assert_eq!(event, serde_json::to_value(own).unwrap());
        let gone = Change::Event {
            id: EventId(1),
            event: None,
        };
        assert_eq!(told(gone), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn waves_keep_the_order_of_each_thing(things in prop::collection::vec(0..6_i64, 0..40)) {
            let change = |thing| match thing {
                0 => Change::Lagged(1),
                thing => Change::Task { id: TaskId(thing), robot: RobotId(1), status: TaskStatus::Queued },
            };
            let batch: Vec<_> = (1..).zip(&things).map(|(id, thing)| waiting(id, change(*thing))).collect();
            let waves = waves(batch);
            let mut seen = 0;
            let mut last: HashMap<i64, i64> = HashMap::new();
            let mut marks = Vec::new();
            for wave in &waves {
                prop_assert!(!wave.is_empty());
                let mut here = std::collections::HashSet::new();
                for waiting in wave {
                    seen += 1;
                    match thing(&waiting.change) {
                        Some((_, thing)) => {
                            prop_assert!(here.insert(thing), "one change of a thing in a wave");
                            let before = last.insert(thing, waiting.id);
                            prop_assert!(before < Some(waiting.id));
                            prop_assert!(marks.iter().all(|mark| *mark < waiting.id), "nothing from before a mark after it");
                        }
                        None => {
                            prop_assert_eq!(wave.len(), 1);
                            marks.push(waiting.id);
                        }
                    }
                }
            }
            prop_assert_eq!(seen, things.len());
        }
    }
}
