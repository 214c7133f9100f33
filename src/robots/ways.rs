//! Which way leads to an account, and what stands at its end.

use serde::Deserialize;

use crate::connect::command::GuardProgram;
use crate::connect::ldap::{DirectoryKind, LdapTarget, LdapTls};
use crate::connect::postgres::{PostgresTarget, PostgresTls};
use crate::connect::ssh::{HostKeyPolicy, SshTarget};
use crate::connect::target::{Limits, Target};
use crate::connect::tls::Trust;
use crate::connect::windows::WindowsTarget;
use crate::domain::failure::FailureClass;
use crate::domain::inventory::{CredentialBody, CredentialKind, Protocol, TRUST_ON_FIRST_USE};
use crate::robots::targets::Unfit;

/// The database that every PostgreSQL server has for its administrators.
const POSTGRES_DATABASE: &str = "postgres";

/// Digits of a certificate's SHA-256 digest.
const FINGERPRINT_DIGITS: usize = 64;

/// One way to a device, with what robots noted of it.
#[derive(Debug, Deserialize)]
pub(super) struct Way {
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    host_key: Option<String>,
    pinned_host_key: Option<String>,
    ca: Option<String>,
}

/// The protocols by which an account is worked on, the best first.
pub(super) fn protocols(credential: &CredentialBody) -> &'static [Protocol] {
    match (credential.kind, &credential.domain) {
        (CredentialKind::SshKey, _) => &[Protocol::Ssh],
        // The device is a controller of the domain.
        (CredentialKind::Password, Some(_)) => &[Protocol::WindowsRpc],
        (CredentialKind::Password, None) => &[
            Protocol::Ssh,
            Protocol::WindowsRpc,
            Protocol::Postgresql,
            Protocol::Ldaps,
            Protocol::Ldap,
        ],
    }
}

/// The account's name as the target of a protocol knows it.
pub(super) fn account_name(credential: &CredentialBody) -> String {
    match &credential.domain {
        Some(domain) => format!("{domain}\\{}", credential.username),
        None => credential.username.clone(),
    }
}

/// What stands at the end of a way, and whether its key is still to be pinned.
pub(super) fn target(
    address: &str,
    way: &Way,
    guard: &GuardProgram,
    limits: Limits,
) -> Result<(Box<dyn Target>, bool), Unfit> {
    let (port, protocol) = (way.port, way.protocol);
    let target: Box<dyn Target> = match protocol {
        Protocol::Ssh => {
            let policy = host_key(way)?;
            let unpinned = policy == HostKeyPolicy::TrustFirst;
            let target = SshTarget::new(address, port, policy, limits);
            return Ok((Box::new(target), unpinned));
        }
        Protocol::WindowsRpc => Box::new(WindowsTarget::new(address, port, guard.clone(), limits)),
        Protocol::Postgresql => {
            let tls = trust(address, way)?.map_or(PostgresTls::None, PostgresTls::Verified);
            let database = POSTGRES_DATABASE;
            Box::new(PostgresTarget::new(address, port, database, tls, limits))
        }
        Protocol::Ldap | Protocol::Ldaps => {
            let tls = match (protocol, trust(address, way)?) {
                (Protocol::Ldaps, known) => LdapTls::Implicit(known.unwrap_or(Trust::Platform)),
                (_, Some(known)) => LdapTls::StartTls(known),
                (_, None) => LdapTls::None,
            };
            let kind = DirectoryKind::AsItSays;
            Box::new(LdapTarget::new(address, port, kind, tls, limits))
        }
        _ => {
            let reason = "no account is worked on over this protocol";
            return Err(Unfit::because(FailureClass::Unsupported, reason));
        }
    };
    Ok((target, false))
}

fn host_key(way: &Way) -> Result<HostKeyPolicy, Unfit> {
    let on_first_use = way.host_key.as_deref() == Some(TRUST_ON_FIRST_USE);
    let known = if on_first_use {
        way.pinned_host_key.as_deref()
    } else {
        way.host_key.as_deref()
    };
    match known {
        Some(key) => HostKeyPolicy::pinned(key).ok_or_else(|| {
            let reason = "the device's `host_key` is no key and no fingerprint of SSH";
            Unfit::because(FailureClass::Invalid, reason)
        }),
        None if on_first_use => Ok(HostKeyPolicy::TrustFirst),
        None => Ok(HostKeyPolicy::RefuseUnknown),
    }
}

/// How the certificate is verified; none where nobody can listen, and nothing is said of one.
fn trust(address: &str, way: &Way) -> Result<Option<Trust>, Unfit> {
    let invalid = |reason| Err(Unfit::because(FailureClass::Invalid, reason));
    match (&way.host_key, &way.ca) {
        (Some(digest), _) if is_fingerprint(digest) => {
            Ok(Some(Trust::Fingerprint(digest.to_ascii_lowercase())))
        }
        (Some(_), _) => invalid(
            "over TLS the device's `host_key` is the certificate's fingerprint, 64 hexadecimal digits; or give its `ca`",
        ),
        (None, Some(ca)) => Ok(Some(Trust::Pem(ca.clone()))),
        (None, None) => {
            let on_loopback = address
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());
            Ok((!on_loopback).then_some(Trust::Platform))
        }
    }
}

fn is_fingerprint(text: &str) -> bool {
    text.len() == FINGERPRINT_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(host_key: Option<&str>, ca: Option<&str>) -> Way {
        Way {
            protocol: Protocol::Postgresql,
            port: 5432,
            host_key: host_key.map(str::to_owned),
            pinned_host_key: None,
            ca: ca.map(str::to_owned),
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        let digest = "AB".repeat(32);
        for (address, host_key, ca, expected) in [
            ("127.0.0.1", None, None, Some(None)),
            ("::1", None, None, Some(None)),
            ("192.0.2.1", None, None, Some(Some(Trust::Platform))),
            ("localhost", None, None, Some(Some(Trust::Platform))),
            (
                "127.0.0.1",
                None,
                Some("pem"),
                Some(Some(Trust::Pem("pem".to_owned()))),
            ),
            (
                "192.0.2.1",
                Some(digest.as_str()),
                Some("pem"),
                Some(Some(Trust::Fingerprint("ab".repeat(32)))),
            ),
            ("192.0.2.1", Some(TRUST_ON_FIRST_USE), None, None),
            ("127.0.0.1", Some("SHA256:x"), None, None),
        ] {
            let found = trust(address, &way(host_key, ca)).ok();
            assert_eq!(found, expected, "{address} {host_key:?} {ca:?}");
        }
    }
}
