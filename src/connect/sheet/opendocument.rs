//! `OpenDocument` spreadsheets (ISO/IEC 26300): a ZIP archive of XML.
//!
//! Read cell by cell, because a cell or a row may say that it stands there a million times: that is refused when it
//! reaches a limit, not when it has filled the memory.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Cursor, Read};

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use zip::ZipArchive;

use super::archive::damaged;
use super::rows::Rows;
use super::{Cell, Limits, Row, SheetError};

/// Bound on the list of the archive's files in bytes.
const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;

/// Reads the first visible sheet of an archive whose sizes are checked.
pub(super) fn read(file: &[u8], limits: &Limits) -> Result<Vec<Row>, SheetError> {
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(damaged)?;
    if is_encrypted(&mut archive)? {
        return Err(SheetError::Closed);
    }
    let content = archive.by_name("content.xml").map_err(damaged)?;
    let mut reader = Reader::from_reader(BufReader::new(content));
    reader.config_mut().expand_empty_elements = true;
    let mut document = Document {
        reader,
        buffer: Vec::new(),
        limits,
    };
    document.find_visible_table()?;
    document.table()
}

/// Encryption is said in the archive's list of files.
fn is_encrypted(archive: &mut ZipArchive<Cursor<&[u8]>>) -> Result<bool, SheetError> {
    let manifest = archive.by_name("META-INF/manifest.xml").map_err(damaged)?;
    let mut text = Vec::new();
    manifest
        .take(MANIFEST_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(damaged)?;
    let mark = b"encryption-data";
    Ok(text.windows(mark.len()).any(|window| window == mark))
}

struct Document<'a, R> {
    reader: Reader<R>,
    buffer: Vec<u8>,
    limits: &'a Limits,
}

/// A cell as its element says it is, before its text is known.
enum Declared {
    /// Its value stands in the element.
    Value(Cell),
    /// Its value is its text.
    Text,
}

impl<R: BufRead> Document<'_, R> {
    fn next(&mut self) -> Result<Event<'_>, SheetError> {
        self.buffer.clear();
        let event = self.reader.read_event_into(&mut self.buffer);
        event.map_err(damaged)
    }

    /// Goes behind the beginning of the first table whose style does not hide it.
    fn find_visible_table(&mut self) -> Result<(), SheetError> {
        let mut hidden = HashSet::new();
        let mut style = None;
        loop {
            match self.next()? {
                Event::Start(start) => match start.name().0 {
                    "style:style" => style = attribute(&start, "style:name")?,
                    "style:table-properties"
                        if attribute(&start, "table:display")?.as_deref() == Some("false") =>
                    {
                        hidden.extend(style.take());
                    }
                    "table:table" => {
                        let style = attribute(&start, "table:style-name")?;
                        if !style.is_some_and(|style| hidden.contains(&style)) {
                            return Ok(());
                        }
                    }
                    _ => {}
                },
                Event::Eof => return Err(SheetError::NoSheet),
                _ => {}
            }
        }
    }

    /// The rows of the table whose beginning was read.
    fn table(&mut self) -> Result<Vec<Row>, SheetError> {
        let limits = self.limits;
        let mut rows = Rows::new(limits);
        let mut line = 1_u32;
        loop {
            match self.next()? {
                Event::Start(start) if start.name().0 == "table:table-row" => {
                    let repeated = count(&start, "table:number-rows-repeated")?;
                    let cells = self.row(line)?;
                    let end = line.saturating_add(repeated);
                    if !cells.is_empty() {
                        for line in line..end {
                            for (column, cell) in &cells {
                                rows.put(line, *column, cell.clone())?;
                            }
                        }
                    }
                    line = end;
                }
                Event::End(end) if end.name().0 == "table:table" => return Ok(rows.done()),
                Event::Eof => return Err(damaged("it ends within a table")),
                _ => {}
            }
        }
    }

    /// The cells of a row that have something in them, each with its column from 0.
    fn row(&mut self, line: u32) -> Result<Vec<(usize, Cell)>, SheetError> {
        let mut cells = Vec::new();
        let mut column = 0_usize;
        loop {
            match self.next()? {
                Event::Start(start) if is_cell(start.name().0) => {
                    let repeated = count(&start, "table:number-columns-repeated")?;
                    let repeated = usize::try_from(repeated).unwrap_or(usize::MAX);
                    let declared = declared(&start)?;
                    let text = self.text(line, column)?;
                    let cell = match declared {
                        Declared::Value(cell) => cell,
                        Declared::Text if text.trim().is_empty() => Cell::Empty,
                        Declared::Text => Cell::Text(text),
                    };
                    let end = column.saturating_add(repeated);
                    if cell != Cell::Empty {
                        if end > self.limits.columns_max {
                            let max = self.limits.columns_max;
                            return Err(SheetError::Columns { line, max });
                        }
                        cells.extend((column..end).map(|column| (column, cell.clone())));
                    }
                    column = end;
                }
                Event::End(end) if end.name().0 == "table:table-row" => return Ok(cells),
                Event::Eof => return Err(damaged("it ends within a row")),
                _ => {}
            }
        }
    }

    /// The text of the cell whose beginning was read, up to its end: its paragraphs, without notes that hang on it.
    fn text(&mut self, line: u32, column: usize) -> Result<String, SheetError> {
        let max = self.limits.cell_bytes_max;
        let mut text = String::new();
        let (mut depth, mut paragraphs, mut within, mut aside) = (0_u32, 0_u32, 0_u32, 0_u32);
        loop {
            match self.next()? {
                Event::Start(start) => {
                    depth = depth.saturating_add(1);
                    match start.name().0 {
                        "office:annotation" => aside = aside.saturating_add(1),
                        "text:p" if aside == 0 => {
                            if paragraphs > 0 {
                                text.push('\n');
                            }
                            (paragraphs, within) = (paragraphs + 1, within + 1);
                        }
                        "text:s" if aside == 0 => {
                            let blanks = usize::try_from(count(&start, "text:c")?);
                            let blanks = blanks.unwrap_or(usize::MAX).min(max.saturating_add(1));
                            text.extend(std::iter::repeat_n(' ', blanks));
                        }
                        "text:tab" if aside == 0 => text.push('\t'),
                        "text:line-break" if aside == 0 => text.push('\n'),
                        _ => {}
                    }
                }
                Event::End(_) if depth == 0 => return Ok(text),
                Event::End(end) => {
                    depth -= 1;
                    match end.name().0 {
                        "office:annotation" => aside = aside.saturating_sub(1),
                        "text:p" if aside == 0 => within = within.saturating_sub(1),
                        _ => {}
                    }
                }
                Event::Text(piece) if within > 0 && aside == 0 => {
                    text.push_str(&piece.xml10_content());
                }
                Event::CData(piece) if within > 0 && aside == 0 => {
                    text.push_str(&piece.xml10_content());
                }
                Event::GeneralRef(reference) if within > 0 && aside == 0 => {
                    push_reference(&mut text, &reference)?;
                }
                Event::Eof => return Err(damaged("it ends within a cell")),
                _ => {}
            }
            if text.len() > max {
                let column = column.saturating_add(1);
                return Err(SheetError::Cell { line, column, max });
            }
        }
    }
}

fn is_cell(name: &str) -> bool {
    matches!(name, "table:table-cell" | "table:covered-table-cell")
}

/// Only what XML itself defines: nothing is looked up.
fn push_reference(text: &mut String, reference: &BytesRef<'_>) -> Result<(), SheetError> {
    if let Some(character) = reference.resolve_char_ref().map_err(damaged)? {
        text.push(character);
        return Ok(());
    }
    let known = resolve_predefined_entity(&reference.xml10_content());
    text.push_str(known.ok_or_else(|| damaged("it refers to an entity"))?);
    Ok(())
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>, SheetError> {
    for attribute in start.attributes() {
        let attribute = attribute.map_err(damaged)?;
        if attribute.key.0 == name {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            return Ok(Some(value.map_err(damaged)?.into_owned()));
        }
    }
    Ok(None)
}

/// How often something stands there: once where that is not said.
fn count(start: &BytesStart<'_>, name: &str) -> Result<u32, SheetError> {
    match attribute(start, name)? {
        None => Ok(1),
        Some(text) => text.parse().map_err(damaged),
    }
}

/// What a cell's element says of its value (ISO/IEC 26300-1, 19.385 and others).
fn declared(start: &BytesStart<'_>) -> Result<Declared, SheetError> {
    if attribute(start, "calcext:value-type")?.as_deref() == Some("error") {
        return Ok(Declared::Value(Cell::Error));
    }
    let Some(kind) = attribute(start, "office:value-type")? else {
        return Ok(Declared::Value(Cell::Empty));
    };
    let value = |name: &str| attribute(start, name);
    let cell = match kind.as_str() {
        "float" | "percentage" | "currency" => value("office:value")?
            .and_then(|text| text.parse().ok())
            .map(Cell::Number),
        "boolean" => value("office:boolean-value")?
            .and_then(|text| text.parse().ok())
            .map(Cell::Bool),
        "date" => value("office:date-value")?
            .and_then(|text| time_of(&text))
            .map(Cell::Time),
        "time" => value("office:time-value")?.map(Cell::Text),
        // Without the attribute its value is what is shown.
        _ => match value("office:string-value")? {
            None => return Ok(Declared::Text),
            text => text.map(Cell::Text),
        },
    };
    Ok(Declared::Value(cell.unwrap_or(Cell::Error)))
}

/// A day, or an instant in no zone.
fn time_of(text: &str) -> Option<NaiveDateTime> {
    let day = |text: &str| text.parse::<NaiveDate>().ok();
    text.parse()
        .ok()
        .or_else(|| Some(day(text)?.and_time(NaiveTime::MIN)))
}
