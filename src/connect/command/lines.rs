//! Output of a command as bounded lines, and the progress some of them report.

/// A longer line is cut into pieces of this size: one line of a log must fit into a row and
/// onto a page, and a command that never ends its line must not grow our memory.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// A progress message is shown in one table cell.
pub const PROGRESS_CHARS_MAX: usize = 200;

/// Ends a piece of a line that was cut, and begins the next, so that the cut is visible.
const CUT: char = '…';

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line of a command's output, without its line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which of the two streams it was written to.
    pub stream: Stream,
    /// The text: invalid UTF-8 replaced by U+FFFD, control characters kept, at most
    /// [`LINE_BYTES_MAX`] bytes and the two marks of a cut.
    pub text: String,
}

/// What a line `::progress 40 copying` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// How far, 0 to 100.
    pub percent: u8,
    /// What is being done, at most [`PROGRESS_CHARS_MAX`] characters; may be empty.
    pub message: String,
}

/// Reads a progress line; `None` for an ordinary line, a malformed report included.
///
/// The form is `::progress PERCENT [MESSAGE]` with PERCENT a whole number from 0 to 100. A
/// message with control characters is no report; a longer message is shortened.
pub fn parse_progress(line: &str) -> Option<Progress> {
    let rest = line.strip_prefix("::progress ")?.trim();
    let (number, message) = rest.split_once(' ').unwrap_or((rest, ""));
    if number.len() > 3 || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let percent = number
        .parse::<u8>()
        .ok()
        .filter(|percent| *percent <= 100)?;
    if message.chars().any(char::is_control) {
        return None;
    }
    let message = message
        .trim_start()
        .chars()
        .take(PROGRESS_CHARS_MAX)
        .collect();
    Some(Progress { percent, message })
}

/// Cuts a stream of bytes into lines; holds at most one unfinished line.
#[derive(Debug)]
pub(super) struct LineSplitter {
    stream: Stream,
    /// The bytes of the line that has not ended yet, at most [`LINE_BYTES_MAX`].
    open: Vec<u8>,
    /// Whether the open bytes continue a line of which a piece was given out already.
    continued: bool,
}

impl LineSplitter {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            open: Vec::new(),
            continued: false,
        }
    }

    /// Takes the next bytes and gives out every line that they complete.
    pub(super) fn push(&mut self, mut bytes: &[u8], give: &mut impl FnMut(Line)) {
        while let Some(first) = bytes.first() {
            // A full buffer waits for one byte more: it may be the line's end.
            if self.open.len() == LINE_BYTES_MAX && *first != b'\n' {
                self.give_piece(give);
            }
            let room = LINE_BYTES_MAX + 1 - self.open.len();
            let next = &bytes[..bytes.len().min(room)];
            if let Some(end) = next.iter().position(|b| *b == b'\n') {
                self.open.extend_from_slice(&next[..end]);
                self.give_rest(give);
                bytes = &bytes[end + 1..];
            } else {
                let taken = next.len().min(room - 1);
                self.open.extend_from_slice(&next[..taken]);
                bytes = &bytes[taken..];
            }
        }
    }

    /// Gives out what the stream left without a line end.
    pub(super) fn finish(&mut self, give: &mut impl FnMut(Line)) {
        if !self.open.is_empty() {
            self.give_rest(give);
        }
    }

    fn give_rest(&mut self, give: &mut impl FnMut(Line)) {
        if self.open.last() == Some(&b'\r') {
            self.open.pop();
        }
        let text = String::from_utf8_lossy(&self.open).into_owned();
        self.open.clear();
        self.give_text(text, false, give);
        self.continued = false;
    }

    /// Gives out the full buffer, but for a character that its end cuts in two.
    fn give_piece(&mut self, give: &mut impl FnMut(Line)) {
        let kept = self
            .open
            .split_off(self.open.len() - torn_bytes(&self.open));
        let text = String::from_utf8_lossy(&self.open).into_owned();
        self.open = kept;
        self.give_text(text, true, give);
        self.continued = true;
    }

    /// Replacing invalid bytes can triple a text, so it is bounded once more here.
    fn give_text(&mut self, mut text: String, more: bool, give: &mut impl FnMut(Line)) {
        while text.len() > LINE_BYTES_MAX {
            let rest = text.split_off(text.floor_char_boundary(LINE_BYTES_MAX));
            self.give_marked(&text, true, give);
            self.continued = true;
            text = rest;
        }
        self.give_marked(&text, more, give);
    }

    fn give_marked(&self, text: &str, more: bool, give: &mut impl FnMut(Line)) {
        let mut marked = String::with_capacity(text.len() + 2 * CUT.len_utf8());
        if self.continued {
            marked.push(CUT);
        }
        marked.push_str(text);
        if more {
            marked.push(CUT);
        }
        give(Line {
            stream: self.stream,
            text: marked,
        });
    }
}

/// How many bytes at the end begin a UTF-8 character without ending it: 0 to 3.
fn torn_bytes(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - back];
        let width = match byte {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => return 0,
        };
        return if width > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(pieces: &[&[u8]]) -> Vec<String> {
        let mut given = Vec::new();
        let mut splitter = LineSplitter::new(Stream::Stdout);
        for piece in pieces {
            splitter.push(piece, &mut |line| given.push(line.text));
        }
        splitter.finish(&mut |line| given.push(line.text));
        given
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        assert_eq!(
            split(&[b"on", b"e\ntw", b"o\r\n\nlast"]),
            ["one", "two", "", "last"]
        );
        assert_eq!(split(&[b"\n"]), [""]);
        assert!(split(&[b""]).is_empty());
    }

    #[test]
    fn control_characters_stay_and_invalid_bytes_are_replaced() {
        assert_eq!(
            split(&[b"\x1b[31mred\0\xff\n"]),
            ["\u{1b}[31mred\0\u{fffd}"]
        );
    }

    #[test]
    fn a_long_line_is_cut_visibly_and_never_within_a_character() {
        let long = "é".repeat(LINE_BYTES_MAX) + "\n";
        let odd = format!("x{long}");
        let pieces = split(&[odd.as_bytes()]);
        assert_eq!(pieces.len(), 3);
        assert!(pieces[0].starts_with('x') && pieces[0].ends_with("é…"));
        assert!(pieces[1].starts_with("…é") && pieces[1].ends_with("é…"));
        assert!(pieces[2].starts_with('…') && !pieces[2].ends_with('…'));
        let joined: String = pieces.iter().map(|p| p.trim_matches('…')).collect();
        assert_eq!(joined + "\n", odd);
    }

    #[test]
    fn progress_is_read() {
        let read = |line| parse_progress(line).map(|p| (p.percent, p.message));
        assert_eq!(read("::progress 40 copying"), Some((40, "copying".into())));
        assert_eq!(read("::progress 0"), Some((0, String::new())));
        assert_eq!(
            read("::progress 100  two words "),
            Some((100, "two words".into()))
        );
        assert_eq!(
            read(&format!("::progress 1 {}", "é".repeat(500))),
            Some((1, "é".repeat(PROGRESS_CHARS_MAX)))
        );
    }

    #[test]
    fn a_malformed_report_is_an_ordinary_line() {
        for line in [
            "",
            "::progress",
            "::progress ",
            "::progress x",
            "::progress 101",
            "::progress -1",
            "::progress +4 a",
            "::progress 4.5",
            "::progress 0040",
            " ::progress 40",
            "::Progress 40",
            "::progress 40 a\x1b[31m",
            "::progress40",
        ] {
            assert_eq!(parse_progress(line), None, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn splitting_does_not_depend_on_the_pieces(bytes in proptest::collection::vec(any::<u8>(), 0..2000), at in 0usize..2000) {
            let at = at.min(bytes.len());
            prop_assert_eq!(split(&[&bytes]), split(&[&bytes[..at], &bytes[at..]]));
        }

        #[test]
        fn any_text_is_bounded(bytes in proptest::collection::vec(prop_oneof![9 => 0x80u8..0xff, 1 => any::<u8>()], 0..200), times in 1usize..2000) {
            for text in split(&[&bytes.repeat(times)]) {
                prop_assert!(text.len() <= LINE_BYTES_MAX + 2 * CUT.len_utf8());
            }
        }

        #[test]
        fn any_line_is_safe_to_read_for_progress(line in "(::progress )?.{0,300}") {
            if let Some(progress) = parse_progress(&line) {
                prop_assert!(progress.percent <= 100 && progress.message.chars().count() <= PROGRESS_CHARS_MAX);
            }
        }
    }
}
