//! What the tests share: real programs to talk to, databases, whole nodes, and files they need.

pub mod authority;
pub mod browser;
pub mod certificates;
pub mod consoles;
pub mod counterpart;
pub mod cutting_proxy;
pub mod database;
pub mod form;
pub mod gate;
pub mod mute_proxy;
pub mod nats_server;
pub mod nginx;
pub mod node;
pub mod office;
pub mod pebble;
pub mod postgres_server;
pub mod rsyslog;
pub mod seen;
pub mod sink;
pub mod slapd;
pub mod smbd;
pub mod smtp_server;
pub mod sshd;
pub mod web_machine;

use std::path::Path;

use robotd::clock::{Clock as _, SystemClock};
use robotd::robot::safe::Safe;
use robotd::store::Store;
use robotd::vault::MasterKey;

/// Whether the full forms are asked for, which take minutes and are run by hand; see the README, "Test it".
#[expect(
    clippy::disallowed_methods,
    reason = "what is asked of the tests is told by their environment"
)]
pub fn is_full() -> bool {
    std::env::var("ROBOTD_TEST_FULL").is_ok_and(|value| value == "1")
}

/// The vault of a test's database, with a master key of its own in `folder`.
pub async fn safe(store: &Store, folder: &Path) -> Safe {
    let master = MasterKey::create(folder).unwrap();
    Safe::open(store.clone(), &master, SystemClock.now())
        .await
        .unwrap()
}

/// Makes ring the process's TLS provider; a second call changes nothing.
pub fn install_tls_provider() {
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
}
