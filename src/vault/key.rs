//! The master key: 32 random bytes that all nodes of one database share.

use std::fmt;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;

use super::secret_file::{self, SecretFileError};

/// Length of the key: that of the hash it is used with.
pub const KEY_BYTES: usize = 32;

/// The file in the data directory.
pub(crate) const FILE_NAME: &str = "master.key";

/// What is signed for the check value. A change of this text is a change of every database.
const CHECK_MESSAGE: &[u8] = b"robotd master key check v1";

/// The key; wiped from memory when it is dropped, and never shown.
pub struct MasterKey(SecretBox<[u8; KEY_BYTES]>);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

impl MasterKey {
    /// Where the key of a data directory lies.
    #[must_use]
    pub fn path_in(data_dir: &Path) -> PathBuf {
        data_dir.join(FILE_NAME)
    }

    /// Makes a key and its file, 64 hexadecimal digits, mode 0600; never over an existing one.
    ///
    /// # Errors
    /// [`SecretFileError::Exists`], or what the system refuses.
    pub fn create(data_dir: &Path) -> Result<Self, SecretFileError> {
        let key = Self::random();
        secret_file::create(&Self::path_in(data_dir), &key.text())?;
        Ok(key)
    }

    /// Makes a key.
    #[must_use]
    pub fn random() -> Self {
        let bytes = Zeroizing::new(rand::random::<[u8; KEY_BYTES]>());
        Self::from_bytes(*bytes)
    }

    /// Reads the key of a data directory.
    ///
    /// # Errors
    /// [`SecretFileError::Missing`], [`SecretFileError::Open`] when others may read it,
    /// [`SecretFileError::Malformed`] when it is not 64 hexadecimal digits.
    pub fn read(data_dir: &Path) -> Result<Self, SecretFileError> {
        Self::read_file(&Self::path_in(data_dir))
    }

    /// Reads a key from any file.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_file(path: &Path) -> Result<Self, SecretFileError> {
        let text = secret_file::read(path)?;
        let bytes = parse(text.expose_secret()).ok_or_else(|| SecretFileError::Malformed {
            path: path.to_owned(),
            reason: "it must hold 64 hexadecimal digits".to_owned(),
        })?;
        Ok(Self::from_bytes(*bytes))
    }

    /// Reads the key, or makes one where there is none; the second part says whether it is new.
    ///
    /// # Errors
    /// As [`Self::read`] and [`Self::create`].
    pub fn open(data_dir: &Path) -> Result<(Self, bool), SecretFileError> {
        match Self::read(data_dir) {
            Ok(key) => Ok((key, false)),
            Err(SecretFileError::Missing { .. }) => match Self::create(data_dir) {
                Ok(key) => Ok((key, true)),
                // Another process was faster; its key counts.
                Err(SecretFileError::Exists { .. }) => Ok((Self::read(data_dir)?, false)),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// What the database keeps to know its key again: HMAC-SHA256 over a fixed text, in hexadecimal.
    /// It says nothing about the key.
    #[must_use]
    pub fn check_value(&self) -> String {
        // A key of any length is accepted by HMAC; the empty text would fit no database.
        Hmac::<Sha256>::new_from_slice(self.0.expose_secret())
            .map(|mut mac| {
                mac.update(CHECK_MESSAGE);
                hex(&mac.finalize().into_bytes())
            })
            .unwrap_or_default()
    }

    /// The key itself, for what is derived from it.
    pub(super) fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// What its file holds.
    pub(super) fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(hex(self.0.expose_secret()))
    }

    fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }
}

/// What a node says that refuses to start because its key does not fit the database.
#[must_use]
pub fn mismatch_text(key_file: &Path, key_is_new: bool) -> String {
    let path = key_file.display();
    let found = if key_is_new {
        format!("this database belongs to another master key, and `{path}` did not exist")
    } else {
        format!("`{path}` is not the master key of this database")
    };
    format!(
        "{found}.\n\
         All nodes of one database share its key. Copy it from a node that runs, and start again:\n\
         \n    scp OTHER-NODE:DATA_DIR/master.key '{path}' && chmod 600 '{path}'\n\
         \nIf this was meant to be a new installation, give it a database of its own."
    )
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    // The room is taken at once: a text that grows would leave copies of the key in memory.
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

fn parse(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let digits = text.as_bytes();
    if digits.len() != KEY_BYTES * 2 {
        return None;
    }
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let value = digit(*pair.first()?)? * 16 + digit(*pair.get(1)?)?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_is_the_documented_hmac() {
        // printf 'robotd master key check v1' | openssl dgst -sha256 -mac HMAC -macopt hexkey:00..1f
        let bytes = std::array::from_fn(|i| u8::try_from(i).unwrap());
        assert_eq!(
            MasterKey::from_bytes(bytes).check_value(),
            "4333230b44085f8c1e64cbc051c36e3a21b2b021efbdf1df12ed5fc6a2980867"
        );
    }

    #[test]
    fn the_text_of_a_key_reads_back_and_nothing_else_does() {
        let bytes: [u8; KEY_BYTES] = std::array::from_fn(|i| u8::try_from(i * 7 % 256).unwrap());
        let text = hex(&bytes);
        assert_eq!(parse(&text).as_deref(), Some(&bytes));
        assert_eq!(parse(&text.to_uppercase()).as_deref(), Some(&bytes));
        for bad in [
            "",
            "00",
            text.get(1..).unwrap(),
            &format!("{text}0"),
            &text.replace('0', "g"),
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
        assert!(parse(&format!("é{}", text.get(2..).unwrap())).is_none());
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = MasterKey::from_bytes([0xab; KEY_BYTES]);
        assert_eq!(format!("{key:?}"), "MasterKey(..)");
    }

    #[test]
    fn the_refusal_says_what_to_do() {
        let text = mismatch_text(Path::new("/var/lib/robotd/master.key"), true);
        assert!(text.contains("scp") && text.contains("chmod 600 '/var/lib/robotd/master.key'"));
    }
}
