//! How values of `domain` look in the API's description: they read themselves, so the description is
//! written here beside the bounds it repeats.
#![expect(dead_code, reason = "these types are only described, never made")]

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// When a robot wakes by itself: either `every`, or `cron` read in `timezone`.
#[derive(ToSchema)]
#[schema(example = json!({"cron": "0 3 * * *", "timezone": "America/Sao_Paulo"}))]
pub struct ScheduleSchema {
    /// Interval in absolute time, ISO 8601, from PT1S to P366D.
    #[schema(max_length = 64, nullable = false)]
    every: Option<String>,
    /// Five fields, or six with seconds first.
    #[schema(max_length = 400, nullable = false)]
    cron: Option<String>,
    /// IANA zone of `cron`; UTC when absent.
    #[schema(nullable = false)]
    timezone: Option<String>,
}

/// How bad a finding is.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertLevelSchema {
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Critical,
}

/// When a robot may run.
#[derive(ToSchema)]
#[schema(example = json!({"start": "22:00", "end": "06:00", "days": ["mon", "tue"], "timezone": "America/Sao_Paulo", "at_close": "finish"}))]
pub struct WindowSchema {
    /// Local time at which it opens, `HH:MM` or `HH:MM:SS`.
    #[schema(min_length = 5, max_length = 8)]
    start: String,
    /// Local time at which it closes, on the next day when not later than `start`.
    #[schema(min_length = 5, max_length = 8)]
    end: String,
    /// Local days on which it opens; all when absent.
    #[schema(nullable = false)]
    days: Option<Vec<DaySchema>>,
    /// IANA zone of the times; UTC when absent.
    #[schema(nullable = false)]
    timezone: Option<String>,
    /// What happens to open runs when it closes.
    #[schema(nullable = false)]
    at_close: Option<AtCloseSchema>,
}

/// A day of the week.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DaySchema {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// What happens to runs that are open when the window closes.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AtCloseSchema {
    /// Running and queued runs finish.
    Finish,
    /// Running ones finish, queued ones wait for the next opening.
    Drain,
    /// Running ones are cancelled, queued ones wait.
    Cancel,
}

/// What follows a failed run.
#[derive(ToSchema)]
pub struct RetrySchema {
    /// Attempts in all.
    #[schema(minimum = 1, maximum = 100)]
    max_attempts: u32,
    /// Delay after the first attempt, ISO 8601.
    initial: String,
    /// What each further delay is multiplied by.
    #[schema(minimum = 1.0, maximum = 10.0)]
    factor: f64,
    /// Delay that is never exceeded.
    max: String,
}

/// What a tick does while a run is open.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverlapSchema {
    /// It is skipped.
    Skip,
    /// Another run starts.
    Allow,
    /// One run more waits.
    Queue,
}

/// What becomes of missed ticks.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatchUpSchema {
    /// They are missed.
    None,
    /// One run stands for all of them.
    Last,
    /// Each gets its run, up to 100.
    All,
}

/// How instances are spread.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShardingSchema {
    /// Instances take different items.
    Sharded,
    /// One instance on every node.
    PerNode,
    /// One instance in the cluster.
    Single,
}

/// What became of a planned instant.
#[derive(Serialize, Deserialize, ToSchema)]
pub enum DecisionSchema {
    /// A run was started on time.
    #[serde(rename = "fired")]
    Fired,
    /// The window was closed.
    #[serde(rename = "skipped:window")]
    SkippedWindow,
    /// A run was open and another is not allowed.
    #[serde(rename = "skipped:overlap")]
    SkippedOverlap,
    /// The robot was quarantined, or paused.
    #[serde(rename = "skipped:paused")]
    SkippedPaused,
    /// The robot was disabled.
    #[serde(rename = "skipped:disabled")]
    SkippedDisabled,
    /// It was noticed too late.
    #[serde(rename = "missed")]
    Missed,
    /// It was noticed late, and a run was started for it.
    #[serde(rename = "caught_up")]
    CaughtUp,
    /// It was noticed late, and a later instant stands for it.
    #[serde(rename = "coalesced")]
    Coalesced,
}

/// What the change of the clock does to a planned instant.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClockNoteSchema {
    /// It makes up for local times that are skipped.
    Gap,
    /// Its local time occurs twice.
    Fold,
}

/// A JSON merge patch (RFC 7396) of a robot's configuration.
#[derive(ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"instances": 4, "schedule": {"every": "PT1M"}}))]
pub struct RobotPatch {
    /// Whether it runs at all.
    #[schema(nullable = false)]
    enabled: Option<bool>,
    /// Instances at once in the whole cluster; 0 pauses.
    #[schema(minimum = 0, maximum = 10000, nullable = false)]
    instances: Option<u32>,
    /// When it wakes; null: never by itself.
    #[schema(value_type = Option<Object>, example = json!({"every": "PT1M"}))]
    schedule: Option<Value>,
    /// When it may run; null: always.
    #[schema(value_type = Option<Object>)]
    window: Option<Value>,
    /// Its execution range, in the robot's own shape; null: none.
    #[schema(value_type = Value, required = false)]
    range: Option<Value>,
    /// Time limit of one run, ISO 8601, at most P7D.
    #[schema(max_length = 64, nullable = false, example = "PT5M")]
    timeout: Option<String>,
    /// What follows a failed run.
    #[schema(value_type = Option<Object>, nullable = false, example = json!({"max_attempts": 5}))]
    retry: Option<Value>,
    /// What a tick does while a run is open.
    #[schema(nullable = false)]
    overlap: Option<OverlapSchema>,
    /// What becomes of missed ticks.
    #[schema(nullable = false)]
    catch_up: Option<CatchUpSchema>,
    /// The robot's own settings, in its own shape.
    #[schema(value_type = Option<Object>, nullable = false)]
    settings: Option<Map<String, Value>>,
}
