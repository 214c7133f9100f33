//! Who is signed in: a signed cookie that names a token by its hash, and what proves that a form is the panel's own.
//!
//! The cookie says nothing of what the token may do: that is asked of the database at every request, so that a session ends
//! with its token. It ends by itself after [`SESSION_LIFE`]. A cookie that was stolen works that long, signing
//! out notwithstanding: withdrawing the token ends it at once.

use chrono::TimeDelta;

use crate::domain::hex::hexadecimal as hex;
use crate::domain::time::{Timestamp, to_micros};
use crate::vault::Signer;
use crate::vault::signer::SIGNATURE_BYTES;

/// How long a session lasts: a shift.
pub(super) const SESSION_LIFE: TimeDelta = TimeDelta::hours(12);
/// A longer cookie is none of ours and is not looked at.
const COOKIE_BYTES_MAX: usize = 400;
/// What the cookie's text begins with.
const FORMAT: &str = "1";
/// Random bytes that tell sessions of one token apart.
const NONCE_BYTES: usize = 16;

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// The hash of the token that was signed in with.
    pub(super) token_hash: [u8; 32],
    /// The session's own text.
    cookie: String,
}

impl Session {
    /// A session that begins at `now`; `nonce` is random.
    pub(super) fn begin(
        signer: &Signer,
        token_hash: [u8; 32],
        nonce: [u8; NONCE_BYTES],
        now: Timestamp,
    ) -> Self {
        let ends = to_micros(now + SESSION_LIFE) / 1_000_000;
        let told = format!("{FORMAT}.{ends}.{}.{}", hex(&nonce), hex(&token_hash));
        let signature = signer.sign(&[b"cookie ", told.as_bytes()]);
        Self {
            token_hash,
            cookie: format!("{told}.{}", hex(&signature)),
        }
    }

    /// The session of a cookie, unless it was tampered with or is over.
    pub(super) fn read(signer: &Signer, cookie: &str, now: Timestamp) -> Option<Self> {
        if cookie.len() > COOKIE_BYTES_MAX {
            return None;
        }
        let (told, signature) = cookie.rsplit_once('.')?;
        if !signer.verify(&[b"cookie ", told.as_bytes()], &unhex(signature)?) {
            return None;
        }
        let mut parts = told.split('.');
        let (format, ends) = (parts.next()?, parts.next()?.parse::<i64>().ok()?);
        let token_hash = unhex(parts.nth(1)?)?.try_into().ok()?;
        let lives = format == FORMAT && to_micros(now) / 1_000_000 < ends;
        lives.then(|| Self {
            token_hash,
            cookie: cookie.to_owned(),
        })
    }

    /// The cookie's value.
    pub(super) fn cookie(&self) -> &str {
        &self.cookie
    }

    /// What a form of this session carries. It is masked by random bytes, so that compressed pages that differ in one
    /// guess tell nothing of it.
    pub(super) fn form_token(&self, signer: &Signer, mask: [u8; SIGNATURE_BYTES]) -> String {
        let proof = xor(&self.proof(signer), &mask);
        format!("{}{}", hex(&mask), hex(&proof))
    }

    /// Whether a form comes from a page of this session.
    pub(super) fn knows(&self, signer: &Signer, form_token: &str) -> bool {
        let Some((mask, proof)) = form_token.split_at_checked(SIGNATURE_BYTES * 2) else {
            return false;
        };
        let (Some(mask), Some(proof)) = (unhex(mask), unhex(proof)) else {
            return false;
        };
        mask.len() == proof.len()
            && signer.verify(&[b"form ", self.cookie.as_bytes()], &xor(&proof, &mask))
    }

    fn proof(&self, signer: &Signer) -> [u8; SIGNATURE_BYTES] {
        signer.sign(&[b"form ", self.cookie.as_bytes()])
    }
}

fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter().zip(right).map(|(a, b)| a ^ b).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::vault::MasterKey;

    fn signer() -> Signer {
        let folder = tempfile::tempdir().unwrap();
        Signer::new(&MasterKey::create(folder.path()).unwrap(), "panel session")
    }

    fn begin(signer: &Signer) -> Session {
        Session::begin(signer, [7; 32], [1; NONCE_BYTES], DateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_cookie_is_read_until_it_is_over() {
        let signer = signer();
        let session = begin(&signer);
        let read = |after| Session::read(&signer, session.cookie(), DateTime::UNIX_EPOCH + after);
        assert_eq!(read(TimeDelta::zero()), Some(session.clone()));
        assert_eq!(
            read(SESSION_LIFE - TimeDelta::seconds(1)),
            Some(session.clone())
        );
        assert_eq!(read(SESSION_LIFE), None);
    }

    #[test]
    fn a_cookie_with_any_other_character_is_none() {
        let signer = signer();
        let session = begin(&signer);
        let cookie = session.cookie();
        for at in 0..cookie.len() {
            let mut bytes = cookie.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'3' { b'4' } else { b'3' };
            let forged = String::from_utf8(bytes).unwrap();
            assert_eq!(
                Session::read(&signer, &forged, DateTime::UNIX_EPOCH),
                None,
                "{forged}"
            );
        }
        for garbage in ["", ".", "1.2.3.4.5", &"1".repeat(401)] {
            assert_eq!(Session::read(&signer, garbage, DateTime::UNIX_EPOCH), None);
        }
        assert_eq!(
            Session::read(&self::signer(), cookie, DateTime::UNIX_EPOCH),
            None
        );
    }

    #[test]
    fn a_form_belongs_to_its_session_whatever_its_mask() {
        let signer = signer();
        let session = begin(&signer);
        let (one, two) = (
            session.form_token(&signer, [9; 32]),
            session.form_token(&signer, [8; 32]),
        );
        assert_ne!(one, two);
        assert!(session.knows(&signer, &one) && session.knows(&signer, &two));
        let other = Session::begin(&signer, [7; 32], [2; NONCE_BYTES], DateTime::UNIX_EPOCH);
        assert!(!other.knows(&signer, &one));
        let (short, odd) = (
            one.trim_end_matches(one.chars().last().unwrap()),
            one.replace('0', "z"),
        );
        for garbage in ["", "00", short, &odd] {
            assert!(!session.knows(&signer, garbage), "{garbage}");
        }
    }
}
