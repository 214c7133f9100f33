//! What is told of credentials: that their secret has expired, and that no change of it is ordered any more.

use serde_json::json;

use crate::domain::event::CloudEvent;
use crate::domain::id::InventoryId;
use crate::domain::time::{Timestamp, to_micros};
use crate::robot::Context;
use crate::store::StoreResult;
use crate::store::audit::NewAudit;
use crate::store::due::{Due, Expired, Mark};

/// Ends that are told in one transaction.
const PAGE_ROWS: u32 = 500;
/// Pages of one run: ten thousand ends, then the orders have their turn.
const PAGES_MAX: u32 = 20;

/// Tells of secrets that have expired, each end once; answers of how many.
pub(super) async fn tell_of_ends(ctx: &Context, now: Timestamp) -> StoreResult<usize> {
    let mut all = 0;
    for _ in 0..PAGES_MAX {
        let ended = ctx.store().credential_expired(now, PAGE_ROWS).await?;
        if ended.is_empty() || ctx.cancelled().is_cancelled() {
            break;
        }
        let marks = ended.iter().map(|one| end_of(ctx, one)).collect();
        all += ctx.store().credential_expiry_tell(marks, now).await?;
    }
    Ok(all)
}

/// That a secret has expired. What robots do not change is in the audit trail too, and by that on syslog: somebody has to.
fn end_of(ctx: &Context, one: &Expired) -> Mark {
    let id = one.credential;
    let data = json!({"id": id, "ended_at": one.ended_at, "cause": one.cause, "automatic_change": one.changed_by_robots});
    let audit = (!one.changed_by_robots).then(|| NewAudit {
        actor: ctx.robot().to_owned(),
        action: "credential.expired".to_owned(),
        object: format!("credential:{id}"),
        before: None,
        after: Some(data.clone()),
    });
    mark(ctx, id, one.ended_at, ("credential.expired", data), audit)
}

/// Orders no more changes of those that have failed too often; answers for how many that is news.
pub(super) async fn stop(ctx: &Context, hopeless: &[Due], now: Timestamp) -> StoreResult<usize> {
    if hopeless.is_empty() {
        return Ok(0);
    }
    let stopped = |one: &Due| {
        let id = one.credential;
        let data = json!({"id": id, "failures": one.failures});
        let audit = NewAudit {
            actor: ctx.robot().to_owned(),
            action: "credential.change_stopped".to_owned(),
            object: format!("credential:{id}"),
            before: None,
            after: Some(data.clone()),
        };
        mark(
            ctx,
            id,
            now,
            ("credential.change_stopped", data),
            Some(audit),
        )
    };
    let marks = hopeless.iter().map(stopped).collect();
    ctx.store().credential_change_stop(marks, now).await
}

fn mark(
    ctx: &Context,
    credential: InventoryId,
    at: Timestamp,
    (kind, data): (&str, serde_json::Value),
    audit: Option<NewAudit>,
) -> Mark {
    let event = format!("{credential}:{}:{kind}", to_micros(at));
    let subject = Some(credential.to_string());
    let event = CloudEvent::own(ctx.robot(), event, kind, subject, data);
    Mark {
        credential,
        at,
        event: ctx.tools().registry.route(event),
        audit,
    }
}
