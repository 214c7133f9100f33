//! What PostgreSQL says differently.

use diesel::connection::SimpleConnection;

use super::Conn;
pub(in crate::store) use super::key_survey::survey as key_survey;
use crate::store::backend::QueryResult;

/// The elements of a JSON array as rows; the one column used of it is `value`.
pub(in crate::store) const ROWS: &str = "jsonb_array_elements(CAST(? AS jsonb))";
/// Keeps rows that were read for a change from others until the commit.
pub(in crate::store) const FOR_UPDATE: &str = "FOR UPDATE";
/// As above, passing over rows that others hold.
pub(in crate::store) const SKIP_LOCKED: &str = "FOR UPDATE SKIP LOCKED";
/// Whether one statement claims for all robots: saves a round trip for each.
pub(in crate::store) const CLAIMS_AT_ONCE: bool = true;

/// Keeps other appenders of the audit trail away until the end of the transaction. The number is any,
/// but the same in every robotd.
pub(in crate::store) fn lock_audit(conn: &mut Conn) -> QueryResult<()> {
    Ok(conn.batch_execute("SELECT pg_advisory_xact_lock(8209744731520931)")?)
}
