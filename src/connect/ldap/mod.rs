//! Accounts of a directory: `OpenLDAP` and its kin, and Active Directory.
//!
//! An account signs in by a simple bind under its distinguished name, over verified TLS. Its
//! password changes by the password modify operation (RFC 3062), or in Active Directory by its
//! attribute `unicodePwd`. It is opened and closed by `userAccountControl` in Active Directory, by
//! `pwdAccountLockedTime` elsewhere. The password policy control is sent along where it is understood, for
//! without it a locked account looks like a wrong password.

mod admission;
mod refusal;
mod unicode_pwd;

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use ldap3::controls::RawControl;
use ldap3::exop::PasswordModify;
use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapResult, Mod, Scope, SearchEntry, StdStream,
};
use secrecy::{ExposeSecret, SecretString};

use self::refusal::{Policy, lost, policy_of, refused, refused_change};
use self::unicode_pwd::unicode_pwd;
use super::target::{
    AdmissionOrder, Attempt, Command, Cut, Failure, Limits, Login, PasswordChange, Probed, Ran,
    Target, check_host, check_login, client_tls, cut_when_dropped, dial, is_loopback,
};
use crate::connect::tls::Trust;
use crate::domain::failure::FailureClass;

/// What Active Directory names among its capabilities (MS-ADTS, section 3.1.1.3.4.3.1).
const ACTIVE_DIRECTORY: &str = "1.2.840.113556.1.4.800";

const SIGN_IN: &str = "sign in at";
const CHANGE: &str = "change a password at";

/// The password policy control of draft-behera-ldap-password-policy, which `OpenLDAP` and most others
/// understand; a server that does not passes over it.
const PASSWORD_POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";

/// What kind of directory it is, by how a password changes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryKind {
    /// By the password modify operation (RFC 3062).
    PasswordModify,
    /// By `unicodePwd` (MS-ADTS, section 3.1.1.3.1.5): an administrator replaces it, an owner
    /// takes the old one away and adds the new one.
    ActiveDirectory,
    /// The one of the two that the directory says of itself, before anybody signs in.
    AsItSays,
}

/// How we know that the directory is the one we mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LdapTls {
    /// Not at all: for a directory on this machine, refused for any host that is no loopback address.
    None,
    /// Begins readable and turns to TLS before anybody signs in (port 389).
    StartTls(Trust),
    /// TLS from the first byte (port 636).
    Implicit(Trust),
}

/// What is done once the account is in.
#[derive(Clone, Copy)]
enum Work<'a> {
    Nothing,
    Change(&'a PasswordChange),
    Admit(&'a AdmissionOrder),
}

/// A directory.
#[derive(Debug, Clone)]
pub struct LdapTarget {
    host: String,
    port: u16,
    kind: DirectoryKind,
    tls: LdapTls,
    limits: Limits,
    shown: String,
}

impl LdapTarget {
    /// Names the directory; connects to nothing yet.
    #[must_use]
    pub fn new(host: &str, port: u16, kind: DirectoryKind, tls: LdapTls, limits: Limits) -> Self {
        Self {
            host: host.to_owned(),
            port,
            kind,
            tls,
            limits,
            shown: format!("{host}:{port}"),
        }
    }

    /// Signs in, works, and leaves.
    async fn visit(
        &self,
        attempt: &Attempt<'_>,
        login: &Login,
        wanted: Work<'_>,
    ) -> Result<(), Failure> {
        check_login(attempt, login)?;
        let Some(password) = login.credential.password() else {
            let reason = "an entry signs in by its password, not by a key";
            return Err(attempt.fail(FailureClass::Unsupported, SIGN_IN, reason));
        };
        let settings = self.settings(attempt)?;
        let opening = self.open(attempt, settings);
        let opened = attempt.within(self.limits.connect, "reach", Box::pin(opening));
        let (connection, mut ldap, _cut) = opened.await?;
        let work = async {
            // Asked first: an account that must change its password may ask for nothing else.
            let kind = match wanted {
                Work::Nothing => self.kind,
                Work::Change(_) | Work::Admit(_) => self.kind(attempt, &mut ldap).await?,
            };
            self.bind(attempt, &mut ldap, login, password, wanted)
                .await?;
            match wanted {
                Work::Nothing => Ok(()),
                Work::Change(order) => change(attempt, &mut ldap, kind, password, order).await,
                Work::Admit(order) => admission::admit(attempt, &mut ldap, kind, order).await,
            }
        };
        let mut driving = pin!(connection.drive());
        let mut work = Box::pin(work);
        tokio::select! {
            biased;
            done = &mut work => done?,
            // The last answer may have come together with the end.
            ended = &mut driving => match (&mut work).now_or_never() {
                Some(done) => return done,
                None => return Err(match ended {
                    Ok(()) => attempt.fail(FailureClass::Refused, SIGN_IN, "the connection was closed"),
                    Err(error) => lost(attempt, SIGN_IN, &error),
                }),
            },
        }
        drop(work);
        // The connection ends by it, whichever of the two hears of that first.
        tokio::select! {
            _said = ldap.unbind() => {}
            _ended = driving => {}
        }
        Ok(())
    }

    fn settings(&self, attempt: &Attempt<'_>) -> Result<LdapConnSettings, Failure> {
        // The library reads the host out of a URL.
        check_host(attempt, &self.host)?;
        let settings = LdapConnSettings::new();
        let (trust, start) = match &self.tls {
            LdapTls::None if is_loopback(&self.host) => return Ok(settings),
            LdapTls::None => {
                let reason = "a password would travel readable; use TLS";
                return Err(attempt.fail(FailureClass::Invalid, SIGN_IN, reason));
            }
            LdapTls::StartTls(trust) => (trust, true),
            LdapTls::Implicit(trust) => (trust, false),
        };
        let tls = client_tls(attempt, trust)?;
        Ok(settings.set_config(Arc::new(tls)).set_starttls(start))
    }

    async fn open(
        &self,
        attempt: &Attempt<'_>,
        settings: LdapConnSettings,
    ) -> Result<(LdapConnAsync, Ldap, Cut), Failure> {
        let stream = dial(attempt, &self.host, self.port).await?;
        let (stream, cut) = cut_when_dropped(attempt, stream)?;
        let scheme = match self.tls {
            LdapTls::Implicit(_) => "ldaps",
            LdapTls::None | LdapTls::StartTls(_) => "ldap",
        };
        let url = if self.host.contains(':') {
            format!("{scheme}://[{}]:{}", self.host, self.port)
        } else {
            format!("{scheme}://{}:{}", self.host, self.port)
        };
        let settings = settings.set_std_stream(StdStream::Tcp(stream));
        let opened = LdapConnAsync::with_settings(settings, &url).await;
        let (connection, ldap) =
            opened.map_err(|error| lost(attempt, "agree on TLS with", &error))?;
        Ok((connection, ldap, cut))
    }

    async fn bind(
        &self,
        attempt: &Attempt<'_>,
        ldap: &mut Ldap,
        login: &Login,
        password: &SecretString,
        wanted: Work<'_>,
    ) -> Result<(), Failure> {
        let bound = with_policy(ldap)
            .simple_bind(&login.account, password.expose_secret())
            .await;
        let bound = bound.map_err(|error| lost(attempt, SIGN_IN, &error))?;
        if bound.rc != 0 {
            return Err(refused(attempt, &bound));
        }
        // It let us in, but only so that the password is changed.
        let must_change = policy_of(&bound) == Some(Policy::ChangeAfterReset);
        let is_changed = matches!(wanted, Work::Change(order) if order.is_own());
        if must_change && !is_changed {
            let reason = "the password is right, and must be changed first";
            return Err(attempt.fail(FailureClass::PasswordExpired, SIGN_IN, reason));
        }
        Ok(())
    }

    async fn kind(&self, attempt: &Attempt<'_>, ldap: &mut Ldap) -> Result<DirectoryKind, Failure> {
        if self.kind != DirectoryKind::AsItSays {
            return Ok(self.kind);
        }
        let attribute = "supportedCapabilities";
        let found = ldap
            .search("", Scope::Base, "(objectClass=*)", [attribute])
            .await;
        let (entries, _) = found
            .and_then(|found| found.success())
            .map_err(|error| lost(attempt, "ask", &error))?;
        let says_so = entries.into_iter().any(|entry| {
            let attributes = SearchEntry::construct(entry).attrs;
            let capabilities = attributes.get(attribute).into_iter().flatten();
            capabilities.into_iter().any(|one| one == ACTIVE_DIRECTORY)
        });
        Ok(if says_so {
            DirectoryKind::ActiveDirectory
        } else {
            DirectoryKind::PasswordModify
        })
    }
}

async fn change(
    attempt: &Attempt<'_>,
    ldap: &mut Ldap,
    kind: DirectoryKind,
    old: &SecretString,
    order: &PasswordChange,
) -> Result<(), Failure> {
    attempt.effect_begins();
    let old = order.is_own().then_some(old);
    let changed = match kind {
        DirectoryKind::ActiveDirectory => replace_unicode_pwd(ldap, old, order).await,
        DirectoryKind::PasswordModify | DirectoryKind::AsItSays => {
            password_modify(ldap, old, order).await
        }
    };
    let changed = changed.map_err(|error| lost(attempt, CHANGE, &error))?;
    if changed.rc == 0 {
        Ok(())
    } else {
        Err(refused_change(attempt, &changed))
    }
}

fn with_policy(ldap: &mut Ldap) -> &mut Ldap {
    ldap.with_controls(RawControl {
        ctype: PASSWORD_POLICY.to_owned(),
        crit: false,
        val: None,
    })
}

async fn password_modify(
    ldap: &mut Ldap,
    old: Option<&SecretString>,
    order: &PasswordChange,
) -> ldap3::result::Result<LdapResult> {
    let request = PasswordModify {
        user_id: Some(&order.account),
        old_pass: old.map(ExposeSecret::expose_secret),
        new_pass: Some(order.secret.expose_secret()),
    };
    let answer = with_policy(ldap).extended(request).await?;
    Ok(answer.1)
}

async fn replace_unicode_pwd(
    ldap: &mut Ldap,
    old: Option<&SecretString>,
    order: &PasswordChange,
) -> ldap3::result::Result<LdapResult> {
    let attribute = || b"unicodePwd".to_vec();
    let value = |secret: &SecretString| HashSet::from([unicode_pwd(secret)]);
    let new = value(&order.secret);
    let changes = match old {
        Some(old) => Vec::from([
            Mod::Delete(attribute(), value(old)),
            Mod::Add(attribute(), new),
        ]),
        None => Vec::from([Mod::Replace(attribute(), new)]),
    };
    ldap.modify(&order.account, changes).await
}

#[async_trait]
impl Target for LdapTarget {
    async fn probe(&self, login: &Login) -> Result<Probed, Failure> {
        let attempt = Attempt::new(&self.shown, login);
        let work = Box::pin(self.visit(&attempt, login, Work::Nothing));
        attempt.within(self.limits.whole, SIGN_IN, work).await?;
        Ok(Probed { host_key: None })
    }

    async fn change_password(&self, change: &PasswordChange) -> Result<(), Failure> {
        let attempt = Attempt::of_change(&self.shown, change);
        change.check(&attempt)?;
        let work = Box::pin(self.visit(&attempt, &change.login, Work::Change(change)));
        attempt.within(self.limits.whole, CHANGE, work).await
    }

    async fn admit(&self, order: &AdmissionOrder) -> Result<(), Failure> {
        let attempt = Attempt::new(&self.shown, &order.login);
        order.check(&attempt)?;
        let work = Box::pin(self.visit(&attempt, &order.login, Work::Admit(order)));
        attempt
            .within(self.limits.whole, admission::STEP, work)
            .await
    }

    async fn run(&self, login: &Login, _: &Command) -> Result<Ran, Failure> {
        let attempt = Attempt::new(&self.shown, login);
        let reason = "a directory runs no commands";
        Err(attempt.fail(FailureClass::Unsupported, "run a command at", reason))
    }
}
