//! The streams and the consumer: how they are made, and whether those that are there will do.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Config as ConsumerConfig, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use super::NatsSettings;

/// Where other components publish events; what follows is theirs to choose.
pub const EVENTS_SUBJECT: &str = "robotd.events.>";
/// Where changes are published.
pub const CHANGES_SUBJECT: &str = "robotd.changes.>";
/// Where events end that cannot be accepted.
pub const DEAD_SUBJECT: &str = "robotd.dead.>";

/// How long a stream that was made here knows an id again.
pub const DUPLICATE_WINDOW: Duration = Duration::from_mins(10);
/// Largest message of the stream of events: an event has 64 KiB, and base64 and headers make it longer on the way.
const EVENT_MESSAGE_BYTES_MAX: i32 = 128 * 1024;
/// How long changes are kept for readers.
const CHANGES_AGE_MAX: Duration = Duration::from_hours(7 * 24);
/// How long dead letters are kept for somebody to look at them.
const DEAD_AGE_MAX: Duration = Duration::from_hours(30 * 24);
/// Dead letters are few; the oldest make room.
const DEAD_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// The stream of events: what was acknowledged is gone, and a full one refuses its publishers, who then know.
pub(super) fn events(settings: &NatsSettings) -> Config {
    Config {
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        max_bytes: settings.stream_bytes_max,
        max_message_size: EVENT_MESSAGE_BYTES_MAX,
        ..bounded(&settings.events_stream, EVENTS_SUBJECT)
    }
}

/// The stream of changes: its oldest make room for new ones.
pub(super) fn changes(settings: &NatsSettings) -> Config {
    Config {
        max_bytes: settings.stream_bytes_max,
        max_age: CHANGES_AGE_MAX,
        ..bounded(&settings.changes_stream, CHANGES_SUBJECT)
    }
}

/// The stream of dead letters.
pub(super) fn dead(settings: &NatsSettings) -> Config {
    Config {
        max_bytes: DEAD_BYTES_MAX.min(settings.stream_bytes_max),
        max_age: DEAD_AGE_MAX,
        ..bounded(&settings.dead_stream, DEAD_SUBJECT)
    }
}

fn bounded(name: &str, subject: &str) -> Config {
    Config {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        storage: StorageType::File,
        num_replicas: 1,
        duplicate_window: DUPLICATE_WINDOW,
        description: Some("made by robotd".to_owned()),
        ..Config::default()
    }
}

/// The consumer of events.
pub(super) fn consumer(settings: &NatsSettings) -> pull::Config {
    pull::Config {
        durable_name: Some(settings.consumer.clone()),
        description: Some("made by robotd".to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: settings.ack_wait,
        filter_subject: EVENTS_SUBJECT.to_owned(),
        max_ack_pending: settings.in_flight_max.into(),
        // For ever: what cannot be accepted is put aside here, with the reason, and never by the server in silence.
        max_deliver: -1,
        ..pull::Config::default()
    }
}

/// Why a stream that is there cannot be used, as text that reads after its name.
pub(super) fn unfit_stream(found: &Config, subject: &str) -> Option<String> {
    if found.sealed {
        return Some("is sealed: nothing can be published to it".to_owned());
    }
    if found.no_ack {
        return Some("does not acknowledge what is published (`no_ack`)".to_owned());
    }
    let covered = found.subjects.iter().any(|taken| covers(taken, subject));
    (!covered).then(|| format!("does not take `{subject}`: add it to its subjects"))
}

/// Why a consumer that is there cannot be used, as text that reads after its name.
pub(super) fn unfit_consumer(found: &ConsumerConfig) -> Option<String> {
    if found.ack_policy != AckPolicy::Explicit {
        return Some("does not wait for each message's acknowledgement (`ack_policy`)".to_owned());
    }
    if found.max_deliver > 0 {
        return Some(
            "gives messages up by itself (`max_deliver`): they would be lost while the database is away"
                .to_owned(),
        );
    }
    let filtered = found.filter_subject.as_str();
    (!filtered.is_empty() && !covers(filtered, EVENTS_SUBJECT))
        .then(|| format!("has another filter than `{EVENTS_SUBJECT}`"))
}

/// Whether `pattern` takes every subject that `wanted` takes.
fn covers(pattern: &str, wanted: &str) -> bool {
    let mut wanted = wanted.split('.');
    for token in pattern.split('.') {
        match (token, wanted.next()) {
            (">", Some(_)) => return true,
            ("*", Some(other)) if other != ">" => {}
            (same, Some(other)) if same == other => {}
            _ => return false,
        }
    }
    wanted.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_it_takes_whole() {
        for (pattern, covered) in [
            ("robotd.events.>", true),
            ("robotd.>", true),
            (">", true),
            ("*.events.>", true),
            ("robotd.*.>", true),
            ("robotd.events.*", false),
            ("robotd.events.orders.>", false),
            ("robotd.events", false),
            ("robotd.changes.>", false),
            ("orders.>", false),
        ] {
            assert_eq!(covers(pattern, EVENTS_SUBJECT), covered, "{pattern}");
        }
    }

    #[test]
    fn what_is_there_is_looked_at() {
        let fit = bounded("S", "robotd.>");
        assert_eq!(unfit_stream(&fit, EVENTS_SUBJECT), None);
        for unfit in [
            bounded("S", "orders.>"),
            Config {
                sealed: true,
                ..fit.clone()
            },
            Config {
                no_ack: true,
                ..fit
            },
        ] {
            assert!(unfit_stream(&unfit, EVENTS_SUBJECT).is_some(), "{unfit:?}");
        }
        let fit = ConsumerConfig {
            ack_policy: AckPolicy::Explicit,
            max_deliver: -1,
            ..ConsumerConfig::default()
        };
        assert_eq!(unfit_consumer(&fit), None);
        for unfit in [
            ConsumerConfig {
                ack_policy: AckPolicy::None,
                ..fit.clone()
            },
            ConsumerConfig {
                max_deliver: 5,
                ..fit.clone()
            },
            ConsumerConfig {
                filter_subject: "robotd.events.orders.>".to_owned(),
                ..fit
            },
        ] {
            assert!(unfit_consumer(&unfit).is_some(), "{unfit:?}");
        }
    }
}
