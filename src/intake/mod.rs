//! Events on their way in: checked, routed to the robots they wake, and made durable.
//!
//! The same way for HTTP and for the broker. Nothing here calls the runtime: the store's signal wakes
//! whoever runs the tasks, and a poll covers a lost signal.

pub mod nats;

use thiserror::Error;

use crate::clock::Clock;
use crate::domain::event::{BATCH_EVENTS_MAX, CloudEvent, EVENT_BYTES_MAX};
use crate::domain::robot::FieldError;
use crate::domain::time::Timestamp;
use crate::robot::registry::Registry;
use crate::store::event::Appended;
use crate::store::{Store, StoreError};

/// Why events were not accepted; none of the batch was.
#[derive(Debug, Error)]
pub enum IntakeError {
    /// The batch is empty or too large.
    #[error("a batch holds 1 to {max} events")]
    Count {
        /// The most events of one batch.
        max: usize,
    },
    /// Events that cannot be accepted, by their position.
    #[error("{} fields of the events are not acceptable", .0.len())]
    Invalid(Vec<(usize, FieldError)>),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Accepts events, all or none; they and the tasks they make are on disk when this returns.
///
/// An event without `time` gets the time of its arrival, so that its tasks can tell when it happened.
///
/// # Errors
/// See [`IntakeError`].
pub async fn accept(
    store: &Store,
    registry: &Registry,
    clock: &dyn Clock,
    events: Vec<CloudEvent>,
) -> Result<Appended, IntakeError> {
    let now = clock.now();
    let events = checked(events, now)?;
    let routed = events
        .into_iter()
        .map(|event| registry.route(event))
        .collect();
    Ok(store.event_append(routed, now).await?)
}

/// The events as they are kept, or everything that is wrong with them.
fn checked(mut events: Vec<CloudEvent>, now: Timestamp) -> Result<Vec<CloudEvent>, IntakeError> {
    if events.is_empty() || events.len() > BATCH_EVENTS_MAX {
        return Err(IntakeError::Count {
            max: BATCH_EVENTS_MAX,
        });
    }
    let of_one = |(index, event): (usize, &CloudEvent)| {
        let problems = problems(event).into_iter();
        problems.map(move |problem| (index, problem))
    };
    let errors: Vec<_> = events.iter().enumerate().flat_map(of_one).collect();
    if !errors.is_empty() {
        return Err(IntakeError::Invalid(errors));
    }
    for event in &mut events {
        event.time.get_or_insert(now);
    }
    Ok(events)
}

/// Everything that keeps an event from being accepted.
fn problems(event: &CloudEvent) -> Vec<FieldError> {
    let mut problems = event.problems();
    problems.extend(too_large(event));
    problems
}

fn too_large(event: &CloudEvent) -> Option<FieldError> {
    let bytes = serde_json::to_vec(event).map_or(usize::MAX, |text| text.len());
    let detail = format!(
        "the event may have {} KiB; send a reference to what is larger",
        EVENT_BYTES_MAX / 1024
    );
    (bytes > EVENT_BYTES_MAX).then(|| FieldError::new("data", detail))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::time::from_micros;

    fn event(id: &str, data: Value) -> CloudEvent {
        CloudEvent::own("test", id, "storage.low", None, data)
    }

    #[test]
    fn each_bad_event_of_a_batch_is_named_by_its_position() {
        let batch = vec![
            event("1", Value::Null),
            event("", Value::Null),
            event("3", json!("x".repeat(70_000))),
        ];
        let Err(IntakeError::Invalid(errors)) = checked(batch, from_micros(0)) else {
            panic!("a bad batch was accepted");
        };
        let places: Vec<_> = errors
            .iter()
            .map(|(index, error)| (*index, error.field.as_str()))
            .collect();
        assert_eq!(places, [(1, "id"), (2, "data")]);
    }

    #[test]
    fn a_batch_has_its_bounds() {
        let many = |count| vec![event("1", Value::Null); count];
        for count in [0, BATCH_EVENTS_MAX + 1] {
            assert!(
                matches!(
                    checked(many(count), from_micros(0)),
                    Err(IntakeError::Count { .. })
                ),
                "{count}"
            );
        }
        assert!(checked(many(BATCH_EVENTS_MAX), from_micros(0)).is_ok());
    }

    #[test]
    fn an_event_without_a_time_gets_that_of_its_arrival() {
        let mut known = event("1", Value::Null);
        known.time = Some(from_micros(5));
        let kept = checked(vec![known, event("2", Value::Null)], from_micros(7)).unwrap();
        let times: Vec<_> = kept.iter().filter_map(|event| event.time).collect();
        assert_eq!(times, [from_micros(5), from_micros(7)]);
    }
}
