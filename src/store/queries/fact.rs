//! Counts per day. See `store::report`.

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::ids::Span;
use super::{Conn, ids};
use crate::domain::task::{ProcessOutcome, TaskStatus};
use crate::domain::time::{Timestamp, to_micros};
use crate::store::backend::QueryResult;
use crate::store::id::Series;
use crate::store::mail::MailState;
use crate::store::report::{DECISION_WORDS, DailyFact, FACTS_MAX};
use crate::store::schema::daily_facts;

/// What is counted of one metric, as pieces of SQL. `rows` yields the rows of the range from `$3` to
/// before `$4`, by an index on their time where they are many.
struct Metric {
    name: &'static str,
    dimension: &'static str,
    detail: String,
    value: &'static str,
    rows: String,
}

/// The name of a row's robot; one that has no row any more is known by its number.
const ROBOT: &str = "coalesce(r.name, CAST(c.robot_id AS TEXT))";

fn metrics(tasks: Span, processes: Span) -> [Metric; 6] {
    let words = |code: &str, words: &mut dyn Iterator<Item = (i16, &'static str)>| {
        let arms: String = words
            .map(|(number, word)| format!(" WHEN {number} THEN '{word}'"))
            .collect();
        format!("CASE {code}{arms} ELSE CAST({code} AS TEXT) END")
    };
    [
        Metric {
            name: "processes",
            dimension: ROBOT,
            detail: words(
                "c.code",
                &mut ProcessOutcome::ALL.iter().map(|o| (o.code(), o.as_str())),
            ),
            value: "count(*)",
            rows: rows_of_processes(processes),
        },
        Metric {
            name: "tasks_registered",
            dimension: ROBOT,
            detail: words(
                "c.code",
                &mut TaskStatus::ALL.iter().map(|s| (s.code(), s.as_str())),
            ),
            value: "count(*)",
            rows: rows_of_tasks(tasks),
        },
        Metric {
            name: "mails",
            dimension: "''",
            detail: words(
                "c.state",
                &mut MailState::ALL.iter().map(|s| (s.code(), s.as_str())),
            ),
            value: "count(*)",
            rows: "mail_outbox AS c WHERE c.created_at >= $3 AND c.created_at < $4".to_owned(),
        },
        Metric {
            name: "events",
            dimension: "c.type",
            detail: "''".to_owned(),
            value: "count(*)",
            rows: "events AS c WHERE c.received_at >= $3 AND c.received_at < $4".to_owned(),
        },
        Metric {
            name: "ticks",
            dimension: ROBOT,
            detail: words("c.decision", &mut DECISION_WORDS.into_iter()),
            // A row may stand for several instants.
            value: "CAST(sum(c.count) AS BIGINT)",
            rows: "ticks AS c LEFT JOIN robots AS r ON r.id = c.robot_id \
                   WHERE c.planned_at >= $3 AND c.planned_at < $4"
                .to_owned(),
        },
        Metric {
            name: "audit_changes",
            dimension: "coalesce(nullif(c.action, ''), '-')",
            detail: "''".to_owned(),
            value: "count(*)",
            rows: "audit_trail AS c WHERE c.at >= $3 AND c.at < $4".to_owned(),
        },
    ]
}

/// One in execution lives in its task's row; its outcome has the number 0.
fn rows_of_processes(span: Span) -> String {
    format!(
        "(SELECT robot_id, outcome AS code FROM processes \
            WHERE {} AND started_at >= $3 AND started_at < $4 \
            UNION ALL SELECT robot_id, outcome AS code FROM tasks_done \
            WHERE outcome IS NOT NULL AND {} AND started_at >= $3 AND started_at < $4 \
            UNION ALL SELECT robot_id, 0 AS code FROM tasks \
            WHERE status = 2 AND id IN (SELECT task_id FROM claimed) \
            AND started_at >= $3 AND started_at < $4) AS c \
           LEFT JOIN robots AS r ON r.id = c.robot_id",
        within("id", span),
        within("process_id", span)
    )
}

fn rows_of_tasks(span: Span) -> String {
    format!(
        "(SELECT robot_id, status AS code FROM tasks_done \
            WHERE {0} AND created_at >= $3 AND created_at < $4 \
            UNION ALL SELECT robot_id, status AS code FROM tasks \
            WHERE {0} AND created_at >= $3 AND created_at < $4) AS c \
           LEFT JOIN robots AS r ON r.id = c.robot_id",
        within("id", span)
    )
}

/// That an id is of the span, as SQL.
fn within(column: &str, span: Span) -> String {
    let first = span.first.map(|first| format!("{column} >= {first}"));
    let end = span.end.map(|end| format!("{column} < {end}"));
    let bounds: Vec<_> = first.into_iter().chain(end).collect();
    if bounds.is_empty() {
        "TRUE".to_owned()
    } else {
        bounds.join(" AND ")
    }
}

/// Counts `[from, to)` anew and puts the counts in place of the facts of `day`.
pub(in crate::store) fn rebuild(
    conn: &mut Conn,
    day: NaiveDate,
    from: Timestamp,
    to: Timestamp,
) -> QueryResult<Vec<DailyFact>> {
    let text = day.to_string();
    diesel::delete(daily_facts::table.filter(daily_facts::day.eq(&text))).execute(conn)?;
    let tasks = ids::span(conn, Series::Task, Some(from), Some(to))?;
    let processes = ids::span(conn, Series::Process, Some(from), Some(to))?;
    for metric in metrics(tasks, processes) {
        count(conn, &metric, &text, from, to)?;
        total(conn, &metric, &text)?;
    }
    read(conn, day, day)
}

/// One statement a metric: the rows of the day are counted by the database and never leave it.
fn count(
    conn: &mut Conn,
    metric: &Metric,
    day: &str,
    from: Timestamp,
    to: Timestamp,
) -> QueryResult<()> {
    let Metric {
        name,
        dimension,
        detail,
        value,
        rows,
    } = metric;
    // The number of a bind is that of its first place in the text (SQLite). A second rebuild of
    // the same day at the same time finds this one's rows, hence the conflict clause.
    let sql = format!(
        "INSERT INTO daily_facts (day, metric, dimension, detail, value) \
         SELECT $1, $2, dimension, detail, value FROM ( \
             SELECT {dimension} AS dimension, {detail} AS detail, {value} AS value FROM {rows} GROUP BY 1, 2) AS counted \
         WHERE true \
         ON CONFLICT (day, metric, dimension, detail) DO UPDATE SET value = excluded.value"
    );
    diesel::sql_query(sql)
        .bind::<Text, _>(day)
        .bind::<Text, _>(*name)
        .bind::<BigInt, _>(to_micros(from))
        .bind::<BigInt, _>(to_micros(to))
        .execute(conn)?;
    Ok(())
}

/// Writes the total of a metric, 0 too: a day that was counted differs from one that was not.
fn total(conn: &mut Conn, metric: &Metric, day: &str) -> QueryResult<()> {
    diesel::sql_query(
        "INSERT INTO daily_facts (day, metric, dimension, detail, value) \
         SELECT $1, $2, '', '', CAST(coalesce(sum(value), 0) AS BIGINT) FROM daily_facts \
         WHERE day = $1 AND metric = $2 AND (dimension <> '' OR detail <> '') \
         ON CONFLICT (day, metric, dimension, detail) DO UPDATE SET value = excluded.value",
    )
    .bind::<Text, _>(day)
    .bind::<Text, _>(metric.name)
    .execute(conn)?;
    Ok(())
}

#[derive(Queryable)]
struct FactRow {
    day: String,
    metric: String,
    dimension: String,
    detail: String,
    value: i64,
}

/// Facts of `[from, to]`, by day, metric and dimensions.
pub(in crate::store) fn read(
    conn: &mut Conn,
    from: NaiveDate,
    to: NaiveDate,
) -> QueryResult<Vec<DailyFact>> {
    let rows: Vec<FactRow> = daily_facts::table
        .filter(daily_facts::day.ge(from.to_string()))
        .filter(daily_facts::day.le(to.to_string()))
        .order((
            daily_facts::day,
            daily_facts::metric,
            daily_facts::dimension,
            daily_facts::detail,
        ))
        .limit(FACTS_MAX)
        .load(conn)?;
    // What is no date was not written here.
    Ok(rows.into_iter().filter_map(into_fact).collect())
}

fn into_fact(row: FactRow) -> Option<DailyFact> {
    let FactRow {
        day,
        metric,
        dimension,
        detail,
        value,
    } = row;
    Some(DailyFact {
        day: day.parse().ok()?,
        metric,
        dimension,
        detail,
        value,
    })
}
