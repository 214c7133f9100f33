//! Linux machines over SSH, against OpenSSH's server with PAM, sudo and accounts of its own.

mod change;
mod reach;
mod run;
mod sign_in;

use std::time::Duration;

use robotd::connect::ssh::{HostKeyPolicy, SshTarget};
use robotd::connect::target::{Credential, Limits, Login};
use secrecy::SecretString;

use super::account::{admission, change, login};
use crate::support::sshd::Sshd;

/// Generous, because two busy cores run the whole suite.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(20),
    whole: Duration::from_secs(60),
};

/// The machine, by the key that it has.
fn target(sshd: &Sshd) -> SshTarget {
    let pinned = HostKeyPolicy::Pinned(vec![sshd.host_key("ed25519")]);
    SshTarget::new("127.0.0.1", sshd.port, pinned, LIMITS)
}

fn key_login(account: &str, key: &str, passphrase: Option<&str>) -> Login {
    Login {
        account: account.to_owned(),
        credential: Credential::PrivateKey {
            key: SecretString::from(key),
            passphrase: passphrase.map(SecretString::from),
        },
    }
}
