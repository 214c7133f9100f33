//! The two output pipes of a command, read as they fill.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout};
use tokio::time::{Instant, timeout_at};

use super::lines::{Line, LineSplitter, Stream};

/// One read of a pipe; the kernel's pipe holds 64 KiB and makes a command wait that writes
/// faster than we read.
const READ_BYTES: usize = 16 * 1024;

/// After the command's end its pipes close at once, unless a process that we cannot kill holds them.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// The largest pipe an ordinary program can make (`/proc/sys/fs/pipe-max-size`), twice: more
/// than that was not written before the end.
const DRAIN_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Both pipes and their unfinished lines.
#[derive(Debug)]
pub(super) struct Output {
    stdout: Pipe<ChildStdout>,
    stderr: Pipe<ChildStderr>,
}

#[derive(Debug)]
struct Pipe<R> {
    /// `None` once the pipe has ended.
    reader: Option<R>,
    splitter: LineSplitter,
    bytes: Box<[u8]>,
}

impl Output {
    pub(super) fn new(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>) -> Self {
        Self {
            stdout: Pipe::new(stdout, Stream::Stdout),
            stderr: Pipe::new(stderr, Stream::Stderr),
        }
    }

    /// Whether there may be more to read.
    pub(super) fn is_open(&self) -> bool {
        self.stdout.reader.is_some() || self.stderr.reader.is_some()
    }

    /// Waits for output and gives its lines out; answers how many bytes came. Nothing is lost
    /// if the future is dropped.
    pub(super) async fn read(&mut self, give: &mut impl FnMut(Line)) -> usize {
        tokio::select! {
            count = self.stdout.fill(), if self.stdout.reader.is_some() => self.stdout.take(count, give),
            count = self.stderr.fill(), if self.stderr.reader.is_some() => self.stderr.take(count, give),
            else => 0,
        }
    }

    /// Reads what the command wrote before its end, within [`DRAIN_MAX`] and [`DRAIN_BYTES_MAX`].
    pub(super) async fn drain(&mut self, give: &mut impl FnMut(Line)) {
        let deadline = Instant::now() + DRAIN_MAX;
        let mut left = DRAIN_BYTES_MAX;
        while self.is_open() && left > 0 {
            let Ok(count) = timeout_at(deadline, self.read(give)).await else {
                break;
            };
            left = left.saturating_sub(count);
        }
        self.stdout.splitter.finish(give);
        self.stderr.splitter.finish(give);
    }
}

impl<R: AsyncRead + Unpin> Pipe<R> {
    fn new(reader: Option<R>, stream: Stream) -> Self {
        Self {
            reader,
            splitter: LineSplitter::new(stream),
            bytes: vec![0; READ_BYTES].into(),
        }
    }

    async fn fill(&mut self) -> usize {
        match &mut self.reader {
            // An error on a pipe means that there is nothing more to read, like its end.
            Some(reader) => reader.read(&mut self.bytes).await.unwrap_or(0),
            None => 0,
        }
    }

    fn take(&mut self, count: usize, give: &mut impl FnMut(Line)) -> usize {
        if count == 0 {
            self.reader = None;
        }
        self.splitter.push(&self.bytes[..count], give);
        count
    }
}
