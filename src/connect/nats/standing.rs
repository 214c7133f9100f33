//! How the connection stands, for `/health`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::Event;
use tokio::sync::watch;

/// What is known of the connection; shared with the client's callback.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    connected: watch::Sender<bool>,
    notes: Arc<Mutex<Notes>>,
}

#[derive(Debug, Default)]
struct Notes {
    /// What the client said last when it could not connect.
    last_error: Option<String>,
    /// What does not work although the connection stands, by what it is about.
    troubles: BTreeMap<&'static str, String>,
}

impl Standing {
    pub(super) fn new() -> Self {
        Self {
            connected: watch::Sender::new(false),
            notes: Arc::default(),
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what the client tells. No text of these holds a secret.
    pub(super) fn heard(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.notes().last_error = None;
                self.connected.send_replace(true);
            }
            Event::Disconnected | Event::Closed => {
                self.connected.send_replace(false);
            }
            Event::ServerError(_) | Event::ClientError(_) => {
                let said = event.to_string();
                let before = self.notes().last_error.replace(said.clone());
                // A server that is away for long says the same thing every few seconds.
                if before.as_ref() != Some(&said) {
                    log::warn!("NATS: {said}");
                }
            }
            Event::LameDuckMode | Event::Draining | Event::SlowConsumer(_) => {}
        }
    }

    /// Notes what does not work, or that it does again.
    pub(super) fn set_trouble(&self, about: &'static str, trouble: Option<String>) {
        let mut notes = self.notes();
        match trouble {
            Some(text) => notes.troubles.insert(about, text),
            None => notes.troubles.remove(about),
        };
    }

    /// Whether the connection stands.
    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }

    /// What people should know; empty when all is well.
    pub(super) fn reasons(&self, servers: &str) -> Vec<String> {
        let connected = *self.connected.borrow();
        let notes = self.notes();
        let mut reasons = Vec::new();
        if !connected {
            let said = notes.last_error.as_deref();
            let said = said.map_or_else(String::new, |said| format!(" ({said})"));
            reasons.push(format!(
                "NATS at {servers} cannot be reached{said}; events wait there and changes here until it can"
            ));
        }
        let troubles = notes.troubles.iter();
        reasons.extend(troubles.map(|(about, text)| format!("NATS, {about}: {text}")));
        reasons
    }
}

#[cfg(test)]
mod tests {
    use async_nats::ClientError;

    use super::*;

    #[test]
    fn reasons_come_and_go() {
        let standing = Standing::new();
        let refused = Event::ClientError(ClientError::Other("IO error".to_owned()));
        standing.heard(&refused);
        let away = standing.reasons("nats://h:4222");
        assert!(
            away[0].contains("nats://h:4222") && away[0].contains("IO error"),
            "{away:?}"
        );
        standing.heard(&Event::Connected);
        assert!(standing.reasons("").is_empty());
        standing.set_trouble("events", Some("no stream".to_owned()));
        assert_eq!(standing.reasons(""), ["NATS, events: no stream"]);
        standing.set_trouble("events", None);
        assert!(standing.reasons("").is_empty());
        standing.heard(&Event::Disconnected);
        assert_eq!(standing.reasons("").len(), 1);
    }
}
