//! `/metrics`: OpenMetrics for the monitoring system.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use actix_web::{HttpResponse, web};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::broadcast::error::RecvError;

use super::auth::Scraper;
use super::error::ApiError;
use super::state::ApiState;
use crate::domain::task::ProcessOutcome;
use crate::runtime::handle::{HealthStatus, RobotHealth};
use crate::store::signal::Signal;
use crate::store::upkeep::Reachability;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of the request durations in seconds: from a cached read to a batch on a slow disk.
const DURATION_BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRobot {
    robot: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    robot: String,
    outcome: String,
}

/// `route` is the pattern of the path, never the path: labels must not grow with ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    method: String,
    route: String,
    status: u32,
}

type Gauges = Family<OfRobot, Gauge<i64, AtomicI64>>;
type Counters<L> = Family<L, Counter<u64, AtomicU64>>;

/// The figures of a node.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    wanted: Gauges,
    running: Gauges,
    queued: Gauges,
    zombies: Gauges,
    quarantined: Gauges,
    restarts: Counters<OfRobot>,
    processes: Counters<OfOutcome>,
    durations: Family<OfRequest, Histogram, fn() -> Histogram>,
    store_reachable: Gauge<i64, AtomicI64>,
    healthy: Gauge<i64, AtomicI64>,
    streams: Gauge<i64, AtomicI64>,
    seals_left: Gauge<i64, AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All figures at zero.
    #[must_use]
    pub fn new() -> Self {
        let durations: Family<OfRequest, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS));
        let mut metrics = Self {
            registry: Registry::with_prefix("robotd"),
            wanted: Gauges::default(),
            running: Gauges::default(),
            queued: Gauges::default(),
            zombies: Gauges::default(),
            quarantined: Gauges::default(),
            restarts: Counters::default(),
            processes: Counters::default(),
            durations,
            store_reachable: Gauge::default(),
            healthy: Gauge::default(),
            streams: Gauge::default(),
            seals_left: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let Self { registry, .. } = self;
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", build);
        registry.register(
            "robot_wanted",
            "Instances wanted on this node",
            self.wanted.clone(),
        );
        registry.register(
            "robot_running",
            "Runs in execution on this node",
            self.running.clone(),
        );
        registry.register(
            "robot_queued",
            "Queued tasks, exact up to 10,000",
            self.queued.clone(),
        );
        registry.register(
            "robot_zombies",
            "Runs that do not end although told to",
            self.zombies.clone(),
        );
        registry.register(
            "robot_quarantined",
            "1 while the robot is quarantined",
            self.quarantined.clone(),
        );
        registry.register(
            "robot_restarts",
            "Worker restarts since the start",
            self.restarts.clone(),
        );
        registry.register(
            "processes",
            "Ended runs by outcome, seen by this node",
            self.processes.clone(),
        );
        let help = "Time from the header of a request to the header of its answer";
        registry.register_with_unit(
            "http_request_duration",
            help,
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "store_reachable",
            "1 while the database answers",
            self.store_reachable.clone(),
        );
        registry.register(
            "healthy",
            "1 while the node is ok or degraded",
            self.healthy.clone(),
        );
        registry.register("streams", "Open event streams", self.streams.clone());
        registry.register(
            "vault_seals_left",
            "Secrets under older data keys that wait to be sealed anew, or are damaged",
            self.seals_left.clone(),
        );
    }

    /// Counts a request.
    pub(super) fn request(&self, method: &str, route: String, status: u16, took: Duration) {
        // A method is any word the caller likes; only known ones may become a label.
        let known = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"].contains(&method);
        let labels = OfRequest {
            method: if known { method } else { "other" }.to_owned(),
            route,
            status: u32::from(status),
        };
        self.durations
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    fn ended(&self, robot: String, outcome: ProcessOutcome) {
        self.processes
            .get_or_create(&OfOutcome {
                robot,
                outcome: outcome.to_string(),
            })
            .inc();
    }

    fn robot(&self, robot: &RobotHealth) {
        let labels = OfRobot {
            robot: robot.name.clone(),
        };
        self.wanted
            .get_or_create(&labels)
            .set(i64::from(robot.wanted));
        self.running
            .get_or_create(&labels)
            .set(i64::from(robot.running));
        self.queued
            .get_or_create(&labels)
            .set(i64::from(robot.queued));
        self.zombies
            .get_or_create(&labels)
            .set(i64::from(robot.zombies));
        self.quarantined
            .get_or_create(&labels)
            .set(i64::from(robot.quarantined));
        self.restarts
            .get_or_create(&labels)
            .inner()
            .store(robot.restarts, Ordering::Relaxed);
    }

    /// All figures as text.
    ///
    /// # Errors
    /// A defect of the encoder.
    fn text(&self, state: &ApiState) -> Result<String, ApiError> {
        let health = state.handle.health();
        for robot in &health.robots {
            self.robot(robot);
        }
        let reachable = state.store.reachability() == Reachability::Reachable;
        self.store_reachable.set(i64::from(reachable));
        self.healthy
            .set(i64::from(health.status != HealthStatus::Failing));
        let open = super::state::STREAMS_MAX.saturating_sub(state.streams.available_permits());
        self.streams.set(i64::try_from(open).unwrap_or(i64::MAX));
        let left = state.handle.seals_left();
        self.seals_left.set(i64::try_from(left).unwrap_or(i64::MAX));
        let mut text = String::new();
        text::encode(&mut text, &self.registry).map_err(ApiError::internal)?;
        Ok(text)
    }
}

/// Counts the ends of processes until the node ends. The application runs it once for each node.
///
/// A listener that falls behind misses signals; the count then grows too slowly and never wrongly.
pub async fn count_outcomes(state: ApiState) {
    let mut signals = state.store.changes();
    loop {
        let signal = tokio::select! {
            () = state.shutdown.cancelled() => return,
            signal = signals.recv() => signal,
        };
        match signal {
            Ok(Signal::Process { robot, outcome, .. }) if outcome != ProcessOutcome::Running => {
                if let Some(entry) = state.registry().by_id(robot) {
                    state.metrics.ended(entry.name().to_owned(), outcome);
                }
            }
            Ok(_) => {}
            Err(RecvError::Lagged(missed)) => log::debug!("the metrics missed {missed} signals"),
            Err(RecvError::Closed) => return,
        }
    }
}

/// The node's figures for the monitoring system.
#[utoipa::path(
    get, path = "/metrics", tag = "health", operation_id = "metrics",
    security((), ("bearer" = [])),
    responses((status = 200, description = "OpenMetrics 1.0", body = String, content_type = "application/openmetrics-text"))
)]
pub(super) async fn scrape(
    _: Scraper,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let text = state.metrics.text(&state)?;
    Ok(HttpResponse::Ok().content_type(OPEN_METRICS).body(text))
}
