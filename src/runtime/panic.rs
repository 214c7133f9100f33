//! One log line a panic, naming the run it happened in.
//!
//! The default hook collects a backtrace, which holds up the thread for up to 90 µs (measured, the first
//! one in a process for some 60 ms); on the control thread that would hold up every robot.

use std::fmt;
use std::future::Future;
use std::panic::PanicHookInfo;

use crate::robot::Context;

#[cfg(not(panic = "unwind"))]
compile_error!("robotd catches panics of robots; build it with panic = \"unwind\"");

/// What is kept of a panic's text, in characters: a failed comparison of two large values says all it can
/// in its first lines.
pub(crate) const TEXT_CHARS_MAX: usize = 500;

/// What a panic happened in; written out only when there is one.
#[derive(Clone)]
pub(crate) enum Label {
    /// A service of the control thread.
    Service(&'static str),
    /// A run of a robot.
    Run(Context),
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => f.write_str(name),
            Self::Run(ctx) => write!(f, "{} process {}", ctx.robot(), ctx.run().process),
        }
    }
}

tokio::task_local! {
    static WHERE: Label;
}

/// Runs `work` so that a panic in it is logged with `label`.
pub(crate) fn named<F: Future>(label: Label, work: F) -> impl Future<Output = F::Output> {
    WHERE.scope(label, work)
}

/// Replaces the process's panic hook.
pub fn install_hook() {
    std::panic::set_hook(Box::new(report));
}

fn report(panic: &PanicHookInfo<'_>) {
    let label = WHERE.try_with(Label::to_string).unwrap_or_else(|_| {
        let thread = std::thread::current();
        format!("thread {}", thread.name().unwrap_or("without a name"))
    });
    let place = panic
        .location()
        .map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
    let text: String = panic
        .payload_as_str()
        .unwrap_or("a value that is no text")
        .chars()
        .take(TEXT_CHARS_MAX)
        .collect();
    log::error!("{label} panicked{place}: {text}");
}
