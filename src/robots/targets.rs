//! The machine, server, directory or database behind a credential, ready to be spoken to.

use std::time::Duration;

use serde_json::Value;

use crate::connect::command::GuardProgram;
use crate::connect::target::{Limits, Target};
use crate::domain::failure::FailureClass;
use crate::domain::id::InventoryId;
use crate::domain::inventory::{
    CredentialBody, CredentialKind, CredentialPolicyBody, DeviceBody, Noun, OperationTemplateBody,
    PasswordRules, Protocol, TemplateKind,
};
use crate::domain::operation::{Finding, account_key};
use crate::domain::password::PasswordPolicy;
use crate::robot::inventory::Inventory;
use crate::robots::by_template::ByTemplate;
use crate::robots::privileged::{Privileged, privileged};
use crate::robots::transcript::Transcript;
use crate::robots::ways::{Way, account_name, protocols, target};
use crate::store::StoreError;
use crate::store::inventory::Item;

/// A sign-in on a slow machine takes some seconds; a change of a password has some dialogue in it.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    whole: Duration::from_secs(45),
};

/// An account that can be worked on.
pub(super) struct Account {
    /// Who it is.
    pub(super) identity: Identity,
    /// Where its device is reached.
    pub(super) address: String,
    /// Whether robots may give it another secret.
    pub(super) automatic_change: bool,
    /// Whether a robot has closed it.
    pub(super) is_closed: bool,
    /// What it last said of the secret in force.
    pub(super) finding: Option<Finding>,
    /// What a new password is like.
    pub(super) policy: PasswordPolicy,
    /// How it is reached.
    pub(super) protocol: Protocol,
    /// Where it is.
    pub(super) target: Box<dyn Target>,
    /// Whose key is pinned when the target was met: the device says to trust the first one, and none is known yet.
    pub(super) unpinned: Option<Unpinned>,
    /// Who may set its password.
    pub(super) privileged: Privileged,
}

/// Who signs in.
pub(super) struct Identity {
    /// The credential.
    pub(super) credential: InventoryId,
    /// The account's name as the target knows it.
    pub(super) name: String,
    /// What its secret is.
    pub(super) kind: CredentialKind,
    /// Under what its refused sign-ins are counted.
    pub(super) key: String,
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

impl Unfit {
    pub(super) fn because(class: FailureClass, reason: &str) -> Self {
        Self::Because(class, reason.to_owned())
    }
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

/// The account of a credential, by the best of the ways to its device that are spoken here. What is done there is written to
/// the transcript, where there is one.
pub(super) async fn account(
    inventory: &Inventory,
    guard: &GuardProgram,
    id: InventoryId,
    transcript: Option<&Transcript>,
) -> Result<Account, Unfit> {
    let credential_item = inventory.get(Noun::Credential, id).await?;
    let credential: CredentialBody = body(&credential_item)?;
    let device_id = credential.device;
    let item = inventory.get(Noun::Device, device_id).await?;
    let device: DeviceBody = body(&item)?;
    let disabled = |what: &str| Err(Unfit::because(FailureClass::Invalid, what));
    if !credential.enabled {
        return disabled("the credential is disabled");
    }
    if !device.enabled {
        return disabled("the device is disabled");
    }
    let way = &way(&item, &credential)?;
    let (target, unpinned) = target(&device.address, way, guard, LIMITS)?;
    let target = match transcript {
        Some(transcript) => transcript.of(target),
        None => target,
    };
    let policy = policy(inventory, credential.policy).await?;
    let target = match &policy {
        Some(policy) => {
            let place = (target, device.address.as_str());
            by_template(inventory, policy, way, place, unpinned).await?
        }
        None => target,
    };
    let named = policy.as_ref().and_then(|it| it.privileged_credential);
    let privileged = privileged((inventory, device_id), named, id, way.protocol).await?;
    let rules = policy.map(|policy| policy.password);
    let finding = credential_item.state.get("secret_state");
    Ok(Account {
        identity: identity(id, &credential),
        address: device.address,
        automatic_change: credential.automatic_change,
        is_closed: is_closed(&credential_item),
        finding: finding
            .and_then(Value::as_str)
            .and_then(|finding| finding.parse().ok()),
        policy: policy_of(&rules.unwrap_or_default()),
        protocol: way.protocol,
        target,
        unpinned: unpinned.then_some(Unpinned {
            device: device_id,
            port: way.port,
        }),
        privileged,
    })
}

/// The best way to an account of a device.
pub(super) fn way(device: &Item, credential: &CredentialBody) -> Result<Way, Unfit> {
    let ways = device.lists.get("connectivities").cloned();
    let mut ways: Vec<Way> = read(ways.unwrap_or_default())?;
    let protocols = protocols(credential);
    let is_of = |protocol| ways.iter().position(|way| way.protocol == protocol);
    let best = protocols.iter().find_map(|protocol| is_of(*protocol));
    match best {
        Some(best) => Ok(ways.swap_remove(best)),
        None => Err(no_way(protocols)),
    }
}

/// Whether a robot has closed the account of a credential.
pub(super) fn is_closed(credential: &Item) -> bool {
    let since = credential.state.get("deactivated_at");
    since.is_some_and(|since| !since.is_null())
}

fn no_way(protocols: &[Protocol]) -> Unfit {
    let named = protocols.iter().map(|one| format!("`{}`", one.as_str()));
    let named = named.collect::<Vec<_>>().join(", ");
    let reason = format!("the device has no connectivity of {named}");
    Unfit::Because(FailureClass::Unsupported, reason)
}

pub(super) fn identity(id: InventoryId, credential: &CredentialBody) -> Identity {
    Identity {
        credential: id,
        name: account_name(credential),
        kind: credential.kind,
        key: account_key(id, credential.domain.as_deref(), &credential.username),
    }
}

/// The policy that a credential names, where it holds.
pub(super) async fn policy(
    inventory: &Inventory,
    policy: Option<InventoryId>,
) -> Result<Option<CredentialPolicyBody>, Unfit> {
    let Some(policy) = policy else {
        return Ok(None);
    };
    let item = inventory.get(Noun::CredentialPolicy, policy).await?;
    let policy: CredentialPolicyBody = body(&item)?;
    Ok(Some(policy).filter(|policy| policy.enabled))
}

/// The target with the templates of a policy, where it has some.
async fn by_template(
    inventory: &Inventory,
    policy: &CredentialPolicyBody,
    way: &Way,
    (target, address): (Box<dyn Target>, &str),
    unpinned: bool,
) -> Result<Box<dyn Target>, Unfit> {
    // Until its key is pinned a target is met, and nothing more.
    let verify = policy.verify_template.filter(|_| !unpinned);
    let named = [
        (policy.change_template, TemplateKind::ChangePassword),
        (policy.reconcile_template, TemplateKind::ReconcilePassword),
        (verify, TemplateKind::VerifyPassword),
    ];
    if named.iter().all(|(template, _)| template.is_none()) {
        return Ok(target);
    }
    let mut found = [None, None, None];
    for (place, (template, kind)) in found.iter_mut().zip(named) {
        *place = steps(inventory, template, kind, way.protocol).await?;
    }
    let [change, reconcile, verify] = found;
    Ok(Box::new(ByTemplate {
        target,
        shown: format!("{address}:{}", way.port),
        change,
        reconcile,
        verify,
    }))
}

/// The steps of a template that a policy names for a kind of work.
async fn steps(
    inventory: &Inventory,
    template: Option<InventoryId>,
    kind: TemplateKind,
    protocol: Protocol,
) -> Result<Option<String>, Unfit> {
    let Some(id) = template else {
        return Ok(None);
    };
    let item = inventory.get(Noun::OperationTemplate, id).await?;
    let template: OperationTemplateBody = body(&item)?;
    let wrong = if template.kind != kind {
        "is not of the kind that its field asks for"
    } else if template.protocol != protocol {
        "is for another protocol than the one by which the account is reached"
    } else if !template.enabled {
        "is disabled"
    } else {
        return Ok(Some(template.steps));
    };
    let reason = format!("the template `{}` of the policy {wrong}", template.name);
    Err(Unfit::Because(FailureClass::Invalid, reason))
}

pub(super) fn body<T: serde::de::DeserializeOwned>(item: &Item) -> Result<T, Unfit> {
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
