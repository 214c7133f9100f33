//! From an event's commit to the first instruction of the robot it wakes, on an idle node.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a benchmark says what went wrong by panicking"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use criterion::{Criterion, criterion_group, criterion_main};
use robotd::clock::{Clock as _, SystemClock};
use robotd::domain::event::CloudEvent;
use robotd::domain::robot::FieldError;
use robotd::robot::safe::Safe;
use robotd::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use robotd::runtime::{self, Runtime, RuntimeConfig};
use robotd::store::upkeep::Retention;
use robotd::store::{Store, StoreConfig};
use robotd::vault::MasterKey;
use tokio::sync::mpsc;

/// Pause between events, so that each meets an idle node.
const PAUSE: Duration = Duration::from_millis(5);

struct TellStart(mpsc::UnboundedSender<Instant>);

#[async_trait]
impl Robot for TellStart {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "custom.tell_start",
            title: "Tell start",
            summary: "Tells when it started",
            events: &["bench.event"],
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, _: &Context) -> Result<Outcome, RobotError> {
        self.0
            .send(Instant::now())
            .map_err(|error| RobotError::fail("closed", error))?;
        Ok(Outcome::done())
    }
}

async fn start(
    store: Store,
    started: mpsc::UnboundedSender<Instant>,
    folder: &std::path::Path,
) -> Runtime {
    let day = Duration::from_secs(86_400);
    let master = MasterKey::create(folder).unwrap();
    let safe = Safe::open(store.clone(), &master, SystemClock.now()).await;
    runtime::start(RuntimeConfig {
        safe: safe.unwrap(),
        store,
        clock: Arc::new(SystemClock),
        robots: vec![Arc::new(TellStart(started))],
        node_name: "bench".to_owned(),
        data_dir: folder.to_owned(),
        mail: None,
        broker: None,
        syslog: None,
        retention: Retention {
            tasks: day,
            events: day,
            ticks: day,
            views: day,
        },
        terms: runtime::Terms::default(),
        job_threads: 2,
    })
    .await
    .unwrap()
}

async fn event_to_start(config: StoreConfig, events: u64) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(config).await.unwrap();
    let (sender, mut started) = mpsc::unbounded_channel();
    let runtime = start(store.clone(), sender, folder.path()).await;
    let mut spent = Duration::ZERO;
    for number in 0..=events {
        tokio::time::sleep(PAUSE).await;
        let id = format!("{number}-{:?}", SystemClock.now());
        let event = CloudEvent::own("bench", id, "bench.event", None, serde_json::Value::Null);
        let event = runtime.handle().registry().route(event);
        let published = Instant::now();
        store
            .event_append(vec![event], SystemClock.now())
            .await
            .unwrap();
        let reached = started.recv().await.unwrap() - published;
        // The first one also waits for the worker to be made.
        spent += if number == 0 { Duration::ZERO } else { reached };
    }
    runtime.drain(Duration::from_secs(3)).await;
    runtime.stop();
    spent
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark takes its database from the environment"
)]
fn postgres() -> Option<String> {
    std::env::var("ROBOTD_BENCH_POSTGRES_URL").ok()
}

fn latency(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("event to start");
    group.sample_size(20);
    group.bench_function("sqlite", |bencher| {
        bencher.iter_custom(|events| {
            actix::System::new().block_on(async move {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("robotd.db");
                event_to_start(StoreConfig::Sqlite { path }, events).await
            })
        });
    });
    match postgres() {
        Some(url) => {
            group.bench_function("postgres", |bencher| {
                bencher.iter_custom(|events| {
                    let url = url.clone();
                    actix::System::new().block_on(event_to_start(
                        StoreConfig::Postgres {
                            url,
                            connections: 4,
                        },
                        events,
                    ))
                });
            });
        }
        None => eprintln!("ROBOTD_BENCH_POSTGRES_URL is not set: PostgreSQL is not measured"),
    }
    group.finish();
}

criterion_group!(benches, latency);
criterion_main!(benches);
