//! Dead letters: messages that can never become events, put aside with the reason.

use crate::connect::nats::{Delivery, Outgoing};

/// What the subjects of events begin with, without the wildcard.
const EVENTS: &str = "robotd.events.";
/// What those of dead letters begin with.
const DEAD: &str = "robotd.dead.";
/// As much of a message is kept; what is longer was refused for that.
const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// As much of its own headers.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// As much of the reason.
const REASON_CHARS_MAX: usize = 1_000;

/// The letter for a message that is refused for `reason`.
pub(super) fn letter(delivery: &Delivery, reason: &str) -> Outgoing {
    let subject = delivery.subject();
    let mut headers = vec![
        ("Robotd-Reason".to_owned(), header_text(reason)),
        ("Robotd-Subject".to_owned(), header_text(subject)),
        ("Robotd-Message".to_owned(), delivery.place()),
    ];
    let payload = delivery.payload();
    if payload.len() > PAYLOAD_BYTES_MAX {
        headers.push(("Robotd-Bytes".to_owned(), payload.len().to_string()));
    }
    headers.extend(kept(delivery.headers()));
    Outgoing {
        subject: format!("{DEAD}{}", subject.strip_prefix(EVENTS).unwrap_or(subject)),
        id: delivery.place(),
        headers,
        payload: payload.iter().take(PAYLOAD_BYTES_MAX).copied().collect(),
    }
}

/// The message's own headers that make it readable again, within their bound; a name that no attribute has is left out.
fn kept<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    let mut bytes = 0;
    headers
        .filter(|(name, _)| {
            let name = name.to_ascii_lowercase();
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            (name.starts_with("ce-") || name == "content-type") && name.bytes().all(plain)
        })
        .take_while(|(name, value)| {
            bytes += name.len() + value.len();
            bytes <= HEADER_BYTES_MAX
        })
        .map(|(name, value)| (name.to_owned(), one_line(value).collect()))
        .collect()
}

/// A text as a header can carry it: one line, not endless.
fn header_text(text: &str) -> String {
    one_line(text).take(REASON_CHARS_MAX).collect()
}

fn one_line(text: &str) -> impl Iterator<Item = char> {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_describes_the_event_is_kept_and_not_too_much_of_it() {
        let long = "x".repeat(HEADER_BYTES_MAX);
        let headers = [
            ("Nats-Msg-Id", "1"),
            ("Ce-Id", "2"),
            ("Content-Type", "text/plain\r\nNats-Msg-Id: 1"),
            ("ce-n\u{e4}me", "3"),
            ("ce-long", long.as_str()),
        ];
        let kept = kept(headers.into_iter());
        let wanted = [
            ("Ce-Id", "2"),
            ("Content-Type", "text/plain  Nats-Msg-Id: 1"),
        ];
        assert_eq!(
            kept,
            wanted.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(header_text("a\r\nNats-Msg-Id: 7"), "a  Nats-Msg-Id: 7");
        assert_eq!(
            header_text(&"é".repeat(5_000)).chars().count(),
            REASON_CHARS_MAX
        );
    }
}
