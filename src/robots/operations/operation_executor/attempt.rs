//! One attempt at an account that may be asked.

use super::holding::Tried;
use super::{Made, Run, unfit};
use crate::connect::target::{HostKey, Login};
use crate::domain::failure::FailureClass;
use crate::domain::inventory::{CredentialKind, Noun, OperationTemplateBody, TemplateKind};
use crate::domain::operation::{Finding, OperationKind};
use crate::domain::steps::{Places, command};
use crate::robot::inventory::{Inventory, InventoryError};
use crate::robots::password_change::{Ended, Place, Tries, login, no_secret};
use crate::robots::targets::Account;
use crate::robots::transcript::Transcript;
use crate::store::StoreError;
use crate::store::operation::Operation;

/// Lines of a command's output that go to the process's log.
const OUTPUT_LINES_MAX: usize = 100;

impl Run<'_> {
    pub(super) async fn attempt(
        &self,
        operation: &Operation,
        (mut found, transcript): (Account, &Transcript),
        tries: &mut Tries,
    ) -> Result<Tried, InventoryError> {
        if found.unpinned.is_some() {
            if let Some(tried) = self.meet(operation, &found, tries).await? {
                return Ok(tried);
            }
            found = match self.account(operation, transcript).await {
                Ok(found) => found,
                Err(made) => return Ok(made.into()),
            };
        }
        let inventory = self.ctx.inventory();
        let who = &found.identity;
        let place = Place {
            inventory: &inventory,
            clock: self.ctx.clock(),
            target: found.target.as_ref(),
            credential: operation.credential,
            account: &who.name,
            kind: who.kind,
            actor: self.ctx.robot(),
        };
        if let Some(reason) = operation.kind.refusal(who.kind) {
            return Ok(unfit(operation, FailureClass::Unsupported, reason).into());
        }
        let ended = match operation.kind {
            OperationKind::RunTemplate => {
                let ended = self.run_template(operation, &found, tries).await?;
                return Ok(ended.into());
            }
            OperationKind::Activate | OperationKind::Deactivate => {
                return self.admit(operation, (&found, &place), tries).await;
            }
            OperationKind::ChangePassword => place.change(&found.policy, tries).await?,
            OperationKind::RotateSshKey => place.rotate(tries).await?,
            OperationKind::Reconcile => place.reconcile(tries).await?,
            OperationKind::Test => place.test(tries).await?,
        };
        let finding = Finding::of(ended.end);
        let may_reset = operation.kind.settles_candidates()
            && found.automatic_change
            && who.kind == CredentialKind::Password;
        if !may_reset || finding != Some(Finding::Mismatch) {
            return Ok(made(ended, finding));
        }
        match &found.privileged {
            Ok(Some(by)) => {
                let reset = self.reset(operation, &place, (&found, by), tries).await?;
                let finding = Finding::of(reset.ended.end)
                    .filter(|found| *found == Finding::Match)
                    .or(finding);
                Ok(Made { finding, ..reset }.into())
            }
            Ok(None) => Ok(made(ended, finding)),
            Err(why) => {
                let refused = ended.detail.unwrap_or_default();
                let detail = Some(format!("{refused}; nobody sets another one: {why}"));
                let ended = Ended { detail, ..ended };
                Ok(made(ended, finding))
            }
        }
    }

    /// Meets a target whose first key is to be trusted, and pins that key before anything is changed: the connections that
    /// follow must meet the same machine. Answers what became of the operation where that cannot be done.
    async fn meet(
        &self,
        operation: &Operation,
        found: &Account,
        tries: &mut Tries,
    ) -> Result<Option<Tried>, InventoryError> {
        if operation.kind.admits() {
            return self.meet_by_another(operation, found).await;
        }
        let secrets = self.ctx.inventory().secrets(operation.credential).await?;
        let Some(current) = secrets.current else {
            return Ok(Some(no_secret().into()));
        };
        let who = &found.identity;
        let login = login(&who.name, who.kind, &current);
        let met = self.pin(operation, found, (&login, tries)).await?;
        Ok(met.map(Tried::from))
    }

    /// Signs in to a target whose key is not known yet, and pins it; the end of the attempt where it lets nobody in.
    pub(super) async fn pin(
        &self,
        operation: &Operation,
        found: &Account,
        (login, tries): (&Login, &mut Tries),
    ) -> Result<Option<Ended>, InventoryError> {
        let Some(unpinned) = &found.unpinned else {
            return Ok(None);
        };
        let seen = match found.target.probe(login).await {
            Ok(probed) => probed.host_key,
            Err(failure) => {
                tries.note(&failure).await;
                let reason = failure.to_string();
                return Ok(Some(unfit(operation, failure.class, &reason)));
            }
        };
        if let Some(HostKey {
            algorithm,
            fingerprint,
        }) = seen
        {
            let key = format!("{algorithm} {fingerprint}");
            let store = self.ctx.store();
            store
                .connectivity_pin(unpinned.device, "ssh", unpinned.port, &key)
                .await?;
        }
        Ok(None)
    }

    /// Runs the command of a template as the account, once.
    async fn run_template(
        &self,
        operation: &Operation,
        found: &Account,
        tries: &mut Tries,
    ) -> Result<Ended, InventoryError> {
        let inventory = self.ctx.inventory();
        let template = match template(&inventory, operation, found).await? {
            Ok(template) => template,
            Err(reason) => return Ok(Ended::failed(FailureClass::Invalid, reason)),
        };
        let secrets = inventory.secrets(operation.credential).await?;
        let Some(current) = secrets.current else {
            return Ok(no_secret());
        };
        let who = &found.identity;
        let login = login(&who.name, who.kind, &current);
        let places = Places {
            account: &who.name,
            password: login.credential.password(),
            new_password: None,
        };
        let command = match command(&template.steps, places) {
            Ok(command) => command,
            Err(error) => {
                let reason = format!("the template's `steps`: {error}");
                return Ok(Ended::failed(FailureClass::Invalid, reason));
            }
        };
        match found.target.run(&login, &command).await {
            Ok(ran) => {
                for line in ran.stdout.lines().take(OUTPUT_LINES_MAX) {
                    self.ctx.info(line);
                }
                if ran.status == Some(0) {
                    return Ok(Ended::done(None));
                }
                let how = match ran.status {
                    Some(status) => format!("the command exited with {status}"),
                    None => "a signal ended the command".to_owned(),
                };
                let detail = format!("{how}: {}", ran.stderr.trim());
                Ok(Ended::failed(FailureClass::Protocol, detail))
            }
            Err(failure) => {
                tries.note(&failure).await;
                Ok(Ended::of(&failure))
            }
        }
    }
}

/// Of an attempt that was about the account's secret.
fn made(ended: Ended, finding: Option<Finding>) -> Tried {
    let made = Made {
        finding,
        ..ended.into()
    };
    made.into()
}

/// The template that an operation names, or why it cannot be used.
async fn template(
    inventory: &Inventory,
    operation: &Operation,
    found: &Account,
) -> Result<Result<OperationTemplateBody, &'static str>, InventoryError> {
    let Some(id) = operation.template else {
        return Ok(Err("the operation names no template"));
    };
    let fields = match inventory.get(Noun::OperationTemplate, id).await {
        Ok(item) => item.body,
        Err(StoreError::NotFound { .. }) => return Ok(Err("the template is not there")),
        Err(error) => return Err(error.into()),
    };
    let read: Result<OperationTemplateBody, _> = serde_json::from_value(fields.into());
    Ok(match read {
        Ok(template) if !template.enabled => Err("the template is disabled"),
        Ok(template) if template.kind != TemplateKind::RunCommand => {
            Err("the template is not of the kind `run_command`")
        }
        Ok(template) if template.protocol != found.protocol => {
            Err("the template is for another protocol than the one by which the account is reached")
        }
        Ok(template) => Ok(template),
        Err(_) => Err("the template cannot be read"),
    })
}
