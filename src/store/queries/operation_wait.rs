//! Why operations wait. See `store::operation_wait`.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, SmallInt};

use super::Conn;
use super::candidate::account;
use super::statement::{Bind, Statement, bind};
use crate::domain::id::{InventoryId, OperationId};
use crate::domain::operation::{OperationState, WaitReason};
use crate::domain::time::{Timestamp, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::operation_wait::{InTheWay, PutBack, Wait};
use crate::store::schema::operations;

/// Gives back what was not begun.
pub(in crate::store) fn put_back(
    conn: &mut Conn,
    back: PutBack,
    now: Timestamp,
) -> QueryResult<bool> {
    let held = operations::table
        .filter(operations::id.eq(back.id.0))
        .filter(operations::state.eq(OperationState::Running.code()))
        .filter(operations::process_id.eq(back.process.0));
    let given = diesel::update(held)
        .set((
            operations::state.eq(back.state.code()),
            operations::attempts.eq(operations::attempts - 1),
            operations::run_at.eq(to_micros(back.run_at)),
            operations::wait_reason.eq(Some(back.wait.reason.code())),
            operations::wait_credential.eq(back.wait.credential.map(|id| id.0)),
            operations::process_id.eq(None::<i64>),
            operations::lease_until.eq(None::<i64>),
            operations::updated_at.eq(to_micros(now)),
        ))
        .execute(conn)?;
    Ok(given == 1)
}

/// A candidate of another registration says nothing any more where the account got a secret since. Binds: the credential, twice.
struct Unverified;

impl Statement for Unverified {
    type Row = (BigInt,);
    const SQL: &'static str = concat!(
        "SELECT v.credential_id FROM secret_versions v WHERE v.credential_id = ? AND v.state = 0
        UNION ALL
        SELECT v.credential_id FROM (SELECT c.id, c.secret_changed_at, ",
        account!("c"),
        " AS account FROM credentials c WHERE c.id = ? AND c.domain IS NOT NULL AND c.kind = 'password') AS own
        JOIN credentials s ON s.identity >= own.account AND s.identity < own.account || ':'
            AND s.id <> own.id AND s.enabled
        JOIN devices d ON d.id = s.device_id AND d.enabled
        JOIN secret_versions v ON v.credential_id = s.id AND v.state = 0
            AND v.created_at >= COALESCE(own.secret_changed_at, 0)
        LIMIT 1"
    );
}

/// The credential whose change is open.
pub(in crate::store) fn unverified(
    conn: &mut Conn,
    credential: InventoryId,
) -> QueryResult<Option<InventoryId>> {
    let binds = [credential.0, credential.0].map(Bind::Int);
    let found: Option<(i64,)> = bind(Unverified, &binds).get_result(conn).optional()?;
    Ok(found.map(|(id,)| InventoryId(id)))
}

/// What keeps the operation from being claimed. Binds: now, and its id.
struct Obstacles;

impl Statement for Obstacles {
    type Row = (
        Nullable<SmallInt>,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<BigInt>,
        BigInt,
    );
    const SQL: &'static str = "
        SELECT o.wait_reason, o.wait_credential,
            (SELECT min(r.id) FROM operations r WHERE r.state = 1 AND r.credential_id = o.credential_id),
            (SELECT min(p.id) FROM credential_links l JOIN operations p ON p.credential_id = l.parent_id
                WHERE l.credential_id = o.credential_id AND o.kind IN (0, 4) AND p.kind IN (0, 4)
                    AND p.finished_at IS NULL AND p.run_at <= ?),
            (SELECT count(*) FROM credentials c JOIN credentials rc ON rc.device_id = c.device_id
                JOIN operations r ON r.credential_id = rc.id AND r.state = 1 WHERE c.id = o.credential_id)
        FROM operations o WHERE o.id = ?";
}

type Row = (Option<i16>, Option<i64>, Option<i64>, Option<i64>, i64);

/// What stands in an operation's way.
pub(in crate::store) fn in_the_way(
    conn: &mut Conn,
    id: OperationId,
    now: Timestamp,
) -> QueryResult<InTheWay> {
    let binds = [to_micros(now), id.0].map(Bind::Int);
    let row: Option<Row> = bind(Obstacles, &binds).get_result(conn).optional()?;
    let (reason, credential, running, parent, on_device) =
        row.ok_or_else(|| QueryError::not_found(format!("operation `{id}`")))?;
    Ok(InTheWay {
        wait: reason.and_then(WaitReason::from_code).map(|reason| Wait {
            reason,
            credential: credential.map(InventoryId),
        }),
        running: running.map(OperationId),
        parent: parent.map(OperationId),
        on_device: u32::try_from(on_device).unwrap_or(u32::MAX),
    })
}
