//! A robot as JSON (design page, "A robot as JSON").

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::error::ApiError;
use super::schema;
use super::state::ApiState;
use crate::domain::category::Category;
use crate::domain::id::{ProcessId, RobotId};
use crate::domain::iso_duration;
use crate::domain::retry::RetryPolicy;
use crate::domain::robot::{RobotStatus, Sharding};
use crate::domain::schedule::Schedule;
use crate::domain::task::ProcessOutcome;
use crate::domain::tick::{CatchUp, Overlap};
use crate::domain::time::Timestamp;
use crate::domain::window::Window;
use crate::robot::registry::Entry;
use crate::store::process::LastProcess;

/// A robot: configuration in force and live state.
#[derive(Debug, Serialize, ToSchema)]
pub struct RobotView {
    /// `category.robot`.
    pub name: String,
    /// The heading people see.
    pub title: String,
    /// Its group.
    #[schema(value_type = String)]
    pub category: Category,
    /// What it does, in one sentence.
    pub summary: String,
    /// Whether it runs at all.
    pub enabled: bool,
    /// Instances at once in the whole cluster; 0 pauses.
    pub instances: u32,
    /// The most instances that make sense.
    pub instances_max: u32,
    /// How instances are spread.
    #[schema(value_type = schema::ShardingSchema)]
    pub sharding: Sharding,
    /// When it wakes by itself.
    #[schema(value_type = Option<schema::ScheduleSchema>)]
    pub schedule: Option<Schedule>,
    /// When it may run; null: always.
    #[schema(value_type = Option<schema::WindowSchema>)]
    pub window: Option<Window>,
    /// Its execution range, where it has one.
    #[schema(value_type = Value)]
    pub range: Option<Value>,
    /// Event types that wake it.
    pub events: Vec<String>,
    /// Time limit of one run, ISO 8601.
    #[serde(with = "iso_duration::serde_iso")]
    #[schema(value_type = String)]
    pub timeout: std::time::Duration,
    /// What follows a failed run.
    #[schema(value_type = schema::RetrySchema)]
    pub retry: RetryPolicy,
    /// What a tick does while a run is open.
    #[schema(value_type = schema::OverlapSchema)]
    pub overlap: Overlap,
    /// What becomes of missed ticks.
    #[schema(value_type = schema::CatchUpSchema)]
    pub catch_up: CatchUp,
    /// The robot's own settings.
    #[schema(value_type = Object)]
    pub settings: Value,
    /// Counts changes; the entity tag.
    pub revision: i64,
    /// How it stands.
    pub state: RobotStateView,
}

/// A changed robot.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedRobotView {
    /// The robot as it is now.
    #[serde(flatten)]
    pub robot: RobotView,
    /// What to be careful about.
    pub warning: String,
}

/// How a robot stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct RobotStateView {
    /// The one word.
    pub status: RobotStatus,
    /// Runs in execution on this node.
    pub running: u32,
    /// Queued tasks, exact up to 10,000.
    pub queued: u32,
    /// The next planned instant.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_tick_at: Option<Timestamp>,
    /// How its last run ended.
    pub last_process: Option<LastProcessView>,
    /// Worker restarts since the node started.
    pub restarts: u64,
}

/// How a robot's last run ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct LastProcessView {
    /// Which.
    #[schema(value_type = String)]
    pub id: ProcessId,
    /// What became of it.
    pub outcome: ProcessOutcome,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub finished_at: Timestamp,
    /// Its error, for people.
    pub error: Option<String>,
}

/// The last runs of all robots.
pub(super) type LastRuns = HashMap<RobotId, LastProcess>;

/// Reads the last runs of all robots.
pub(super) async fn last_runs(state: &ApiState) -> Result<LastRuns, ApiError> {
    Ok(state.store.process_last().await?.into_iter().collect())
}

/// `entry` as JSON.
pub(super) fn view(state: &ApiState, entry: &Entry, last: &LastRuns) -> RobotView {
    let identity = &entry.definition.identity;
    let config = entry.config.as_ref();
    RobotView {
        name: identity.name.clone(),
        title: identity.title.clone(),
        category: identity.category,
        summary: identity.summary.clone(),
        enabled: config.enabled,
        instances: config.instances,
        instances_max: identity.instances_max,
        sharding: identity.sharding,
        schedule: config.schedule.clone(),
        window: config.window.clone(),
        range: config.range.clone(),
        events: identity.events.clone(),
        timeout: config.timeout,
        retry: config.retry,
        overlap: config.overlap,
        catch_up: config.catch_up,
        settings: config.settings.clone(),
        revision: entry.revision,
        state: state_view(state, entry, last),
    }
}

fn state_view(state: &ApiState, entry: &Entry, last: &LastRuns) -> RobotStateView {
    let standing = state.handle.robot_state(entry);
    RobotStateView {
        status: standing.status,
        running: standing.running,
        queued: standing.queued,
        next_tick_at: standing.next_tick_at,
        last_process: last.get(&entry.id).map(|run| LastProcessView {
            id: run.id,
            outcome: run.outcome,
            finished_at: run.finished_at,
            error: run.error.clone(),
        }),
        restarts: standing.restarts,
    }
}
