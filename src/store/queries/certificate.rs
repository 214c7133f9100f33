//! Certificates that are ordered and put in force. See `store::certificate`.

use diesel::prelude::*;

use super::event::insert_events;
use super::rows::storable;
use super::sql::{Sql, raced};
use super::{Conn, Db, audit, private_key};
use crate::domain::id::InventoryId;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::certificate::{
    DETAIL_CHARS_MAX, Failing, Issue, IssueEnd, IssueKey, IssueStep, NewIssue, OPEN_MAX, Setback,
};
use crate::store::event::{Publication, Published};
use crate::store::schema::certificate::{
    certificate_automations, certificate_bindings, certificate_issues, private_keys,
};
use crate::store::secret::SecretKept;

#[derive(Queryable, Selectable)]
#[diesel(table_name = certificate_issues, check_for_backend(Db))]
struct Row {
    id: i64,
    automation_id: i64,
    issuer_id: i64,
    private_key: i64,
    names: String,
    order_url: Option<String>,
    certificate: Option<String>,
}

impl Row {
    fn into_issue(self) -> QueryResult<Issue> {
        let names = serde_json::from_str(&self.names).map_err(|error| {
            QueryError::Defect(format!("names of certificate issue `{}`: {error}", self.id))
        })?;
        Ok(Issue {
            id: self.id,
            automation: InventoryId(self.automation_id),
            issuer: InventoryId(self.issuer_id),
            private_key: self.private_key,
            names,
            order_url: self.order_url,
            certificate: self.certificate,
        })
    }
}

/// A text as it is kept of a failure.
pub(super) fn detail(text: &str) -> String {
    storable(text.chars().take(DETAIL_CHARS_MAX).collect())
}

/// Begins an issue.
pub(in crate::store) fn issue_begin(
    conn: &mut Conn,
    new: &NewIssue,
    now: Timestamp,
) -> QueryResult<SecretKept> {
    let automation = new.automation;
    let there: Option<i64> = certificate_automations::table
        .find(automation.0)
        .select(certificate_automations::id)
        .first(conn)
        .optional()?;
    if there.is_none() {
        let what = format!("certificate automation `{automation}`");
        return Err(QueryError::not_found(what));
    }
    let open: Option<i64> = certificate_issues::table
        .filter(certificate_issues::automation_id.eq(automation.0))
        .filter(certificate_issues::finished_at.is_null())
        .select(certificate_issues::id)
        .first(conn)
        .optional()?;
    if let Some(open) = open {
        return Err(QueryError::conflict(format!(
            "certificate automation `{automation}` has an open issue, `{open}`: go on with it"
        )));
    }
    let key = match &new.key {
        IssueKey::New(key) => {
            let kept = private_key::keep(conn, key, now)?;
            if kept != SecretKept::Kept {
                return Ok(kept);
            }
            key.id
        }
        IssueKey::Same(id) => *id,
    };
    let names = serde_json::to_string(&new.names)
        .map_err(|error| QueryError::Defect(format!("names: {error}")))?;
    diesel::insert_into(certificate_issues::table)
        .values((
            certificate_issues::id.eq(new.id),
            certificate_issues::automation_id.eq(automation.0),
            certificate_issues::issuer_id.eq(new.issuer.0),
            certificate_issues::private_key.eq(key),
            certificate_issues::names.eq(names),
            certificate_issues::created_at.eq(to_micros(now)),
        ))
        .execute(conn)
        .map_err(raced)?;
    Ok(SecretKept::Kept)
}

/// The open issues.
pub(in crate::store) fn issue_open(conn: &mut Conn) -> QueryResult<Vec<Issue>> {
    let rows: Vec<Row> = certificate_issues::table
        .filter(certificate_issues::finished_at.is_null())
        .order(certificate_issues::id)
        .limit(i64::from(OPEN_MAX))
        .select(Row::as_select())
        .load(conn)?;
    rows.into_iter().map(Row::into_issue).collect()
}

/// One issue.
pub(in crate::store) fn issue_get(conn: &mut Conn, id: i64) -> QueryResult<Issue> {
    let row: Option<Row> = certificate_issues::table
        .find(id)
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    row.ok_or_else(|| QueryError::not_found(format!("certificate issue `{id}`")))?
        .into_issue()
}

/// The issue in force.
pub(in crate::store) fn issue_current(
    conn: &mut Conn,
    automation: InventoryId,
) -> QueryResult<Option<Issue>> {
    let current: Option<Option<i64>> = certificate_automations::table
        .find(automation.0)
        .select(certificate_automations::issue)
        .first(conn)
        .optional()?;
    current.flatten().map(|id| issue_get(conn, id)).transpose()
}

/// Notes what the issuer answered.
pub(in crate::store) fn issue_note(
    conn: &mut Conn,
    id: i64,
    step: &IssueStep,
    now: Timestamp,
) -> QueryResult<()> {
    let open = certificate_issues::table
        .filter(certificate_issues::id.eq(id))
        .filter(certificate_issues::finished_at.is_null());
    let noted = match step {
        IssueStep::Order(url) => diesel::update(open)
            .set(certificate_issues::order_url.eq(url))
            .execute(conn)?,
        IssueStep::Certificate(pem) => diesel::update(open)
            .set(certificate_issues::certificate.eq(pem))
            .execute(conn)?,
        IssueStep::Abandoned => diesel::update(open)
            .set(certificate_issues::finished_at.eq(to_micros(now)))
            .execute(conn)?,
    };
    if noted == 1 {
        Ok(())
    } else {
        Err(QueryError::conflict(format!(
            "certificate issue `{id}` is not open any more"
        )))
    }
}

/// Puts the certificate of an issue in force; none where it is not open.
pub(in crate::store) fn issue_end(
    conn: &mut Conn,
    end: &IssueEnd,
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<Option<Published>> {
    let open = certificate_issues::table
        .filter(certificate_issues::id.eq(end.issue))
        .filter(certificate_issues::finished_at.is_null());
    let ended = diesel::update(open)
        .set((
            certificate_issues::certificate_id.eq(end.certificate.0),
            certificate_issues::finished_at.eq(to_micros(now)),
        ))
        .execute(conn)?;
    if ended == 0 {
        return Ok(None);
    }
    let before = issue_current(conn, end.automation)?;
    diesel::update(certificate_automations::table.find(end.automation.0))
        .set((
            certificate_automations::current_id.eq(end.certificate.0),
            certificate_automations::issue.eq(end.issue),
            certificate_automations::serial.eq(&end.serial),
            certificate_automations::not_before.eq(to_micros(end.life.0)),
            certificate_automations::not_after.eq(to_micros(end.life.1)),
            certificate_automations::renewal_asked_at.eq(None::<i64>),
            certificate_automations::renewal_requested_at.eq(None::<i64>),
            certificate_automations::renewal_requested_by.eq(None::<String>),
            certificate_automations::renewal_approved_at.eq(None::<i64>),
            certificate_automations::renewal_approved_by.eq(None::<String>),
            certificate_automations::renewal_suggested_at.eq(None::<i64>),
            certificate_automations::suggestion_next_at.eq(None::<i64>),
            certificate_automations::revoked_at.eq(None::<i64>),
            certificate_automations::failures.eq(0),
            certificate_automations::next_attempt_at.eq(None::<i64>),
            certificate_automations::error.eq(None::<String>),
        ))
        .execute(conn)?;
    let mut kept = Vec::from([issue_get(conn, end.issue)?.private_key]);
    kept.extend(before.map(|issue| issue.private_key));
    let others = private_keys::table
        .filter(private_keys::automation_id.eq(end.automation.0))
        .filter(private_keys::id.ne_all(kept));
    diesel::delete(others).execute(conn)?;
    audit::append(conn, &end.audit, now)?;
    insert_events(conn, &end.events, ids, now).map(Some)
}

/// Counts a failed attempt.
pub(in crate::store) fn renewal_failed(conn: &mut Conn, setback: &Setback) -> QueryResult<()> {
    diesel::update(certificate_automations::table.find(setback.of.0))
        .set((
            certificate_automations::failures.eq(certificate_automations::failures + 1),
            certificate_automations::next_attempt_at.eq(to_micros(setback.next_attempt_at)),
            certificate_automations::error.eq(detail(&setback.error)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Issues begun with an issuer since an instant.
pub(in crate::store) fn issues_since(
    conn: &mut Conn,
    issuer: InventoryId,
    since: Timestamp,
) -> QueryResult<u32> {
    let count: i64 = certificate_issues::table
        .filter(certificate_issues::issuer_id.eq(issuer.0))
        .filter(certificate_issues::created_at.gt(to_micros(since)))
        .count()
        .get_result(conn)?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

type FailingRow = (i64, String, i64, Option<String>, (Option<i64>, Option<i64>));

fn failing_of(is_binding: bool, (id, name, failures, error, life): FailingRow) -> Failing {
    Failing {
        is_binding,
        id: InventoryId(id),
        name,
        failures: u32::try_from(failures).unwrap_or(u32::MAX),
        error: error.unwrap_or_default(),
        life: life.0.map(from_micros).zip(life.1.map(from_micros)),
    }
}

/// What failed and did not succeed since.
pub(in crate::store) fn failing(conn: &mut Conn) -> QueryResult<Vec<Failing>> {
    let automations: Vec<FailingRow> = certificate_automations::table
        .filter(certificate_automations::failures.gt(0))
        .filter(certificate_automations::enabled)
        .order(certificate_automations::id)
        .limit(i64::from(OPEN_MAX))
        .select((
            certificate_automations::id,
            certificate_automations::name,
            certificate_automations::failures,
            certificate_automations::error,
            (
                certificate_automations::not_before,
                certificate_automations::not_after,
            ),
        ))
        .load(conn)?;
    let bindings: Vec<(i64, String, i64, Option<String>)> = certificate_bindings::table
        .filter(certificate_bindings::failures.gt(0))
        .filter(certificate_bindings::enabled)
        .order(certificate_bindings::id)
        .limit(i64::from(OPEN_MAX))
        .select((
            certificate_bindings::id,
            certificate_bindings::name,
            certificate_bindings::failures,
            certificate_bindings::error,
        ))
        .load(conn)?;
    let automations = automations.into_iter().map(|row| failing_of(false, row));
    let bindings = bindings.into_iter().map(|(id, name, failures, error)| {
        failing_of(true, (id, name, failures, error, (None, None)))
    });
    Ok(automations.chain(bindings).collect())
}

/// Marks the certificates whose place the current one has taken everywhere.
pub(in crate::store) fn replaced(conn: &mut Conn, automation: InventoryId) -> QueryResult<usize> {
    let mut sql: Sql = Sql::new(
        "UPDATE certificates SET replaced_by = (SELECT a.current_id FROM certificate_automations a WHERE a.id = ",
    );
    sql.int(automation.0)
        .text(
            ") WHERE replaced_by IS NULL AND id IN (
                SELECT a.certificate_id FROM certificate_automations a
                WHERE a.certificate_id <> a.current_id AND a.id = ",
        )
        .int(automation.0)
        .text(
            " UNION SELECT i.certificate_id FROM certificate_issues i JOIN certificate_automations a ON a.id = i.automation_id
                WHERE i.certificate_id <> a.current_id AND i.id < a.issue AND a.id = ",
        )
        .int(automation.0)
        .text(
            ") AND NOT EXISTS (
                SELECT 1 FROM certificate_bindings b JOIN certificate_automations a ON a.id = b.automation_id
                WHERE b.enabled AND (b.published_issue IS NULL OR b.published_issue <> a.issue) AND a.id = ",
        )
        .int(automation.0)
        .text(")");
    Ok(sql.execute(conn)?)
}
