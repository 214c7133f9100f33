//! A connection whose host key is judged, and what its errors mean.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{Config, Handle, Handler, Session as ClientSession, connect_stream};
use russh::keys::PublicKeyOrCertificate;
use russh::{Disconnect, Error};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::host_key::{HostKeyPolicy, Verdict, describe};
use crate::connect::target::{Attempt, Cut, Failure, HostKey, class_of, cut_when_dropped, dial};
use crate::domain::failure::FailureClass;

/// Most text that a server may show before it lets us in. It is read for the reason of a refusal.
const BANNER_BYTES_MAX: usize = 16 * 1024;

/// Saying goodbye is a courtesy; nobody waits longer for it.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(1);

/// What we hold unread of one channel: flow control makes a flooding command wait.
const WINDOW_BYTES: u32 = 256 * 1024;

/// A connection; dropping it closes the socket.
pub(super) struct Session {
    pub(super) handle: Handle<Watch>,
    seen: Arc<Mutex<Seen>>,
    _cut: Cut,
}

/// What the server has shown of itself.
#[derive(Debug, Default)]
struct Seen {
    host_key: Option<HostKey>,
    verdict: Option<Verdict>,
    banner: String,
    /// So much of the banner greets everybody, whoever signs in and by whatever secret.
    greeting: usize,
    flooded: bool,
}

/// The library's eyes: judges the host key, keeps the banner.
pub(super) struct Watch {
    policy: HostKeyPolicy,
    seen: Arc<Mutex<Seen>>,
}

impl Watch {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler for Watch {
    type Error = Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Error> {
        // Certificates were not offered as a way, so a server that sends one is refused.
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Ok(false);
        };
        let key = describe(key);
        let verdict = self.policy.judge(&key);
        let mut seen = self.seen();
        seen.host_key = Some(key);
        seen.verdict = Some(verdict);
        Ok(verdict == Verdict::Trusted)
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut ClientSession) -> Result<(), Error> {
        let mut seen = self.seen();
        if seen.banner.len() + banner.len() > BANNER_BYTES_MAX {
            seen.flooded = true;
            return Err(Error::Disconnect);
        }
        // An empty banner counts too, or they could come without end.
        seen.banner.push_str(banner);
        seen.banner.push('\n');
        Ok(())
    }
}

impl Session {
    /// Connects and agrees on keys with the machine that the policy trusts; nobody is signed in.
    pub(super) async fn open(
        attempt: &Attempt<'_>,
        host: &str,
        port: u16,
        policy: &HostKeyPolicy,
    ) -> Result<Self, Failure> {
        let stream = dial(attempt, host, port).await?;
        let (stream, cut) = cut_when_dropped(attempt, stream)?;
        let stream = TcpStream::from_std(stream)
            .map_err(|error| attempt.fail(class_of(&error), "connect to", error.to_string()))?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let watch = Watch {
            policy: policy.clone(),
            seen: Arc::clone(&seen),
        };
        match connect_stream(Arc::new(config(policy)), stream, watch).await {
            Ok(handle) => Ok(Self {
                handle,
                seen,
                _cut: cut,
            }),
            Err(error) => {
                let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                Err(unagreed(attempt, &error, &seen, policy))
            }
        }
    }

    /// The key of the machine.
    pub(super) fn host_key(&self) -> Option<HostKey> {
        self.seen().host_key.clone()
    }

    /// Takes what the server has shown so far for its greeting: it came before any secret.
    pub(super) fn greeted(&self) {
        let mut seen = self.seen();
        seen.greeting = seen.banner.len();
    }

    /// What the server has shown since its greeting: what it says of this sign-in.
    pub(super) fn remarks(&self) -> String {
        let seen = self.seen();
        seen.banner
            .get(seen.greeting..)
            .unwrap_or_default()
            .to_owned()
    }

    /// What an error of the library means once the keys are agreed on.
    pub(super) fn lost(&self, attempt: &Attempt<'_>, step: &'static str, error: &Error) -> Failure {
        if self.seen().flooded {
            let reason = "the server shows more than 16 KiB of text before it lets anybody in";
            return attempt.fail(FailureClass::Protocol, step, reason);
        }
        attempt.fail(class(error), step, reason(error))
    }

    /// Says goodbye.
    pub(super) async fn leave(self) {
        let goodbye = self.handle.disconnect(Disconnect::ByApplication, "", "");
        if !matches!(timeout(GOODBYE_TIME_MAX, goodbye).await, Ok(Ok(()))) {
            log::debug!("a server did not wait for our goodbye");
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn config(policy: &HostKeyPolicy) -> Config {
    let mut config = Config {
        window_size: WINDOW_BYTES,
        ..Config::default()
    };
    if let Some(algorithms) = policy.algorithms() {
        config.preferred.key = Cow::Owned(algorithms);
    }
    config
}

/// Why no keys were agreed on.
fn unagreed(attempt: &Attempt<'_>, error: &Error, seen: &Seen, policy: &HostKeyPolicy) -> Failure {
    let pinned = matches!(policy, HostKeyPolicy::Pinned(_));
    match (seen.verdict, &seen.host_key, error) {
        (Some(Verdict::Mismatch), Some(key), _) => attempt.fail(
            FailureClass::HostKeyMismatch,
            "trust",
            format!(
                "its key {} {} is not the pinned one; if the machine was set up anew, pin this one",
                key.algorithm, key.fingerprint
            ),
        ),
        (Some(Verdict::Unknown), Some(key), _) => attempt.fail(
            FailureClass::HostKeyUnknown,
            "trust",
            format!(
                "no key is pinned for it; if {} {} is right, pin it",
                key.algorithm, key.fingerprint
            ),
        ),
        (_, _, Error::NoCommonAlgo { kind, .. }) if pinned && is_host_key(kind) => attempt.fail(
            FailureClass::HostKeyMismatch,
            "trust",
            "it has no key of the kind that is pinned",
        ),
        _ => attempt.fail(class(error), "agree on keys with", reason(error)),
    }
}

fn is_host_key(kind: &russh::AlgorithmKind) -> bool {
    matches!(kind, russh::AlgorithmKind::Key)
}

fn class(error: &Error) -> FailureClass {
    match error {
        Error::IO(error) => class_of(error),
        Error::HUP | Error::Disconnect | Error::SendError | Error::RecvError => {
            FailureClass::Refused
        }
        Error::ConnectionTimeout | Error::KeepaliveTimeout | Error::InactivityTimeout => {
            FailureClass::Timeout
        }
        Error::NoCommonAlgo { .. } => FailureClass::Unsupported,
        Error::ChannelOpenFailure(_) | Error::RequestDenied => FailureClass::PermissionDenied,
        _ => FailureClass::Protocol,
    }
}

fn reason(error: &Error) -> Cow<'static, str> {
    match error {
        Error::HUP | Error::Disconnect | Error::SendError | Error::RecvError => {
            "the connection was closed".into()
        }
        other => other.to_string().into(),
    }
}
