//! What a server said, and what it means for the mail.

use std::error::Error as _;

use lettre::transport::smtp::{Error as SmtpError, response::Response};

/// Longest text of a server we keep: enough for its reason and a link, no place for more.
pub const REPLY_CHARS_MAX: usize = 512;

/// A server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpReply {
    /// Three digits (RFC 5321, section 4.2).
    pub code: u16,
    /// `class.subject.detail` where the server gives one (RFC 3463), such as `5.1.1`.
    pub enhanced: Option<String>,
    /// The rest, in one line, control characters made visible, [`REPLY_CHARS_MAX`] at most.
    pub text: String,
}

/// Why a mail was not sent, by what to do with it.
///
/// `code` is `None` where no server spoke. The texts may be shown to an operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// Try the same mail later: 4xx, connection trouble, or too slow.
    #[error("send the mail now: {text}")]
    Deferred {
        /// The server's code.
        code: Option<u16>,
        /// The server's enhanced code.
        enhanced: Option<String>,
        /// What happened.
        text: String,
    },
    /// Give up on this mail: 5xx about it or its recipient, or nothing a mail can be.
    #[error("send the mail at all: {text}")]
    Refused {
        /// The server's code.
        code: Option<u16>,
        /// The server's enhanced code.
        enhanced: Option<String>,
        /// What happened.
        text: String,
    },
    /// Keep the mail and tell the operator: the server does not take us, whatever the mail
    /// (sign-in, certificate, sender address, no STARTTLS).
    #[error("use the mail account: {text}")]
    Unsent {
        /// The server's code.
        code: Option<u16>,
        /// The server's enhanced code.
        enhanced: Option<String>,
        /// What happened.
        text: String,
    },
}

/// How far a mail had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Connecting, TLS, signing in.
    SignIn,
    /// `MAIL FROM`: the sender is the account's, the same for every mail.
    Sender,
    /// `RCPT TO` and the mail itself.
    Mail,
}

impl SendFailure {
    pub(super) fn refused_by_us(reason: &str) -> Self {
        Self::Refused {
            code: None,
            enhanced: None,
            text: one_line(reason),
        }
    }

    pub(super) fn deferred_by_us(reason: &str) -> Self {
        Self::Deferred {
            code: None,
            enhanced: None,
            text: one_line(reason),
        }
    }

    pub(super) fn unsent_by_us(reason: &str) -> Self {
        Self::Unsent {
            code: None,
            enhanced: None,
            text: one_line(reason),
        }
    }

    /// Files an error of the SMTP library by how far the mail had come.
    pub(super) fn of(error: &SmtpError, stage: Stage) -> Self {
        let Some(code) = error.status() else {
            let text = cause(error);
            return if is_about_trust(error) || (error.is_client() && stage == Stage::SignIn) {
                Self::unsent_by_us(&text)
            } else if error.is_client() {
                Self::refused_by_us(&text)
            } else {
                Self::deferred_by_us(&text)
            };
        };
        let said = error.source().map(ToString::to_string).unwrap_or_default();
        let SmtpReply {
            code,
            enhanced,
            text,
        } = reply(code.into(), &said);
        let code = Some(code);
        if error.is_transient() {
            Self::Deferred {
                code,
                enhanced,
                text,
            }
        } else if is_about_account(stage, code, enhanced.as_deref()) {
            Self::Unsent {
                code,
                enhanced,
                text,
            }
        } else {
            Self::Refused {
                code,
                enhanced,
                text,
            }
        }
    }

    /// The server's code, where a server spoke.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Deferred { code, .. }
            | Self::Refused { code, .. }
            | Self::Unsent { code, .. } => *code,
        }
    }

    /// The server's enhanced code, where it gave one.
    #[must_use]
    pub fn enhanced(&self) -> Option<&str> {
        match self {
            Self::Deferred { enhanced, .. }
            | Self::Refused { enhanced, .. }
            | Self::Unsent { enhanced, .. } => enhanced.as_deref(),
        }
    }

    /// What happened, in one line.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Deferred { text, .. }
            | Self::Refused { text, .. }
            | Self::Unsent { text, .. } => text,
        }
    }
}

pub(super) fn accepted(response: &Response) -> SmtpReply {
    let said: Vec<&str> = response.message().collect();
    reply(response.code().into(), &said.join(" "))
}

fn reply(code: u16, said: &str) -> SmtpReply {
    let (enhanced, rest) = split_enhanced(said.trim());
    SmtpReply {
        code,
        enhanced,
        text: one_line(rest),
    }
}

/// A permanent answer that would be the same for every mail.
fn is_about_account(stage: Stage, code: Option<u16>, enhanced: Option<&str>) -> bool {
    match stage {
        Stage::SignIn => true,
        // Too large (RFC 1870) is about the mail, though said to `MAIL FROM`.
        Stage::Sender => code != Some(552) && !enhanced.is_some_and(|e| e.starts_with("5.3.4")),
        // RFC 4954, section 6: sign-in needed, too weak, or readable on the way.
        Stage::Mail => matches!(code, Some(530 | 534 | 535 | 538)),
    }
}

/// A certificate that does not verify; the library files it as connection trouble.
fn is_about_trust(error: &SmtpError) -> bool {
    let mut source = error.source();
    while let Some(inner) = source {
        let hidden = inner
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .and_then(|hidden| hidden.downcast_ref::<rustls::Error>());
        if hidden.is_some() || inner.is::<rustls::Error>() {
            return true;
        }
        source = inner.source();
    }
    error.is_tls()
}

/// What was wrong in the first place; what is above it only says that something was.
fn cause(error: &SmtpError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}

/// Takes `5.1.1` off the front (RFC 2034).
fn split_enhanced(said: &str) -> (Option<String>, &str) {
    let (first, rest) = said.split_once(' ').unwrap_or((said, ""));
    let parts: Vec<&str> = first.split('.').collect();
    let number = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    match parts.as_slice() {
        ["2" | "4" | "5", subject, detail] if number(subject) && number(detail) => {
            (Some(first.to_owned()), rest.trim_start())
        }
        _ => (None, said),
    }
}

/// One bounded line without control characters: a server's text is a stranger's text.
fn one_line(said: &str) -> String {
    let mut line = String::new();
    let mut chars = 0;
    for c in said.trim().chars() {
        let shown: String = match c {
            '\r' => continue,
            '\n' => " ".to_owned(),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                c.escape_default().collect()
            }
            c => c.to_string(),
        };
        chars += shown.chars().count();
        if chars >= REPLY_CHARS_MAX {
            line.push('…');
            break;
        }
        line.push_str(&shown);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_enhanced_code_is_taken_off_the_front() {
        for (said, enhanced, text) in [
            ("5.1.1 no such user", Some("5.1.1"), "no such user"),
            ("4.7.0", Some("4.7.0"), ""),
            ("2.0.0: queued", None, "2.0.0: queued"),
            ("3.1.1 odd", None, "3.1.1 odd"),
            ("10.0.0.1 is blocked", None, "10.0.0.1 is blocked"),
            ("5.1234.1 odd", None, "5.1234.1 odd"),
        ] {
            let found = reply(550, said);
            assert_eq!(found.enhanced.as_deref(), enhanced, "{said}");
            assert_eq!(found.text, text);
        }
    }

    #[test]
    fn a_permanent_no_is_about_the_account_or_about_the_mail() {
        for (stage, code, enhanced, account) in [
            (Stage::SignIn, 535, Some("5.7.8"), true),
            (Stage::SignIn, 554, None, true),
            (Stage::Sender, 550, Some("5.1.8"), true),
            (Stage::Sender, 552, Some("5.3.4"), false),
            (Stage::Mail, 550, Some("5.1.1"), false),
            (Stage::Mail, 554, Some("5.7.1"), false),
            (Stage::Mail, 530, Some("5.7.0"), true),
        ] {
            assert_eq!(
                is_about_account(stage, Some(code), enhanced),
                account,
                "{stage:?} {code}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_bounded_line(said in any::<String>(), times in 1_usize..100) {
            let line = one_line(&said.repeat(times));
            prop_assert!(line.chars().count() <= REPLY_CHARS_MAX);
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
