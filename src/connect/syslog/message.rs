//! The bytes of one syslog message (RFC 5424, section 6).
//!
//! Everything that comes from outside is made harmless on the way: a header field keeps
//! only printable ASCII, control characters become visible, and what does not fit is cut
//! where a reader can see it. Formatting therefore never fails.

use std::borrow::Cow;
use std::fmt::Write as _;

use chrono::{Datelike, Timelike};

use super::priority::{Facility, Severity};
use crate::domain::time::Timestamp;

/// Longest message we make: RFC 5425 asks collectors to take this much, rsyslog's default
/// (`maxMessageSize`) is the same, and it still fits one UDP datagram.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// Half of the message, so that long structured data never leaves no room for the text.
const STRUCTURED_BYTES_MAX: usize = MESSAGE_BYTES_MAX / 2;

/// Longest value of one parameter: two values (before, after) fit the structured data.
const PARAM_VALUE_BYTES_MAX: usize = 1024;

/// Room kept for the mark at the end of a cut text: `… [cut, 18446744073709551615 bytes in all]`.
const CUT_MARK_BYTES: usize = 48;

/// Room kept for the mark of dropped parameters: ` dropped="18446744073709551615"]`.
const DROPPED_MARK_BYTES: usize = 36;

/// RFC 5424, section 6.4: a text in UTF-8 starts with this mark.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Limits of RFC 5424, section 6, in characters of printable ASCII.
const HOSTNAME_MAX: usize = 255;
const APP_NAME_MAX: usize = 48;
const PROCID_MAX: usize = 128;
const MSGID_MAX: usize = 32;
const SD_NAME_MAX: usize = 32;

/// A named group of parameters (RFC 5424, section 6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructuredElement {
    /// Registered name, or `name@enterprise-number`.
    pub id: String,
    /// Names and values in the order they are written; a name may repeat.
    pub params: Vec<(String, String)>,
}

/// One message before it is bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogMessage {
    /// Which part of the system speaks.
    pub facility: Facility,
    /// How much it matters.
    pub severity: Severity,
    /// When it happened.
    pub at: Timestamp,
    /// The machine; empty when unknown.
    pub hostname: String,
    /// The program, `robotd`.
    pub app_name: String,
    /// The process that speaks; empty when unknown.
    pub procid: String,
    /// The kind of message, such as `robot.settings_changed`; empty for none.
    pub msgid: String,
    /// Machine-readable part; elements with one id are written as one.
    pub structured: Vec<StructuredElement>,
    /// What a person reads; may be empty.
    pub text: String,
}

impl SyslogMessage {
    /// Writes the message as RFC 5424 has it, at most [`MESSAGE_BYTES_MAX`] bytes.
    ///
    /// No newline ends it; the transport frames it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let priority = u32::from(self.facility.code()) * 8 + self.severity as u32;
        let mut line = format!(
            "<{priority}>1 {} {} {} {} {} ",
            rfc3339(self.at),
            header_field(&self.hostname, HOSTNAME_MAX),
            header_field(&self.app_name, APP_NAME_MAX),
            header_field(&self.procid, PROCID_MAX),
            header_field(&self.msgid, MSGID_MAX),
        );
        line.push_str(&structured_data(&self.structured));
        if !self.text.is_empty() {
            line.push(' ');
            line.push_str(BYTE_ORDER_MARK);
            let room = MESSAGE_BYTES_MAX.saturating_sub(line.len());
            line.push_str(&cut(&visible(&self.text), room));
        }
        line.into_bytes()
    }
}

/// The time to the microsecond; `-` for a year RFC 3339 cannot write.
fn rfc3339(at: Timestamp) -> String {
    if !(0..=9999).contains(&at.year()) {
        return "-".to_owned();
    }
    // RFC 5424, section 6.2.3.1: a leap second must not be written; chrono keeps it as
    // nanoseconds beyond a second.
    let nanos = at.nanosecond().min(999_999_999);
    let at = at.with_nanosecond(nanos).unwrap_or(at);
    at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// A header field: printable ASCII, `?` for everything else, `-` for nothing.
fn header_field(value: &str, max: usize) -> String {
    if value.is_empty() {
        return "-".to_owned();
    }
    value
        .chars()
        .take(max)
        .map(|c| if c.is_ascii_graphic() { c } else { '?' })
        .collect()
}

/// A name inside structured data: printable ASCII without `=`, `]` and `"`.
fn sd_name(name: &str) -> String {
    if name.is_empty() {
        return "_".to_owned();
    }
    name.chars()
        .take(SD_NAME_MAX)
        .map(|c| match c {
            '=' | ']' | '"' => '_',
            c if c.is_ascii_graphic() => c,
            _ => '_',
        })
        .collect()
}

/// All elements, or `-`; what does not fit is counted in a last parameter `dropped`.
fn structured_data(elements: &[StructuredElement]) -> String {
    let mut merged: Vec<(String, Vec<&(String, String)>)> = Vec::new();
    for element in elements {
        let id = sd_name(&element.id);
        // RFC 5424, section 6.3.2: an id must not appear twice in a message.
        match merged.iter_mut().find(|(known, _)| *known == id) {
            Some((_, params)) => params.extend(&element.params),
            None => merged.push((id, element.params.iter().collect())),
        }
    }
    let mut out = String::new();
    for (id, params) in merged {
        if out.len() + id.len() + 2 + DROPPED_MARK_BYTES > STRUCTURED_BYTES_MAX {
            break;
        }
        push_element(&mut out, &id, &params);
    }
    if out.is_empty() {
        out.push('-');
    }
    out
}

/// Writes `[id name="value" …]`, staying below [`STRUCTURED_BYTES_MAX`].
fn push_element(out: &mut String, id: &str, params: &[&(String, String)]) {
    out.push('[');
    out.push_str(id);
    let mut dropped = 0_usize;
    for (name, value) in params {
        let param = format!(
            " {}=\"{}\"",
            sd_name(name),
            sd_escaped(&cut(&visible(value), PARAM_VALUE_BYTES_MAX))
        );
        if out.len() + param.len() + DROPPED_MARK_BYTES > STRUCTURED_BYTES_MAX {
            dropped += 1;
        } else {
            out.push_str(&param);
        }
    }
    if dropped > 0 {
        // Writing to a String cannot fail; the result says so by being ignored by name.
        let _infallible = write!(out, " dropped=\"{dropped}\"");
    }
    out.push(']');
}

/// RFC 5424, section 6.3.3: `"`, `\` and `]` are escaped by a backslash.
fn sd_escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Control characters and line separators as a person can see them: `\n`, `\u{1b}`.
///
/// A forged second line or a terminal escape in a user's name ends here.
fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The text itself if it fits `room` bytes, else its beginning and a mark that says so.
fn cut(text: &str, room: usize) -> Cow<'_, str> {
    if text.len() <= room {
        return Cow::Borrowed(text);
    }
    let kept = text.floor_char_boundary(room.saturating_sub(CUT_MARK_BYTES));
    let (head, _) = text.split_at(kept);
    Cow::Owned(format!("{head}… [cut, {} bytes in all]", text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;
    use proptest::prelude::*;

    fn message(text: &str) -> SyslogMessage {
        SyslogMessage {
            facility: Facility::AUDIT,
            severity: Severity::Notice,
            at: chrono::Utc.timestamp_micros(1_790_000_000_123_456).unwrap(),
            hostname: "node-1".to_owned(),
            app_name: "robotd".to_owned(),
            procid: "4711".to_owned(),
            msgid: "robot.settings_changed".to_owned(),
            structured: vec![StructuredElement {
                id: "change@32473".to_owned(),
                params: vec![("robot".to_owned(), "mail.email_sender".to_owned())],
            }],
            text: text.to_owned(),
        }
    }

    fn line(message: &SyslogMessage) -> String {
        String::from_utf8(message.to_bytes()).unwrap()
    }

    #[test]
    fn a_message_reads_as_rfc_5424_has_it() {
        assert_eq!(
            line(&message("instances changed from 1 to 2")),
            "<109>1 2026-09-21T14:13:20.123456Z node-1 robotd 4711 robot.settings_changed \
             [change@32473 robot=\"mail.email_sender\"] \u{feff}instances changed from 1 to 2"
        );
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        let mut empty = message("");
        for field in [&mut empty.hostname, &mut empty.procid, &mut empty.msgid] {
            field.clear();
        }
        empty.structured.clear();
        assert_eq!(
            line(&empty),
            "<109>1 2026-09-21T14:13:20.123456Z - robotd - - -"
        );
    }

    #[test]
    fn a_parameter_cannot_close_its_element() {
        let mut forged = message("x");
        forged.structured[0].params[0].1 = "a\"] [evil@1 b=\"c\\\n".to_owned();
        assert!(line(&forged).contains(r#"robot="a\"\] [evil@1 b=\"c\\\\n"] "#));
    }

    #[test]
    fn a_text_cannot_start_a_second_line_or_drive_a_terminal() {
        let forged = line(&message("a\r\n<13>1 b\u{1b}[2J\u{2028}c"));
        assert!(forged.ends_with(r"a\r\n<13>1 b\u{1b}[2J\u{2028}c"));
    }

    #[test]
    fn a_long_text_is_cut_where_a_reader_sees_it() {
        let long = line(&message(&"ß".repeat(10_000)));
        assert!(long.len() <= MESSAGE_BYTES_MAX);
        assert!(long.ends_with("ß… [cut, 20000 bytes in all]"));
    }

    #[test]
    fn parameters_that_do_not_fit_are_counted() {
        let mut wide = message("still here");
        wide.structured[0].params = (0..50)
            .map(|i| (format!("p{i}"), "\"".repeat(2_000)))
            .collect();
        let wide = line(&wide);
        assert!(wide.contains("[cut, 2000 bytes in all\\]"));
        assert!(wide.contains(" dropped=\""));
        assert!(wide.ends_with("] \u{feff}still here"));
    }

    #[test]
    fn elements_with_one_id_become_one() {
        let mut twice = message("x");
        twice.structured.push(StructuredElement {
            id: "change@32473".to_owned(),
            params: vec![("by".to_owned(), "ana".to_owned())],
        });
        assert!(line(&twice).contains("[change@32473 robot=\"mail.email_sender\" by=\"ana\"]"));
    }

    #[test]
    fn a_leap_second_and_an_absurd_year_are_not_written() {
        let mut odd = message("");
        odd.at = chrono::NaiveDate::from_ymd_opt(2016, 12, 31)
            .and_then(|day| day.and_hms_micro_opt(23, 59, 59, 1_500_000))
            .unwrap()
            .and_utc();
        assert!(line(&odd).contains(" 2016-12-31T23:59:59.999999Z "));
        odd.at = Timestamp::MAX_UTC;
        assert!(line(&odd).starts_with("<109>1 - node-1"));
    }

    proptest! {
        #[test]
        fn any_message_is_one_bounded_line_with_a_sound_header(
            fields in proptest::array::uniform4(any::<String>()),
            ids in proptest::collection::vec((any::<String>(), any::<String>(), any::<String>()), 0..20),
            text in any::<String>(),
            times in 1_usize..200,
        ) {
            let [hostname, app_name, procid, msgid] = fields;
            let made = SyslogMessage {
                hostname, app_name, procid, msgid,
                structured: ids.into_iter().map(|(id, name, value)| StructuredElement {
                    id,
                    params: vec![(name, value.repeat(times))],
                }).collect(),
                text: text.repeat(times),
                ..message("")
            };
            let bytes = made.to_bytes();
            prop_assert!(bytes.len() <= MESSAGE_BYTES_MAX);
            let line = String::from_utf8(bytes).unwrap();
            prop_assert!(!line.chars().any(char::is_control));
            let header: Vec<&str> = line.splitn(8, ' ').collect();
            prop_assert!(header.len() >= 7);
            for (field, max) in header[2..6].iter().zip([HOSTNAME_MAX, APP_NAME_MAX, PROCID_MAX, MSGID_MAX]) {
                prop_assert!(!field.is_empty() && field.len() <= max);
                prop_assert!(field.bytes().all(|b| b.is_ascii_graphic()));
            }
            prop_assert!(header[6] == "-" || header[6].starts_with('['));
        }
    }
}
