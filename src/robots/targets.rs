//! The machine, server or database behind a credential, ready to be spoken to.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::connect::postgres::{PostgresTarget, PostgresTls};
use crate::connect::ssh::{HostKeyPolicy, SshTarget};
use crate::connect::target::{Limits, Target};
use crate::domain::failure::FailureClass;
use crate::domain::id::InventoryId;
use crate::domain::inventory::{
    CredentialBody, CredentialKind, CredentialPolicyBody, DeviceBody, Noun, PasswordRules,
    Protocol, TRUST_ON_FIRST_USE,
};
use crate::domain::password::PasswordPolicy;
use crate::robot::inventory::Inventory;
use crate::store::StoreError;
use crate::store::inventory::Item;

/// A sign-in on a slow machine takes some seconds; a change of a password has some dialogue in it.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    whole: Duration::from_secs(45),
};

/// The database that every PostgreSQL server has for its administrators.
const POSTGRES_DATABASE: &str = "postgres";

/// An account that can be worked on.
pub(super) struct Account {
    /// Its name as the target knows it.
    pub(super) name: String,
    /// Where its device is reached.
    pub(super) address: String,
    /// What a new password is like.
    pub(super) policy: PasswordPolicy,
    /// Where it is.
    pub(super) target: Box<dyn Target>,
    /// Whose key is pinned when the target was met: the device says to trust the first one, and none is known yet.
    pub(super) unpinned: Option<Unpinned>,
}

/// A way to a device whose key is not known yet.
pub(super) struct Unpinned {
    pub(super) device: InventoryId,
    pub(super) port: u16,
}

/// Why an account cannot be worked on.
pub(super) enum Unfit {
    /// The inventory does not allow or describe it: what is to be set.
    Because(FailureClass, String),
    /// The store did not answer.
    Store(StoreError),
}

impl From<StoreError> for Unfit {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what } => {
                Self::Because(FailureClass::Invalid, format!("{what} is not there"))
            }
            other => Self::Store(other),
        }
    }
}

/// One way to a device, with what robots noted of it.
#[derive(Deserialize)]
struct Way {
    protocol: Protocol,
    port: u16,
    host_key: Option<String>,
    pinned_host_key: Option<String>,
}

/// The account of a credential, by the first way to its device that is spoken here: SSH, then PostgreSQL.
pub(super) async fn account(inventory: &Inventory, id: InventoryId) -> Result<Account, Unfit> {
    let credential: CredentialBody = body(&inventory.get(Noun::Credential, id).await?)?;
    let device_id = credential.device;
    let item = inventory.get(Noun::Device, device_id).await?;
    let device: DeviceBody = body(&item)?;
    let unfit = |class, reason: &str| Err(Unfit::Because(class, reason.to_owned()));
    if !credential.enabled {
        return unfit(FailureClass::Invalid, "the credential is disabled");
    }
    if !device.enabled {
        return unfit(FailureClass::Invalid, "the device is disabled");
    }
    if credential.kind != CredentialKind::Password {
        return unfit(FailureClass::Unsupported, "the secret is not a password");
    }
    if credential.domain.is_some() {
        let reason = "accounts of a directory are not worked on yet";
        return unfit(FailureClass::Unsupported, reason);
    }
    let rules = match credential.policy {
        Some(policy) => {
            let item = inventory.get(Noun::CredentialPolicy, policy).await?;
            body::<CredentialPolicyBody>(&item)?.password
        }
        None => PasswordRules::default(),
    };
    let ways = item.lists.get("connectivities").cloned();
    let ways: Vec<Way> = read(ways.unwrap_or_default())?;
    let way = [Protocol::Ssh, Protocol::Postgresql]
        .into_iter()
        .find_map(|protocol| ways.iter().find(|way| way.protocol == protocol));
    let Some(way) = way else {
        let reason = "the device has no connectivity of SSH or PostgreSQL";
        return unfit(FailureClass::Unsupported, reason);
    };
    let (target, unpinned) = target(&device.address, way)?;
    Ok(Account {
        name: credential.username,
        address: device.address,
        policy: policy_of(&rules),
        target,
        unpinned: unpinned.then_some(Unpinned {
            device: device_id,
            port: way.port,
        }),
    })
}

/// The target, and whether its key is still to be pinned.
fn target(address: &str, way: &Way) -> Result<(Box<dyn Target>, bool), Unfit> {
    if way.protocol == Protocol::Postgresql {
        let on_loopback = address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
        let tls = if on_loopback {
            PostgresTls::None
        } else {
            PostgresTls::Verified(None)
        };
        let target = PostgresTarget::new(address, way.port, POSTGRES_DATABASE, tls, LIMITS);
        return Ok((Box::new(target), false));
    }
    let on_first_use = way.host_key.as_deref() == Some(TRUST_ON_FIRST_USE);
    let known = if on_first_use {
        way.pinned_host_key.as_deref()
    } else {
        way.host_key.as_deref()
    };
    let policy = match known {
        Some(key) => HostKeyPolicy::pinned(key).ok_or_else(|| {
            let reason = "the device's `host_key` is no key and no fingerprint of SSH";
            Unfit::Because(FailureClass::Invalid, reason.to_owned())
        })?,
        None if on_first_use => HostKeyPolicy::TrustFirst,
        None => HostKeyPolicy::RefuseUnknown,
    };
    let unpinned = policy == HostKeyPolicy::TrustFirst;
    let target = SshTarget::new(address, way.port, policy, LIMITS);
    Ok((Box::new(target), unpinned))
}

fn body<T: serde::de::DeserializeOwned>(item: &Item) -> Result<T, Unfit> {
    read(Value::Object(item.body.clone()))
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Unfit> {
    serde_json::from_value(value).map_err(|error| {
        let what = format!("a stored thing cannot be read: {error}");
        Unfit::Store(StoreError::Other(what))
    })
}

/// The rules of a credential's policy as a generator takes them.
fn policy_of(rules: &PasswordRules) -> PasswordPolicy {
    let at_least = |count: u32| usize::try_from(count).ok();
    let symbols = &rules.symbols_allowed;
    PasswordPolicy {
        length: usize::try_from(rules.length).unwrap_or_default(),
        lower: at_least(rules.lower),
        upper: at_least(rules.upper),
        digits: at_least(rules.digits),
        others: at_least(rules.symbols).filter(|_| !symbols.is_empty()),
        symbols: symbols.clone(),
        ..PasswordPolicy::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_a_policy_make_passwords() {
        for rules in [
            PasswordRules::default(),
            PasswordRules {
                length: 12,
                symbols: 0,
                symbols_allowed: String::new(),
                ..PasswordRules::default()
            },
        ] {
            let policy = policy_of(&rules);
            assert_eq!(policy.check(), Ok(()), "{rules:?}");
            assert_eq!(policy.others.is_some(), rules.symbols > 0);
        }
    }
}
