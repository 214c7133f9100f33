//! `bench`: measures this program.

use clap::Args;

use super::exit::{Exit, Failure, Ran};
use super::print;
use crate::bench::{self, Order, Workload};
use crate::config::Flags;

/// More runs than this measure the patience of the machine.
const RUNS_MAX: i64 = 100;

/// What to measure, and how often.
#[derive(Debug, Args)]
pub(super) struct BenchFlags {
    /// The workload
    workload: Workload,
    /// Size of the work: tasks, old tasks for growth, reports and pages, robots for ticks, seconds for idle and snapshot
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tasks: Option<u32>,
    /// Runs; the figures are medians
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=RUNS_MAX))]
    runs: u32,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

impl BenchFlags {
    /// Measures and prints.
    pub(super) fn run(&self, flags: &Flags) -> Ran {
        let order = Order {
            workload: self.workload,
            database_url: flags.database_url.clone(),
            tasks: self.tasks,
            runs: self.runs,
        };
        // One thread: the machine is for the node.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Exit::Software, error))?;
        let figures = runtime.block_on(bench::measure(&order))?;
        if !self.json {
            return print::answer(&bench::table(&figures));
        }
        for figure in &figures {
            let line = serde_json::to_string(figure)
                .map_err(|error| Failure::new(Exit::Software, error))?;
            print::answer(&line)?;
        }
        Ok(())
    }
}
