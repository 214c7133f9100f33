//! Counts what happened each day, so that reports outlive the rows they are about.
//!
//! - **Looks at**: tasks, processes, events, mails, ticks and changes of the days that are not
//!   frozen yet.
//! - **Changes**: replaces the facts of those days, moves its watermarks on, publishes
//!   `daily_data.ready` when a figure changed.
//! - **Safe to repeat**: yes; a day's facts are replaced as a whole, and the same again changes
//!   nothing and is not published.
//! - **If it stops**: reports stand still. Days are caught up as long as their rows are kept.
//!
//! Number 40 of the catalogue. Today is counted anew each hour; the days before are counted anew
//! once a day until they are frozen, because what started late on a day may end after it. A frozen
//! day is never counted again: its rows may be gone, and its facts are all that is left.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{Days, NaiveDate};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::category::Category;
use crate::domain::day::{bounds, day_of};
use crate::domain::event::CloudEvent;
use crate::domain::robot::FieldError;
use crate::domain::time::Timestamp;
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::settings::{self, check, require};
use crate::store::page::{PAGE_ROWS_MAX, PageRequest};
use crate::store::process::ProcessFilter;
use crate::store::report::DailyFact;

/// Days counted in one run: a month after a long pause; the next run goes on.
const DAYS_PER_RUN_MAX: usize = 31;
/// The event that announces changed figures.
const READY: &str = "daily_data.ready";
/// Pages of the report read to check a day's count: ten thousand processes, well under a second.
const CHECK_PAGES_MAX: usize = 20;
/// Watermark: the last day whose facts are final.
const FROZEN: &str = "frozen_through";
/// Watermark: the day on which the days before it were last counted anew.
const SWEPT: &str = "swept_on";

pub(super) struct BuildDailyFacts;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// The zone whose midnights divide the days.
    timezone: Tz,
    /// A day is final so many days after it ended; less than finished tasks are kept.
    freeze_after: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timezone: Tz::UTC,
            freeze_after: 3,
        }
    }
}

impl settings::Settings for Settings {
    fn check(&self) -> Result<(), FieldError> {
        require(
            (1..=31).contains(&self.freeze_after),
            "freeze_after",
            "must lie between 1 and 31",
        )
    }
}

#[async_trait]
impl Robot for BuildDailyFacts {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "task_manager.daily_data",
            title: "Daily Data",
            category: Category::TaskManager,
            summary: "Counts what happened each day for reports and the dashboard",
            wakes: Wakes::Cron("10 * * * *"),
            events: &["report.rebuild_requested"],
            // Each request names its own days.
            coalesce_events: false,
            timeout: Duration::from_mins(10),
            settings: settings_of::<Settings>,
            check_settings: check::<Settings>,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let settings: Settings = ctx.settings()?;
        let today = day_of(ctx.clock().now(), settings.timezone);
        let robot = ctx.run().robot;
        let store = ctx.store();
        let position = Position {
            today,
            frozen: read_day(store.watermark_get(robot, FROZEN).await?),
            swept: read_day(store.watermark_get(robot, SWEPT).await?),
            freeze_after: settings.freeze_after,
        };
        let plan = plan(&position, Request::of(ctx.payload())?);
        if plan.refused > 0 {
            ctx.warn(format!(
                "{} of the requested days are frozen or lie ahead",
                plan.refused
            ));
        }
        let mut changed = Vec::new();
        for (index, day) in plan.days.iter().enumerate() {
            let percent = index * 100 / plan.days.len().max(1);
            ctx.progress(u8::try_from(percent).unwrap_or(100), &day.to_string());
            if count_day(ctx, *day, settings.timezone).await? {
                changed.push(*day);
            }
        }
        if let Some(day) = plan.swept {
            store.watermark_set(robot, SWEPT, &day.to_string()).await?;
        }
        if let Some(day) = plan.frozen {
            store.watermark_set(robot, FROZEN, &day.to_string()).await?;
        }
        publish(ctx, &changed).await?;
        Ok(Outcome::counted("days_counted", plan.days.len())
            .and("days_changed", changed.len())
            .and("days_refused", plan.refused))
    }
}

fn read_day(text: Option<String>) -> Option<NaiveDate> {
    text?.parse().ok()
}

/// Counts one day; answers whether a figure is another than before.
async fn count_day(ctx: &Context, day: NaiveDate, zone: Tz) -> Result<bool, RobotError> {
    let (from, to) = bounds(day, zone)
        .ok_or_else(|| RobotError::fail("calendar", format!("`{day}` is at the end of time")))?;
    let before = ctx.store().facts_read(day, day).await?;
    let counted = ctx.store().facts_rebuild(day, from, to).await?;
    check_processes(ctx, day, (from, to), &counted).await?;
    let facts = counted.len();
    let changed = parts(before) != parts(counted);
    ctx.info(format!(
        "{day}: {facts} facts{}",
        if changed { "" } else { ", as before" }
    ));
    Ok(changed)
}

/// What is compared: the counted parts, without their totals and without our own announcements,
/// which would be news each time.
fn parts(mut facts: Vec<DailyFact>) -> Vec<DailyFact> {
    facts.retain(|fact| !is_total(fact) && fact.dimension != READY);
    facts.sort_by(|a, b| {
        (&a.metric, &a.dimension, &a.detail).cmp(&(&b.metric, &b.dimension, &b.detail))
    });
    facts
}

fn is_total(fact: &DailyFact) -> bool {
    fact.dimension.is_empty() && fact.detail.is_empty()
}

/// Counts the processes of a past day by their report and compares; today's change while we count.
async fn check_processes(
    ctx: &Context,
    day: NaiveDate,
    (from, to): (Timestamp, Timestamp),
    counted: &[DailyFact],
) -> Result<(), RobotError> {
    if to > ctx.clock().now() {
        return Ok(());
    }
    let filter = ProcessFilter {
        from: Some(from),
        to: Some(to),
        ..ProcessFilter::default()
    };
    let mut listed = 0;
    let mut after = None;
    for _ in 0..CHECK_PAGES_MAX {
        let request = PageRequest {
            limit: PAGE_ROWS_MAX,
            after,
        };
        let page = ctx.store().process_list(filter.clone(), request).await?;
        listed += page.items.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let facts = total(counted, "processes");
    // A longer day is only known to have at least as many.
    let agrees = match i64::try_from(listed) {
        Ok(listed) if after.is_some() => facts >= listed,
        Ok(listed) => facts == listed,
        Err(_) => false,
    };
    if agrees {
        return Ok(());
    }
    let text = format!("{day}: counted {facts} processes, the report lists {listed}");
    Err(RobotError::retry("self_check", text))
}

/// The total of one metric.
fn total(facts: &[DailyFact], metric: &str) -> i64 {
    let total = facts
        .iter()
        .find(|fact| fact.metric == metric && is_total(fact));
    total.map_or(0, |fact| fact.value)
}

async fn publish(ctx: &Context, changed: &[NaiveDate]) -> Result<(), RobotError> {
    let (Some(first), Some(last)) = (changed.iter().min(), changed.iter().max()) else {
        return Ok(());
    };
    let data = json!({ "from": first, "to": last, "days": changed.len() });
    let id = ctx.run().process.to_string();
    let event = CloudEvent::own(ctx.robot(), id, READY, None, data);
    let event = ctx.tools().registry.route(event);
    ctx.store()
        .event_append(vec![event], ctx.clock().now())
        .await?;
    Ok(())
}

/// Days somebody wants to have counted anew; both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    from: NaiveDate,
    to: NaiveDate,
}

impl Request {
    /// The request in a task's payload: `{"from":"2026-01-30","to":"2026-01-31"}`, plain or as the
    /// data of an event; `None` where it names no days.
    fn of(payload: &Value) -> Result<Option<Self>, RobotError> {
        let request = if payload.get("specversion").is_some() {
            payload.get("data").unwrap_or(&Value::Null)
        } else {
            payload
        };
        if request.is_null() || request.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok(None);
        }
        let request = serde_path_to_error::deserialize::<_, Self>(request).map_err(|error| {
            RobotError::fail("payload", format!("{}: {}", error.path(), error.inner()))
        })?;
        Ok(Some(request))
    }
}

/// Where the counting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    today: NaiveDate,
    /// See [`FROZEN`]; `None` on the first run.
    frozen: Option<NaiveDate>,
    /// See [`SWEPT`].
    swept: Option<NaiveDate>,
    freeze_after: u32,
}

/// What one run does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Plan {
    /// Days to count, in order.
    days: Vec<NaiveDate>,
    /// The new watermark [`SWEPT`].
    swept: Option<NaiveDate>,
    /// The new watermark [`FROZEN`].
    frozen: Option<NaiveDate>,
    /// Requested days that are not counted.
    refused: usize,
}

/// Decides which days are counted now and what is final afterwards.
fn plan(position: &Position, request: Option<Request>) -> Plan {
    let Position {
        today,
        frozen,
        swept,
        freeze_after,
    } = *position;
    let back = |days: u32| {
        today
            .checked_sub_days(Days::new(u64::from(days)))
            .unwrap_or(today)
    };
    let first_open = match frozen {
        Some(frozen) => frozen.checked_add_days(Days::new(1)).unwrap_or(today),
        None => back(freeze_after),
    };
    if let Some(request) = request {
        let open = |day: &NaiveDate| *day >= first_open && *day <= today;
        let asked = request
            .from
            .iter_days()
            .take_while(|day| *day <= request.to);
        let (days, refused): (Vec<_>, Vec<_>) = asked.take(DAYS_PER_RUN_MAX).partition(open);
        return Plan {
            days,
            refused: refused.len(),
            ..Plan::default()
        };
    }
    // The clock went back, or the zone was changed: today may already be counted as past.
    if swept.is_some_and(|swept| swept >= today) || first_open > today {
        return Plan {
            days: vec![today],
            ..Plan::default()
        };
    }
    let past = first_open.iter_days().take_while(|day| *day < today);
    let mut days: Vec<_> = past.take(DAYS_PER_RUN_MAX - 1).collect();
    let last = days.last().copied();
    let complete = last.is_none_or(|last| last.succ_opt() == Some(today));
    // Final is what ended long enough ago and is counted now, and what lies before the beginning.
    let final_day = back(freeze_after.saturating_add(1));
    let counted = last
        .map(|last| last.min(final_day))
        .filter(|day| *day >= first_open);
    let beginning = if frozen.is_none() {
        first_open.pred_opt()
    } else {
        None
    };
    let frozen = counted.or(beginning);
    days.push(today);
    Plan {
        days,
        swept: complete.then_some(today),
        frozen,
        refused: 0,
    }
}

#[cfg(test)]
mod tests;
