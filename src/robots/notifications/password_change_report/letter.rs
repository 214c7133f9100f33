//! The mails of a report, each as text and as HTML.

use askama::Template;
use chrono::TimeDelta;
use chrono_tz::Tz;

use super::summary::{Ending, Summary, account_title};
use crate::domain::time::Timestamp;
use crate::store::change_report::{Change, ChangeReport};

/// A report is read on the day after a long weekend, too.
pub(super) const MAIL_LIFE: TimeDelta = TimeDelta::days(7);
/// Lines of each list in a mail: as much as anybody reads. The file has the rest.
const LINES_MAX: usize = 50;

/// A list of which not all is shown.
#[derive(Debug)]
struct List {
    lines: Vec<String>,
    left_out: usize,
}

impl List {
    fn of(lines: impl Iterator<Item = String>) -> Self {
        let mut all = lines;
        let lines = all.by_ref().take(LINES_MAX).collect();
        let left_out = all.count();
        Self { lines, left_out }
    }
}

/// What a mail says.
#[derive(Debug)]
pub(super) struct Letter {
    from: String,
    until: String,
    zone: Tz,
    words: String,
    open: u64,
    causes: List,
    places: List,
    troubles: List,
    file: Option<String>,
    robot: String,
    node: String,
}

#[derive(Template)]
#[template(
    ext = "txt",
    escape = "none",
    source = "Password changes from {{ l.from }} to {{ l.until }} ({{ l.zone }})

{{ l.words }}
{% if l.open > 0 %}{{ l.open }} still open
{% endif %}{% if !l.troubles.lines.is_empty() %}
To be looked at:
{% for line in l.troubles.lines %}- {{ line }}
{% endfor %}{% if l.troubles.left_out > 0 %}- and {{ l.troubles.left_out }} more
{% endif %}{% endif %}{% if !l.causes.lines.is_empty() %}
By cause:
{% for line in l.causes.lines %}- {{ line }}
{% endfor %}
By device:
{% for line in l.places.lines %}- {{ line }}
{% endfor %}{% if l.places.left_out > 0 %}- and {{ l.places.left_out }} more devices
{% endif %}{% endif %}{% if let Some(file) = l.file %}
{{ file }}
{% endif %}
Robot: {{ l.robot }}
Node:  {{ l.node }}
"
)]
struct Text<'a> {
    l: &'a Letter,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = "<!DOCTYPE html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Password changes</title></head>
<body style=\"font-family:sans-serif\">
<h1 style=\"font-size:1.2em\">Password changes</h1>
<p>{{ l.from }} to {{ l.until }} ({{ l.zone }})</p>
<p><b>{{ l.words }}</b>{% if l.open > 0 %}<br>{{ l.open }} still open{% endif %}</p>
{% if !l.troubles.lines.is_empty() %}<h2 style=\"font-size:1em\">To be looked at</h2>
<ul>{% for line in l.troubles.lines %}<li>{{ line }}</li>
{% endfor %}{% if l.troubles.left_out > 0 %}<li>and {{ l.troubles.left_out }} more</li>{% endif %}</ul>
{% endif %}{% if !l.causes.lines.is_empty() %}<h2 style=\"font-size:1em\">By cause</h2>
<ul>{% for line in l.causes.lines %}<li>{{ line }}</li>
{% endfor %}</ul>
<h2 style=\"font-size:1em\">By device</h2>
<ul>{% for line in l.places.lines %}<li>{{ line }}</li>
{% endfor %}{% if l.places.left_out > 0 %}<li>and {{ l.places.left_out }} more devices</li>{% endif %}</ul>
{% endif %}{% if let Some(file) = l.file %}<p>{{ file }}</p>
{% endif %}<p style=\"color:#666\">Robot: {{ l.robot }}<br>Node: {{ l.node }}</p>
</body></html>
"
)]
struct Html<'a> {
    l: &'a Letter,
}

/// What all mails of a report have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writer<'a> {
    /// The report.
    pub report: ChangeReport,
    /// Its changes.
    pub summary: &'a Summary,
    /// Changes that have not ended.
    pub open: u64,
    /// Who writes.
    pub robot: &'a str,
    /// From where.
    pub node: &'a str,
}

impl Writer<'_> {
    /// The subject of the mail; `part` is its number and how many there are.
    pub(super) fn subject(&self, (part, parts): (usize, usize)) -> String {
        let words = self.words();
        match parts {
            0 | 1 => format!("[robotd] Password changes: {words}"),
            _ => format!("[robotd] Password changes ({part} of {parts}): {words}"),
        }
    }

    fn words(&self) -> String {
        let total = &self.summary.total;
        match total.all() {
            0 => "none".to_owned(),
            _ => total.words(),
        }
    }

    /// The mail for somebody in `zone`, with a line on its file.
    pub(super) fn letter(&self, zone: Tz, file: Option<String>) -> Letter {
        let shown = |at: Timestamp| at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string();
        let summary = self.summary;
        let causes = summary.causes.iter();
        let places = summary.places.iter();
        let trouble = |change: &Change| {
            let class = change.error_class.as_ref();
            let class = class.map(|class| format!(" ({class})")).unwrap_or_default();
            format!(
                "{}: {}{class}, {}, ordered by {}",
                account_title(change),
                Ending::of(change.state).word(),
                shown(change.ended_at),
                crate::domain::mail::one_line(&change.requested_by, 80),
            )
        };
        Letter {
            from: shown(self.report.from),
            until: shown(self.report.until),
            zone,
            words: self.words(),
            open: self.open,
            causes: List::of(causes.map(|(cause, counts)| format!("{cause}: {}", counts.words()))),
            places: List::of(
                places.map(|(place, counts)| format!("{}: {}", place.title(), counts.words())),
            ),
            troubles: List::of(summary.troubles().map(trouble)),
            file,
            robot: self.robot.to_owned(),
            node: self.node.to_owned(),
        }
    }
}

impl Letter {
    /// As text.
    pub(super) fn text(&self) -> Result<String, askama::Error> {
        Text { l: self }.render()
    }

    /// As HTML; whatever comes from the inventory is text in it.
    pub(super) fn html(&self) -> Result<String, askama::Error> {
        Html { l: self }.render()
    }
}
