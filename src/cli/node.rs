//! Commands that are a node, or prepare one.

use std::sync::Arc;

use crate::app::{self, Ending, Started};
use crate::config::Config;
use crate::robot::Robot;

use super::exit::{Exit, Failure, Ran};
use super::print;

/// Serves until a signal ends it, with `more` robots beside the declared ones.
pub(super) fn serve(config: Config, more: Vec<Arc<dyn Robot>>) -> Ran {
    let mut robots = app::all_robots(&config)?;
    robots.extend(more);
    let told = |started: &Started| {
        let mut text = format!("robotd listens on http://{}/", started.listen);
        if let Some(path) = &started.admin_token {
            text.push_str(&format!("\nthe admin token is in {}", path.display()));
        }
        // A node serves also when nobody reads where.
        if print::answer(&text).is_err() {
            log::info!("nobody reads the standard output");
        }
    };
    match app::in_system(app::serve(config, robots, told))? {
        Ending::Drained => Ok(()),
        // The second signal was an order; what ran is offered again by the next start.
        Ending::Hurried => Err(Failure::quiet(Exit::TryAgain)),
        Ending::Fenced => Err(Failure::text(
            Exit::TryAgain,
            "stay a node: another one declared this one dead; start it again",
        )),
    }
}

/// Opens the database once, which brings its tables up to date.
pub(super) fn migrate(config: &Config) -> Ran {
    let store = runtime()?.block_on(app::open_store(config))?;
    print::say(&format!("the {} database is up to date", store.backend()));
    Ok(())
}

/// Threads for a command that is no node.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Software, error))
}
