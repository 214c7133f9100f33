//! What a change would come to, without making it: for imports, which say it of a whole file before they begin.

use serde_json::Value;

use super::{Inventory, InventoryError, NewItem, changed, check_one, patched};
use crate::domain::id::InventoryId;
use crate::domain::inventory::column::{FilterKind, Kind, id_of};
use crate::domain::inventory::name::identity;
use crate::domain::inventory::patch::Fields;
use crate::domain::inventory::{Noun, NounSpec};
use crate::domain::robot::FieldError;
use crate::domain::secret::Secret;
use crate::store::StoreError;
use crate::store::inventory::{Item, Narrow, Wanted};
use crate::store::page::PageRequest;

/// What stands in the way of making a thing, as far as its fields say. Whether what it refers to is there, and whether
/// its name is taken, the database says.
///
/// # Errors
/// Each bad field.
pub fn new(noun: Noun, item: NewItem) -> Result<(), Vec<FieldError>> {
    check_one(noun.spec(), item).map(drop)
}

/// Whether a merge patch changes anything of a thing's fields.
///
/// # Errors
/// Each bad field.
pub fn change(noun: Noun, item: &Item, patch: &NewItem) -> Result<bool, Vec<FieldError>> {
    let spec = noun.spec();
    let checked = patched(spec, item, patch)?;
    let (before, after) = changed(spec, item, &checked);
    Ok(!before.is_empty() || !after.is_empty())
}

impl Inventory {
    /// Refuses a field that is set to a thing which is disabled, where it must not be. What is not there is refused by whoever
    /// writes.
    pub(super) async fn check_enabled(
        &self,
        spec: &NounSpec,
        set: &Fields,
    ) -> Result<(), InventoryError> {
        for column in spec.columns {
            let Kind::Ref(noun) = column.kind else {
                continue;
            };
            let named = set.get(column.field).and_then(id_of);
            let Some(id) = named.filter(|_| spec.noun.must_be_enabled(column.field)) else {
                continue;
            };
            match self.get(noun, id).await {
                Ok(item) if item.body.get("enabled") == Some(&Value::Bool(false)) => {
                    let detail = format!("must be enabled: {} `{id}` is not", noun.title());
                    let error = FieldError::new(column.field, detail);
                    return Err(InventoryError::invalid(Vec::from([error])));
                }
                Ok(_) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The thing that these parts of its identity name, the one it is searched by first.
    ///
    /// # Errors
    /// The store's.
    pub async fn find(&self, noun: Noun, parts: &[&str]) -> Result<Option<Item>, StoreError> {
        self.store.inventory_find(noun, identity(parts)).await
    }

    /// Those of the ids under which there is no thing of a noun, in their order.
    ///
    /// # Errors
    /// The store's.
    pub async fn missing(
        &self,
        noun: Noun,
        ids: Vec<InventoryId>,
    ) -> Result<Vec<InventoryId>, StoreError> {
        self.store.inventory_missing(noun, ids).await
    }

    /// Up to `limit` things of this name, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn named(&self, noun: Noun, name: &str, limit: u32) -> Result<Vec<Item>, StoreError> {
        let filters = noun.spec().filters.iter();
        let by_name = filters.filter(|filter| filter.kind == FilterKind::Name);
        let narrow = by_name.map(|filter| Narrow {
            filter,
            value: Wanted::Text(name.to_owned()),
        });
        let page = PageRequest { limit, after: None };
        Ok(self.list(noun, narrow.collect(), page).await?.items)
    }

    /// Whether this is the secret in force of a credential; one that cannot be trusted is not.
    ///
    /// # Errors
    /// The store's, and those of the keys.
    pub async fn is_current(
        &self,
        credential: InventoryId,
        secret: &Secret,
    ) -> Result<bool, InventoryError> {
        match self.secrets(credential).await {
            Ok(secrets) => Ok(secrets.current.is_some_and(|current| {
                let current = Secret {
                    text: current.secret,
                    passphrase: current.passphrase,
                };
                current.is(secret)
            })),
            Err(InventoryError::Damaged) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
