//! Schedules and windows in words.

use chrono::{NaiveTime, Timelike};

use super::moment::length;
use super::text;
use super::words::at_close;
use crate::domain::schedule::Schedule;
use crate::domain::window::{Days, Window};

const DAY_NAMES: [(&str, &str); 7] = [
    ("mon", "Mon"),
    ("tue", "Tue"),
    ("wed", "Wed"),
    ("thu", "Thu"),
    ("fri", "Fri"),
    ("sat", "Sat"),
    ("sun", "Sun"),
];

/// The days of the week as they are written in addresses and as people read them.
pub(super) const fn day_names() -> &'static [(&'static str, &'static str); 7] {
    &DAY_NAMES
}

/// When a robot wakes: `every 5 min`, `daily at 06:00 UTC`. A cron line of an uncommon kind is shown as it is.
pub(super) fn schedule(schedule: &Schedule) -> String {
    match schedule {
        Schedule::Every { interval } => format!("every {}", length(*interval)),
        Schedule::Cron {
            expression,
            timezone,
        } => {
            let line = expression.as_str();
            let words = cron(line).unwrap_or_else(|| format!("cron {line}"));
            format!("{words} {}", timezone.name())
        }
    }
}

/// A cron line in words, where it is of a common kind.
fn cron(line: &str) -> Option<String> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let &[minute, hour, day, month, weekday] = fields.as_slice() else {
        return None;
    };
    if month != "*" {
        return None;
    }
    let days = match (day, weekday) {
        ("*", "*") => "daily".to_owned(),
        ("*", weekday) => weekdays(weekday)?,
        (day, "*") => format!("on day {} of the month", number(day, 31)?),
        _ => return None,
    };
    match (minute, hour) {
        (minute, "*") => {
            let pace = match minute.strip_prefix("*/") {
                Some(step) => format!("every {} min", number(step, 59)?),
                None if minute == "*" => "every minute".to_owned(),
                None => format!("hourly at :{:02}", number(minute, 59)?),
            };
            Some(if days == "daily" {
                pace
            } else {
                format!("{pace} {days}")
            })
        }
        (minute, hour) => {
            let minute = number(minute, 59)?;
            let hours: Option<Vec<_>> = hour
                .split(',')
                .map(|hour| Some(format!("{:02}:{minute:02}", number(hour, 23)?)))
                .collect();
            Some(format!("{days} at {}", hours?.join(", ")))
        }
    }
}

fn number(text: &str, max: u32) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| plain && *number <= max)
}

/// `1-5` and `mon,wed` as people read them; cron counts from Sunday, which is 0 and 7.
fn weekdays(field: &str) -> Option<String> {
    let name = |text: &str| {
        let by_number = number(text, 7).and_then(|day| usize::try_from((day + 6) % 7).ok());
        let lower = text.to_ascii_lowercase();
        let by_name = DAY_NAMES.iter().position(|(known, _)| *known == lower);
        by_number
            .or(by_name)
            .and_then(|at| DAY_NAMES.get(at))
            .map(|(_, name)| *name)
    };
    let parts: Option<Vec<_>> = field
        .split(',')
        .map(|part| match part.split_once('-') {
            Some((first, last)) => Some(format!("{}–{}", name(first)?, name(last)?)),
            None => name(part).map(str::to_owned),
        })
        .collect();
    Some(parts?.join(", "))
}

/// When a robot may run: `22:00–06:00 Mon, Tue America/Sao_Paulo`.
pub(super) fn window(window: &Window) -> String {
    let days = if window.days == Days::ALL {
        String::new()
    } else {
        let named = |day: &str| DAY_NAMES.iter().find(|(known, _)| *known == day);
        let days: Vec<_> = window
            .days
            .names()
            .filter_map(named)
            .map(|(_, name)| *name)
            .collect();
        format!(" {}", days.join(", "))
    };
    format!(
        "{}–{}{days} {}",
        edge(window.start),
        closing(window.end),
        window.timezone.name()
    )
}

/// A window with what happens when it closes, or that there is none.
pub(super) fn window_in_full(of_robot: Option<&Window>) -> String {
    of_robot.map_or_else(
        || text::ALWAYS.to_owned(),
        |of_robot| format!("{}; then {}", window(of_robot), at_close(of_robot.at_close)),
    )
}

/// A time of day as short as it can be written.
pub(super) fn edge(time: NaiveTime) -> String {
    let format = if time.second() == 0 {
        "%H:%M"
    } else {
        "%H:%M:%S"
    };
    time.format(format).to_string()
}

/// The closing edge: midnight is the end of the day.
pub(super) fn closing(time: NaiveTime) -> String {
    if time == NaiveTime::MIN {
        "24:00".to_owned()
    } else {
        edge(time)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schedules_are_told_in_words() {
        for (json, words) in [
            (json!({"every": "PT90S"}), "every 1 min 30 s"),
            (json!({"cron": "0 6 * * *"}), "daily at 06:00 UTC"),
            (
                json!({"cron": "30 2,14 * * 1-5", "timezone": "Europe/Berlin"}),
                "Mon–Fri at 02:30, 14:30 Europe/Berlin",
            ),
            (json!({"cron": "10 * * * *"}), "hourly at :10 UTC"),
            (json!({"cron": "*/10 * * * *"}), "every 10 min UTC"),
            (
                json!({"cron": "0 3 1 * *"}),
                "on day 1 of the month at 03:00 UTC",
            ),
            (json!({"cron": "0 3 * * 0,3"}), "Sun, Wed at 03:00 UTC"),
            (json!({"cron": "0 3 1 1 *"}), "cron 0 3 1 1 * UTC"),
            (json!({"cron": "0-20/5 3 * * *"}), "cron 0-20/5 3 * * * UTC"),
        ] {
            let of_robot: Schedule = serde_json::from_value(json).unwrap();
            assert_eq!(schedule(&of_robot), words);
        }
    }

    #[test]
    fn windows_are_told_in_words() {
        let read = |json| serde_json::from_value::<Window>(json).unwrap();
        let night = json!({"start": "22:00", "end": "06:00", "days": ["mon", "sun"], "timezone": "America/Sao_Paulo"});
        assert_eq!(
            window(&read(night)),
            "22:00–06:00 Mon, Sun America/Sao_Paulo"
        );
        let day = json!({"start": "00:00", "end": "24:00", "at_close": "cancel"});
        assert_eq!(
            window_in_full(Some(&read(day))),
            "00:00–24:00 UTC; then open runs are cancelled"
        );
        assert_eq!(window_in_full(None), "always");
    }
}
