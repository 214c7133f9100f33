//! What is tested when imports have ended: their devices, once for all that end at about the same time.

use chrono::{SecondsFormat, TimeDelta};
use serde_json::Value;

use crate::domain::id::{ImportId, InventoryId};
use crate::domain::time::Timestamp;
use crate::robot::{Context, RobotError};
use crate::store::StoreError;

/// How long the test waits for more imports: people send the sheets of a migration one after the other.
const SETTLE: TimeDelta = TimeDelta::seconds(30);
/// An import that ended later may not be seen yet.
const UNSEEN: TimeDelta = TimeDelta::seconds(2);
/// With more devices than this a test of all of them is due anyway.
const DEVICES_MAX: u32 = 500;
/// Until when imports were looked at.
const MARK: &str = "imported";

/// What is to be tested.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing: another run has it.
    Nothing,
    /// What there is at this instant.
    Later(Timestamp),
    /// These devices.
    Devices(Vec<InventoryId>),
    /// All devices.
    All,
}

/// The import whose end an event tells of.
pub(super) fn ended(payload: &Value) -> Option<ImportId> {
    let of_import = payload.get("type").and_then(Value::as_str) == Some("batch_import.finished");
    let import = payload.get("data")?.get("import")?.as_str()?;
    import.parse().ok().filter(|_| of_import)
}

/// What is to be tested because this import has ended. Whoever is told what to test takes all imports that ended until then:
/// should it not come to its end, the next test of all devices makes up for it.
pub(super) async fn due(ctx: &Context, import: ImportId) -> Result<Due, RobotError> {
    let (store, robot, now) = (ctx.store(), ctx.run().robot, ctx.clock().now());
    let ended = match store.import_get(import).await {
        Ok(import) => import.finished_at.unwrap_or(now),
        Err(StoreError::NotFound { .. }) => return Ok(Due::Nothing),
        Err(error) => return Err(error.into()),
    };
    let mark = store.watermark_get(robot, MARK).await?;
    let told: Option<Timestamp> = mark.as_deref().and_then(|mark| mark.parse().ok());
    if told.is_some_and(|told| ended <= told) {
        return Ok(Due::Nothing);
    }
    let settled = ended + SETTLE;
    if now < settled {
        return Ok(Due::Later(settled));
    }
    let until = now - UNSEEN;
    let text = until.to_rfc3339_opts(SecondsFormat::Micros, true);
    if !store.watermark_move(robot, MARK, mark, &text).await? {
        return Ok(Due::Nothing);
    }
    let after = told.unwrap_or(ended - SETTLE);
    let devices = store.connectivity_imported(after, until, DEVICES_MAX + 1);
    let devices = devices.await?;
    let many = u32::try_from(devices.len()).is_ok_and(|count| count > DEVICES_MAX);
    Ok(if many {
        Due::All
    } else {
        Due::Devices(devices)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_an_end_names_an_import() {
        let event = |kind: &str, data: Value| ended(&json!({"type": kind, "data": data}));
        let finished = "batch_import.finished";
        assert_eq!(event(finished, json!({"import": "7"})), Some(ImportId(7)));
        assert_eq!(event(finished, json!({"import": 7})), None);
        assert_eq!(event("device.created", json!({"import": "7"})), None);
        assert_eq!(ended(&Value::Null), None);
    }
}
