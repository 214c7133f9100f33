//! What robots found of the ways to devices.

use std::time::Duration;

use crate::domain::id::InventoryId;
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::event::NewEvent;
use super::id::Series;
use super::page::{Page, PageRequest};
use super::signal::Signal;
use super::task::bounded;
use super::{Store, StoreResult};

/// Ways of one call.
pub const WAYS_MAX: usize = 1_000;

/// For how long tests are kept.
pub const TESTS_KEPT: Duration = Duration::from_hours(30 * 24);

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
    /// What the last tests came to, the newest last.
    pub recent: String,
    /// The class of the last one.
    pub error_class: Option<&'static str>,
    /// How long the answer took; none where there was none.
    pub latency: Option<Duration>,
    /// The key or certificate that was last seen.
    pub key: Option<String>,
}

/// A test of a way, on the record. It outlives its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectivityTest {
    /// Its id; ids rise.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// The protocol.
    pub protocol: String,
    /// The port.
    pub port: i64,
    /// The class of its failure; none: it answered.
    pub error_class: Option<String>,
    /// How long the answer took, in microseconds.
    pub latency_us: Option<i64>,
}

/// Which tests are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectivityTestFilter {
    /// Of this device.
    pub device: InventoryId,
    /// Only of this protocol.
    pub protocol: Option<String>,
    /// Only from this instant on.
    pub from: Option<Timestamp>,
    /// Only before this one.
    pub to: Option<Timestamp>,
}

impl Store {
    /// Records what was found of up to 1,000 ways, with its events. A way that is not there any more is passed over.
    pub async fn connectivity_record(
        &self,
        tested: Vec<WayTested>,
        events: Vec<NewEvent>,
        now: Timestamp,
    ) -> StoreResult<()> {
        bounded("ways", tested.len(), WAYS_MAX)?;
        let first = self.ids(Series::Inventory, tested.len(), now).await?;
        let ids = self.publication_ids(&events, now).await?;
        let published = write!(
            self,
            connectivity::record((first, &tested), &events, &ids, now)
        )?;
        self.tell(Signal::Inventory);
        self.tell_published(published);
        Ok(())
    }

    /// Tests of a device's ways, newest first (keyset by id), whether the device is there or not; those of the last 30 days.
    pub async fn connectivity_test_list(
        &self,
        filter: ConnectivityTestFilter,
        page: PageRequest,
    ) -> StoreResult<Page<ConnectivityTest>> {
        read!(self, connectivity::tests(&filter, page))
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
