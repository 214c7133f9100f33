//! Watches processors and memory of each node, and whether the other nodes still report.
//!
//! - **Looks at**: `/proc` (processor times, load, memory, pressure, kills for want of memory), the
//!   memory limit of the control group, the newest samples of the other nodes.
//! - **Changes**: writes samples and alerts, queues mails, publishes `system.cpu_high`,
//!   `system.memory_high`, `system.oom`, `system.node_offline` and the same with `.cleared`; folds old
//!   samples into hours and days.
//! - **Safe to repeat**: yes; a repeated run writes one sample more and tells nobody again.
//! - **If it stops**: nobody hears of an overloaded or silent node, and old samples are not folded;
//!   the first run afterwards has no processor figure, for want of the one before.
//!
//! Number 2 of the catalogue. The counters of the last run are kept in the database, so that rates
//! survive a restart of robotd; a restart of the machine shows as counters that went back.

mod judgement;
mod measurement;
mod settings;

use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;

use self::judgement::{Peer, event_of, host_key, judge_host, judge_peers};
use self::measurement::{Counters, Figures, LIVENESS_SERIES};
use self::settings::Settings;
use crate::connect::host;
use crate::domain::category::Category;
use crate::domain::robot::Sharding;
use crate::domain::time::Timestamp;
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::alerts::Round;
use crate::robots::settings::check;
use crate::store::node::NodeState;
use crate::store::sample::{Resolution, Sample};

/// Two days of raw samples: what a forecast over a day needs, twice.
const RAW_KEPT: TimeDelta = TimeDelta::hours(48);
/// Five weeks of hours: a month and the one to compare it with begins.
const HOURS_KEPT: TimeDelta = TimeDelta::days(35);
/// Three years of days: growth is judged from year to year.
const DAYS_KEPT: TimeDelta = TimeDelta::days(3 * 366);
/// Source rows folded a run: ten nodes make about a thousand a minute.
const FOLDED_ROWS_MAX: u32 = 5_000;

pub(super) struct WatchCpuAndMemory;

#[async_trait]
impl Robot for WatchCpuAndMemory {
    fn definition(&self) -> Result<Definition, crate::domain::robot::FieldError> {
        RobotSpec {
            name: "notifications.cpu_and_memory_monitor",
            title: "CPU and Memory Monitor",
            category: Category::Notifications,
            summary: "Watches processors and memory of each node and tells people when they are short",
            wakes: Wakes::Every(Duration::from_mins(1)),
            sharding: Sharding::PerNode,
            timeout: Duration::from_mins(1),
            settings: settings_of::<Settings>,
            check_settings: check::<Settings>,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let settings: Settings = ctx.settings()?;
        let now = ctx.clock().now();
        let figures = measure(ctx, now).await?;
        let leads = leads(ctx).await?;
        let mut round = Round::open(ctx, &host_key(&ctx.tools().node_name, "")).await?;
        let recent = recent_figures(ctx, &settings, &figures, now).await?;
        judge_host(
            &mut round,
            &settings,
            &ctx.tools().node_name,
            &recent,
            &figures,
        );
        let mut outcome = figures
            .told()
            .fold(Outcome::done(), |outcome, (name, value)| {
                outcome.measured(name, value)
            })
            .and("samples", figures.series().count());
        if leads {
            round
                .known
                .extend(ctx.store().alert_list(judgement::OFFLINE_PREFIX).await?);
            let peers = peers(ctx, now).await?;
            judge_peers(
                &mut round,
                &settings,
                settings.interval(ctx.config()),
                &peers,
            );
            let folded = ctx.store().sample_roll_up(
                now - RAW_KEPT,
                now - HOURS_KEPT,
                now - DAYS_KEPT,
                FOLDED_ROWS_MAX,
            );
            let folded = folded.await?;
            outcome = outcome.and(
                "samples_folded",
                usize::try_from(folded).unwrap_or(usize::MAX),
            );
        }
        round
            .close(ctx, settings.audience(), event_of, outcome)
            .await
    }
}

/// Reads the machine, writes the samples, and remembers the counters for the next run.
async fn measure(ctx: &Context, now: Timestamp) -> Result<Figures, RobotError> {
    let tools = ctx.tools();
    let key = format!("counters:{}", tools.node_name);
    let stored = ctx.store().watermark_get(ctx.run().robot, &key).await?;
    let before = stored.as_deref().and_then(Counters::read);
    let counters = Counters::measure()?;
    let figures = Figures::measure(before, counters)?;
    let samples = figures.series().map(|(series, value)| Sample {
        series: series.to_owned(),
        node: tools.node,
        node_name: tools.node_name.clone(),
        at: now,
        value,
    });
    ctx.store().sample_append(samples.collect()).await?;
    // After the samples: a crash in between makes the next delta longer, not wrong.
    ctx.store()
        .watermark_set(ctx.run().robot, &key, &counters.write())
        .await?;
    let percent = |ratio: f64| ratio * 100.0;
    ctx.info(format!(
        "processors {}, memory {:.1} %, load {:.2} per core, up {} h",
        figures
            .cpu
            .map_or("unknown".to_owned(), |cpu| format!("{:.1} %", percent(cpu))),
        percent(figures.memory),
        figures.load_per_core,
        host::uptime()?.as_secs() / 3600,
    ));
    Ok(figures)
}

/// The newest figures of each judged series, this run's included, last one newest.
async fn recent_figures(
    ctx: &Context,
    settings: &Settings,
    figures: &Figures,
    now: Timestamp,
) -> Result<Vec<(&'static str, Vec<f64>)>, RobotError> {
    // Twice the span the samples should take, so that a slow node has enough of them, and an old
    // breach before a pause of the robot is not part of it.
    let span = settings.interval(ctx.config()) * settings.samples.saturating_mul(2).max(2);
    let mut recent = Vec::new();
    for (series, _) in figures
        .series()
        .filter(|(series, _)| judgement::is_judged(series))
    {
        let name = &ctx.tools().node_name;
        let points = ctx
            .store()
            .sample_read(series, name, now - span, Resolution::Raw)
            .await?;
        recent.push((series, points.into_iter().map(|(_, value)| value).collect()));
    }
    Ok(recent)
}

/// Whether this node judges the others: the longest running of those alive does, so that a silent
/// node is told by one of them only.
async fn leads(ctx: &Context) -> Result<bool, RobotError> {
    let nodes = ctx.store().node_list().await?;
    let alive = nodes.iter().filter(|node| node.state == NodeState::Alive);
    let first = alive.map(|node| node.id).min();
    Ok(first.is_none_or(|first| first == ctx.tools().node))
}

/// The other nodes by name, and how long each has sent nothing.
async fn peers(ctx: &Context, now: Timestamp) -> Result<Vec<Peer>, RobotError> {
    let nodes = ctx.store().node_list().await?;
    let latest = ctx.store().sample_latest(LIVENESS_SERIES).await?;
    let own = &ctx.tools().node_name;
    let others = latest
        .into_iter()
        .filter(|s| s.series == LIVENESS_SERIES && s.node_name != *own);
    let peers = others.filter_map(|sample| {
        // The newest start of the name counts.
        let starts = nodes.iter().filter(|node| node.name == sample.node_name);
        let node = starts.max_by_key(|node| node.id)?;
        Some(Peer {
            silent_for: (now - sample.at).to_std().unwrap_or_default(),
            stopped: node.state == NodeState::Stopped,
            name: sample.node_name,
        })
    });
    Ok(peers.collect())
}
