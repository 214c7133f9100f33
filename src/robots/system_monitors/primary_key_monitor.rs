//! Watches that the database's numbers do not run out.
//!
//! - **Looks at**: the catalogue of the database robotd runs on (numbered columns, primary and
//!   foreign keys, on PostgreSQL the ages of transactions), its own samples of the last years.
//! - **Changes**: writes samples and alerts, queues mails, publishes `database.pk_near_limit`,
//!   `database.txid_near_wraparound` and the same with `.cleared`.
//! - **Safe to repeat**: yes; a repeated run writes one sample more and tells nobody again.
//! - **If it stops**: a key that runs out stops all writing to its table, and nobody is warned.
//!
//! Number 28 of the catalogue. Nothing is counted: the catalogue and the ends of indexes suffice,
//! and a locked table is passed over.

use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::domain::alert::{Finding, Level, Notice};
use crate::domain::category::Category;
use crate::domain::iso_duration::serde_iso;
use crate::domain::mail::Recipients;
use crate::domain::robot::FieldError;
use crate::domain::time::Timestamp;
use crate::domain::trend::{Limits, Trend};
use crate::domain::window::Window;
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::alerts::{Audience, REMINDER, Round};
use crate::robots::settings::{self, check, require, require_percents};
use crate::store::report::{KeyColumn, KeySurvey};
use crate::store::sample::{Resolution, Sample};

/// Alert keys of this robot.
const PREFIX: &str = "database:";
/// The database is one, whichever node looks at it: its samples must not change names.
const SAMPLED_AS: &str = "database";
/// Growth is judged over this time: a month and a bit, so that a monthly job is in it.
const TREND: TimeDelta = TimeDelta::days(35);
/// Names to be ignored.
const IGNORED_MAX: usize = 1_000;
/// A level is left so many percent below where it began; used numbers hardly ever come back.
const HYSTERESIS_PERCENT: f64 = 1.0;
/// Columns looked at; a database with more has a generator of tables, and its tables look alike.
const COLUMNS_MAX: usize = 2_000;

pub(super) struct WatchPrimaryKeys;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Numbers used up, in percent, that are a warning; of transactions before wraparound too.
    warn_percent: f64,
    /// The same, critical.
    critical_percent: f64,
    /// Numbers that last for fewer days at today's growth are a warning.
    warn_days_left: u32,
    /// Columns, tables and foreign keys that are not judged; a `*` at the end matches the rest.
    ignore: Vec<String>,
    /// Who gets mails.
    recipients: Recipients,
    /// How often a lasting alert is told again.
    #[serde(with = "serde_iso")]
    reminder_interval: Duration,
    /// When nobody gets mails.
    quiet_hours: Option<Window>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            warn_percent: 50.0,
            critical_percent: 80.0,
            warn_days_left: 90,
            ignore: Vec::new(),
            recipients: Recipients::default(),
            // Six-hourly figures that change over months need no reminder every four hours.
            reminder_interval: REMINDER * 6,
            quiet_hours: None,
        }
    }
}

impl Settings {
    fn audience(&self) -> Audience<'_> {
        Audience {
            recipients: &self.recipients,
            reminder: self.reminder_interval,
            quiet_hours: self.quiet_hours.as_ref(),
        }
    }

    fn ignores(&self, name: &str) -> bool {
        self.ignore
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == pattern,
            })
    }

    const fn limits(&self) -> Limits {
        Limits {
            warn: self.warn_percent,
            critical: self.critical_percent,
            hysteresis: HYSTERESIS_PERCENT,
        }
    }
}

impl settings::Settings for Settings {
    fn check(&self) -> Result<(), FieldError> {
        require_percents(
            ("warn_percent", self.warn_percent),
            ("critical_percent", self.critical_percent),
        )?;
        require(
            self.warn_days_left <= 36_500,
            "warn_days_left",
            "must be at most 36500",
        )?;
        let sound =
            self.ignore.len() <= IGNORED_MAX && self.ignore.iter().all(|name| name.len() <= 300);
        require(
            sound,
            "ignore",
            "must have at most 1000 entries of at most 300 bytes",
        )?;
        self.audience().check()
    }
}

#[async_trait]
impl Robot for WatchPrimaryKeys {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "system_monitors.primary_key_monitor",
            title: "Primary key monitor",
            category: Category::SystemMonitors,
            summary: "Watches that numbered keys and transaction numbers of the database do not run out",
            wakes: Wakes::Every(Duration::from_hours(6)),
            timeout: Duration::from_mins(5),
            settings: settings_of::<Settings>,
            check_settings: check::<Settings>,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let settings: Settings = ctx.settings()?;
        let now = ctx.clock().now();
        let mut survey = ctx.store().key_survey().await?;
        survey
            .columns
            .retain(|column| !settings.ignores(&column.name));
        survey.columns.truncate(COLUMNS_MAX);
        let mut round = Round::open(ctx, PREFIX).await?;
        ctx.store()
            .sample_append(samples(ctx, &survey, now))
            .await?;
        for column in &survey.columns {
            let trend = Trend::fit(&history(ctx, &column.name, now).await?);
            judge_column(&mut round, &settings, column, trend);
        }
        judge_shape(&mut round, &settings, &survey);
        judge_ages(&mut round, &settings, &survey);
        for skipped in &survey.skipped {
            ctx.warn(format!("`{skipped}` was locked and is looked at next time"));
            round.undecided.extend([
                format!("{PREFIX}key:{skipped}."),
                format!("{PREFIX}shape:{skipped}"),
            ]);
        }
        let outcome = Outcome::counted("columns", survey.columns.len())
            .and(
                "tables_without_primary_key",
                survey.without_primary_key.len(),
            )
            .and("tables_skipped", survey.skipped.len());
        let fullest = survey.columns.iter().map(used_ratio).fold(0.0, f64::max);
        let outcome = outcome.measured("fullest_column_percent", fullest * 100.0);
        round
            .close(ctx, settings.audience(), event_of, outcome)
            .await
    }
}

fn series(column: &str) -> String {
    format!("pk.used:{column}")
}

fn samples(ctx: &Context, survey: &KeySurvey, now: Timestamp) -> Vec<Sample> {
    let columns = survey
        .columns
        .iter()
        .map(|column| (series(&column.name), as_figure(column.used)));
    let ages = [
        ("transaction", survey.transaction_age),
        ("multixact", survey.multixact_age),
    ];
    let ages = ages
        .into_iter()
        .filter_map(|(name, age)| Some((format!("pk.age:{name}"), as_figure(age?.0))));
    let sample = |(series, value)| Sample {
        series,
        node: ctx.tools().node,
        node_name: SAMPLED_AS.to_owned(),
        at: now,
        value,
    };
    columns.chain(ages).map(sample).collect()
}

/// The used numbers of a column over time; older ones are kept by the hour and by the day.
async fn history(
    ctx: &Context,
    column: &str,
    now: Timestamp,
) -> Result<Vec<(Timestamp, f64)>, RobotError> {
    let mut points = Vec::new();
    for resolution in [Resolution::Day, Resolution::Hour, Resolution::Raw] {
        points.extend(
            ctx.store()
                .sample_read(&series(column), SAMPLED_AS, now - TREND, resolution)
                .await?,
        );
    }
    points.sort_by_key(|(at, _)| *at);
    Ok(points)
}

/// The share of a column's numbers that is used up, 0 to 1, in the direction it counts.
fn used_ratio(column: &KeyColumn) -> f64 {
    let end = if column.increment < 0 {
        column.floor
    } else {
        column.limit
    };
    let next = column.used.checked_add(column.increment);
    let past = |next: i64| {
        if column.increment < 0 {
            next < end
        } else {
            next > end
        }
    };
    if next.is_none_or(past) {
        return 1.0;
    }
    if end == 0 {
        // The next number is still within the end, so it does not count at all.
        return 0.0;
    }
    (as_figure(column.used) / as_figure(end)).clamp(0.0, 1.0)
}

/// Days until the numbers run out at the growth of the last weeks.
fn days_left(column: &KeyColumn, trend: Trend) -> Option<f64> {
    let (used, end) = (as_figure(column.used), as_figure(column.limit));
    let left = if column.increment < 0 {
        let falling = Trend {
            per_second: -trend.per_second,
            ..trend
        };
        falling.reaches(-used, -as_figure(column.floor))?
    } else {
        trend.reaches(used, end)?
    };
    Some(left.as_secs_f64() / 86_400.0)
}

fn judge_column(round: &mut Round, settings: &Settings, column: &KeyColumn, trend: Option<Trend>) {
    let key = format!("{PREFIX}key:{}", column.name);
    let percent = used_ratio(column) * 100.0;
    let days = trend.and_then(|trend| days_left(column, trend));
    let soon = days.is_some_and(|days| days < f64::from(settings.warn_days_left));
    let by_share = settings.limits().level(percent, round.level(&key));
    let level = by_share.max(if soon { Level::Warning } else { Level::Ok });
    let left = days.map_or(
        "It does not grow, or is not known for long enough.".to_owned(),
        |days| format!("At the growth of the last weeks it lasts for about {days:.0} days."),
    );
    round.push(
        key,
        level,
        format!(
            "key `{}` has used {percent:.1} % of its numbers",
            column.name
        ),
        format!(
            "Last number {}, of at most {}. {left}",
            column.used, column.limit
        ),
    );
}

/// Tables nobody can address a row of, and references too narrow for what they refer to.
fn judge_shape(round: &mut Round, settings: &Settings, survey: &KeySurvey) {
    let judged = |name: &&String| !settings.ignores(name);
    for table in survey.without_primary_key.iter().filter(judged) {
        round.push(
            format!("{PREFIX}shape:{table}"),
            Level::Warning,
            format!("table `{table}` has no primary key"),
            "Its rows cannot be told apart, replicated or archived safely.".to_owned(),
        );
    }
    for reference in survey.narrow_foreign_keys.iter().filter(judged) {
        round.push(
            format!("{PREFIX}shape:{reference}"),
            Level::Warning,
            format!("foreign key `{reference}` is narrower than what it refers to"),
            "It runs out before the key it refers to does.".to_owned(),
        );
    }
}

fn judge_ages(round: &mut Round, settings: &Settings, survey: &KeySurvey) {
    let ages = [
        ("transaction", survey.transaction_age),
        ("multixact", survey.multixact_age),
    ];
    for (name, age) in ages {
        let Some((age, limit)) = age.filter(|(_, limit)| *limit > 0) else {
            continue;
        };
        let key = format!("{PREFIX}age:{name}");
        let percent = as_figure(age) / as_figure(limit) * 100.0;
        let level = settings.limits().level(percent, round.level(&key));
        round.push(
            key,
            level,
            format!("{name} numbers are {percent:.1} % on the way to wraparound"),
            format!("Age {age} of {limit}; vacuum has to freeze old rows before that."),
        );
    }
}

/// The event of a change: type and subject.
fn event_of(finding: &Finding, change: Notice) -> Option<(&'static str, String)> {
    let (thing, name) = finding.key.strip_prefix(PREFIX)?.split_once(':')?;
    let kind = match (thing, change) {
        ("key", Notice::Cleared) => "database.pk_near_limit.cleared",
        ("key", _) => "database.pk_near_limit",
        ("age", Notice::Cleared) => "database.txid_near_wraparound.cleared",
        ("age", _) => "database.txid_near_wraparound",
        _ => return None,
    };
    Some((kind, name.to_owned()))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share and a trend need no more than f64 keeps"
)]
fn as_figure(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
