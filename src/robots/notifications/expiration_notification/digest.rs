//! The mail that tells one person of everything that is new to them.

use chrono::TimeDelta;

use super::judgement::{Due, Level, Rules};
use crate::domain::mail::one_line;
use crate::domain::time::Timestamp;
use crate::store::expiration::KnownAs;
use crate::store::mail::NewMail;

/// What a thing is called may be a thousand characters long; people know it by its beginning.
const TITLE_CHARS_MAX: usize = 160;
/// A notice is given once, so that its mail must outlive a long weekend without a mail server.
const MAIL_LIFE: TimeDelta = TimeDelta::days(7);

/// Mails about the same things to different people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letters<'a> {
    /// The things, by their ends.
    pub due: &'a [Due],
    /// The zone of the times, and the levels.
    pub rules: &'a Rules<'a>,
    /// Now.
    pub now: Timestamp,
    /// Who writes.
    pub robot: &'a str,
    /// From where.
    pub node: &'a str,
}

impl Letters<'_> {
    /// The mail to `recipient`; none where nothing is new to them.
    pub(super) fn to(&self, recipient: &str) -> Option<NewMail> {
        let new = |due: &&Due| due.untold.iter().any(|who| who == recipient);
        let due: Vec<&Due> = self.due.iter().filter(new).collect();
        let lowest = due.iter().map(|due| due.level).min()?;
        let urgent = lowest <= Level::Days(1);
        Some(NewMail {
            recipient: recipient.to_owned(),
            subject: format!("[robotd] {}", summary(&due)),
            text: self.text(&due),
            priority: if urgent { 8 } else { 6 },
            expires_at: self.now + MAIL_LIFE,
        })
    }

    fn text(&self, due: &[&Due]) -> String {
        let mut text = format!("{}\n", summary(due));
        let mut levels: Vec<Level> = due.iter().map(|due| due.level).collect();
        levels.sort_unstable();
        levels.dedup();
        for level in levels {
            text.push_str(&format!("\n{}\n", heading(level)));
            for due in due.iter().filter(|due| due.level == level) {
                text.push_str(&format!("- {}\n", self.line(due)));
            }
        }
        text.push_str(&format!(
            "\nTimes and days are those of {}.\nRobot: {}\nNode:  {}\n",
            self.rules.zone, self.robot, self.node
        ));
        text
    }

    fn line(&self, due: &Due) -> String {
        let thing = &due.thing;
        let ends_at = thing.ends_at.with_timezone(&self.rules.zone);
        format!(
            "{} {} (id {}): {}, {}",
            thing.kind().as_str(),
            title(&thing.known_as),
            thing.id,
            ends_at.format("%Y-%m-%d %H:%M"),
            distance(due.days_left)
        )
    }
}

/// What a thing is called, in one line.
pub(super) fn title(known_as: &KnownAs) -> String {
    let title = match known_as {
        KnownAs::Account {
            username,
            domain: Some(domain),
            device,
        } => format!("`{domain}\\{username}` on `{device}`"),
        KnownAs::Account {
            username, device, ..
        } => format!("`{username}` on `{device}`"),
        KnownAs::Subject { subject, names, .. } => match names.first() {
            Some(name) if subject.is_empty() => format!("`{name}`"),
            _ => format!("`{subject}`"),
        },
    };
    one_line(&title, TITLE_CHARS_MAX)
}

fn summary(due: &[&Due]) -> String {
    let expired = due.iter().filter(|due| due.level == Level::Expired).count();
    let words = [(expired, "expired"), (due.len() - expired, "to expire")];
    let told = words.into_iter().filter(|(count, _)| *count > 0);
    let told: Vec<String> = told
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    format!("Credentials and certificates: {}", told.join(", "))
}

fn heading(level: Level) -> String {
    match level {
        Level::Expired => "Expired:".to_owned(),
        Level::Days(0) => "Expire today:".to_owned(),
        Level::Days(1) => "Expire within a day:".to_owned(),
        Level::Days(days) => format!("Expire within {days} days:"),
    }
}

fn distance(days_left: i64) -> String {
    match days_left {
        0 => "today".to_owned(),
        1 => "tomorrow".to_owned(),
        -1 => "yesterday".to_owned(),
        days if days < 0 => format!("{} days ago", days.unsigned_abs()),
        days => format!("in {days} days"),
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;
    use crate::domain::id::InventoryId;
    use crate::domain::time::from_micros;
    use crate::store::expiration::Expiring;

    fn due(id: i64, known_as: KnownAs, level: Level, days_left: i64, untold: &[&str]) -> Due {
        Due {
            thing: Expiring {
                id: InventoryId(id),
                ends_at: from_micros(1_800_000_000_000_000) + TimeDelta::days(days_left),
                begins_at: None,
                known_as,
                told: Vec::new(),
            },
            level,
            days_left,
            untold: untold.iter().map(|who| (*who).to_owned()).collect(),
        }
    }

    fn account(username: &str, domain: Option<&str>) -> KnownAs {
        KnownAs::Account {
            username: username.to_owned(),
            domain: domain.map(str::to_owned),
            device: "web1".to_owned(),
        }
    }

    fn subject(subject: &str, names: &[&str]) -> KnownAs {
        KnownAs::Subject {
            subject: subject.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            issuer_ends_at: None,
        }
    }

    #[test]
    fn a_mail_holds_what_is_new_to_its_reader_the_closest_first() {
        let due = [
            due(1, account("root", None), Level::Expired, -3, &["a@b.c"]),
            due(
                2,
                account("svc", Some("CORP")),
                Level::Days(1),
                1,
                &["a@b.c", "d@e.f"],
            ),
            due(
                3,
                subject("CN=x", &["x.example"]),
                Level::Days(7),
                4,
                &["a@b.c"],
            ),
            due(4, subject("CN=y", &[]), Level::Days(7), 5, &["d@e.f"]),
        ];
        let rules = Rules {
            levels: &[7, 1],
            zone: Tz::America__Sao_Paulo,
            audience: Vec::new(),
        };
        let letters = Letters {
            due: &due,
            rules: &rules,
            now: from_micros(1_800_000_000_000_000),
            robot: "r",
            node: "n",
        };
        let mail = letters.to("a@b.c").unwrap();
        assert_eq!(
            mail.subject,
            "[robotd] Credentials and certificates: 1 expired, 2 to expire"
        );
        assert_eq!(
            mail.text,
            "Credentials and certificates: 1 expired, 2 to expire\n\n\
             Expired:\n- credential `root` on `web1` (id 1): 2027-01-12 05:00, 3 days ago\n\n\
             Expire within a day:\n- credential `CORP\\svc` on `web1` (id 2): 2027-01-16 05:00, tomorrow\n\n\
             Expire within 7 days:\n- certificate `CN=x` (id 3): 2027-01-19 05:00, in 4 days\n\n\
             Times and days are those of America/Sao_Paulo.\nRobot: r\nNode:  n\n"
        );
        assert_eq!(letters.to("x@y.z"), None);
    }

    #[test]
    fn a_title_is_one_line_of_bounded_length() {
        assert_eq!(
            title(&subject("", &["x.example", "y.example"])),
            "`x.example`"
        );
        assert_eq!(title(&subject("", &[])), "``");
        let long = title(&subject(&"é\n".repeat(1_000), &[]));
        assert_eq!(long.chars().count(), TITLE_CHARS_MAX);
        assert!(!long.contains('\n'));
    }
}
