//! The inventory as programs use it: the API for people, robots for imports and discoveries.
//!
//! Reads and checks fields, seals secrets, and hands the store one transaction with the change, its audit entry and its
//! events. Nothing here knows a noun: see [`crate::domain::inventory`].

mod certificates;
mod decisions;
mod error;
pub mod judge;
mod plan;
mod secrets;

use std::sync::Arc;

pub use certificates::{Imported, KeyWanted, Ordered};
pub use error::{InventoryError, Reason};
pub use secrets::{Revealed, Secrets, Viewed};

use self::plan::{Plan, deleted, refused};
use super::registry::Registry;
use super::safe::Safe;
use crate::domain::id::InventoryId;
use crate::domain::inventory::patch::{Fields, difference, merge_patch, unknown_removals};
use crate::domain::inventory::{BATCH_ITEMS_MAX, Checked, Happening, Noun, NounSpec, SecretSpec};
use crate::domain::robot::FieldError;
use crate::domain::sealed::Place;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::store::inventory::{Item, Narrow, Order, Refusal, Row, Write, Written};
use crate::store::page::{Page, PageRequest};
use crate::store::secret::NewSecret;
use crate::store::{Store, StoreError};

/// How often a change is made anew that another one got in the way of.
const ATTEMPTS: u32 = 3;

/// The inventory of one database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Inventory {
    store: Store,
    safe: Safe,
    registry: Arc<Registry>,
}

/// A thing about to be made.
#[derive(Debug, Clone, Default)]
pub struct NewItem {
    /// Its fields as they came.
    pub fields: Fields,
    /// Its secret, for nouns that have one.
    pub secret: Option<Secret>,
}

/// Who asks for a change, and when.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// A token's name, or a robot's; the actor in the audit trail.
    pub actor: &'a str,
    /// Now.
    pub now: Timestamp,
}

impl Inventory {
    /// The inventory in `store`, with secrets in `safe` and events to the robots of `registry`.
    #[must_use]
    pub const fn new(store: Store, safe: Safe, registry: Arc<Registry>) -> Self {
        Self {
            store,
            safe,
            registry,
        }
    }

    /// Things of a noun, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(
        &self,
        noun: Noun,
        filters: Vec<Narrow>,
        page: PageRequest,
    ) -> Result<Page<Item>, StoreError> {
        self.store.inventory_list(noun, filters, page).await
    }

    /// One thing.
    ///
    /// # Errors
    /// `NotFound`, and the store's others.
    pub async fn get(&self, noun: Noun, id: InventoryId) -> Result<Item, StoreError> {
        self.store.inventory_get(noun, id).await
    }

    /// Makes up to 1,000 things, all or none; answers them in order.
    ///
    /// # Errors
    /// [`InventoryError::Refused`] names each that cannot be made.
    pub async fn create(
        &self,
        noun: Noun,
        new: Vec<NewItem>,
        by: By<'_>,
    ) -> Result<Vec<Item>, InventoryError> {
        let spec = noun.spec();
        if new.len() > BATCH_ITEMS_MAX {
            return Err(InventoryError::TooMany(BATCH_ITEMS_MAX));
        }
        let checked = check_all(spec, new)?;
        for (item, _) in &checked {
            self.check_enabled(spec, &item.body).await?;
        }
        let first = self.store.inventory_ids(checked.len(), by.now).await?;
        let ids = (first.0..).map(InventoryId);
        for _ in 0..ATTEMPTS {
            let mut orders = Vec::with_capacity(checked.len());
            for (id, (checked, secret)) in ids.clone().zip(&checked) {
                orders.push(self.creation(spec, id, checked, secret.as_ref(), by)?);
            }
            if let Some(items) = self.write(spec, orders, by).await? {
                return Ok(items);
            }
        }
        Err(busy(spec))
    }

    fn creation(
        &self,
        spec: &'static NounSpec,
        id: InventoryId,
        checked: &Checked,
        secret: Option<&Secret>,
        by: By<'_>,
    ) -> Result<Order, InventoryError> {
        let secret = match secret {
            Some(secret) => Some(self.sealed(id, 1, secret)?),
            None => None,
        };
        let plan = Plan {
            spec,
            id,
            revision: 1,
            happening: Happening::Created,
            before: None,
            after: Some(checked.body.clone()),
            version: secret.as_ref().map(|secret| secret.version),
        };
        let row = row(id, checked.clone(), secret);
        Ok(plan.order(Write::Insert(row), by, &self.registry))
    }

    /// Lays a merge patch (RFC 7396) over a thing, and gives it another secret where there is one. `expected` is the
    /// revision that the caller saw, where he says so. What changes nothing is not written.
    ///
    /// # Errors
    /// [`InventoryError::Refused`] with the one reason.
    pub async fn change(
        &self,
        noun: Noun,
        id: InventoryId,
        expected: Option<i64>,
        patch: &NewItem,
        by: By<'_>,
    ) -> Result<Item, InventoryError> {
        let spec = noun.spec();
        for _ in 0..ATTEMPTS {
            let item = self.get(noun, id).await?;
            let checked = patched(spec, &item, patch).map_err(InventoryError::invalid)?;
            // After the check: a request that would fail anyway is not refused for its precondition (RFC 9110, 13.2.1).
            check_revision(&item, expected)?;
            let (before, after) = changed(spec, &item, &checked);
            if before.is_empty() && after.is_empty() && patch.secret.is_none() {
                return Ok(item);
            }
            self.check_enabled(spec, &after).await?;
            let secret = match &patch.secret {
                Some(secret) => {
                    let version = self.store.credential_secret_latest(id).await? + 1;
                    Some(self.sealed(id, version, secret)?)
                }
                None => None,
            };
            let plan = Plan {
                spec,
                id,
                revision: item.revision + 1,
                happening: Happening::Changed {
                    before: &before,
                    after: &after,
                    secret: secret.is_some(),
                },
                before: Some(before.clone()),
                after: Some(after.clone()),
                version: secret.as_ref().map(|secret| secret.version),
            };
            let write = Write::Update {
                row: row(id, checked, secret),
                revision: item.revision,
            };
            let order = plan.order(write, by, &self.registry);
            if let Some(changed) = self.write(spec, Vec::from([order]), by).await? {
                return changed.into_iter().next().ok_or_else(|| busy(spec));
            }
        }
        Err(busy(spec))
    }

    /// Removes a thing, with its secrets.
    ///
    /// # Errors
    /// [`InventoryError::Refused`] with the one reason, such as that it is in use.
    pub async fn remove(
        &self,
        noun: Noun,
        id: InventoryId,
        expected: Option<i64>,
        by: By<'_>,
    ) -> Result<(), InventoryError> {
        let item = self.get(noun, id).await?;
        check_revision(&item, expected)?;
        let order = deleted(noun.spec(), &item).order(
            Write::Delete {
                id,
                revision: item.revision,
            },
            by,
            &self.registry,
        );
        self.write(noun.spec(), Vec::from([order]), by)
            .await?
            .map(drop)
            .ok_or_else(|| busy(noun.spec()))
    }

    /// Writes; none where secrets must be sealed anew first.
    async fn write(
        &self,
        spec: &'static NounSpec,
        orders: Vec<Order>,
        by: By<'_>,
    ) -> Result<Option<Vec<Item>>, InventoryError> {
        let refusals = match self
            .store
            .inventory_write(spec.noun, orders, by.now)
            .await?
        {
            Written::Done(items) => return Ok(Some(items)),
            Written::Refused(refusals) => refusals,
        };
        let anew =
            |refusal: &Refusal| matches!(refusal, Refusal::KeyRetired | Refusal::SecretMoved);
        if refusals.iter().all(|(_, refusal)| anew(refusal)) {
            self.safe.refresh().await?;
            return Ok(None);
        }
        Err(InventoryError::Refused(refused(spec, refusals)))
    }

    fn sealed(
        &self,
        credential: InventoryId,
        version: i64,
        secret: &Secret,
    ) -> Result<NewSecret, InventoryError> {
        let place = Place::of_secret(credential, version);
        let sealed = self.safe.seal(&place, &secret.kept())?;
        Ok(NewSecret { version, sealed })
    }
}

fn row(id: InventoryId, checked: Checked, secret: Option<NewSecret>) -> Row {
    Row {
        id,
        body: checked.body,
        derived: checked.derived,
        identity: checked.identity,
        secret,
    }
}

fn busy(spec: &NounSpec) -> InventoryError {
    InventoryError::Store(StoreError::Conflict {
        what: format!(
            "the {} was changed by others again and again; try once more",
            spec.noun.title()
        ),
    })
}

fn check_revision(item: &Item, expected: Option<i64>) -> Result<(), InventoryError> {
    match expected {
        Some(revision) if revision != item.revision => Err(InventoryError::one(Reason::Stale {
            current: item.revision,
        })),
        _ => Ok(()),
    }
}

type CheckedItem = (Checked, Option<Secret>);

fn check_all(
    spec: &'static NounSpec,
    new: Vec<NewItem>,
) -> Result<Vec<CheckedItem>, InventoryError> {
    let mut checked = Vec::with_capacity(new.len());
    let mut refused = Vec::new();
    for (index, item) in new.into_iter().enumerate() {
        match check_one(spec, item) {
            Ok(item) => checked.push(item),
            Err(errors) => refused.push((index, Reason::Invalid(errors))),
        }
    }
    if refused.is_empty() {
        Ok(checked)
    } else {
        Err(InventoryError::Refused(refused))
    }
}

fn check_one(spec: &NounSpec, item: NewItem) -> Result<CheckedItem, Vec<FieldError>> {
    let mut errors = secret_problems(spec, &item.fields, item.secret.as_ref());
    match (spec.read)(item.fields) {
        Ok(fields) if errors.is_empty() => return Ok((fields, item.secret)),
        Ok(_) => {}
        Err(more) => errors.extend(more),
    }
    Err(errors)
}

/// The fields that differ, before and after.
fn changed(spec: &NounSpec, item: &Item, checked: &Checked) -> (Fields, Fields) {
    difference(&ordered(spec, &item.body), &ordered(spec, &checked.body))
}

/// A thing's fields after a patch.
fn patched(spec: &NounSpec, item: &Item, patch: &NewItem) -> Result<Checked, Vec<FieldError>> {
    let mut fields = item.body.clone();
    merge_patch(&mut fields, &patch.fields);
    let mut errors = secret_problems(spec, &fields, patch.secret.as_ref());
    for field in spec.fixed {
        if let Some(value) = patch.fields.get(*field)
            && Some(value) != item.body.get(*field)
        {
            errors.push(FieldError::new(
                *field,
                "cannot be changed; make another one instead",
            ));
        }
    }
    // The reader of the merged fields would not see them any more.
    let unknown = unknown_removals(&item.body, &patch.fields).into_iter();
    errors.extend(unknown.map(|field| FieldError::new(field, "is not known; remove it")));
    if !errors.is_empty() {
        return Err(errors);
    }
    let checked = (spec.read)(fields)?;
    if let Some(SecretSpec { field, kind, .. }) = &spec.secret
        && patch.secret.is_none()
        && checked.body.get(*kind) != item.body.get(*kind)
    {
        let detail = format!("says what the `{field}` is: give another one with it");
        return Err(Vec::from([FieldError::new(*kind, detail)]));
    }
    Ok(checked)
}

fn secret_problems(spec: &NounSpec, fields: &Fields, secret: Option<&Secret>) -> Vec<FieldError> {
    match (secret, &spec.secret) {
        (None, _) => Vec::new(),
        (Some(secret), Some(spec)) => (spec.check)(fields, secret),
        (Some(_), None) => Vec::from([FieldError::new("secret", "this kind of thing has none")]),
    }
}

/// The fields with lists in one order: the order of a list's entries means nothing, and is not kept.
fn ordered(spec: &NounSpec, fields: &Fields) -> Fields {
    let mut fields = fields.clone();
    for child in spec.children {
        if let Some(list) = fields
            .get_mut(child.field)
            .and_then(|list| list.as_array_mut())
        {
            list.sort_by_cached_key(ToString::to_string);
        }
    }
    fields
}
