//! What a run in the foreground says: to the terminal and to the database.

use std::future::Future;
use std::time::Duration;

use super::exit::{Failure, Ran};
use super::print;
use crate::robot::journal::{Journal, LogLevel};
use crate::store::Store;

/// A person reads along.
const PERIOD: Duration = Duration::from_millis(100);

/// Prints and keeps what a journal takes in.
pub(super) struct Echo {
    store: Store,
    journal: Journal,
}

impl Echo {
    pub(super) const fn new(store: Store, journal: Journal) -> Self {
        Self { store, journal }
    }

    /// Waits for `work` while passing on what it says.
    pub(super) async fn until<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut work = std::pin::pin!(work);
        let mut ticks = tokio::time::interval(PERIOD);
        loop {
            tokio::select! {
                answer = &mut work => return answer,
                _ = ticks.tick() => self.flush().await?,
            }
        }
    }

    /// Passes on what was said since the last time.
    pub(super) async fn flush(&mut self) -> Ran {
        let said = self.journal.drain();
        for line in &said.lines {
            match LogLevel::word(line.level) {
                "stdout" => print::answer(&line.text)?,
                "stderr" => print::say(&line.text),
                level => print::say(&format!("{level}: {}", print::plain(&line.text))),
            }
        }
        for (_, progress) in &said.progress {
            print::say(&format!("{} % {}", progress.percent, progress.message));
        }
        if !said.lines.is_empty() || !said.cut.is_empty() {
            self.store.log_append(said.lines, said.cut).await?;
        }
        if !said.progress.is_empty() {
            self.store.process_progress(said.progress).await?;
        }
        Ok(())
    }
}
