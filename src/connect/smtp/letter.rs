//! The bytes of one mail (RFC 5322), and what is refused before a server sees it.

use std::str::FromStr;
use std::time::SystemTime;

use lettre::Message;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use super::reply::SendFailure;
use super::{Attachment, OutgoingMail};

/// Longest mail we make: most servers take 10 MiB or more, and an attachment grows by a third on its way.
pub const MAIL_BYTES_MAX: usize = 7 * 1024 * 1024;

/// RFC 5322, section 2.1.1: no line over 998 characters; an identifier cannot be folded.
const MESSAGE_ID_BYTES_MAX: usize = 900;

/// Longer subjects are nobody's; some programs stop showing at 255.
const SUBJECT_CHARS_MAX: usize = 998;

/// RFC 3834, section 5: keeps holiday notices from answering a program.
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Reads an address, with a name or without.
///
/// # Errors
///
/// Says what is wrong with it, without repeating it.
pub(super) fn mailbox(written: &str) -> Result<Mailbox, String> {
    if written.chars().any(char::is_control) {
        return Err("it has a line break or another control character".to_owned());
    }
    Mailbox::from_str(written).map_err(|error| error.to_string())
}

/// Makes the mail.
///
/// # Errors
///
/// [`SendFailure::Refused`] for an address, a subject or an identifier that cannot be in a
/// mail, and for more than [`MAIL_BYTES_MAX`]: sending it again cannot help.
pub(super) fn build(
    from: &Mailbox,
    reply_to: Option<&Mailbox>,
    mail: &OutgoingMail,
) -> Result<Message, SendFailure> {
    let to = mailbox(&mail.to).map_err(|reason| {
        SendFailure::refused_by_us(&format!("bad recipient address: {reason}"))
    })?;
    check_subject(&mail.subject)?;
    check_message_id(&mail.message_id)?;
    let bytes = mail.bytes();
    if bytes > MAIL_BYTES_MAX {
        return Err(SendFailure::refused_by_us(&format!(
            "the mail has {bytes} bytes, more than {MAIL_BYTES_MAX}"
        )));
    }
    let mut head = Message::builder()
        .from(from.clone())
        .to(to)
        .subject(mail.subject.clone())
        .date(SystemTime::from(mail.date))
        .message_id(Some(mail.message_id.clone()))
        .header(MIME_VERSION_1_0)
        .header(AutoSubmitted);
    if let Some(reply_to) = reply_to {
        head = head.reply_to(reply_to.clone());
    }
    let text = with_one_kind_of_line_end(&mail.text);
    let html = mail.html.as_deref().map(with_one_kind_of_line_end);
    let made = match (html, &mail.attachment) {
        (Some(html), None) => head.multipart(MultiPart::alternative_plain_html(text, html)),
        (None, None) => head.header(ContentType::TEXT_PLAIN).body(text),
        (html, Some(file)) => {
            let mixed = match html {
                Some(html) => {
                    MultiPart::mixed().multipart(MultiPart::alternative_plain_html(text, html))
                }
                None => MultiPart::mixed().singlepart(SinglePart::plain(text)),
            };
            head.multipart(mixed.singlepart(attached(file)?))
        }
    };
    made.map_err(|error| SendFailure::refused_by_us(&error.to_string()))
}

fn attached(file: &Attachment) -> Result<SinglePart, SendFailure> {
    let media_type = ContentType::parse(&file.media_type).map_err(|error| {
        SendFailure::refused_by_us(&format!("bad media type of an attachment: {error}"))
    })?;
    if file.name.chars().any(char::is_control) {
        let reason = "the name of an attachment has a control character";
        return Err(SendFailure::refused_by_us(reason));
    }
    let part = lettre::message::Attachment::new(file.name.clone());
    Ok(part.body(file.content.clone(), media_type))
}

/// The library turns `\n` into what mail wants; a lone `\r` it would send as it is.
fn with_one_kind_of_line_end(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn check_subject(subject: &str) -> Result<(), SendFailure> {
    if subject.chars().any(char::is_control) {
        return Err(SendFailure::refused_by_us(
            "the subject has a line break or another control character",
        ));
    }
    if subject.chars().count() > SUBJECT_CHARS_MAX {
        return Err(SendFailure::refused_by_us(
            "the subject has more than 998 characters",
        ));
    }
    Ok(())
}

/// RFC 5322, section 3.6.4: `<left@right>` without spaces.
fn check_message_id(id: &str) -> Result<(), SendFailure> {
    let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>'));
    let sound = inner
        .and_then(|inner| inner.split_once('@'))
        .is_some_and(|(left, right)| {
            let plain = |part: &str| {
                !part.is_empty()
                    && part
                        .bytes()
                        .all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'@'))
            };
            plain(left) && plain(right) && id.len() <= MESSAGE_ID_BYTES_MAX
        });
    if sound {
        Ok(())
    } else {
        Err(SendFailure::refused_by_us(
            "the Message-ID is not of the form `<left@right>`",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;
    use proptest::prelude::*;

    fn mail() -> OutgoingMail {
        OutgoingMail {
            message_id: "<17.1@robotd.example>".to_owned(),
            to: "Ana <ana@example.org>".to_owned(),
            subject: "Disk almost full".to_owned(),
            text: "node-1: 91 %\n".to_owned(),
            html: None,
            attachment: None,
            date: chrono::Utc.timestamp_opt(1_790_000_000, 0).unwrap(),
        }
    }

    fn made(mail: &OutgoingMail) -> Result<String, SendFailure> {
        let from = mailbox("robotd <robotd@example.org>").unwrap();
        build(&from, None, mail).map(|made| String::from_utf8(made.formatted()).unwrap())
    }

    fn head(made: &str) -> Vec<&str> {
        made.split("\r\n\r\n")
            .next()
            .unwrap()
            .split("\r\n")
            .collect()
    }

    #[test]
    fn the_head_has_what_a_mail_needs() {
        let made = made(&mail()).unwrap();
        for line in [
            "From: robotd <robotd@example.org>",
            "To: Ana <ana@example.org>",
            "Subject: Disk almost full",
            "Message-ID: <17.1@robotd.example>",
            "Date: Mon, 21 Sep 2026 14:13:20 +0000",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
        ] {
            assert!(head(&made).contains(&line), "{line} is missing in {made}");
        }
    }

    #[test]
    fn what_could_add_a_header_is_refused() {
        let forged = "x\r\nBcc: all@example.org";
        for wrong in [
            OutgoingMail {
                subject: forged.to_owned(),
                ..mail()
            },
            OutgoingMail {
                to: format!("\"{forged}\" <ana@example.org>"),
                ..mail()
            },
            OutgoingMail {
                to: "ana@example.org\nBcc: all@example.org".to_owned(),
                ..mail()
            },
            OutgoingMail {
                to: "ana".to_owned(),
                ..mail()
            },
            OutgoingMail {
                to: String::new(),
                ..mail()
            },
            OutgoingMail {
                message_id: "<a@b>\r\nBcc: all@example.org".to_owned(),
                ..mail()
            },
            OutgoingMail {
                message_id: "a@b".to_owned(),
                ..mail()
            },
            OutgoingMail {
                message_id: "<a b@c>".to_owned(),
                ..mail()
            },
            OutgoingMail {
                text: "x".repeat(MAIL_BYTES_MAX + 1),
                ..mail()
            },
        ] {
            assert!(
                matches!(made(&wrong), Err(SendFailure::Refused { .. })),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn a_subject_in_any_language_is_encoded() {
        let made = made(&OutgoingMail {
            subject: "Fast voll: über 90 % 🚨".to_owned(),
            ..mail()
        })
        .unwrap();
        let subject = head(&made)
            .into_iter()
            .find(|line| line.starts_with("Subject: "))
            .unwrap();
        assert!(
            subject.is_ascii() && subject.contains("=?utf-8?"),
            "{subject}"
        );
    }

    #[test]
    fn both_forms_travel_together() {
        let made = made(&OutgoingMail {
            html: Some("<p>91 %</p>".to_owned()),
            ..mail()
        })
        .unwrap();
        assert!(made.contains("multipart/alternative"));
        assert!(made.find("text/plain").unwrap() < made.find("text/html").unwrap());
    }

    #[test]
    fn a_file_travels_beside_both_forms_under_its_name() {
        let file = |name: &str, media_type: &str| {
            let attachment = Some(Attachment {
                name: name.to_owned(),
                media_type: media_type.to_owned(),
                content: b"a,b\r\n".to_vec(),
            });
            let html = Some("<p>91 %</p>".to_owned());
            made(&OutgoingMail {
                html,
                attachment,
                ..mail()
            })
        };
        let sent = file("report.csv", "text/csv").unwrap();
        for part in [
            "multipart/mixed",
            "multipart/alternative",
            "filename=\"report.csv\"",
            "text/csv",
        ] {
            assert!(sent.contains(part), "{part}: {sent}");
        }
        assert!(file("r\r\nBcc: x", "text/csv").is_err());
        assert!(file("r", "text").is_err());
    }

    proptest! {
        #[test]
        fn any_mail_is_refused_or_has_sound_lines_and_the_headers_we_wrote(
            to in any::<String>(), subject in any::<String>(), text in any::<String>(),
            html in proptest::option::of(any::<String>()), times in 1_usize..400,
        ) {
            let name = to.chars().filter(|c| !matches!(c, '"' | '\\')).collect::<String>();
            for to in [to, format!("\"{name}\" <ana@example.org>")] {
                let mail = OutgoingMail { to, subject: subject.clone(), text: text.repeat(times), html: html.clone(), ..mail() };
                let Ok(made) = made(&mail) else { continue };
                prop_assert!(made.is_ascii() || !mail.to.is_ascii());
                for line in made.split("\r\n") {
                    prop_assert!(!line.contains(['\r', '\n']), "a bare line end in {line:?}");
                    prop_assert!(line.len() <= 998);
                }
                let names: Vec<_> = head(&made).into_iter()
                    .filter(|line| !line.starts_with([' ', '\t']))
                    .map(|line| line.split_once(':').unwrap().0.to_owned())
                    .collect();
                for name in &names {
                    prop_assert!(["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted",
                        "MIME-Version", "Content-Type", "Content-Transfer-Encoding"].contains(&name.as_str()), "{name}");
                }
            }
        }
    }
}
