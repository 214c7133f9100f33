//! Signatures of what the node hands out and must know again, e.g. the panel's sessions.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;

use super::key::MasterKey;

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 32;

/// Signs texts for one purpose, by HMAC-SHA256 (RFC 2104) under a key that is derived from the master key. All nodes
/// of a database sign alike, before and after a restart.
pub struct Signer(SecretBox<[u8; SIGNATURE_BYTES]>);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(..)")
    }
}

impl Signer {
    /// The signer of `purpose`: what is signed for one purpose is worth nothing for another.
    #[must_use]
    pub fn new(master: &MasterKey, purpose: &str) -> Self {
        let key = Zeroizing::new(hmac(
            master.expose(),
            &[b"robotd signer v1 ", purpose.as_bytes()],
        ));
        Self(SecretBox::new(Box::new(*key)))
    }

    /// The signature of a text that is given in parts. The parts are signed as if they were one: where they could be
    /// cut otherwise, the caller puts a separator between them.
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; SIGNATURE_BYTES] {
        hmac(self.0.expose_secret(), parts)
    }

    /// Whether `signature` is that of the text; takes as long for a wrong one as for the right one.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], signature: &[u8]) -> bool {
        use subtle::ConstantTimeEq as _;
        self.sign(parts).ct_eq(signature).into()
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; SIGNATURE_BYTES] {
    // HMAC takes a key of any length; were it otherwise, nothing would be signed and nothing believed.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return rand::random();
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_its_text_its_purpose_and_its_key() {
        let [one, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, other] = [&one, &other].map(|folder| MasterKey::create(folder.path()).unwrap());
        let signer = Signer::new(&one, "sessions");
        let signature = signer.sign(&[b"a", b"b"]);
        assert!(Signer::new(&one, "sessions").verify(&[b"ab"], &signature));
        assert!(!signer.verify(&[b"ac"], &signature));
        assert!(!signer.verify(&[b"ab"], &signature[..31]));
        assert!(!Signer::new(&one, "tickets").verify(&[b"ab"], &signature));
        assert!(!Signer::new(&other, "sessions").verify(&[b"ab"], &signature));
        assert_eq!(format!("{signer:?}"), "Signer(..)");
    }
}
