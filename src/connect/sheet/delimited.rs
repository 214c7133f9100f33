//! CSV (RFC 4180), also with semicolons, as it is written where the comma divides numbers, or with tabs.

use csv::{ReaderBuilder, StringRecord};

use super::rows::Rows;
use super::{Cell, Limits, Row, SheetError};

/// What may divide cells; of two that are as frequent the earlier.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// Reads a text.
pub(super) fn read(file: &[u8], limits: &Limits) -> Result<Vec<Row>, SheetError> {
    let text = decoded(file)?;
    let delimiter = delimiter(text);
    if let Some(line) = open_quote(text, delimiter) {
        return Err(SheetError::OpenQuote { line });
    }
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let mut rows = Rows::new(limits);
    let mut lines = Lines::of(text);
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(damaged)? {
        let begin = record.position().map_or(0, csv::Position::byte);
        let line = lines.at(usize::try_from(begin).unwrap_or(usize::MAX));
        for (column, cell) in record.iter().enumerate() {
            rows.put(line, column, Cell::Text(cell.to_owned()))?;
        }
    }
    Ok(rows.done())
}

/// Counts lines as people do. The reader's own count gives a record the number of the blank lines before it.
struct Lines<'a> {
    text: &'a [u8],
    begin: usize,
    line: u32,
}

impl<'a> Lines<'a> {
    const fn of(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            begin: 0,
            line: 1,
        }
    }

    /// The line of the record that begins behind the line ends at this byte; records come in their order.
    fn at(&mut self, byte: usize) -> u32 {
        let rest = self.text.get(byte..).unwrap_or_default();
        let ends = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let begin = byte.saturating_add(ends.count());
        let passed = self.text.get(self.begin..begin).unwrap_or_default();
        let lines = passed.iter().filter(|byte| **byte == b'\n').count();
        self.line = self
            .line
            .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.begin = begin;
        self.line
    }
}

/// The line of the quote that no other one ends. The reader would take all that follows for one text.
fn open_quote(text: &str, delimiter: u8) -> Option<u32> {
    let (mut line, mut began, mut at_begin) = (1_u32, None, true);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        line = line.saturating_add(u32::from(byte == b'\n'));
        match (byte, began) {
            (b'"', Some(_)) if bytes.peek() == Some(&b'"') => drop(bytes.next()),
            (b'"', Some(_)) => began = None,
            (_, Some(_)) => {}
            (b'"', None) if at_begin => {
                began = Some(line);
                at_begin = false;
            }
            // Elsewhere it is a quote like any other character.
            _ => at_begin = byte == delimiter || matches!(byte, b'\r' | b'\n'),
        }
    }
    began
}

fn damaged(error: csv::Error) -> SheetError {
    SheetError::Damaged {
        reason: error.to_string(),
    }
}

/// The text without its byte order mark.
fn decoded(file: &[u8]) -> Result<&str, SheetError> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    match std::str::from_utf8(file) {
        // A text has no NUL; what else UTF-16 or a picture is, is not UTF-8 either.
        Ok(text) => match text.find('\0') {
            None => Ok(text),
            Some(at) => Err(not_utf8(file, at)),
        },
        Err(error) => Err(not_utf8(file, error.valid_up_to())),
    }
}

fn not_utf8(file: &[u8], at: usize) -> SheetError {
    let before = file.iter().take(at).filter(|byte| **byte == b'\n').count();
    SheetError::NotUtf8 {
        line: u64::try_from(before).map_or(u64::MAX, |lines| lines.saturating_add(1)),
    }
}

/// The most frequent delimiter of the first line that has any, outside quotes.
fn delimiter(text: &str) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut quoted = false;
    for byte in text.bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted && counts.iter().any(|count| *count > 0) => break,
            _ if quoted => {}
            _ => {
                for (count, delimiter) in counts.iter_mut().zip(DELIMITERS) {
                    *count += usize::from(byte == delimiter);
                }
            }
        }
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    let first = counts
        .iter()
        .zip(DELIMITERS)
        .find(|(count, _)| **count == most);
    first.map_or(b',', |(_, delimiter)| delimiter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(file: &[u8]) -> Vec<(u32, Vec<String>)> {
        let rows = super::super::read(file, &Limits::default()).unwrap();
        let text = |cell: Cell| match cell {
            Cell::Text(text) => text,
            Cell::Empty => String::new(),
            other => panic!("{other:?}"),
        };
        rows.into_iter()
            .map(|row| (row.line, row.cells.into_iter().map(text).collect()))
            .collect()
    }

    #[test]
    fn each_dialect_is_read() {
        let expected = [
            (1, Vec::from(["a".to_owned(), "b,;\n\"c".to_owned()])),
            (4, Vec::from(["007".to_owned(), " é ".to_owned()])),
        ];
        for file in [
            "a,\"b,;\n\"\"c\"\n\n007, é \n",
            "\u{feff}a;\"b,;\n\"\"c\"\r\n;\r\n007; é ;;\r\n",
            "a\t\"b,;\n\"\"c\"\n\t\n007\t é ",
        ] {
            assert_eq!(texts(file.as_bytes()), expected, "{file:?}");
        }
        assert_eq!(texts(b""), []);
        assert_eq!(texts(b"alone"), [(1, Vec::from(["alone".to_owned()]))]);
    }

    #[test]
    fn other_encodings_are_named_by_their_line() {
        for (file, line) in [
            (&b"a,b\nc,\xe9\n"[..], 2),
            (b"\xff\xfea\0,\0b\0", 1),
            (b"a\nb\nc\0", 3),
        ] {
            let error = super::super::read(file, &Limits::default()).unwrap_err();
            assert_eq!(error, SheetError::NotUtf8 { line });
        }
    }

    #[test]
    fn a_quote_that_never_ends_is_named_by_its_line() {
        let long = format!("a,b\n\"{}", "c,d\n".repeat(10_000));
        for (file, line) in [
            (long.as_str(), 2),
            ("a;b\n1;\"2\n3\";4\n\n5;\"6\n7;8\n", 5),
            ("a\n\"b\"\"\n", 2),
            ("\"", 1),
        ] {
            let error = super::super::read(file.as_bytes(), &Limits::default()).unwrap_err();
            assert_eq!(error, SheetError::OpenQuote { line }, "{file:.40}");
        }
        for closed in ["a\n\"b\"\"\"\n", "a\n5\" wide,\"b\"\n", "a\n\"b\"c,d\"\n"] {
            super::super::read(closed.as_bytes(), &Limits::default()).unwrap();
        }
    }

    #[test]
    fn a_quoted_text_that_is_too_long_is_refused() {
        let file = format!("a,b\n\"{}\"", "c,d\n".repeat(10_000));
        let error = super::super::read(file.as_bytes(), &Limits::default()).unwrap_err();
        let (line, column) = (2, 1);
        assert!(
            matches!(error, SheetError::Cell { line: l, column: c, .. } if (l, c) == (line, column)),
            "{error}"
        );
    }

    proptest! {
        /// What a writer of CSV writes is read again, whatever divides it.
        #[test]
        fn what_is_written_is_read(
            cells in prop::collection::vec(prop::collection::vec("[a-z,;\t\"\n é=]{0,6}x", 2..5), 1..6),
            delimiter in prop::sample::select(Vec::from(DELIMITERS)),
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).delimiter(delimiter)
                .quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            for row in &cells {
                writer.write_record(row).unwrap();
            }
            let file = writer.into_inner().unwrap();
            let read: Vec<_> = texts(&file).into_iter().map(|(_, cells)| cells).collect();
            prop_assert_eq!(read, cells);
        }

        #[test]
        fn nothing_makes_it_panic(file in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(super::super::read(&file, &Limits::default()));
        }
    }
}
