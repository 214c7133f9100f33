//! What SQLite says differently.

use super::Conn;
pub(in crate::store) use super::key_survey::survey as key_survey;
use crate::store::backend::QueryResult;

/// The elements of a JSON array as rows; the one column used of it is `value`.
pub(in crate::store) const ROWS: &str = "json_each(?)";
/// Keeps rows that were read for a change from others: needless with one writer.
pub(in crate::store) const FOR_UPDATE: &str = "";
/// As above, passing over rows that others hold.
pub(in crate::store) const SKIP_LOCKED: &str = "";
/// Whether one statement claims for all robots: `LATERAL` is not known here, and not needed.
pub(in crate::store) const CLAIMS_AT_ONCE: bool = false;

/// Keeps other appenders of the audit trail away: needless, a writing transaction begins with the lock.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the other back end has something to fail at"
)]
pub(in crate::store) const fn lock_audit(_conn: &mut Conn) -> QueryResult<()> {
    Ok(())
}
