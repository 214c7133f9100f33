//! From a request to the first instruction of the robot it wakes, on a node that is otherwise idle.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::client::Client;
use super::figure::Sample;
use super::node::Node;
use super::queue::id_of;
use super::robots::{Crowd, STAMP, STAMP_COUNTER, STAMP_EVENT};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::id::RobotId;
use crate::domain::time::to_micros;
use crate::store::Store;
use crate::store::page::{PAGE_ROWS_MAX, PageRequest};
use crate::store::process::ProcessFilter;
use crate::trial::place::Place;

/// Media type of an event.
const EVENT: &str = "application/cloudevents+json";
/// Time between requests.
const EVERY: Duration = Duration::from_millis(20);
/// Requests before the first that counts.
const WARM_UP: u32 = 10;
/// How long the last run may take to be recorded.
const RECORDED_MAX: Duration = Duration::from_secs(10);

/// `count` tasks, then `count` events, one every 20 ms. Sender and robot read the same clock of the same machine.
pub(super) async fn measure(place: &Place, count: u32) -> anyhow::Result<Vec<Sample>> {
    let node = Node::with_robots(place, Crowd::default()).await?;
    let store = place.store().await?;
    let robot = id_of(&store, STAMP).await?;
    let mut client = Client::connect(&node).await?;
    let mut samples = Vec::new();
    let mut seen = 0;
    for by_event in [false, true] {
        let mut pace = interval(EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0..WARM_UP + count {
            pace.tick().await;
            if by_event {
                client.send_event(&event(number)).await?;
            } else {
                client.post("/tasks", task()).await?;
            }
        }
        seen += WARM_UP + count;
        let times = reached(&store, robot, seen).await?;
        let own = times.into_iter().take(usize::try_from(count)?).collect();
        let what = if by_event { "event" } else { "task" };
        samples.push(Sample {
            workload: format!("{what} to start"),
            database: place.database(),
            count: u64::from(count),
            times: own,
            ..Sample::default()
        });
    }
    node.stop().await?;
    Ok(samples)
}

impl Client {
    async fn send_event(&mut self, event: &str) -> anyhow::Result<()> {
        self.send("POST", "/events", EVENT, event).await.map(drop)
    }
}

fn task() -> String {
    let sent = to_micros(SystemClock.now());
    format!(r#"{{"robot":"{STAMP}","payload":{{"sent_at_micros":{sent}}}}}"#)
}

fn event(number: u32) -> String {
    let now = SystemClock.now();
    let sent = to_micros(now);
    let at = now.to_rfc3339();
    format!(
        r#"{{"specversion":"1.0","id":"{number}","source":"bench","type":"{STAMP_EVENT}","time":"{at}","data":{{"sent_at_micros":{sent}}}}}"#
    )
}

/// How long it took to reach the robot, newest first, once `runs` of it are recorded.
async fn reached(store: &Store, robot: RobotId, runs: u32) -> anyhow::Result<Vec<Duration>> {
    let deadline = Instant::now() + RECORDED_MAX;
    while store.bench_succeeded(robot).await? < u64::from(runs) {
        anyhow::ensure!(Instant::now() < deadline, "not every run was recorded");
        sleep(EVERY).await;
    }
    let mut times = Vec::new();
    let mut after = None;
    loop {
        let filter = ProcessFilter {
            robots: Vec::from([robot]),
            ..ProcessFilter::default()
        };
        let limit = PAGE_ROWS_MAX;
        let page = store
            .process_list(filter, PageRequest { limit, after })
            .await?;
        for process in page.items {
            let micros = process
                .counters
                .get(STAMP_COUNTER)
                .and_then(serde_json::Value::as_u64);
            times.push(Duration::from_micros(
                micros.context("a run counted nothing")?,
            ));
        }
        after = page.next;
        if after.is_none() {
            return Ok(times);
        }
    }
}
