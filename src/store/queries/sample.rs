//! Measured series. See `store::sample`.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, SmallInt, Text};
use diesel::upsert::excluded;

use crate::domain::id::NodeId;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::QueryResult;
use crate::store::sample::{Resolution, SAMPLES_MAX, Sample, average_into};
use crate::store::schema::samples;

use super::Conn;

/// Rows of one INSERT: keeps its binds below SQLite's bound (32,766).
const INSERT_ROWS_MAX: usize = 1_000;

/// A row of any resolution.
#[derive(Debug, Clone, Queryable, Insertable, QueryableByName)]
#[diesel(table_name = samples, treat_none_as_default_value = false)]
struct SampleRow {
    #[diesel(sql_type = SmallInt)]
    resolution: i16,
    #[diesel(sql_type = Text)]
    series: String,
    #[diesel(sql_type = Text)]
    node_name: String,
    #[diesel(sql_type = BigInt)]
    at: i64,
    #[diesel(sql_type = BigInt)]
    node: i64,
    #[diesel(sql_type = Double)]
    value: f64,
    #[diesel(sql_type = BigInt)]
    weight: i64,
}

/// Writes raw samples; what is known already stays as it is. Figures that are not finite are left out.
pub(in crate::store) fn append(conn: &mut Conn, samples: &[Sample]) -> QueryResult<()> {
    let rows: Vec<SampleRow> = samples
        .iter()
        .filter(|sample| sample.value.is_finite())
        .map(raw_row)
        .collect();
    for chunk in rows.chunks(INSERT_ROWS_MAX) {
        diesel::insert_into(samples::table)
            .values(chunk)
            .on_conflict_do_nothing()
            .execute(conn)?;
    }
    Ok(())
}

fn raw_row(sample: &Sample) -> SampleRow {
    SampleRow {
        resolution: Resolution::Raw.code(),
        series: sample.series.replace('\0', "\u{fffd}"),
        node_name: sample.node_name.replace('\0', "\u{fffd}"),
        at: to_micros(sample.at),
        node: sample.node.0,
        value: sample.value,
        weight: 1,
    }
}

/// Samples of one series and node name, oldest first.
pub(in crate::store) fn read(
    conn: &mut Conn,
    series: &str,
    node_name: &str,
    from: Timestamp,
    resolution: Resolution,
) -> QueryResult<Vec<(Timestamp, f64)>> {
    let rows: Vec<(i64, f64)> = samples::table
        .filter(samples::resolution.eq(resolution.code()))
        .filter(samples::series.eq(series))
        .filter(samples::node_name.eq(node_name))
        .filter(samples::at.ge(to_micros(from)))
        .order(samples::at)
        .limit(SAMPLES_MAX)
        .select((samples::at, samples::value))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(at, value)| (from_micros(at), value))
        .collect())
}

/// Newest raw sample of each (series, node name) whose series starts with `prefix`: the index is
/// entered once per pair, however many samples a pair has.
pub(in crate::store) fn latest(conn: &mut Conn, prefix: &str) -> QueryResult<Vec<Sample>> {
    let sql = "WITH RECURSIVE pair(series, node_name) AS ( \
            SELECT * FROM (SELECT series, node_name FROM samples WHERE resolution = 0 \
                AND series >= $1 AND series < $2 ORDER BY series, node_name LIMIT 1) AS start \
            UNION ALL \
            SELECT s.series, s.node_name FROM pair AS p JOIN samples AS s ON s.resolution = 0 \
                AND (s.series, s.node_name, s.at) = (SELECT n.series, n.node_name, n.at FROM samples AS n \
                    WHERE n.resolution = 0 AND n.series < $2 \
                    AND (n.series, n.node_name) > (p.series, p.node_name) \
                    ORDER BY n.series, n.node_name, n.at LIMIT 1)) \
        SELECT s.resolution, s.series, s.node_name, s.at, s.node, s.value, s.weight \
        FROM pair AS p JOIN samples AS s ON s.resolution = 0 AND s.series = p.series AND s.node_name = p.node_name \
            AND s.at = (SELECT max(n.at) FROM samples AS n \
                WHERE n.resolution = 0 AND n.series = p.series AND n.node_name = p.node_name) \
        ORDER BY s.series, s.node_name LIMIT $3";
    let rows: Vec<SampleRow> = diesel::sql_query(sql)
        .bind::<Text, _>(prefix)
        .bind::<Text, _>(format!("{prefix}\u{10ffff}"))
        .bind::<BigInt, _>(SAMPLES_MAX)
        .load(conn)?;
    Ok(rows.into_iter().map(into_sample).collect())
}

fn into_sample(row: SampleRow) -> Sample {
    Sample {
        series: row.series,
        node: NodeId(row.node),
        node_name: row.node_name,
        at: from_micros(row.at),
        value: row.value,
    }
}

/// Takes at most `limit` rows of `resolution` older than `until` out of the table, oldest first.
///
/// Deleting and reading is one statement: a late sample that is written meanwhile is either in the
/// answer or stays for the next time.
fn take_old(
    conn: &mut Conn,
    resolution: Resolution,
    until: Timestamp,
    limit: u32,
) -> QueryResult<Vec<SampleRow>> {
    let sql = "DELETE FROM samples WHERE (resolution, series, node_name, at) IN ( \
            SELECT resolution, series, node_name, at FROM samples WHERE resolution = $1 AND at < $2 \
            ORDER BY at LIMIT $3) \
        RETURNING resolution, series, node_name, at, node, value, weight";
    let rows = diesel::sql_query(sql)
        .bind::<SmallInt, _>(resolution.code())
        .bind::<BigInt, _>(to_micros(until))
        .bind::<BigInt, _>(i64::from(limit))
        .load(conn)?;
    Ok(rows)
}

/// Averages `rows` into `target`, together with what is there for the same hour or day: a period
/// may come in pieces, and each raw sample keeps its weight.
fn average(conn: &mut Conn, rows: Vec<SampleRow>, target: Resolution) -> QueryResult<()> {
    let mut averages: BTreeMap<(String, String, i64), SampleRow> = BTreeMap::new();
    for row in rows {
        let start = target.start_of(row.at);
        match averages.entry((row.series.clone(), row.node_name.clone(), start)) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(SampleRow {
                    resolution: target.code(),
                    at: start,
                    ..row
                });
            }
            std::collections::btree_map::Entry::Occupied(mut place) => {
                let sum = place.get_mut();
                (sum.value, sum.weight) =
                    average_into((sum.value, sum.weight), (row.value, row.weight));
                sum.node = sum.node.max(row.node);
            }
        }
    }
    let rows: Vec<SampleRow> = averages.into_values().collect();
    for chunk in rows.chunks(INSERT_ROWS_MAX) {
        merge(conn, chunk)?;
    }
    Ok(())
}

fn merge(conn: &mut Conn, rows: &[SampleRow]) -> QueryResult<()> {
    use diesel::dsl::sql;
    // The mean of both, each by its weight: old + (new - old) * share of the new.
    let mean = sql::<Double>(
        "samples.value + (excluded.value - samples.value) * excluded.weight / (samples.weight + excluded.weight)",
    );
    diesel::insert_into(samples::table)
        .values(rows)
        .on_conflict((
            samples::resolution,
            samples::series,
            samples::node_name,
            samples::at,
        ))
        .do_update()
        .set((
            samples::value.eq(mean),
            samples::weight.eq(samples::weight + excluded(samples::weight)),
            samples::node.eq(excluded(samples::node)),
        ))
        .execute(conn)?;
    Ok(())
}

/// See `Store::sample_roll_up`; answers how many source rows were worked off.
pub(in crate::store) fn roll_up(
    conn: &mut Conn,
    raw_until: Timestamp,
    hour_until: Timestamp,
    day_until: Timestamp,
    limit: u32,
) -> QueryResult<u32> {
    let raw = take_old(conn, Resolution::Raw, raw_until, limit)?;
    let mut done = rows_of(&raw);
    average(conn, raw, Resolution::Hour)?;
    let hours = take_old(
        conn,
        Resolution::Hour,
        hour_until,
        limit.saturating_sub(done),
    )?;
    done += rows_of(&hours);
    average(conn, hours, Resolution::Day)?;
    let days = take_old(conn, Resolution::Day, day_until, limit.saturating_sub(done))?;
    Ok(done + rows_of(&days))
}

fn rows_of(rows: &[SampleRow]) -> u32 {
    u32::try_from(rows.len()).unwrap_or(u32::MAX)
}
