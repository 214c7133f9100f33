//! How often the kernel killed a process for want of memory.

use std::path::Path;

use super::kernel_file;
use crate::connect::ConnectError;

/// Reads how often the kernel killed a process for want of memory since boot, control groups
/// included; `None` on a kernel older than 4.13, which does not tell.
///
/// # Errors
///
/// [`ConnectError::Unreadable`] when `/proc/vmstat` cannot be read.
pub fn oom_kills() -> Result<Option<u64>, ConnectError> {
    Ok(kernel_file(Path::new("/proc/vmstat"))?
        .as_deref()
        .and_then(parse_oom_kills))
}

fn parse_oom_kills(text: &str) -> Option<u64> {
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?;
    count.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_by_its_whole_name() {
        assert_eq!(parse_oom_kills("oom_killer 9\noom_kill 3\n"), Some(3));
        assert_eq!(parse_oom_kills("nr_free_pages 5\n"), None);
    }
}
