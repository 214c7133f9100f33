//! The data keys of a database: each wrapped by the master key, the newest of them sealing.
//!
//! A secret is sealed with XChaCha20-Poly1305 (RFC 8439 with the extended nonce of draft-irtf-cfrg-xchacha) under a data
//! key, with a random nonce of 192 bits, so that no count of messages needs to be kept. What it was sealed for (table,
//! row, column, key) is authenticated with it. Data keys are sealed in the same way under a key that HKDF-SHA256 (RFC 5869)
//! derives from the master key, so that the master key itself encrypts nothing.

use std::collections::BTreeMap;
use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use secrecy::zeroize::{Zeroize, Zeroizing};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::Sha256;

use super::key::{KEY_BYTES, MasterKey};
use crate::domain::hex::hexadecimal;
use crate::domain::sealed::{KeyId, Place, Sealed};

/// The first byte of every seal: how the rest is made.
const FORMAT: u8 = 1;
/// Bytes of a nonce.
const NONCE_BYTES: usize = 24;
/// What the wrapping key is derived for. A change of this text is a change of every database.
const WRAPPING_INFO: &[u8] = b"robotd data key wrapping v1";
/// What the key of fingerprints is derived for.
const FINGERPRINT_INFO: &[u8] = b"robotd fingerprint v1";
/// What every seal's authenticated text begins with, so that no other use of a key can be taken for one.
const SEAL_CONTEXT: &[u8] = b"robotd seal v1";

/// Why a seal cannot be made or opened. None says anything of the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The data key is not in this ring; another node may have made it.
    #[error("data key {0} is not known here")]
    UnknownKey(KeyId),
    /// The seal was changed, moved from another place, or cut off.
    #[error("the seal is broken: what is stored was not written there by robotd")]
    Broken,
    /// The ring has no key yet.
    #[error("there is no data key")]
    NoKey,
}

/// Keys that open what they sealed; wiped from memory when dropped, and never shown.
pub struct KeyRing(BTreeMap<KeyId, SecretBox<[u8; KEY_BYTES]>>);

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<i64> = self.0.keys().map(|id| id.0).collect();
        f.debug_tuple("KeyRing").field(&ids).finish()
    }
}

/// What wraps data keys; derived from the master key, never shown.
pub struct Wrapping(SecretBox<[u8; KEY_BYTES]>);

impl fmt::Debug for Wrapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wrapping(..)")
    }
}

impl Wrapping {
    /// Derives it from the master key.
    #[must_use]
    pub fn of(master: &MasterKey) -> Self {
        let mut key = SecretBox::new(Box::new([0_u8; KEY_BYTES]));
        let derived = Hkdf::<Sha256>::new(None, master.expose());
        let bytes = secrecy::ExposeSecretMut::expose_secret_mut(&mut key);
        // HKDF refuses only lengths over 255 hashes.
        let _infallible = derived.expand(WRAPPING_INFO, bytes);
        Self(key)
    }

    /// Makes a data key and wraps it.
    ///
    /// # Errors
    /// None that can occur: the cipher refuses only messages of 256 GiB.
    pub fn make(&self, id: KeyId) -> Result<Vec<u8>, SealError> {
        let key = Zeroizing::new(rand::random::<[u8; KEY_BYTES]>());
        close(self.0.expose_secret(), &wrapped_text(id), key.as_slice())
    }

    /// Wraps a data key anew, for another master key.
    ///
    /// # Errors
    /// [`SealError::Broken`], as [`Self::ring`].
    pub fn rewrap(&self, id: KeyId, wrapped: &[u8], to: &Self) -> Result<Vec<u8>, SealError> {
        let text = wrapped_text(id);
        let key = open(self.0.expose_secret(), &text, wrapped)?;
        close(to.0.expose_secret(), &text, &key)
    }

    /// Unwraps the data keys of a database.
    ///
    /// # Errors
    /// [`SealError::Broken`] for a key that was changed, or wrapped by another master key.
    pub fn ring<'a>(
        &self,
        wrapped: impl IntoIterator<Item = (KeyId, &'a [u8])>,
    ) -> Result<KeyRing, SealError> {
        let mut ring = BTreeMap::new();
        for (id, bytes) in wrapped {
            let opened = open(self.0.expose_secret(), &wrapped_text(id), bytes)?;
            let key: [u8; KEY_BYTES] = opened
                .as_slice()
                .try_into()
                .map_err(|_| SealError::Broken)?;
            ring.insert(id, SecretBox::new(Box::new(key)));
        }
        Ok(KeyRing(ring))
    }
}

impl KeyRing {
    /// The key that seals.
    #[must_use]
    pub fn newest(&self) -> Option<KeyId> {
        self.0.last_key_value().map(|(id, _)| *id)
    }

    /// Whether the ring has this key.
    #[must_use]
    pub fn knows(&self, id: KeyId) -> bool {
        self.0.contains_key(&id)
    }

    /// Seals a secret for a place, with the newest key.
    ///
    /// # Errors
    /// [`SealError::NoKey`].
    pub fn seal(&self, place: &Place, secret: &SecretString) -> Result<Sealed, SealError> {
        self.seal_bytes(place, secret.expose_secret().as_bytes())
    }

    /// Seals what is no text, as [`Self::seal`].
    ///
    /// # Errors
    /// [`SealError::NoKey`].
    pub fn seal_bytes(&self, place: &Place, secret: &[u8]) -> Result<Sealed, SealError> {
        let (id, key) = self.0.last_key_value().ok_or(SealError::NoKey)?;
        let bytes = close(key.expose_secret(), &sealed_text(place, *id), secret)?;
        Ok(Sealed { key: *id, bytes })
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// [`SealError::UnknownKey`], [`SealError::Broken`]: in no case a wrong secret.
    pub fn open(&self, place: &Place, sealed: &Sealed) -> Result<SecretString, SealError> {
        let opened = self.open_bytes(place, sealed)?;
        let text = std::str::from_utf8(&opened).map_err(|_| SealError::Broken)?;
        Ok(SecretString::from(text))
    }

    /// Opens what is no text, as [`Self::open`].
    ///
    /// # Errors
    /// [`SealError::UnknownKey`], [`SealError::Broken`].
    pub fn open_bytes(
        &self,
        place: &Place,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let key = self
            .0
            .get(&sealed.key)
            .ok_or(SealError::UnknownKey(sealed.key))?;
        let text = sealed_text(place, sealed.key);
        open(key.expose_secret(), &text, &sealed.bytes)
    }

    /// What tells a text with secrets in it from another one, and says nothing of it to whoever has no key: HMAC-SHA256
    /// under a key derived from the oldest data key, which every rotation keeps.
    ///
    /// # Errors
    /// [`SealError::NoKey`].
    pub fn fingerprint(&self, text: &[u8]) -> Result<String, SealError> {
        let (_, key) = self.0.first_key_value().ok_or(SealError::NoKey)?;
        let mut derived = Zeroizing::new([0_u8; KEY_BYTES]);
        // HKDF refuses only lengths over 255 hashes, HMAC no key at all.
        let expanded = Hkdf::<Sha256>::new(None, key.expose_secret());
        let _infallible = expanded.expand(FINGERPRINT_INFO, derived.as_mut_slice());
        let mut mac =
            Hmac::<Sha256>::new_from_slice(derived.as_slice()).map_err(|_| SealError::NoKey)?;
        mac.update(text);
        Ok(hexadecimal(&mac.finalize().into_bytes()))
    }
}

/// What is authenticated with a secret: each part behind its length, so that no two places give the same bytes.
fn sealed_text(place: &Place, key: KeyId) -> Vec<u8> {
    let mut text = Vec::new();
    let mut part = |bytes: &[u8]| {
        // A length fits 64 bits on every platform Rust knows.
        text.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        text.extend_from_slice(bytes);
    };
    part(SEAL_CONTEXT);
    part(place.table.as_bytes());
    for id in &place.row {
        part(&id.to_be_bytes());
    }
    part(place.column.as_bytes());
    part(&key.0.to_be_bytes());
    text
}

/// What is authenticated with a data key.
fn wrapped_text(id: KeyId) -> Vec<u8> {
    let place = Place {
        table: "vault_keys",
        row: Vec::from([id.0]),
        column: "wrapped",
    };
    sealed_text(&place, id)
}

/// Format, nonce, ciphertext with its tag.
fn close(key: &[u8; KEY_BYTES], text: &[u8], secret: &[u8]) -> Result<Vec<u8>, SealError> {
    let nonce: [u8; NONCE_BYTES] = rand::random();
    let payload = Payload {
        msg: secret,
        aad: text,
    };
    let sealed = cipher(key)
        .encrypt(&XNonce::from(nonce), payload)
        .map_err(|_| SealError::Broken)?;
    let mut bytes = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
    bytes.push(FORMAT);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&sealed);
    Ok(bytes)
}

fn open(key: &[u8; KEY_BYTES], text: &[u8], bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (format, rest) = bytes.split_first().ok_or(SealError::Broken)?;
    let (nonce, sealed) = rest
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or(SealError::Broken)?;
    if *format != FORMAT {
        return Err(SealError::Broken);
    }
    let payload = Payload {
        msg: sealed,
        aad: text,
    };
    cipher(key)
        .decrypt(&XNonce::from(*nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| SealError::Broken)
}

fn cipher(key: &[u8; KEY_BYTES]) -> XChaCha20Poly1305 {
    let mut key = Key::from(*key);
    let cipher = XChaCha20Poly1305::new(&key);
    key.as_mut_slice().zeroize();
    cipher
}

#[cfg(test)]
mod tests;
