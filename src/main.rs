//! The `robotd` program.

use std::process::ExitCode;

use robotd::connect::command::guard;

fn main() -> ExitCode {
    // Before the command line is parsed: the guard's own arguments are not for people, and it
    // must read no configuration.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == guard::SUBCOMMAND)
    {
        return guard::guard_main();
    }
    robotd::cli::main()
}
