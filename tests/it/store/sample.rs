//! Measured series.

use robotd::domain::id::NodeId;
use robotd::domain::time::{Timestamp, from_micros};
use robotd::store::Store;
use robotd::store::sample::{Resolution, Sample};

use crate::support::database::{Database, on_both};

on_both!(
    a_sample_is_written_once,
    the_newest_of_each_pair_is_found,
    rolling_up_keeps_the_averages
);

/// 2027-01-15, 08:00 UTC: the start of an hour.
const START: i64 = 1_800_000_000_000_000;
const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;

fn at(micros: i64) -> Timestamp {
    from_micros(START + micros)
}

fn sample(series: &str, node_name: &str, micros: i64, value: f64) -> Sample {
    Sample {
        series: series.to_owned(),
        node: NodeId(1),
        node_name: node_name.to_owned(),
        at: at(micros),
        value,
    }
}

async fn values(store: &Store, resolution: Resolution) -> Vec<(Timestamp, f64)> {
    store
        .sample_read("cpu", "n", from_micros(0), resolution)
        .await
        .unwrap()
}

async fn a_sample_is_written_once(database: &Database) {
    let store = &database.store;
    store
        .sample_append(vec![sample("cpu", "n", 0, 0.5), sample("cpu", "n", 0, 0.7)])
        .await
        .unwrap();
    store
        .sample_append(vec![
            sample("cpu", "n", 0, 0.9),
            sample("cpu", "n", 1, 0.25),
        ])
        .await
        .unwrap();
    store
        .sample_append(vec![
            sample("cpu", "n", 2, f64::NAN),
            sample("cpu", "n", 3, f64::INFINITY),
        ])
        .await
        .unwrap();
    store.sample_append(Vec::new()).await.unwrap();
    assert_eq!(
        values(store, Resolution::Raw).await,
        [(at(0), 0.5), (at(1), 0.25)]
    );
    assert_eq!(
        store
            .sample_read("cpu", "n", at(1), Resolution::Raw)
            .await
            .unwrap(),
        [(at(1), 0.25)]
    );
    assert!(
        store
            .sample_read("cpu", "other", at(0), Resolution::Raw)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn the_newest_of_each_pair_is_found(database: &Database) {
    let store = &database.store;
    let mut samples = Vec::new();
    for (series, node) in [
        ("disk:/", "a"),
        ("disk:/", "b"),
        ("disk:/var", "a"),
        ("cpu", "a"),
        ("disks", "a"),
        ("é", "a"),
    ] {
        samples.extend(
            (0..3).map(|turn| sample(series, node, turn, f64::from(i32::try_from(turn).unwrap()))),
        );
    }
    store.sample_append(samples).await.unwrap();
    let newest = async |prefix: &str| {
        let found = store.sample_latest(prefix).await.unwrap();
        found
            .into_iter()
            .map(|s| (s.series, s.node_name, s.at == at(2), s.value.to_string()))
            .collect::<Vec<_>>()
    };
    let row = |series: &str, node: &str| (series.to_owned(), node.to_owned(), true, "2".to_owned());
    assert_eq!(
        newest("disk:").await,
        [
            row("disk:/", "a"),
            row("disk:/", "b"),
            row("disk:/var", "a")
        ]
    );
    assert_eq!(newest("nothing").await, []);
    assert_eq!(newest("").await.len(), 6);
}

async fn rolling_up_keeps_the_averages(database: &Database) {
    let store = &database.store;
    fill_three_hours(store).await;
    roll_up_hours(store).await;
    roll_up_days(store).await;
}

/// Three samples in the first hour, one in the second, one in the third.
async fn fill_three_hours(store: &Store) {
    let raw = [
        (0, 1.0),
        (MINUTE, 2.0),
        (2 * MINUTE, 6.0),
        (HOUR, 10.0),
        (2 * HOUR, 50.0),
    ];
    store
        .sample_append(
            raw.map(|(micros, value)| sample("cpu", "n", micros, value))
                .to_vec(),
        )
        .await
        .unwrap();
}

async fn roll_up_hours(store: &Store) {
    let never = from_micros(0);
    // In pieces of two rows: the first hour comes in two of them.
    assert_eq!(
        store
            .sample_roll_up(at(2 * HOUR), never, never, 2)
            .await
            .unwrap(),
        2
    );
    assert_eq!(values(store, Resolution::Hour).await, [(at(0), 1.5)]);
    assert_eq!(
        store
            .sample_roll_up(at(2 * HOUR), never, never, 2)
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        store
            .sample_roll_up(at(2 * HOUR), never, never, 2)
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        values(store, Resolution::Hour).await,
        [(at(0), 3.0), (at(HOUR), 10.0)]
    );
    assert_eq!(values(store, Resolution::Raw).await, [(at(2 * HOUR), 50.0)]);
}

async fn roll_up_days(store: &Store) {
    let never = from_micros(0);
    // The day weighs the hours by their samples: (1 + 2 + 6 + 10) / 4; its start is midnight.
    assert_eq!(
        store
            .sample_roll_up(never, at(2 * HOUR), never, 100)
            .await
            .unwrap(),
        2
    );
    assert!(values(store, Resolution::Hour).await.is_empty());
    assert_eq!(
        values(store, Resolution::Day).await,
        [(at(-8 * HOUR), 4.75)]
    );
    // A straggler joins its day.
    store
        .sample_append(vec![sample("cpu", "n", 3 * MINUTE, 0.25)])
        .await
        .unwrap();
    assert_eq!(
        store
            .sample_roll_up(at(2 * HOUR), at(2 * HOUR), never, 100)
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        values(store, Resolution::Day).await,
        [(at(-8 * HOUR), 3.85)]
    );
    assert_eq!(
        store
            .sample_roll_up(never, never, at(0), 100)
            .await
            .unwrap(),
        1
    );
    assert!(values(store, Resolution::Day).await.is_empty());
}
