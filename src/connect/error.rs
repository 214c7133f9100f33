//! What can go wrong with a counterpart, and whether trying again can help.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a counterpart could not be used.
///
/// The texts are fragments that read after "failed to". None holds a secret: targets are
/// addresses, and passwords never enter this type.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A target, an account or an option cannot be used as it is written.
    #[error("use `{what}`: {reason}")]
    Invalid {
        /// What was written, without secrets.
        what: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// A file or a kernel figure cannot be read.
    #[error("read `{path}`: {reason}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system or the parser said.
        reason: String,
    },
    /// The other side does not answer, or the connection broke.
    #[error("reach `{target}`: {source}")]
    Unreachable {
        /// Whom we tried to reach.
        target: String,
        /// What the system said.
        source: io::Error,
    },
    /// The other side was too slow.
    #[error("{step} `{target}` within {limit:?}")]
    TimedOut {
        /// Whom we waited for.
        target: String,
        /// What we were doing, as a fragment that reads after "failed to".
        step: &'static str,
        /// How long we waited.
        limit: Duration,
    },
    /// TLS could not be agreed on, or the certificate did not verify.
    #[error("verify `{target}` over TLS: {reason}")]
    Tls {
        /// Whom we tried to reach.
        target: String,
        /// What the TLS library said.
        reason: String,
    },
    /// The other side or the system said no, and would say it again.
    #[error("{step} `{target}`: {reason}")]
    Refused {
        /// Who said no, or what was refused.
        target: String,
        /// What we were doing, as a fragment that reads after "failed to".
        step: &'static str,
        /// What was said.
        reason: String,
    },
    /// As many earlier requests as may hang do hang.
    #[error("start another probe of `{target}`: {hanging} still hang")]
    Busy {
        /// Whom we did not even ask.
        target: String,
        /// How many requests have not come back.
        hanging: usize,
    },
}

impl ConnectError {
    /// Tells whether the same request can succeed later without anybody changing anything.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Busy { .. } => true,
            Self::Invalid { .. }
            | Self::Unreadable { .. }
            | Self::Tls { .. }
            | Self::Refused { .. } => false,
        }
    }

    /// Files an error of a stream under its kind: rustls hides its own in [`io::Error`].
    pub(crate) fn from_stream(target: &str, source: io::Error) -> Self {
        match source
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            Some(tls) => Self::Tls {
                target: target.to_owned(),
                reason: tls.to_string(),
            },
            None => Self::Unreachable {
                target: target.to_owned(),
                source,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_connection_is_temporary_and_a_bad_certificate_is_not() {
        let broken = ConnectError::from_stream(
            "tcp://collector:601",
            io::Error::from(io::ErrorKind::ConnectionReset),
        );
        assert!(broken.is_temporary());
        let untrusted = ConnectError::from_stream(
            "tls://collector:6514",
            io::Error::other(rustls::Error::DecryptError),
        );
        assert!(matches!(untrusted, ConnectError::Tls { .. }));
        assert!(!untrusted.is_temporary());
    }

    #[test]
    fn texts_read_after_failed_to() {
        let late = ConnectError::TimedOut {
            target: "udp://collector:514".to_owned(),
            step: "connect to",
            limit: Duration::from_secs(5),
        };
        assert_eq!(
            late.to_string(),
            "connect to `udp://collector:514` within 5s"
        );
    }
}
