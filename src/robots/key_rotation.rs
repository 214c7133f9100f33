//! The change of a key: the new one is let in beside the old one, proven, and the old one let in no more.
//!
//! 1. A candidate is made and kept, sealed by the passphrase of the key in force, before the target is touched.
//! 2. By the old key it is added to the account's `authorized_keys`, with the old one's options and comment.
//! 3. The candidate is tried on a fresh connection.
//! 4. By the candidate the old key is taken out of there.
//! 5. The candidate takes the current secret's place.
//!
//! Cut off before 3, the old key opens the account; after it, the candidate does, and both are recorded. A candidate that is
//! met is found out about first, as one of a password is.

use std::collections::BTreeMap;

use crate::connect::ssh::{PublicHalf, Unread, public_half, successor};
use crate::connect::target::{Attempt, Command, Failure, Login, Ran};
use crate::domain::command::{CommandTemplate, TemplateError};
use crate::domain::failure::FailureClass;
use crate::domain::secret::Secret;
use crate::robot::inventory::{InventoryError, Revealed, Secrets};
use crate::robots::password_change::{Believed, Ended, Place, Tries, no_secret};

/// What is run at the target.
const SCRIPT: &str = include_str!("authorized_keys.sh");

const STEP: &str = "edit the keys of";

/// What is done to the file.
#[derive(Debug, Clone, Copy)]
enum Edit {
    /// The second key is let in as the first one is.
    Add,
    /// The first key is let in no more, where the second one is.
    Remove,
}

impl Place<'_> {
    /// Gives the account a new key in place of the one in force, or brings a change to its end that was cut off.
    ///
    /// # Errors
    /// The inventory's. Whatever the target knows by then is recorded, as current or as candidate.
    pub async fn rotate(&self, tries: &mut Tries) -> Result<Ended, InventoryError> {
        let Secrets {
            current, candidate, ..
        } = self.inventory.secrets(self.credential).await?;
        let Some(current) = current else {
            return Ok(no_secret());
        };
        let reused = candidate.is_some();
        let candidate = match candidate {
            Some(candidate) => match self.find_out(&current, &candidate, tries).await {
                Believed::Candidate => return self.take_over(&candidate, &current, tries).await,
                Believed::Current => candidate,
                Believed::Open(ended) => return Ok(ended),
            },
            None => match successor(&whole(&current)).await {
                Ok(made) => self.keep(made).await?,
                Err((class, reason)) => return Ok(Ended::failed(class, reason)),
            },
        };
        let by = self.login(&current);
        let keys = [&current, &candidate];
        if let Err(failure) = self.edit(&by, Edit::Add, keys, tries).await {
            return self.not_changed(&candidate, reused, &failure).await;
        }
        match self.opens(&candidate, tries).await {
            Ok(()) => self.take_over(&candidate, &current, tries).await,
            Err(failure) => Ok(Ended::unverified(candidate.version, failure.class, failure)),
        }
    }

    /// Puts a candidate in force that opens the account, once the key before it does not any more.
    pub(super) async fn take_over(
        &self,
        candidate: &Revealed,
        current: &Revealed,
        tries: &mut Tries,
    ) -> Result<Ended, InventoryError> {
        let by = self.login(candidate);
        match self
            .edit(&by, Edit::Remove, [current, candidate], tries)
            .await
        {
            Ok(()) => self.commit(candidate, current).await,
            Err(failure) => Ok(Ended::unverified(candidate.version, failure.class, failure)),
        }
    }

    /// Drops a candidate that does not open the account, once no line is left that was to let it in.
    pub(super) async fn take_back(
        &self,
        candidate: &Revealed,
        current: &Revealed,
        tries: &mut Tries,
    ) -> Result<Ended, InventoryError> {
        let by = self.login(current);
        match self
            .edit(&by, Edit::Remove, [candidate, current], tries)
            .await
        {
            Ok(()) => self.abandon(candidate).await,
            Err(failure) => Ok(Ended::unverified(candidate.version, failure.class, failure)),
        }
    }

    /// Edits the account's `authorized_keys`: the first key is the one that is there, or goes.
    async fn edit(
        &self,
        by: &Login,
        edit: Edit,
        keys: [&Revealed; 2],
        tries: &mut Tries,
    ) -> Result<(), Failure> {
        let attempt = Attempt::new(self.account, by);
        let unread = |(class, reason): Unread| attempt.fail(class, STEP, reason);
        let old = public_half(&whole(keys[0])).await.map_err(unread)?;
        let new = public_half(&whole(keys[1])).await.map_err(unread)?;
        let command = command(edit, &old, &new)
            .map_err(|error| attempt.fail(FailureClass::Invalid, STEP, error.to_string()))?;
        match self.target.run(by, &command).await {
            Ok(ran) => judge(&attempt, &ran),
            Err(failure) => {
                tries.note(&failure).await;
                Err(failure)
            }
        }
    }
}

fn whole(revealed: &Revealed) -> Secret {
    Secret {
        text: revealed.secret.clone(),
        passphrase: revealed.passphrase.clone(),
    }
}

fn command(edit: Edit, old: &PublicHalf, new: &PublicHalf) -> Result<Command, TemplateError> {
    let mode = match edit {
        Edit::Add => "add",
        Edit::Remove => "remove",
    };
    let words = ["sh", "-s", "--", mode, &old.key, &new.kind, &new.key].map(str::to_owned);
    let script = SCRIPT.replace('{', "{{").replace('}', "}}");
    CommandTemplate::parse(&words, &script, &[])?.fill(&BTreeMap::new())
}

/// Whether the script did what it is for, by its own words.
fn judge(attempt: &Attempt<'_>, ran: &Ran) -> Result<(), Failure> {
    let says = |word: &str| ran.stdout.lines().any(|line| line == word);
    if ran.status == Some(0) && says("robotd-done") {
        return Ok(());
    }
    let (class, reason) = if !says("robotd-begins") {
        let reason = format!(
            "it runs another command in place of ours, or has no `sh`: {}",
            ran.stderr
        );
        (FailureClass::Unsupported, reason)
    } else if says("robotd-no-key") {
        let reason = "`~/.ssh/authorized_keys` does not hold the key; keys that are kept elsewhere are not changed";
        (FailureClass::Unsupported, reason.to_owned())
    } else if !says("robotd-unchanged") {
        attempt.effect_begins();
        let reason = format!("the edit was cut off: {}", ran.stderr);
        (FailureClass::Protocol, reason)
    } else if ran.stderr.contains("ermission denied") || ran.stderr.contains("not permitted") {
        (FailureClass::PermissionDenied, ran.stderr.clone())
    } else {
        (FailureClass::Protocol, ran.stderr.clone())
    };
    Err(attempt.fail(class, STEP, reason))
}
