//! The machine and the service of a binding.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::{Run, Unfit};
use crate::connect::target::Login;
use crate::connect::tls_probe;
use crate::connect::version_folder::{VersionFolder, said};
use crate::domain::inventory::{CertificateBindingBody, fingerprint};
use crate::robot::Context;
use crate::robots::password_change::login;
use crate::robots::sign_ins::Counted;
use crate::robots::targets::{self, Identity, account};
use crate::store::StoreResult;

/// How long one handshake may take.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// After which it is looked again whether a change of an account was settled.
const SETTLE_PAUSE: Duration = Duration::from_mins(10);
/// How often we look whether a service has taken a certificate: a reload is done in the background.
const GLANCE: Duration = Duration::from_millis(250);

/// A binding whose machine can be reached: its host and name are set.
pub(super) struct Site {
    /// The binding as it is, or was when its publication began.
    pub(super) body: CertificateBindingBody,
    target: Counted,
    login: Login,
    verify_within: Duration,
}

impl Site {
    /// Its folder.
    pub(super) fn folder(&self) -> VersionFolder<'_> {
        VersionFolder::new(&self.target, &self.login, &self.body.directory)
    }

    /// SHA-256 of the certificate that the service shows, or why it shows none.
    pub(super) async fn served(&self) -> Result<String, String> {
        let host = self.body.host.as_deref().unwrap_or_default();
        let name = self.body.server_name.as_deref().unwrap_or_default();
        let shown = tls_probe::served((host, self.body.port), name, HANDSHAKE_TIME_MAX).await;
        match shown {
            Ok(der) => Ok(fingerprint(&der)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Has the service tell whether it will take its configuration, read it, and show `expected`.
    pub(super) async fn prove(&self, expected: &str) -> Result<(), String> {
        self.succeed("test the configuration", &self.body.test)
            .await?;
        self.reload().await?;
        self.shows(expected).await
    }

    /// Has the service read its files.
    pub(super) async fn reload(&self) -> Result<(), String> {
        self.succeed("reload the service", &self.body.reload).await
    }

    async fn succeed(&self, what: &str, words: &[String]) -> Result<(), String> {
        if words.is_empty() {
            return Ok(());
        }
        match self.folder().command(words).await {
            Ok(ran) if ran.status == Some(0) => Ok(()),
            Ok(ran) => Err(format!("{what}: {}", said(&ran))),
            Err(failure) => Err(format!("{what}: {failure}")),
        }
    }

    /// Waits until the service shows a certificate.
    pub(super) async fn shows(&self, expected: &str) -> Result<(), String> {
        let deadline = Instant::now() + self.verify_within;
        loop {
            let seen = self.served().await;
            if seen.as_deref() == Ok(expected) {
                return Ok(());
            }
            if Instant::now() + GLANCE >= deadline {
                let instead = seen.map_or_else(
                    |why| why,
                    |print| format!("it shows the one with SHA-256 {print}"),
                );
                return Err(format!(
                    "see the certificate with SHA-256 {expected} served: {instead}"
                ));
            }
            tokio::time::sleep(GLANCE).await;
        }
    }
}

impl Site {
    /// Says how the sign-ins went; for when the machine is left.
    pub(super) async fn leave(self, ctx: &Context) -> StoreResult<()> {
        self.target.settle(ctx).await
    }
}

impl Run<'_> {
    /// Finds the machine of a binding; it is left by [`Site::leave`]. `names` are those of the certificate, one of which it is asked for.
    pub(super) async fn site(
        &self,
        mut body: CertificateBindingBody,
        names: &[String],
    ) -> Result<Site, Unfit> {
        let guard = &self.ctx.tools().guard;
        let account = match account(&self.inventory, guard, body.credential, None).await {
            Ok(account) => account,
            Err(targets::Unfit::Because(_, reason)) => {
                return Err(Unfit::because(format!("reach the machine: {reason}")));
            }
            Err(targets::Unfit::Store(error)) => return Err(error.into()),
        };
        if account.unpinned.is_some() {
            return Err(Unfit::because(
                "trust the machine: its host key is not pinned yet; order an operation `test` of its credential",
            ));
        }
        let store = self.ctx.store();
        if store
            .credential_unverified(body.credential)
            .await?
            .is_some()
        {
            let reason = "sign in: the account's last change is not verified, and its recorded secret may be the old one";
            return Err(Unfit::Because(reason.to_owned(), SETTLE_PAUSE));
        }
        let secrets = self.inventory.secrets(body.credential).await?;
        let Some(current) = secrets.current else {
            return Err(Unfit::because("sign in: no secret is in force"));
        };
        let askable = names.iter().find(|name| !name.starts_with('*'));
        body.host.get_or_insert_with(|| account.address.clone());
        if body.server_name.is_none() {
            let reason =
                "look at the service: the certificate is for wildcards only; set `server_name`";
            let name = askable.ok_or_else(|| Unfit::because(reason))?;
            body.server_name = Some(name.clone());
        }
        let Identity {
            name, kind, key, ..
        } = account.identity;
        let number = self.sites.fetch_add(1, Ordering::Relaxed);
        let window = self.settings.lock_window;
        let reserved = Counted::reserve(self.ctx, (account.target, key), number, window).await?;
        let target = reserved.map_err(|until| {
            let wait = (until - self.now()).to_std().unwrap_or_default();
            Unfit::Because("sign in: the account may lock".to_owned(), wait)
        })?;
        Ok(Site {
            body,
            target,
            login: login(&name, kind, &current),
            verify_within: self.settings.verify_within,
        })
    }
}
