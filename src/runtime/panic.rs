//! One log line a panic, naming the run it happened in.
//!
//! The default hook collects a backtrace, which holds up the thread for up to 90 µs (measured, the first
//! one in a process for some 60 ms); on the control thread that would hold up every robot.

use std::future::Future;
use std::panic::PanicHookInfo;

#[cfg(not(panic = "unwind"))]
compile_error!("robotd catches panics of robots; build it with panic = \"unwind\"");

/// What is kept of a panic's text, in characters: a failed comparison of two large values says all it can
/// in its first lines.
pub(crate) const TEXT_CHARS_MAX: usize = 500;

tokio::task_local! {
    static RUN: String;
}

/// Runs `work` so that a panic in it is logged with `label`.
pub(crate) async fn named<F: Future>(label: String, work: F) -> F::Output {
    RUN.scope(label, work).await
}

/// Replaces the process's panic hook.
pub fn install_hook() {
    std::panic::set_hook(Box::new(report));
}

fn report(panic: &PanicHookInfo<'_>) {
    let label = RUN.try_with(Clone::clone).unwrap_or_else(|_| {
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
