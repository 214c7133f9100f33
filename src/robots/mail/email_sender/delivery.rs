//! What becomes of a mail: pure decisions from the server's answer to its next state.

use super::settings::Settings;
use crate::connect::smtp::{Attachment, OutgoingMail, SendFailure, SmtpReply};
use crate::domain::mail::one_line;
use crate::domain::time::Timestamp;
use crate::store::mail::{Mail, MailAttempt, MailFile, MailState};

/// Bound on the text kept of an attempt (`store::mail`).
const TEXT_CHARS_MAX: usize = 512;

/// What one attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// The server took it.
    Sent { code: u16, text: String },
    /// Tried again at `until`.
    Deferred {
        until: Timestamp,
        code: Option<u16>,
        text: String,
    },
    /// Given up.
    Failed { code: Option<u16>, text: String },
}

/// Why a mail is not even tried.
pub(super) fn refused(
    mail: &Mail,
    outgoing: &OutgoingMail,
    settings: &Settings,
    now: Timestamp,
) -> Option<String> {
    if mail.expires_at <= now {
        return Some(format!("expired after {} attempts", mail.attempts));
    }
    let bytes = outgoing.bytes();
    (bytes > settings.max_size).then(|| {
        format!(
            "the mail has {bytes} bytes, more than {}",
            settings.max_size
        )
    })
}

/// The mail as it goes out.
pub(super) fn outgoing(mail: &Mail, file: Option<MailFile>, settings: &Settings) -> OutgoingMail {
    let (to, subject) = match &settings.redirect {
        Some(address) => {
            let to = address.as_str().to_owned();
            (to, format!("[to {}] {}", mail.recipient, mail.subject))
        }
        None => (mail.recipient.clone(), mail.subject.clone()),
    };
    OutgoingMail {
        message_id: mail.message_id.clone(),
        to,
        subject,
        text: mail.text.clone(),
        html: mail.html.clone(),
        attachment: file.map(|file| Attachment {
            name: file.name,
            media_type: file.media_type,
            content: file.content,
        }),
        // The time of writing, the same in every attempt, as the Message-ID is.
        date: mail.created_at,
    }
}

/// What the server's answer means for the mail.
///
/// A mail whose next attempt would come after its end is given up now rather than kept for nothing.
pub(super) fn decide(
    mail: &Mail,
    result: Result<SmtpReply, SendFailure>,
    settings: &Settings,
    now: Timestamp,
) -> Fate {
    match result {
        Ok(reply) => Fate::Sent {
            code: reply.code,
            text: reply.text,
        },
        Err(SendFailure::Refused { code, text, .. }) => Fate::Failed { code, text },
        Err(SendFailure::Deferred { code, text, .. } | SendFailure::Unsent { code, text, .. }) => {
            let until = now + settings.delay(mail.attempts);
            if until >= mail.expires_at {
                Fate::Failed {
                    code,
                    text: format!("given up before it expires: {text}"),
                }
            } else {
                Fate::Deferred { until, code, text }
            }
        }
    }
}

/// A fate as it is recorded.
pub(super) fn attempt(mail: &Mail, fate: Fate) -> MailAttempt {
    let (state, next_attempt_at, code, text) = match fate {
        Fate::Sent { code, text } => (MailState::Sent, None, Some(code), text),
        Fate::Deferred { until, code, text } => (MailState::Deferred, Some(until), code, text),
        Fate::Failed { code, text } => (MailState::Failed, None, code, text),
    };
    MailAttempt {
        mail: mail.id,
        state,
        next_attempt_at,
        code: code.and_then(|code| i16::try_from(code).ok()),
        text: one_line(&text, TEXT_CHARS_MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{TimeDelta, TimeZone};
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        chrono::Utc.timestamp_opt(1_800_000_000, 0).unwrap()
    }

    fn mail(attempts: i32) -> Mail {
        Mail {
            id: 7,
            message_id: "<7@robotd>".to_owned(),
            recipient: "ana@example.org".to_owned(),
            subject: "Disk".to_owned(),
            text: "full".to_owned(),
            attempts,
            created_at: now() - TimeDelta::minutes(1),
            expires_at: now() + TimeDelta::hours(24),
            html: None,
            file: None,
        }
    }

    fn busy() -> Result<SmtpReply, SendFailure> {
        Err(SendFailure::Deferred {
            code: Some(451),
            enhanced: None,
            text: "greylisted".to_owned(),
        })
    }

    #[test]
    fn answers_become_fates() {
        let settings = Settings::default();
        let of = |result| attempt(&mail(0), decide(&mail(0), result, &settings, now()));
        let yes = of(Ok(SmtpReply {
            code: 250,
            enhanced: None,
            text: "ok".to_owned(),
        }));
        assert_eq!((yes.state, yes.code), (MailState::Sent, Some(250)));
        let no = of(Err(SendFailure::Refused {
            code: Some(550),
            enhanced: None,
            text: "no".to_owned(),
        }));
        assert_eq!(
            (no.state, no.code, no.next_attempt_at),
            (MailState::Failed, Some(550), None)
        );
        let later = of(busy());
        assert_eq!(later.state, MailState::Deferred);
        assert_eq!(later.next_attempt_at, Some(now() + TimeDelta::minutes(1)));
        let account = of(Err(SendFailure::Unsent {
            code: Some(535),
            enhanced: None,
            text: "no".to_owned(),
        }));
        assert_eq!(
            account.state,
            MailState::Deferred,
            "the mail is not to blame"
        );
    }

    #[test]
    fn an_expired_or_huge_mail_is_not_tried() {
        let settings = Settings::default();
        let refused = |mail: &Mail, file: usize, at| {
            let file = MailFile {
                name: "a".to_owned(),
                media_type: "text/csv".to_owned(),
                content: vec![b'x'; file],
            };
            let outgoing = outgoing(mail, Some(file), &settings);
            refused(mail, &outgoing, &settings, at)
        };
        assert_eq!(refused(&mail(0), 9, now()), None);
        assert!(refused(&mail(9), 9, now() + TimeDelta::hours(24)).is_some());
        let huge = Mail {
            text: "x".repeat(settings.max_size + 1),
            ..mail(0)
        };
        assert!(refused(&huge, 0, now()).is_some());
        assert!(refused(&mail(0), settings.max_size, now()).is_some());
    }

    #[test]
    fn a_redirected_mail_goes_to_nobody_else() {
        let redirect = crate::domain::mail::Address::try_from("test@example.org".to_owned()).ok();
        let sent = outgoing(
            &mail(0),
            None,
            &Settings {
                redirect,
                ..Settings::default()
            },
        );
        assert_eq!(sent.to, "test@example.org");
        assert_eq!(sent.subject, "[to ana@example.org] Disk");
        assert_eq!(sent.message_id, "<7@robotd>");
    }

    proptest! {
        /// Pauses never shrink below the first, and no attempt is planned for after the end.
        #[test]
        fn every_mail_ends(attempts in -1i32..10_000, life in 0i64..100_000) {
            let settings = Settings::default();
            let mail = Mail { expires_at: now() + TimeDelta::seconds(life), ..mail(attempts) };
            match decide(&mail, busy(), &settings, now()) {
                Fate::Deferred { until, .. } => {
                    prop_assert!(until >= now() + Duration::from_mins(1));
                    prop_assert!(until < mail.expires_at);
                }
                Fate::Failed { .. } => prop_assert!(mail.expires_at <= now() + settings.delay(attempts)),
                Fate::Sent { .. } => prop_assert!(false),
            }
        }
    }
}
