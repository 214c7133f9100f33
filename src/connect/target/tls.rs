//! TLS to a target: the one way of all connectors, with a target's failure.

use std::net::IpAddr;

use rustls::ClientConfig;

use super::{Attempt, Failure};
use crate::connect::ConnectError;
use crate::connect::tls::{Trust, trusting_config};
use crate::domain::failure::FailureClass;

/// A client that knows the target by `trust`.
pub(crate) fn client_tls(attempt: &Attempt<'_>, trust: &Trust) -> Result<ClientConfig, Failure> {
    trusting_config("the target", trust).map_err(|error| {
        let class = match error {
            ConnectError::Tls { .. } => FailureClass::Tls,
            _ => FailureClass::Invalid,
        };
        attempt.fail(class, "prepare TLS to", error.to_string())
    })
}

/// Whether a host is this machine by its address, so that nobody else hears what is said.
///
/// A name such as `localhost` is looked up, and may be anywhere: only `localhost` itself is
/// let pass, which RFC 6761 keeps for loopback.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_this_machine() {
        for host in ["localhost", "127.0.0.1", "127.1.2.3", "::1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example.org", "10.0.0.1", "0.0.0.0", "::", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
