//! Carries queued messages to the syslog collector. A dead collector blocks nothing: messages wait in the
//! database, and whoever queued them has long gone on.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::core::Core;
use crate::connect::syslog::{
    Collector, CollectorLimits, Facility, Severity, StructuredElement, SyslogMessage, SyslogTarget,
};
use crate::store::StoreResult;
use crate::store::audit::SyslogMessage as QueuedMessage;
use crate::store::signal::Signal;

/// Messages sent at one time, within `connect::syslog::BATCH_MESSAGES_MAX`.
const BATCH_MAX: u32 = 100;
/// Looks for messages that no signal told of.
const SWEEP_PERIOD: Duration = Duration::from_secs(30);
/// First and longest pause after the collector did not take a message.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(500);
/// See [`RETRY_PAUSE_MIN`].
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// The service.
pub(crate) async fn run(core: Arc<Core>, target: SyslogTarget) {
    let mut signals = core.store().signals();
    let mut collector = Collector::new(target, CollectorLimits::default());
    let mut pause = RETRY_PAUSE_MIN;
    let mut members = core.membership.changes();
    loop {
        let wait = match deliver(&core, &mut collector).await {
            Ok(true) => {
                pause = RETRY_PAUSE_MIN;
                SWEEP_PERIOD
            }
            Ok(false) => {
                pause = (pause * 2).min(RETRY_PAUSE_MAX);
                pause
            }
            Err(error) => {
                log::warn!("failed to read the syslog queue: {error}");
                RETRY_PAUSE_MIN
            }
        };
        let until = tokio::time::Instant::now() + wait;
        loop {
            tokio::select! {
                signal = signals.recv() => {
                    // While the collector is away a new message does not make it come back.
                    if wait == SWEEP_PERIOD && !matches!(signal, Ok(signal) if signal != Signal::Syslog) {
                        break;
                    }
                }
                () = tokio::time::sleep_until(until) => break,
                _ = members.changed() => break,
                () = core.stopping.cancelled() => return,
            }
        }
    }
}

/// Sends what waits, where this node leads: one does it, so that each message goes out once. Answers whether everything
/// was taken.
async fn deliver(core: &Core, collector: &mut Collector) -> StoreResult<bool> {
    while core.membership.leads() {
        let messages = core.store().syslog_next(BATCH_MAX).await?;
        if messages.is_empty() {
            return Ok(true);
        }
        let frames: Vec<_> = messages
            .iter()
            .map(|message| frame(core, message))
            .collect();
        if let Err(error) = collector.send(&frames).await {
            log::warn!(
                "failed to send {} messages to the syslog collector: {error}",
                messages.len()
            );
            return Ok(false);
        }
        core.store()
            .syslog_done(messages.iter().map(|message| message.id).collect())
            .await?;
    }
    Ok(true)
}

/// Our element's name: no enterprise number is registered, so the one kept for examples (RFC 5612) stands
/// in its place.
const ELEMENT: &str = "robotd@32473";

fn frame(core: &Core, message: &QueuedMessage) -> Vec<u8> {
    let params = match &message.structured {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect(),
        _ => Vec::new(),
    };
    SyslogMessage {
        facility: Facility::AUDIT,
        severity: severity(message.severity),
        at: message.at,
        hostname: core.tools.node_name.clone(),
        app_name: "robotd".to_owned(),
        procid: std::process::id().to_string(),
        msgid: message.msgid.clone(),
        structured: vec![StructuredElement {
            id: ELEMENT.to_owned(),
            params,
        }],
        text: message.text.clone(),
    }
    .to_bytes()
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

const fn severity(code: i16) -> Severity {
    match code {
        0 => Severity::Emergency,
        1 => Severity::Alert,
        2 => Severity::Critical,
        3 => Severity::Error,
        4 => Severity::Warning,
        5 => Severity::Notice,
        6 => Severity::Informational,
        _ => Severity::Debug,
    }
}
