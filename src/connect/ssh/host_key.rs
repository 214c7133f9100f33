//! Whether a machine is the one we mean.

use russh::keys::{Algorithm, HashAlg, PublicKey};

use crate::connect::target::HostKey;

/// Which host key is taken for the machine's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKeyPolicy {
    /// One of these, and no other. A machine has a key of each kind, and only the kinds that
    /// stand here are agreed on.
    Pinned(Vec<HostKey>),
    /// Any: for the first contact, whose key is then pinned. Somebody between us and the machine
    /// would be believed.
    TrustFirst,
    /// None: the failure names the key that was seen, so that an administrator can pin it.
    RefuseUnknown,
}

/// What a policy says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Trusted,
    Mismatch,
    Unknown,
}

/// The kinds that a fingerprint without a kind may be of.
const KINDS: [&str; 5] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
];

impl HostKeyPolicy {
    /// Takes the key that `text` says for the machine's, and no other: a public key in OpenSSH's form, `KIND SHA256:…`, or
    /// a fingerprint alone, which must then be that of the key that the machine shows first. `None` for any other text.
    #[must_use]
    pub fn pinned(text: &str) -> Option<Self> {
        let key = |kind: &str, fingerprint: &str| HostKey {
            algorithm: kind.to_owned(),
            fingerprint: fingerprint.to_owned(),
        };
        let keys = match text.split_once(' ') {
            Some((kind, rest)) if rest.starts_with("SHA256:") => Vec::from([key(kind, rest)]),
            Some(_) => Vec::from([describe(&PublicKey::from_openssh(text).ok()?)]),
            None if text.starts_with("SHA256:") => {
                KINDS.iter().map(|kind| key(kind, text)).collect()
            }
            None => return None,
        };
        Some(Self::Pinned(keys))
    }

    pub(super) fn judge(&self, seen: &HostKey) -> Verdict {
        match self {
            Self::Pinned(keys) if keys.contains(seen) => Verdict::Trusted,
            Self::Pinned(_) => Verdict::Mismatch,
            Self::TrustFirst => Verdict::Trusted,
            Self::RefuseUnknown => Verdict::Unknown,
        }
    }

    /// The kinds of key to agree on, `None` for the usual ones. A kind that we do not know is left
    /// out; where none is left, the usual ones are agreed on and mismatch.
    pub(super) fn algorithms(&self) -> Option<Vec<Algorithm>> {
        let Self::Pinned(keys) = self else {
            return None;
        };
        let known = keys
            .iter()
            .filter_map(|key| Algorithm::new(&key.algorithm).ok())
            .flat_map(|algorithm| match algorithm {
                // One key, and two ways to sign by it that are still safe (RFC 8332).
                Algorithm::Rsa { .. } => Vec::from([
                    Algorithm::Rsa {
                        hash: Some(HashAlg::Sha512),
                    },
                    Algorithm::Rsa {
                        hash: Some(HashAlg::Sha256),
                    },
                ]),
                other => Vec::from([other]),
            });
        let known: Vec<Algorithm> = known.collect();
        (!known.is_empty()).then_some(known)
    }
}

/// A key as we keep it; RSA's is `ssh-rsa` however it signs.
pub(super) fn describe(key: &PublicKey) -> HostKey {
    HostKey {
        algorithm: key.algorithm().as_str().to_owned(),
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(algorithm: &str, fingerprint: &str) -> HostKey {
        HostKey {
            algorithm: algorithm.to_owned(),
            fingerprint: fingerprint.to_owned(),
        }
    }

    #[test]
    fn a_pinned_key_is_read_in_each_of_its_forms() {
        let public =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        let Some(HostKeyPolicy::Pinned(keys)) = HostKeyPolicy::pinned(public) else {
            panic!("a public key is a key");
        };
        let fingerprint = &keys[0].fingerprint;
        assert_eq!(keys, [key("ssh-ed25519", fingerprint)]);
        let named = HostKeyPolicy::pinned(&format!("ssh-ed25519 {fingerprint}"));
        assert_eq!(named, Some(HostKeyPolicy::Pinned(keys.clone())));
        let alone = HostKeyPolicy::pinned(fingerprint).unwrap();
        assert_eq!(alone.judge(&keys[0]), Verdict::Trusted);
        assert_eq!(alone.judge(&key("ssh-rsa", "SHA256:b")), Verdict::Mismatch);
        for none in [
            "",
            "trust_on_first_use",
            "ssh-ed25519 AAAA",
            &"a".repeat(64),
        ] {
            assert_eq!(HostKeyPolicy::pinned(none), None, "{none}");
        }
    }

    #[test]
    fn only_a_pinned_key_is_trusted_where_keys_are_pinned() {
        let pinned = HostKeyPolicy::Pinned(vec![
            key("ssh-ed25519", "SHA256:a"),
            key("ssh-rsa", "SHA256:b"),
        ]);
        assert_eq!(
            pinned.judge(&key("ssh-ed25519", "SHA256:a")),
            Verdict::Trusted
        );
        assert_eq!(
            pinned.judge(&key("ssh-ed25519", "SHA256:b")),
            Verdict::Mismatch
        );
        assert_eq!(
            HostKeyPolicy::Pinned(vec![]).judge(&key("ssh-rsa", "SHA256:b")),
            Verdict::Mismatch
        );
        assert_eq!(
            HostKeyPolicy::TrustFirst.judge(&key("x", "y")),
            Verdict::Trusted
        );
        assert_eq!(
            HostKeyPolicy::RefuseUnknown.judge(&key("x", "y")),
            Verdict::Unknown
        );
    }

    #[test]
    fn only_the_pinned_kinds_are_agreed_on() {
        let names = |policy: HostKeyPolicy| {
            policy.algorithms().map(|all| {
                let names = all.iter().map(|one| one.as_str().to_owned());
                names.collect::<Vec<_>>()
            })
        };
        let pinned =
            HostKeyPolicy::Pinned(vec![key("ssh-rsa", "SHA256:b"), key("odd", "SHA256:c")]);
        assert_eq!(names(pinned).unwrap(), ["rsa-sha2-512", "rsa-sha2-256"]);
        assert_eq!(
            names(HostKeyPolicy::Pinned(vec![key("odd", "SHA256:c")])),
            None
        );
        assert_eq!(names(HostKeyPolicy::TrustFirst), None);
    }
}
