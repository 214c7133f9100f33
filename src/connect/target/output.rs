//! What a command prints, kept up to a limit.

use super::{Attempt, OUTPUT_BYTES_MAX};

/// One stream of a command's output.
#[derive(Debug)]
pub(crate) struct Captured {
    bytes: Vec<u8>,
    room: usize,
    reserve: usize,
    cut: bool,
}

impl Captured {
    /// An empty one; the attempt knows which secrets may turn up in it.
    pub(crate) fn new(attempt: &Attempt<'_>) -> Self {
        let reserve = attempt.longest_secret();
        Self {
            bytes: Vec::new(),
            room: OUTPUT_BYTES_MAX + reserve,
            reserve,
            cut: false,
        }
    }

    /// Takes the next bytes, and forgets those for which there is no room.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let taken = bytes.len().min(self.room - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..taken]);
        self.cut |= taken < bytes.len();
    }

    /// What came so far as text, for reading a dialogue.
    pub(crate) fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Whether something did not fit.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// The text with its secrets masked, at most [`OUTPUT_BYTES_MAX`] bytes, and whether it was cut.
    ///
    /// A secret that the limit would cut in two is in the reserve whole, so that it is masked; one
    /// that the end of the reserve cuts in two goes with the reserve.
    pub(crate) fn finish(self, attempt: &Attempt<'_>) -> (String, bool) {
        let mut text = attempt.masked(&self.so_far());
        let kept = if self.cut {
            text.len().saturating_sub(self.reserve)
        } else {
            text.len()
        };
        let kept = kept.min(OUTPUT_BYTES_MAX);
        let cut = self.cut || kept < text.len();
        text.truncate(text.floor_char_boundary(kept));
        (text, cut)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::SecretString;

    use super::*;
    use crate::connect::target::{Credential, Login};

    proptest! {
        #[test]
        fn no_piece_of_a_secret_is_left_at_the_cut(before in 0..40_usize, pieces in 1..9_usize) {
            let secret = "0123456789abcdef";
            let login = Login {
                account: "ana".to_owned(),
                credential: Credential::Password(SecretString::from(secret)),
            };
            let attempt = Attempt::new("host:22", &login);
            let printed = "é".repeat(before) + &secret.repeat(OUTPUT_BYTES_MAX / secret.len() + 4);
            let mut captured = Captured::new(&attempt);
            for piece in printed.as_bytes().chunks(printed.len() / pieces + 1) {
                captured.push(piece);
            }
            let (text, cut) = captured.finish(&attempt);
            prop_assert!(cut && text.len() <= OUTPUT_BYTES_MAX);
            prop_assert!(!text.contains("01234") && !text.contains("cdef"));
        }
    }
}
