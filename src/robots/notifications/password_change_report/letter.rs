//! The mails of a report, each as text and as HTML.

use askama::Template;
use chrono::TimeDelta;
use chrono_tz::Tz;

use super::summary::{Counts, Ending, Summary, account_title};
use super::words::{Language, Words, said};
use crate::domain::time::Timestamp;
use crate::store::change_report::{Change, ChangeReport};

/// A report is read on the day after a long weekend, too.
pub(super) const MAIL_LIFE: TimeDelta = TimeDelta::days(7);
/// Lines of each list in a mail: as much as anybody reads. The file has the rest.
const LINES_MAX: usize = 50;

/// How somebody reads a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reader {
    /// In which language.
    pub language: Language,
    /// In which zone.
    pub zone: Tz,
}

/// A list of which not all is shown.
#[derive(Debug)]
struct List(Vec<String>);

impl List {
    fn of(lines: impl Iterator<Item = String>, words: &Words) -> Self {
        let mut all = lines;
        let mut lines: Vec<String> = all.by_ref().take(LINES_MAX).collect();
        let left_out = all.count();
        if left_out > 0 {
            lines.push(said(words.left_out, &[&left_out]));
        }
        Self(lines)
    }
}

/// What a mail says.
#[derive(Debug)]
pub(super) struct Letter {
    words: &'static Words,
    period: String,
    counts: String,
    open: Option<String>,
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
    source = "{{ l.words.title }} {{ l.period }}

{{ l.counts }}
{% if let Some(open) = l.open %}{{ open }}
{% endif %}{% if !l.troubles.0.is_empty() %}
{{ l.words.troubles }}:
{% for line in l.troubles.0 %}- {{ line }}
{% endfor %}{% endif %}{% if !l.causes.0.is_empty() %}
{{ l.words.by_cause }}:
{% for line in l.causes.0 %}- {{ line }}
{% endfor %}
{{ l.words.by_device }}:
{% for line in l.places.0 %}- {{ line }}
{% endfor %}{% endif %}{% if let Some(file) = l.file %}
{{ file }}
{% endif %}
{{ l.words.robot }} {{ l.robot }}
{{ l.words.node }} {{ l.node }}
"
)]
struct Text<'a> {
    l: &'a Letter,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = "<!DOCTYPE html>
<html lang=\"{{ l.words.tag }}\"><head><meta charset=\"utf-8\"><title>{{ l.words.title }}</title></head>
<body style=\"font-family:sans-serif\">
<h1 style=\"font-size:1.2em\">{{ l.words.title }}</h1>
<p>{{ l.period }}</p>
<p><b>{{ l.counts }}</b>{% if let Some(open) = l.open %}<br>{{ open }}{% endif %}</p>
{% if !l.troubles.0.is_empty() %}<h2 style=\"font-size:1em\">{{ l.words.troubles }}</h2>
<ul>{% for line in l.troubles.0 %}<li>{{ line }}</li>
{% endfor %}</ul>
{% endif %}{% if !l.causes.0.is_empty() %}<h2 style=\"font-size:1em\">{{ l.words.by_cause }}</h2>
<ul>{% for line in l.causes.0 %}<li>{{ line }}</li>
{% endfor %}</ul>
<h2 style=\"font-size:1em\">{{ l.words.by_device }}</h2>
<ul>{% for line in l.places.0 %}<li>{{ line }}</li>
{% endfor %}</ul>
{% endif %}{% if let Some(file) = l.file %}<p>{{ file }}</p>
{% endif %}<p style=\"color:#666\">{{ l.words.robot }} {{ l.robot }}<br>{{ l.words.node }} {{ l.node }}</p>
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
    /// The subject of the mail in a language; `part` is its number and how many there are.
    pub(super) fn subject(&self, language: Language, (part, parts): (usize, usize)) -> String {
        let words = language.words();
        let (title, counts) = (words.title, self.counts(words));
        match parts {
            0 | 1 => format!("[robotd] {title}: {counts}"),
            _ => {
                let of = said(words.part, &[&part, &parts]);
                format!("[robotd] {title} ({of}): {counts}")
            }
        }
    }

    fn counts(&self, words: &Words) -> String {
        let total = &self.summary.total;
        match total.all() {
            0 => words.none.to_owned(),
            _ => total.said(words),
        }
    }

    /// The mail for somebody who reads it so, with a line on its file.
    pub(super) fn letter(&self, reader: Reader, file: Option<String>) -> Letter {
        let (words, zone) = (reader.language.words(), reader.zone);
        let shown = |at: Timestamp| at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string();
        let summary = self.summary;
        let trouble = |change: &Change| {
            let class = change.error_class.as_ref();
            let class = class.map(|class| format!(" ({class})")).unwrap_or_default();
            let by = crate::domain::mail::one_line(&change.requested_by, 80);
            format!(
                "{}: {}{class}, {}, {}",
                account_title(change, words),
                words.ending(Ending::of(change.state)),
                shown(change.ended_at),
                said(words.ordered_by, &[&by]),
            )
        };
        let (from, until) = (shown(self.report.from), shown(self.report.until));
        let causes = summary.causes.iter();
        let causes = causes.map(|(cause, counts)| (words.cause(*cause).to_owned(), counts));
        let places = summary.places.iter();
        let places = places.map(|(place, counts)| (place.title(words), counts));
        let counted = |(what, counts): (String, &Counts)| format!("{what}: {}", counts.said(words));
        Letter {
            words,
            period: said(words.period, &[&from, &until, &zone]),
            counts: self.counts(words),
            open: (self.open > 0).then(|| said(words.open, &[&self.open])),
            causes: List::of(causes.map(counted), words),
            places: List::of(places.map(counted), words),
            troubles: List::of(summary.troubles().map(trouble), words),
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
