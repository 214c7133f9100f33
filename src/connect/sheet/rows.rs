//! Rows as they come to be, cell by cell, within the limits.

use std::collections::BTreeMap;

use super::{Cell, Limits, Row, SheetError};

/// Rows by their line. Cells may come in any order; of two in one place the later counts.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    limits: &'a Limits,
    rows: BTreeMap<u32, Vec<Cell>>,
    text_bytes: usize,
}

impl<'a> Rows<'a> {
    pub(super) const fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            rows: BTreeMap::new(),
            text_bytes: 0,
        }
    }

    /// Puts a cell in its place: the line from 1, the column from 0.
    pub(super) fn put(&mut self, line: u32, column: usize, cell: Cell) -> Result<(), SheetError> {
        let limits = self.limits;
        let text = match &cell {
            Cell::Empty => return Ok(()),
            Cell::Text(text) if text.trim().is_empty() => return Ok(()),
            Cell::Text(text) => text.len(),
            Cell::Number(_) | Cell::Bool(_) | Cell::Time(_) | Cell::Error => 0,
        };
        if column >= limits.columns_max {
            let max = limits.columns_max;
            return Err(SheetError::Columns { line, max });
        }
        if text > limits.cell_bytes_max {
            return Err(SheetError::Cell {
                line,
                column: column + 1,
                max: limits.cell_bytes_max,
            });
        }
        self.text_bytes = self.text_bytes.saturating_add(text);
        if self.text_bytes > limits.text_bytes_max {
            return Err(SheetError::Text(limits.text_bytes_max));
        }
        if self.rows.len() == limits.rows_max && !self.rows.contains_key(&line) {
            return Err(SheetError::Rows(limits.rows_max));
        }
        let cells = self.rows.entry(line).or_default();
        if cells.len() <= column {
            cells.resize(column + 1, Cell::Empty);
        }
        if let Some(place) = cells.get_mut(column) {
            *place = cell;
        }
        Ok(())
    }

    /// The rows in the order of their lines.
    pub(super) fn done(self) -> Vec<Row> {
        let rows = self.rows.into_iter();
        rows.map(|(line, cells)| Row { line, cells }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        unpacked_bytes_max: 0,
        rows_max: 2,
        columns_max: 3,
        cell_bytes_max: 4,
        text_bytes_max: 10,
    };

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    #[test]
    fn cells_find_their_places_in_any_order() {
        let mut rows = Rows::new(&LIMITS);
        rows.put(7, 2, text("b")).unwrap();
        rows.put(3, 0, Cell::Bool(true)).unwrap();
        rows.put(7, 0, text("x")).unwrap();
        rows.put(7, 0, text("a")).unwrap();
        rows.put(9, 9, text(" \n")).unwrap();
        let rows = rows.done();
        let lines: Vec<u32> = rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [3, 7]);
        assert!(rows[0].cells == [Cell::Bool(true)]);
        assert!(rows[1].cells == [text("a"), Cell::Empty, text("b")]);
    }

    #[test]
    fn each_limit_is_kept_at_its_edge() {
        let mut rows = Rows::new(&LIMITS);
        let columns = SheetError::Columns { line: 1, max: 3 };
        assert_eq!(rows.put(1, 3, text("a")), Err(columns));
        let cell = |column| SheetError::Cell {
            line: 1,
            column,
            max: 4,
        };
        assert_eq!(rows.put(1, 2, text("abcde")), Err(cell(3)));
        assert_eq!(rows.put(1, 2, text("abcd")), Ok(()));
        assert_eq!(rows.put(2, 0, text("abcd")), Ok(()));
        assert_eq!(rows.put(3, 0, text("a")), Err(SheetError::Rows(2)));
        assert_eq!(rows.put(2, 1, text("abc")), Err(SheetError::Text(10)));
    }

    #[test]
    fn a_cell_does_not_show_what_is_in_it() {
        let mut rows = Rows::new(&LIMITS);
        rows.put(1, 0, text("pass")).unwrap();
        rows.put(1, 1, Cell::Number(1234.0)).unwrap();
        let shown = format!("{rows:?} {:?}", Rows::new(&LIMITS).done());
        assert!(
            !shown.contains("pass") && !shown.contains("1234"),
            "{shown}"
        );
    }
}
