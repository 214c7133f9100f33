//! What robots found of the ways to devices.

use std::time::Duration;

use crate::domain::id::InventoryId;
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::event::NewEvent;
use super::signal::Signal;
use super::{Store, StoreResult};

/// A way that was tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayTested {
    /// The device.
    pub device: InventoryId,
    /// The protocol, as the inventory names it.
    pub protocol: &'static str,
    /// The port.
    pub port: u16,
    /// `up` or `down`; none while nothing is told of it.
    pub status: Option<&'static str>,
    /// Failures in a row.
    pub failures: u32,
    /// The class of the last one.
    pub error_class: Option<&'static str>,
    /// How long the answer took; none where there was none.
    pub latency: Option<Duration>,
    /// The key or certificate that was last seen.
    pub key: Option<String>,
}

impl Store {
    /// Records what was found of ways, with its events. A way that is not there any more is passed over.
    pub async fn connectivity_record(
        &self,
        tested: Vec<WayTested>,
        events: Vec<NewEvent>,
        now: Timestamp,
    ) -> StoreResult<()> {
        let ids = self.publication_ids(&events, now).await?;
        let published = write!(self, connectivity::record(&tested, &events, &ids, now))?;
        self.tell(Signal::Inventory);
        self.tell_published(published);
        Ok(())
    }

    /// Devices that imports made or changed which ended after `after` and by `until`, each once, by their ids, at most `limit`.
    pub async fn connectivity_imported(
        &self,
        after: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<InventoryId>> {
        read!(self, connectivity::imported(after, until, limit))
    }
}
