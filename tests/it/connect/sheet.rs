//! Workbooks as openpyxl writes them, and as an attacker would.

use std::path::Path;

use robotd::connect::sheet::{Cell, Limits, Row, SheetError, read};
use tempfile::TempDir;

use crate::support::office::openpyxl;

/// The workbooks of `sheet.py`; `None` where they cannot be written, which was said loudly.
pub fn workbooks() -> Option<TempDir> {
    let folder = TempDir::new().unwrap();
    openpyxl(include_str!("sheet.py"), &[folder.path().to_str().unwrap()])?;
    Some(folder)
}

fn sheet(folder: &Path, name: &str) -> Result<Vec<Row>, SheetError> {
    read(
        &std::fs::read(folder.join(name)).unwrap(),
        &Limits::default(),
    )
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn time(text: &str) -> Cell {
    Cell::Time(text.parse().unwrap())
}

#[test]
fn a_workbook_is_read_as_it_was_written() {
    let Some(folder) = workbooks() else {
        return;
    };
    let rows = sheet(folder.path(), "plain.xlsx").unwrap();
    let lines: Vec<u32> = rows.iter().map(|row| row.line).collect();
    assert_eq!(
        lines,
        [1, 5, 6, 7],
        "the first visible sheet, lines as people count"
    );
    assert!(rows[1].cells == ["host", "port", "on", "until", "sum"].map(text));
    let expected = [
        text("007"),
        Cell::Number(22.0),
        Cell::Bool(true),
        time("2027-01-20T08:30:00"),
    ];
    // openpyxl leaves no value with its formula, and none is computed.
    assert!(rows[2].cells == expected);
    let expected = [
        text("  é  "),
        Cell::Number(22.5),
        Cell::Empty,
        time("1904-02-29T00:00:00"),
    ];
    assert!(rows[3].cells == expected);
}

#[test]
fn an_open_document_is_read_as_it_was_written() {
    let Some(folder) = workbooks() else {
        return;
    };
    let rows = sheet(folder.path(), "plain.ods").unwrap();
    assert_eq!(rows.len(), 1, "the first visible sheet");
    assert_eq!(rows[0].line, 5, "lines as people count");
    let expected = [
        text("a<  b"),
        Cell::Empty,
        text("c"),
        text("c"),
        Cell::Number(22.0),
        time("2027-01-20T00:00:00"),
    ];
    assert!(rows[0].cells == expected, "without the notes on its cells");
}

#[test]
fn what_would_fill_the_memory_is_refused() {
    let Some(folder) = workbooks() else {
        return;
    };
    let limits = Limits::default();
    for (name, expected) in [
        (
            "far.xlsx",
            SheetError::Columns {
                line: 1_048_576,
                max: 100,
            },
        ),
        ("rows.xlsx", SheetError::Rows(10_000)),
        (
            "long.xlsx",
            SheetError::Cell {
                line: 3,
                column: 2,
                max: 16_384,
            },
        ),
        ("bomb.xlsx", SheetError::Packed(limits.unpacked_bytes_max)),
        ("repeated.xlsx", SheetError::Text(limits.text_bytes_max)),
        ("wide.ods", SheetError::Columns { line: 1, max: 100 }),
        ("tall.ods", SheetError::Rows(10_000)),
        (
            "blanks.ods",
            SheetError::Cell {
                line: 1,
                column: 1,
                max: 16_384,
            },
        ),
    ] {
        assert_eq!(sheet(folder.path(), name), Err(expected), "{name}");
    }
    // Sizes are measured, not believed.
    let lying = std::fs::read(folder.path().join("lying.xlsx")).unwrap();
    let small = Limits {
        unpacked_bytes_max: 1024 * 1024,
        ..limits
    };
    let refused = read(&lying, &small).unwrap_err();
    let packed = SheetError::Packed(small.unpacked_bytes_max);
    let damaged = matches!(refused, SheetError::Damaged { .. });
    assert!(refused == packed || damaged, "{refused:?}");
}

#[test]
fn what_is_no_workbook_is_refused_with_advice() {
    let Some(folder) = workbooks() else {
        return;
    };
    for (name, advice) in [
        ("cut.xlsx", "is a damaged workbook"),
        ("half.xlsx", "is a damaged workbook"),
        ("cut.ods", "is a damaged workbook"),
        ("entity.ods", "is a damaged workbook"),
        ("locked.ods", "is an old workbook or has a password"),
        (
            "other.zip",
            "is neither an XLSX nor an OpenDocument workbook",
        ),
        ("old.xls", "is an old workbook or has a password"),
    ] {
        let error = sheet(folder.path(), name).unwrap_err().to_string();
        assert!(error.starts_with(advice), "{name}: {error}");
    }
}

/// An entity is left as it is or refused, never looked up: neither another file's text nor a repetition comes in.
#[test]
fn entities_are_not_followed() {
    let Some(folder) = workbooks() else {
        return;
    };
    let hostname = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    match sheet(folder.path(), "entity.xlsx") {
        Err(error) => assert!(matches!(error, SheetError::Damaged { .. }), "{error:?}"),
        Ok(rows) => {
            let cells = rows.iter().flat_map(|row| &row.cells);
            for cell in cells {
                let Cell::Text(found) = cell else { continue };
                assert!(hostname.trim().is_empty() || !found.contains(hostname.trim()));
            }
        }
    }
}
