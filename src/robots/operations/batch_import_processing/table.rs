//! A sheet's rows as what they say of devices and credentials. Pure: nothing is looked up.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::connect::sheet::form::original;
use crate::connect::sheet::{Cell, Row};
use crate::domain::import::{
    COLUMNS, Column, Holds, KEY_COLUMN, Part, RowError, column_named, is_answer, letters,
};
use crate::domain::inventory::name::fold;
use crate::domain::inventory::patch::Fields;
use crate::domain::secret::Secret;

/// A file that was read.
#[derive(Debug)]
pub(super) struct Table {
    /// Its columns with their places in the sheet, from 0.
    pub(super) columns: Vec<(usize, &'static Column)>,
    /// Its rows.
    pub(super) lines: Vec<Line>,
}

/// What a row says.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Its line in the sheet.
    pub(super) number: u32,
    /// Its texts in the order of the columns, without secrets.
    pub(super) shown: Vec<String>,
    /// Fields of its device.
    pub(super) device: Fields,
    /// A way to reach the device.
    pub(super) way: Fields,
    /// Names of other things, by their columns.
    pub(super) names: HashMap<&'static str, String>,
    /// Fields of its credential.
    pub(super) credential: Fields,
    /// The credential's secret.
    pub(super) secret: Option<SecretString>,
    /// What opens it, where it is a key that is encrypted.
    pub(super) passphrase: Option<SecretString>,
    /// What is wrong with it.
    pub(super) errors: Vec<RowError>,
}

impl Line {
    /// A text of its device.
    pub(super) fn hostname(&self) -> &str {
        text_at(&self.device, "hostname")
    }

    /// A text of its credential.
    pub(super) fn credential_text(&self, field: &str) -> &str {
        text_at(&self.credential, field)
    }

    /// The name of its site; empty where it has none.
    pub(super) fn site(&self) -> &str {
        self.names.get("site").map_or("", String::as_str)
    }

    /// Whether it is about a credential too.
    pub(super) fn has_credential(&self) -> bool {
        let has_secret = self.secret.is_some() || self.passphrase.is_some();
        !self.credential.is_empty() || has_secret || self.names.contains_key("policy")
    }

    /// The credential's secret with what opens it.
    pub(super) fn whole_secret(&self) -> Option<Secret> {
        Some(Secret {
            text: self.secret.clone()?,
            passphrase: self.passphrase.clone(),
        })
    }

    /// What tells its device from the others of the file.
    pub(super) fn device_key(&self) -> (String, String) {
        (fold(self.hostname()), fold(self.site()))
    }
}

fn text_at<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Reads the rows of a sheet. What is above the line with the columns' names is for people.
///
/// # Errors
/// What is wrong with the file as a whole, to be read after its name. It quotes no cell: a password may stand anywhere.
pub(super) fn read(rows: &[Row], rows_max: usize) -> Result<Table, String> {
    let is_key = |cell: &Cell| matches!(cell, Cell::Text(text) if column_named(text).is_some_and(|column| column.name == KEY_COLUMN));
    let head = rows.iter().position(|row| row.cells.iter().any(is_key));
    let Some((row, rows)) = head.and_then(|at| rows.get(at..)?.split_first()) else {
        return Err(format!(
            "has no column `{KEY_COLUMN}`: name the columns in one line above the values, as the template does"
        ));
    };
    let (columns, passed) = columns(row)?;
    if rows.is_empty() {
        return Err("has no rows below the columns' names".to_owned());
    }
    if rows.len() > rows_max {
        return Err(format!("has more than {rows_max} rows; send it in parts"));
    }
    let mut table = Table {
        lines: Vec::with_capacity(rows.len()),
        columns,
    };
    for row in rows {
        let line = table.line(row, &passed);
        table.lines.push(line);
    }
    table.compare();
    Ok(table)
}

/// Named columns with their places.
type Columns = Vec<(usize, &'static Column)>;

/// The named columns, and the places of those of an earlier result, which are passed over.
fn columns(head: &Row) -> Result<(Columns, Vec<usize>), String> {
    let mut columns: Columns = Vec::new();
    let mut passed = Vec::new();
    for (place, cell) in head.cells.iter().enumerate() {
        let name = match cell {
            Cell::Empty => continue,
            Cell::Text(text) => text.as_str(),
            _ => "",
        };
        if is_answer(name) {
            passed.push(place);
            continue;
        }
        let (letter, line) = (letters(place), head.line);
        let Some(column) = column_named(name) else {
            return Err(format!(
                "has a column {letter} whose name in line {line} is not known; name it as the template does, or remove it"
            ));
        };
        if let Some((first, _)) = columns.iter().find(|(_, known)| known.name == column.name) {
            return Err(format!(
                "has the column `{}` twice, in {} and {letter}; remove one",
                column.name,
                letters(*first)
            ));
        }
        columns.push((place, column));
    }
    Ok((columns, passed))
}

impl Table {
    /// The error `detail` of a column; its cell where the file has that column.
    pub(super) fn error(&self, line: u32, column: &str, detail: impl Into<String>) -> RowError {
        let place = self.columns.iter().find(|(_, known)| known.name == column);
        RowError {
            cell: place.map(|(place, _)| format!("{}{line}", letters(*place))),
            field: column.to_owned(),
            detail: detail.into(),
        }
    }

    fn line(&self, row: &Row, passed: &[usize]) -> Line {
        let mut line = Line {
            number: row.line,
            ..Line::default()
        };
        for (place, column) in &self.columns {
            let cell = row.cells.get(*place).unwrap_or(&Cell::Empty);
            line.shown.push(match column.holds {
                Holds::Secret => String::new(),
                _ => text_of(cell),
            });
            if let Err(detail) = take(&mut line, column, cell) {
                let error = self.error(row.line, column.name, detail);
                line.errors.push(error);
            }
        }
        for (place, cell) in row.cells.iter().enumerate() {
            let named = self.columns.iter().any(|(known, _)| *known == place);
            if *cell != Cell::Empty && !named && !passed.contains(&place) {
                line.errors.push(RowError {
                    cell: Some(format!("{}{}", letters(place), row.line)),
                    field: String::new(),
                    detail:
                        "its column has no name; name it as the template does, or remove the value"
                            .to_owned(),
                });
            }
        }
        if line.errors.is_empty() {
            for (column, missing) in [
                (KEY_COLUMN, line.hostname().is_empty()),
                (
                    "username",
                    line.has_credential() && line.credential_text("username").is_empty(),
                ),
            ] {
                if missing {
                    let error = self.error(row.line, column, format!("missing field `{column}`"));
                    line.errors.push(error);
                }
            }
            if line.passphrase.is_some() && line.secret.is_none() {
                let detail = "belongs to a key: give the `secret` with it";
                line.errors.push(self.error(row.line, "passphrase", detail));
            }
        }
        line
    }

    /// Notes rows that contradict an earlier one, or say the same of the same credential.
    fn compare(&mut self) {
        let mut said: HashMap<String, (Value, u32)> = HashMap::new();
        for index in 0..self.lines.len() {
            let Some(line) = self.lines.get(index).filter(|line| line.errors.is_empty()) else {
                continue;
            };
            let claims = claims(line);
            let errors: Vec<RowError> = claims
                .iter()
                .filter_map(|(column, key, value)| {
                    let (known, first) = said.get(key)?;
                    let detail = match *column {
                        "username" => format!("stands in line {first} already"),
                        _ if known == value => return None,
                        _ => format!("differs from line {first}, which is about the same device"),
                    };
                    Some(self.error(line.number, column, detail))
                })
                .collect();
            if errors.is_empty() {
                let number = line.number;
                for (_, key, value) in claims {
                    said.entry(key).or_insert((value, number));
                }
            }
            if let Some(line) = self.lines.get_mut(index) {
                line.errors = errors;
            }
        }
    }
}

/// What a row says that another one may not say otherwise: the column, what it is about, the value.
fn claims(line: &Line) -> Vec<(&'static str, String, Value)> {
    let device = json!(line.device_key()).to_string();
    let mut claims = Vec::new();
    for column in &COLUMNS {
        let (of, about) = match column.part {
            Part::Device if column.name != KEY_COLUMN => (&line.device, device.clone()),
            Part::Connectivity if column.field == "host_key" => {
                let way = json!([line.way.get("protocol"), line.way.get("port")]);
                (&line.way, format!("{device}{way}"))
            }
            _ => continue,
        };
        if let Some(value) = of.get(column.field) {
            claims.push((
                column.name,
                format!("{about} {}", column.name),
                value.clone(),
            ));
        }
    }
    if line.has_credential() {
        let account = ["username", "domain"].map(|field| fold(line.credential_text(field)));
        claims.push((
            "username",
            format!("{device}{}", json!(account)),
            Value::Null,
        ));
    }
    claims
}

/// Takes a cell into its place.
fn take(line: &mut Line, column: &'static Column, cell: &Cell) -> Result<(), &'static str> {
    if *cell == Cell::Empty {
        return Ok(());
    }
    if *cell == Cell::Error {
        return Err("is a formula that came to an error; write its value");
    }
    if column.holds == Holds::Secret {
        let Cell::Text(text) = cell else {
            return Err(
                "must be text: a sheet drops the leading zeros of a number; format the cell as text",
            );
        };
        let place = match column.field {
            "passphrase" => &mut line.passphrase,
            _ => &mut line.secret,
        };
        *place = Some(SecretString::from(text.as_str()));
        return Ok(());
    }
    let value = value_of(column.holds, cell)?;
    let fields = match column.part {
        Part::Device => &mut line.device,
        Part::Connectivity => &mut line.way,
        Part::Credential => &mut line.credential,
        Part::Reference => {
            line.names.insert(column.name, text_of(cell));
            return Ok(());
        }
    };
    fields.insert(column.field.to_owned(), value);
    Ok(())
}

fn value_of(holds: Holds, cell: &Cell) -> Result<Value, &'static str> {
    let text = text_of(cell);
    match holds {
        Holds::Text | Holds::Secret => Ok(Value::from(text)),
        Holds::Number => text
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| "must be a whole number"),
        Holds::Truth => match fold(&text).as_str() {
            "true" | "yes" | "1" => Ok(Value::from(true)),
            "false" | "no" | "0" => Ok(Value::from(false)),
            _ => Err("must be `true` or `false`"),
        },
        Holds::List => {
            let parts = text.split([',', ';']).map(str::trim);
            Ok(parts.filter(|part| !part.is_empty()).collect())
        }
        Holds::Instant => instant(&text)
            .map(Value::from)
            .ok_or("must be a day, such as 2027-01-31, or a time, such as 2027-01-31T12:00:00Z"),
    }
}

/// A day or a time, in UTC where it names no zone, as RFC 3339.
fn instant(text: &str) -> Option<String> {
    let day = |text: &str| text.parse::<NaiveDate>().ok();
    let at = DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc())
        .or_else(|_| text.parse::<NaiveDateTime>().map(|at| at.and_utc()))
        .ok()
        .or_else(|| Some(day(text)?.and_time(NaiveTime::MIN).and_utc()))?;
    Some(at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// A cell as people read it, without blanks at its ends.
fn text_of(cell: &Cell) -> String {
    match cell {
        Cell::Empty | Cell::Error => String::new(),
        Cell::Text(text) => original(text.trim()).trim().to_owned(),
        // A whole number shows no point.
        Cell::Number(number) => number.to_string(),
        Cell::Bool(truth) => truth.to_string(),
        Cell::Time(at) if at.time() == NaiveTime::MIN => at.date().to_string(),
        Cell::Time(at) => at.and_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true),
    }
}
