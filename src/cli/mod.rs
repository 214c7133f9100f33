//! The command line: what it accepts, and what each command does.

mod bench;
mod catalogue;
mod client;
mod data;
mod exit;
mod journal;
mod logging;
mod node;
mod print;
mod run;
mod selftest;
mod table;
mod task;
mod token;
mod top;
mod vault;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::bench::robots::{Crowd, robots};
use crate::config::{Config, Flags};

pub use exit::Exit;
use exit::{Failure, Ran};

/// Runs robots: named background services, scheduled, supervised, visible.
///
/// Without a command it serves. Flags win over variables (ROBOTD_*), which win over robotd.toml, which
/// wins over defaults.
#[derive(Debug, Parser)]
#[command(name = "robotd", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    settings: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[expect(
    clippy::doc_markdown,
    reason = "these texts are shown by --help as they are"
)]
enum Command {
    /// Run this node until SIGTERM
    Serve,
    /// List all robots of the catalogue and of robotd.toml, without a node
    Robots {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one robot: what it does, when it wakes, its settings
    Robot {
        /// Its name, such as system_monitors.primary_key_monitor
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Run one robot once, here, without a node; the exit status is the outcome
    ///
    /// 0 succeeded, 1 failed, 75 try again later, 69 a node runs on this database.
    Run {
        /// The robot's name
        name: String,
        /// The work, as JSON
        #[arg(long, value_name = "JSON")]
        payload: Option<String>,
    },
    /// Order, list and stop work on a running node
    Task {
        #[command(flatten)]
        node: client::NodeFlags,
        #[command(subcommand)]
        what: task::What,
    },
    /// Watch a running node: executions, queue, robots
    Top {
        #[command(flatten)]
        node: client::NodeFlags,
        /// Print once and end
        #[arg(long)]
        once: bool,
    },
    /// Make, list and withdraw access tokens, in the database
    Token {
        #[command(subcommand)]
        what: token::What,
    },
    /// Look after the keys that seal secrets
    Vault {
        #[command(subcommand)]
        what: vault::What,
    },
    /// Move everything that a database holds to another one, through a file
    Data {
        #[command(subcommand)]
        what: data::What,
    },
    /// Bring the database's tables up to date, then end
    Migrate,
    /// Check the configuration and print what is in force, without secrets
    CheckConfig,
    /// Print the OpenAPI description of the API
    Openapi,
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Prove on this machine what is promised
    Selftest {
        #[command(subcommand)]
        what: selftest::What,
    },
    /// Serve with the robots that `selftest` watches
    #[command(hide = true)]
    SelftestNode,
    /// Measure this program on an empty database
    #[command(hide = true)]
    Bench(bench::BenchFlags),
    /// Serve with the robots that `bench` measures
    #[command(hide = true)]
    BenchNode(Crowd),
}

/// The program: parses the command line, does what it says, answers the exit status.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refused(&error),
    };
    // An error says that a provider is installed already, which is as good.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    crate::runtime::panic::install_hook();
    match cli.dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(error) = &failure.error {
                print::say(&format!("robotd: {error:#}"));
            }
            failure.exit.into()
        }
    }
}

/// Help and version are answers; everything else is a misuse.
fn refused(error: &clap::Error) -> ExitCode {
    // A reader that went away has seen enough.
    let _gone = error.print();
    if error.use_stderr() {
        Exit::Usage.into()
    } else {
        ExitCode::SUCCESS
    }
}

impl Cli {
    fn dispatch(self) -> Ran {
        let flags = &self.settings;
        match self.command.unwrap_or(Command::Serve) {
            Command::Serve => node::serve(load(flags)?, Vec::new()),
            Command::Bench(bench) => bench.run(flags),
            Command::BenchNode(crowd) => node::serve(load(flags)?, robots(crowd)),
            Command::Selftest { what } => selftest::selftest(what, flags),
            Command::SelftestNode => selftest::node(flags),
            Command::Robots { json } => catalogue::list(&load(flags)?, json),
            Command::Robot { name, json } => catalogue::show(&load(flags)?, &name, json),
            Command::Run { name, payload } => run::run(load(flags)?, &name, payload.as_deref()),
            Command::Task { node, what } => task::task(&node.client(flags)?, what),
            Command::Top { node, once } => top::top(&node.client(flags)?, once),
            Command::Token { what } => token::token(&load(flags)?, what),
            Command::Vault { what } => vault::vault(&load(flags)?, what),
            Command::Data { what } => data::data(&load(flags)?, &what),
            Command::Migrate => node::migrate(&load(flags)?),
            Command::CheckConfig => print::answer(&load(flags)?.shown()),
            Command::Openapi => openapi(),
            Command::Completions { shell } => completions(shell),
        }
    }
}

/// The configuration, with logging started as it says.
fn load(flags: &Flags) -> Result<Config, Failure> {
    let config = Config::load(flags)?;
    logging::start(config.log_level, config.log_format);
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
    Ok(config)
}

fn openapi() -> Ran {
    let text = crate::api::openapi()
        .to_pretty_json()
        .map_err(|error| Failure::new(Exit::Software, error))?;
    print::answer(&text)
}

fn completions(shell: clap_complete::Shell) -> Ran {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "robotd", &mut text);
    print::answer(&String::from_utf8_lossy(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves_and_flags_stand_on_both_sides() {
        let cli = Cli::try_parse_from(["robotd", "--listen", "127.0.0.1:1"]).unwrap();
        assert!(cli.command.is_none());
        let after = ["robotd", "serve", "--listen", "127.0.0.1:1"];
        let cli = Cli::try_parse_from(after).unwrap();
        assert_eq!(cli.settings.listen, "127.0.0.1:1".parse().ok());
    }

    #[test]
    fn every_command_of_the_contract_is_understood() {
        for line in [
            "serve --data-dir d --listen [::1]:1 --database-url sqlite://x --node n --config f",
            "robots",
            "robot a.b --json",
            "run a.b --payload {}",
            "task add a.b --payload {}",
            "task list --status queued",
            "task show 1",
            "task cancel 1",
            "task retry 1",
            "top --once",
            "token create --name n --role viewer",
            "token list",
            "token revoke n",
            "vault rotate-key --background",
            "vault keys",
            "vault remove-key 1",
            "data export f",
            "data import f",
            "migrate",
            "check-config",
            "openapi",
            "completions bash",
            "bench drain --tasks 10 --runs 1 --json",
            "selftest chaos --database-url postgres://d --nodes 3 --tasks 10 --for 5m --seed 1 --json",
        ] {
            let words = std::iter::once("robotd").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }
}
