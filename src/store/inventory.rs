//! The inventory: things of all nouns by one set of statements, made from their specifications.
//!
//! A call carries up to 1,000 changes with their audit entries and events: all of it is written, or nothing.

use std::collections::HashSet;

use crate::domain::id::InventoryId;
use crate::domain::inventory::column::Filter;
use crate::domain::inventory::patch::Fields;
use crate::domain::inventory::{BATCH_ITEMS_MAX, Noun, NounSpec};
use crate::domain::time::Timestamp;

use super::audit::NewAudit;
use super::backend::{read, write};
use super::event::{NewEvent, Published};
use super::id::Series;
use super::page::{Page, PageRequest};
use super::secret::NewSecret;
use super::signal::Signal;
use super::task::bounded;
use super::{Store, StoreResult};

/// A thing as the database has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its id, stable for ever and never given again.
    pub id: InventoryId,
    /// Counts changes; the `ETag`.
    pub revision: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its fields or its secret were last changed by a caller.
    pub updated_at: Timestamp,
    /// What callers set.
    pub body: Fields,
    /// What follows from that, or is set by robots.
    pub state: Fields,
    /// The lists of `body` with what robots set in their entries.
    pub lists: Fields,
}

/// A thing as it shall be. The fields are checked (`domain::inventory::Checked`).
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its id.
    pub id: InventoryId,
    /// What callers set, whole.
    pub body: Fields,
    /// The state that follows from it.
    pub derived: Fields,
    /// What is unique of it.
    pub identity: String,
    /// A new secret, where it gets one.
    pub secret: Option<NewSecret>,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// A new thing.
    Insert(Row),
    /// Other fields, or another secret.
    Update {
        /// How it shall be.
        row: Row,
        /// The revision that the caller saw.
        revision: i64,
    },
    /// It goes, with its secrets.
    Delete {
        /// Which.
        id: InventoryId,
        /// The revision that the caller saw.
        revision: i64,
    },
}

/// A change with what is written of it in the same transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The change.
    pub write: Write,
    /// Its audit entry; holds no secret.
    pub audit: NewAudit,
    /// Its events.
    pub events: Vec<NewEvent>,
}

/// Why a change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The thing is not there.
    Missing,
    /// It is at another revision by now.
    Stale {
        /// Which.
        current: i64,
    },
    /// Another thing has this identity.
    Taken {
        /// Which; none: an earlier one of the same call.
        by: Option<InventoryId>,
    },
    /// A field refers to a thing that is not there.
    Unknown {
        /// The field's path.
        field: String,
        /// What it must refer to.
        noun: Noun,
        /// What it refers to.
        id: InventoryId,
    },
    /// A field refers to a thing that is there, and must not.
    Unfit {
        /// The field.
        field: &'static str,
        /// Why not: what reads after the field's name.
        why: &'static str,
    },
    /// Other things refer to it.
    InUse {
        /// Things of this noun.
        by: Noun,
        /// So many.
        count: i64,
        /// The first of them: ids and names.
        some: Vec<(InventoryId, String)>,
    },
    /// The secret is sealed with a data key that is not the newest: read the keys again and seal anew.
    KeyRetired,
    /// The secret's version was given to another one meanwhile: seal anew for the next.
    SecretMoved,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// All of it was done; the things as they are, in order, without those that are gone.
    Done(Vec<Item>),
    /// Nothing was done: these changes, by their position, cannot be made.
    Refused(Vec<(usize, Refusal)>),
}

/// A filter with the value it is to compare with.
#[derive(Debug, Clone)]
pub struct Narrow {
    /// The filter, one of the noun's.
    pub filter: &'static Filter,
    /// The value, of the filter's kind.
    pub value: Wanted,
}

/// A filter's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Of a name or a text.
    Text(String),
    /// Of an id, or of an instant in microseconds.
    Int(i64),
    /// Of a truth.
    Bool(bool),
}

impl Store {
    /// Takes `count` ids for new things; answers the first, the others follow.
    pub async fn inventory_ids(&self, count: usize, now: Timestamp) -> StoreResult<InventoryId> {
        let first = self.ids(Series::Inventory, count, now).await?;
        Ok(InventoryId(first))
    }

    /// Things of a noun, newest first (keyset by id).
    pub async fn inventory_list(
        &self,
        noun: Noun,
        filters: Vec<Narrow>,
        page: PageRequest,
    ) -> StoreResult<Page<Item>> {
        read!(self, inventory_read::list(noun.spec(), &filters, page))
    }

    /// One thing. `NotFound`.
    pub async fn inventory_get(&self, noun: Noun, id: InventoryId) -> StoreResult<Item> {
        read!(self, inventory_read::get(noun.spec(), id))
    }

    /// Those of the ids under which there is no thing of a noun, in their order.
    pub async fn inventory_missing(
        &self,
        noun: Noun,
        ids: Vec<InventoryId>,
    ) -> StoreResult<Vec<InventoryId>> {
        let there = self.inventory_names(noun, ids.clone()).await?;
        let there: HashSet<_> = there.into_iter().map(|(id, _)| id).collect();
        let mut missing = ids;
        missing.retain(|id| !there.contains(id));
        Ok(missing)
    }

    /// What things of a noun are called; those that are gone are left out.
    pub async fn inventory_names(
        &self,
        noun: Noun,
        ids: Vec<InventoryId>,
    ) -> StoreResult<Vec<(InventoryId, String)>> {
        read!(self, inventory_read::names(noun.spec(), &ids))
    }

    /// The thing of this identity (`domain::inventory::name`), where it is there.
    pub async fn inventory_find(&self, noun: Noun, identity: String) -> StoreResult<Option<Item>> {
        read!(self, inventory_read::find(noun.spec(), &identity))
    }

    /// Makes up to 1,000 changes of one noun, all or none, with their audit entries, messages and events. They are
    /// judged together before anything is written: a name that another change of the call would set free is taken.
    pub async fn inventory_write(
        &self,
        noun: Noun,
        orders: Vec<Order>,
        now: Timestamp,
    ) -> StoreResult<Written> {
        bounded("changes", orders.len(), BATCH_ITEMS_MAX)?;
        let spec: &'static NounSpec = noun.spec();
        let events: Vec<NewEvent> = orders
            .iter()
            .flat_map(|order| order.events.iter().cloned())
            .collect();
        let ids = self.publication_ids(&events, now).await?;
        let (written, published): (Written, Published) =
            write!(self, inventory::write(spec, &orders, &events, &ids, now))?;
        if matches!(written, Written::Done(_)) {
            self.tell(Signal::Inventory);
            self.tell(Signal::Syslog);
            self.tell_published(published);
        }
        Ok(written)
    }

    /// Pins the key that the first connection met, where the device says to trust it and none is pinned yet; answers
    /// the key that is pinned now. `NotFound` where there is no such way to the device, or it does not say so.
    pub async fn connectivity_pin(
        &self,
        device: InventoryId,
        protocol: &str,
        port: u16,
        key: &str,
    ) -> StoreResult<String> {
        let (protocol, key) = (protocol.to_owned(), key.to_owned());
        write!(self, inventory::pin(device, &protocol, port, &key))
    }
}
