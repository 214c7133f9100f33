//! Lines for `rpcclient`, and for the shell of `net rpc`.

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::domain::operation::Admission;

/// An account changes its own password: SAMR's `UnicodeChangePasswordUser4` (MS-SAMR, section
/// 3.1.5.10.4), which encrypts with AES.
pub(super) fn change(name: &str, old: &SecretString, new: &SecretString) -> SecretString {
    let (old, new) = (argument(old.expose_secret()), argument(new.expose_secret()));
    line(&["chgpasswd4 ", &argument(name), " ", &old, " ", &new])
}

/// An administrator sets a password: SAMR's `SetInformationUser2` with level 23 (MS-SAMR, section
/// 3.1.5.6.4).
pub(super) fn set(name: &str, new: &SecretString) -> SecretString {
    let new = argument(new.expose_secret());
    line(&["setuserinfo2 ", &argument(name), " 23 ", &new])
}

/// An administrator opens or closes an account: SAMR's `SetInformationUser2` with the flag
/// `USER_ACCOUNT_DISABLED` of level 16 (MS-SAMR, section 2.2.6.5), as `net` does it; and what it says then.
pub(super) fn admit(name: &str, admission: Admission) -> (SecretString, &'static str) {
    let (disabled, done) = match admission {
        Admission::Open => ("no", "to [no]"),
        Admission::Closed => ("yes", "to [yes]"),
    };
    let name = argument(name);
    (line(&["user edit disabled ", &name, " ", disabled]), done)
}

fn line(parts: &[&str]) -> SecretString {
    let room = parts.iter().map(|part| part.len()).sum::<usize>() + 1;
    let mut text = Zeroizing::new(String::with_capacity(room));
    for part in parts {
        text.push_str(part);
    }
    text.push('\n');
    SecretString::from(text.as_str())
}

/// A text as one argument. `rpcclient` reads lines as popt does: outside quotes, a backslash takes
/// the next character as it is.
fn argument(text: &str) -> Zeroizing<String> {
    let mut argument = Zeroizing::new(String::with_capacity(2 * text.len()));
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() {
            argument.push('\\');
        }
        argument.push(c);
    }
    argument
}

/// The domain, if one is named, and the name: `DOMAIN\NAME`.
pub(super) fn split_domain(account: &str) -> (Option<&str>, &str) {
    match account.split_once('\\') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, account),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_hold_each_text_as_one_argument() {
        let secret = |text: &str| SecretString::from(text);
        let changed = change("ana b", &secret("o\"ld"), &secret("né; 1"));
        assert_eq!(
            changed.expose_secret(),
            "chgpasswd4 ana\\ b o\\\"ld né\\;\\ 1\n"
        );
        let set = set("ana", &secret("x\\"));
        assert_eq!(set.expose_secret(), "setuserinfo2 ana 23 x\\\\\n");
    }

    #[test]
    fn a_domain_is_split_off() {
        assert_eq!(split_domain("ana"), (None, "ana"));
        assert_eq!(split_domain("CORP\\ana"), (Some("CORP"), "ana"));
    }
}
