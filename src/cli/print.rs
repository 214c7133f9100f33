//! The one place that prints.
//!
//! Answers go to standard output, everything said to a person beside them to standard error. A
//! reader that goes away, as `head` does, ends the command quietly and is no error.

use std::io::{self, IsTerminal, Write};

use super::exit::{Exit, Failure, Ran};

/// Writes `text` and, where it does not end with one, a line end.
///
/// # Errors
/// A quiet one when nobody reads any more; `EX_CANTCREAT` when the output is full.
pub(crate) fn answer(text: &str) -> Ran {
    let mut out = io::stdout().lock();
    let end: &[u8] = if text.ends_with('\n') { b"" } else { b"\n" };
    out.write_all(text.as_bytes())
        .and_then(|()| out.write_all(end))
        .and_then(|()| out.flush())
        .map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::quiet(Exit::Failed),
            _ => Failure::new(
                Exit::CannotCreate,
                anyhow::Error::new(error).context("write the answer"),
            ),
        })
}

/// Says something beside the answer.
pub(crate) fn say(text: &str) {
    // Where standard error is gone there is nobody to tell.
    let _gone = writeln!(io::stderr().lock(), "{text}");
}

/// Whether a person looks at the answer.
#[must_use]
pub(crate) fn to_terminal() -> bool {
    io::stdout().is_terminal()
}

/// `text` without what would move a terminal's cursor: texts of robots and nodes are foreign.
#[must_use]
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
