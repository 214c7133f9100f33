//! Getting as far as the host key, or not.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use robotd::connect::ssh::{HostKeyPolicy, SshTarget};
use robotd::connect::target::{Failure, HostKey, Limits, Target as _};
use robotd::domain::failure::{Effect, FailureClass};

use super::{LIMITS, login, target};
use crate::support::counterpart::free_port;
use crate::support::sshd::Sshd;

const PASSWORD: &str = "Right-Horse-7";

async fn refusal(host: &str, port: u16, policy: HostKeyPolicy, limits: Limits) -> Failure {
    let target = SshTarget::new(host, port, policy, limits);
    let failure = target.probe(&login("ana", PASSWORD)).await.unwrap_err();
    assert_eq!(failure.effect, Effect::None);
    assert!(!failure.to_string().contains(PASSWORD));
    failure
}

#[tokio::test]
async fn the_host_key_is_the_one_that_the_machine_has() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.add_account("ana", PASSWORD);
    for kind in ["ed25519", "rsa", "ecdsa"] {
        let key = sshd.host_key(kind);
        let policy = HostKeyPolicy::Pinned(vec![key.clone()]);
        let target = SshTarget::new("127.0.0.1", sshd.port, policy, LIMITS);
        let probed = target.probe(&login("ana", PASSWORD)).await.unwrap();
        assert_eq!(probed.host_key, Some(key));
    }
    let target = SshTarget::new("127.0.0.1", sshd.port, HostKeyPolicy::TrustFirst, LIMITS);
    let probed = target.probe(&login("ana", PASSWORD)).await.unwrap();
    assert_eq!(probed.host_key, Some(sshd.host_key("ed25519")));
}

#[tokio::test]
async fn no_secret_goes_to_a_machine_with_another_key() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.add_account("ana", PASSWORD);
    let seen = sshd.host_key("ed25519");
    let other = HostKey {
        fingerprint: sshd.host_key("rsa").fingerprint,
        ..seen.clone()
    };
    let strange = HostKey {
        algorithm: "ssh-dss".to_owned(),
        ..seen.clone()
    };
    for (policy, class) in [
        (
            HostKeyPolicy::Pinned(vec![other]),
            FailureClass::HostKeyMismatch,
        ),
        (
            HostKeyPolicy::Pinned(vec![strange]),
            FailureClass::HostKeyMismatch,
        ),
        (HostKeyPolicy::Pinned(vec![]), FailureClass::HostKeyMismatch),
        (HostKeyPolicy::RefuseUnknown, FailureClass::HostKeyUnknown),
    ] {
        let failure = refusal("127.0.0.1", sshd.port, policy.clone(), LIMITS).await;
        assert_eq!(failure.class, class, "{policy:?}: {failure}");
    }
    let unknown = refusal("127.0.0.1", sshd.port, HostKeyPolicy::RefuseUnknown, LIMITS).await;
    assert!(unknown.reason.contains(&seen.fingerprint), "{unknown}");
    // Nobody even said a name.
    assert!(!sshd.log().contains("ana"), "{}", sshd.log());
    target(&sshd).probe(&login("ana", PASSWORD)).await.unwrap();
    assert!(sshd.log().contains("ana"));
}

#[tokio::test]
async fn a_machine_without_a_key_of_the_pinned_kind_is_another_machine() {
    let Some(sshd) = Sshd::start_with("HostKeyAlgorithms ssh-ed25519") else {
        return;
    };
    let policy = HostKeyPolicy::Pinned(vec![sshd.host_key("rsa")]);
    let failure = refusal("127.0.0.1", sshd.port, policy, LIMITS).await;
    assert_eq!(failure.class, FailureClass::HostKeyMismatch, "{failure}");
}

#[tokio::test]
async fn a_machine_that_is_not_there_is_told_apart() {
    let closed = refusal("127.0.0.1", free_port(), HostKeyPolicy::TrustFirst, LIMITS).await;
    assert_eq!(closed.class, FailureClass::Refused, "{closed}");
    let nameless = refusal(
        "no-such-machine.invalid",
        22,
        HostKeyPolicy::TrustFirst,
        LIMITS,
    )
    .await;
    assert_eq!(nameless.class, FailureClass::Dns, "{nameless}");
}

#[tokio::test]
async fn a_silent_machine_costs_no_more_than_the_time_to_connect() {
    // The kernel accepts, and nobody ever says a word.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = Limits {
        connect: Duration::from_millis(200),
        ..LIMITS
    };
    let begun = Instant::now();
    let port = listener.local_addr().unwrap().port();
    let failure = refusal("127.0.0.1", port, HostKeyPolicy::TrustFirst, limits).await;
    assert_eq!(failure.class, FailureClass::Timeout, "{failure}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// Serves one connection in a thread of its own.
fn serve(talk: impl FnOnce(std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || talk(listener.accept().unwrap().0));
    port
}

#[tokio::test]
async fn a_machine_that_talks_without_end_or_speaks_something_else_is_left() {
    let limits = Limits {
        connect: Duration::from_secs(2),
        ..LIMITS
    };
    let endless =
        serve(|mut stream| while stream.write_all(b"welcome to this machine\r\n").is_ok() {});
    let failure = refusal("127.0.0.1", endless, HostKeyPolicy::TrustFirst, limits).await;
    assert!(
        matches!(
            failure.class,
            FailureClass::Protocol | FailureClass::Timeout
        ),
        "{failure}"
    );
    let other = serve(|mut stream| {
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
    });
    let failure = refusal("127.0.0.1", other, HostKeyPolicy::TrustFirst, limits).await;
    assert!(
        matches!(
            failure.class,
            FailureClass::Protocol | FailureClass::Refused
        ),
        "{failure}"
    );
    let leaving = serve(|mut stream| {
        let mut word = [0; 4];
        stream.read_exact(&mut word).unwrap();
    });
    let failure = refusal("127.0.0.1", leaving, HostKeyPolicy::TrustFirst, limits).await;
    assert_eq!(failure.class, FailureClass::Refused, "{failure}");
}

#[tokio::test]
async fn a_flood_of_greetings_is_stopped() {
    let Some(sshd) = Sshd::start_with("Banner /etc/long-banner") else {
        return;
    };
    sshd.add_account("ana", PASSWORD);
    let banner = "Authorized use only. ".repeat(1_000);
    sshd.must(&["tee", "/etc/long-banner"], &banner);
    let failure = target(&sshd)
        .probe(&login("ana", PASSWORD))
        .await
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::Protocol, "{failure}");
    assert!(failure.reason.contains("16 KiB"), "{failure}");
}
