//! A machine's clock that is stepped, as the process on it sees it.

use chrono::TimeDelta;

use crate::clock::SystemClock;

/// From now on each line on the standard input says how many seconds the machine's clock is off.
///
/// # Errors
/// A thread that cannot be started.
pub fn follow_input() -> std::io::Result<()> {
    let follow = || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            match line.trim().parse() {
                Ok(seconds) => SystemClock.set_off(TimeDelta::seconds(seconds)),
                Err(error) => log::warn!("`{line}` is no number of seconds: {error}"),
            }
        }
    };
    let thread = std::thread::Builder::new().name("clock-steps".to_owned());
    thread.spawn(follow).map(drop)
}
