//! `selftest`: proves on this machine what is promised.

use std::time::Duration;

use clap::Subcommand;

use super::exit::{Exit, Failure, Ran};
use super::node::{self, runtime};
use super::print;
use crate::config::Flags;
use crate::selftest::{self, Order};

/// What to prove.
#[derive(Debug, Subcommand)]
pub(super) enum What {
    /// Break nodes at random while they work, on an empty PostgreSQL database; fails where a promise broke
    ///
    /// They are killed and stopped, their network is cut or falls silent, their clocks are stepped. Give the database by
    /// --database-url. Everything in it is removed in the end.
    Chaos {
        /// Nodes that work as one
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=20))]
        nodes: u8,
        /// Tasks to register meanwhile
        #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
        tasks: u32,
        /// How long nodes are broken, such as 90s, 5m or 1h
        #[arg(long = "for", value_name = "TIME", default_value = "5m", value_parser = length)]
        length: Duration,
        /// What decides when and how; any, where none is given, and it is printed
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Reads a length of time: a number with its unit.
fn length(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3_600)];
    let of = |(unit, seconds): (&str, u64)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(seconds)
    };
    let seconds = units.into_iter().find_map(of);
    seconds
        .filter(|seconds| (1..=86_400).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| "it must be a number with `s`, `m` or `h`, from 1s to 24h".to_owned())
}

/// Proves, and prints the proof.
pub(super) fn selftest(what: What, flags: &Flags) -> Ran {
    let What::Chaos {
        nodes,
        tasks,
        length,
        seed,
        json,
    } = what;
    let Some(database_url) = flags.database_url.clone() else {
        let text = "know the database: name an empty one by --database-url";
        return Err(Failure::text(Exit::Usage, text));
    };
    let order = Order {
        database_url,
        nodes: usize::from(nodes),
        tasks,
        length,
        seed: seed.unwrap_or_else(rand::random),
    };
    if !json {
        print::say(&format!("robotd: the seed is {}", order.seed));
    }
    let proof = runtime()?.block_on(selftest::chaos(&order))?;
    if json {
        let line = serde_json::to_string(&proof);
        print::answer(&line.map_err(|error| Failure::new(Exit::Software, error))?)?;
    } else {
        print::answer(&proof.table())?;
    }
    if proof.holds() {
        Ok(())
    } else {
        Err(Failure::quiet(Exit::Failed))
    }
}

/// Serves with the robots that are watched, and with a clock that can be stepped.
pub(super) fn node(flags: &Flags) -> Ran {
    let config = super::load(flags)?;
    selftest::clock::follow_input().map_err(|error| Failure::new(Exit::Software, error))?;
    node::serve(config, selftest::robots::robots())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_a_unit_and_bounds() {
        assert_eq!(length("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(length("90s"), Ok(Duration::from_secs(90)));
        for wrong in ["5", "0s", "m", "25h", "-1s", "1.5m"] {
            assert!(length(wrong).is_err(), "{wrong}");
        }
    }
}
