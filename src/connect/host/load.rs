//! Processor, memory and pressure, from `/proc`.

use std::path::Path;
use std::time::Duration;

use procfs::{
    CpuTime, Current, CurrentSI, KernelStats, LoadAverage, Meminfo, PressureRecord, Uptime,
    parse_pressure_record,
};

use super::{kernel_file, unreadable};
use crate::connect::ConnectError;

/// What the processors did since boot, all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTimes {
    /// Ticks in every state.
    pub total_ticks: u64,
    /// Ticks with nothing to do, waiting for a disk included.
    pub idle_ticks: u64,
    /// How many processors are online.
    pub cpus: usize,
}

/// Mean number of runnable and uninterruptible tasks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadAverages {
    /// Over the last minute.
    pub one: f64,
    /// Over the last five minutes.
    pub five: f64,
    /// Over the last fifteen minutes.
    pub fifteen: f64,
}

/// Memory of the whole machine in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// What there is.
    pub total: u64,
    /// What new programs can have without swapping; caches count as available.
    pub available: u64,
    /// Swap there is; 0 on a machine without.
    pub swap_total: u64,
    /// Swap that is not used.
    pub swap_free: u64,
}

impl Memory {
    /// The share in use, 0 to 1; by what is available, not by what is free.
    #[must_use]
    pub fn used_ratio(&self) -> f64 {
        ratio(self.total.saturating_sub(self.available), self.total)
    }
}

/// Time that work stood still for want of something ("pressure stall information").
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StallTimes {
    /// Share of the last 10 seconds, 0 to 1.
    pub over_10s: f64,
    /// Share of the last minute, 0 to 1.
    pub over_60s: f64,
    /// Share of the last five minutes, 0 to 1.
    pub over_300s: f64,
    /// All of it since boot.
    pub total: Duration,
}

/// Pressure on one resource.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pressure {
    /// At least one task waited.
    pub some: StallTimes,
    /// Every task waited; older kernels do not tell it for the processor.
    pub full: Option<StallTimes>,
}

/// Reads what the processors did.
///
/// # Errors
///
/// [`ConnectError::Unreadable`] without `/proc/stat`.
pub fn cpu_times() -> Result<CpuTimes, ConnectError> {
    let stats = KernelStats::current().map_err(|e| unreadable("/proc/stat".as_ref(), &e))?;
    Ok(cpu_times_of(&stats))
}

/// Reads the load averages.
///
/// # Errors
///
/// [`ConnectError::Unreadable`] without `/proc/loadavg`.
pub fn load_averages() -> Result<LoadAverages, ConnectError> {
    let load = LoadAverage::current().map_err(|e| unreadable("/proc/loadavg".as_ref(), &e))?;
    Ok(LoadAverages {
        one: f64::from(load.one),
        five: f64::from(load.five),
        fifteen: f64::from(load.fifteen),
    })
}

/// Reads the memory figures.
///
/// # Errors
///
/// [`ConnectError::Unreadable`] without `/proc/meminfo`, or on a kernel older than 3.14,
/// which does not tell what is available.
pub fn memory() -> Result<Memory, ConnectError> {
    let path = Path::new("/proc/meminfo");
    let figures = Meminfo::current().map_err(|e| unreadable(path, &e))?;
    Ok(Memory {
        total: figures.mem_total,
        available: figures
            .mem_available
            .ok_or_else(|| unreadable(path, &"it has no line `MemAvailable`"))?,
        swap_total: figures.swap_total,
        swap_free: figures.swap_free,
    })
}

/// Reads the pressure on `cpu`, `memory` or `io`; `None` on a kernel that does not tell.
///
/// # Errors
///
/// [`ConnectError::Unreadable`] when the file is there but makes no sense.
pub fn pressure(resource: &str) -> Result<Option<Pressure>, ConnectError> {
    let path = Path::new("/proc/pressure").join(resource);
    match kernel_file(&path) {
        Ok(Some(text)) => parse_pressure(&text)
            .map(Some)
            .ok_or_else(|| unreadable(&path, &"it has no line `some` with four figures")),
        Ok(None) => Ok(None),
        // With `psi=0` the files are there and every read says "not supported".
        Err(_switched_off) => Ok(None),
    }
}

/// Reads how long the machine has been up, suspended time included.
///
/// Unlike the time of day it never steps, so durations between samples are right.
///
/// # Errors
///
/// [`ConnectError::Unreadable`] without `/proc/uptime`.
pub fn uptime() -> Result<Duration, ConnectError> {
    let path = Path::new("/proc/uptime");
    let uptime = Uptime::current().map_err(|e| unreadable(path, &e))?;
    Duration::try_from_secs_f64(uptime.uptime).map_err(|e| unreadable(path, &e))
}

/// The share of time the processors worked between two samples, 0 to 1.
///
/// `None` when nothing can be said: no time passed, or a counter went backwards, as it
/// does when the machine was started again in between.
#[must_use]
pub fn cpu_used_ratio(prev: CpuTimes, now: CpuTimes) -> Option<f64> {
    let total = now.total_ticks.checked_sub(prev.total_ticks)?;
    let busy = busy_ticks(now).checked_sub(busy_ticks(prev))?;
    // The kernel may take back waiting time it had counted as idle; that is not work.
    (total > 0).then(|| ratio(busy.min(total), total))
}

fn busy_ticks(times: CpuTimes) -> u64 {
    times.total_ticks.saturating_sub(times.idle_ticks)
}

/// Adds up the states; guest time is left out because it is part of user time already.
fn cpu_times_of(stats: &KernelStats) -> CpuTimes {
    let all: &CpuTime = &stats.total;
    let idle_ticks = all.idle.saturating_add(all.iowait.unwrap_or(0));
    let working = [
        all.user,
        all.nice,
        all.system,
        all.irq.unwrap_or(0),
        all.softirq.unwrap_or(0),
        all.steal.unwrap_or(0),
    ];
    CpuTimes {
        total_ticks: working.into_iter().fold(idle_ticks, u64::saturating_add),
        idle_ticks,
        cpus: stats.cpu_time.len(),
    }
}

fn parse_pressure(text: &str) -> Option<Pressure> {
    let line = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| parse_pressure_record(line).ok())
            .map(|record| stall_times(&record))
    };
    Some(Pressure {
        some: line("some ")?,
        full: line("full "),
    })
}

fn stall_times(record: &PressureRecord) -> StallTimes {
    let share = |percent: f32| f64::from(percent) / 100.0;
    StallTimes {
        over_10s: share(record.avg10),
        over_60s: share(record.avg60),
        over_300s: share(record.avg300),
        total: Duration::from_micros(record.total),
    }
}

/// `part / whole`, 0 for an empty whole.
#[expect(
    clippy::cast_precision_loss,
    reason = "a share needs no more than the 53 bits that f64 keeps"
)]
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use procfs::{FromBufReadSI, current_system_info};
    use proptest::prelude::*;

    const STAT: &str = "cpu  100 20 30 400 50 6 7 8 90 10\n\
        cpu0 50 10 15 200 25 3 3 4 45 5\n\
        cpu1 50 10 15 200 25 3 4 4 45 5\n\
        intr 0\nctxt 1\nbtime 1790000000\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n";

    #[test]
    fn ticks_are_added_up_without_guest_time() {
        let stats = KernelStats::from_buf_read(STAT.as_bytes(), current_system_info()).unwrap();
        assert_eq!(
            cpu_times_of(&stats),
            CpuTimes {
                total_ticks: 621,
                idle_ticks: 450,
                cpus: 2
            }
        );
    }

    #[test]
    fn pressure_reads_with_and_without_full() {
        let some = "some avg10=4.50 avg60=0.91 avg300=0.25 total=681245\n";
        let read = parse_pressure(some).unwrap();
        assert!((read.some.over_10s - 0.045).abs() < 1e-6);
        assert_eq!(read.some.total, Duration::from_micros(681_245));
        assert_eq!(read.full, None);
        let both = format!("{some}full avg10=2.10 avg60=0.12 avg300=0.00 total=391926\n");
        assert!(parse_pressure(&both).unwrap().full.is_some());
        assert_eq!(parse_pressure("full avg10=1"), None);
    }

    #[test]
    fn used_memory_is_what_is_not_available() {
        let memory = Memory {
            total: 1_000,
            available: 250,
            swap_total: 0,
            swap_free: 0,
        };
        assert!((memory.used_ratio() - 0.75).abs() < f64::EPSILON);
    }

    fn any_times() -> impl Strategy<Value = CpuTimes> {
        (0..u64::MAX / 4, 0..u64::MAX / 4).prop_map(|(busy, idle)| CpuTimes {
            total_ticks: busy + idle,
            idle_ticks: idle,
            cpus: 2,
        })
    }

    proptest! {
        #[test]
        fn a_ratio_is_a_share_or_nothing(prev in any_times(), now in any_times()) {
            if let Some(ratio) = cpu_used_ratio(prev, now) {
                prop_assert!((0.0..=1.0).contains(&ratio));
            }
        }

        #[test]
        fn ticks_added_give_their_share(prev in any_times(), busy in 0_u32..1_000_000, idle in 0_u32..1_000_000) {
            let now = CpuTimes {
                total_ticks: prev.total_ticks + u64::from(busy + idle),
                idle_ticks: prev.idle_ticks + u64::from(idle),
                cpus: 2,
            };
            match cpu_used_ratio(prev, now) {
                None => prop_assert_eq!(busy + idle, 0),
                Some(found) => {
                    let expected = f64::from(busy) / f64::from(busy + idle);
                    prop_assert!((found - expected).abs() < 1e-9);
                }
            }
            if busy > 0 {
                prop_assert_eq!(cpu_used_ratio(now, prev), None, "a counter that went back");
            }
        }

        #[test]
        fn any_pressure_text_is_read_or_refused(text in "(some|full|x| |=|avg10|avg60|avg300|total|[0-9.]|\n|ß){0,30}") {
            let _either = parse_pressure(&text);
        }
    }
}
