//! One look at the machine: counters, and the figures that follow from them.

use serde::{Deserialize, Serialize};

use crate::connect::ConnectError;
use crate::connect::host::{self, CpuTimes};

/// The series every node writes with each run; silence here is silence of the node.
pub(super) const LIVENESS_SERIES: &str = "memory.used_ratio";

/// Counters since boot, kept in the database from run to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counters {
    /// Seconds since boot; less than before means that the machine was started again.
    pub uptime_seconds: u64,
    /// See [`CpuTimes::total_ticks`].
    pub total_ticks: u64,
    /// See [`CpuTimes::idle_ticks`].
    pub idle_ticks: u64,
    /// Processors online.
    pub cpus: usize,
    /// Processes killed for want of memory.
    pub oom_kills: u64,
}

impl Counters {
    /// Reads them.
    pub(super) fn measure() -> Result<Self, ConnectError> {
        let cpu = host::cpu_times()?;
        let in_group = host::cgroup_memory()?.map_or(0, |group| group.oom_kills);
        Ok(Self {
            uptime_seconds: host::uptime()?.as_secs(),
            total_ticks: cpu.total_ticks,
            idle_ticks: cpu.idle_ticks,
            cpus: cpu.cpus,
            // The machine's count includes the group's, where the kernel shows it.
            oom_kills: host::oom_kills()?.unwrap_or(in_group),
        })
    }

    /// As kept; what does not read is as good as nothing kept.
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// To be kept.
    pub(super) fn write(self) -> String {
        serde_json::json!(self).to_string()
    }

    fn cpu(self) -> CpuTimes {
        CpuTimes {
            total_ticks: self.total_ticks,
            idle_ticks: self.idle_ticks,
            cpus: self.cpus,
        }
    }

    /// What was counted since `before`; `None` when the machine was started again in between.
    pub(super) fn since(self, before: Self) -> Option<(Option<f64>, u64)> {
        let same_boot = self.uptime_seconds >= before.uptime_seconds;
        let kills = self
            .oom_kills
            .checked_sub(before.oom_kills)
            .filter(|_| same_boot)?;
        Some((host::cpu_used_ratio(before.cpu(), self.cpu()), kills))
    }
}

/// The figures of one run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figures {
    /// Share of processor time in use since the last run; `None` on the first run after a start.
    pub cpu: Option<f64>,
    /// Mean load of the last minute per processor.
    pub load_per_core: f64,
    /// Share of memory in use, by what is available.
    pub memory: f64,
    /// The machine's memory in bytes: all of it, and what is available.
    pub memory_bytes: (u64, u64),
    /// Share of the control group's limit in use, where it is below the machine's memory.
    pub group_memory: Option<f64>,
    /// Share of swap in use, where there is any.
    pub swap: Option<f64>,
    /// Processes killed for want of memory since the last run.
    pub oom_kills: Option<u64>,
    /// Share of the last minute in which some work waited: processor, memory, disks.
    pub pressure: [Option<f64>; 3],
}

fn mebibytes(bytes: u64) -> f64 {
    // Exact up to 2^53 MiB.
    u32::try_from(bytes >> 20).map_or(f64::MAX, f64::from)
}

impl Figures {
    /// The figures a person looks for in the report, in whole numbers.
    pub(super) fn told(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let (total, available) = self.memory_bytes;
        [
            ("cpu_used_percent", self.cpu.map(|share| share * 100.0)),
            ("load_per_core_percent", Some(self.load_per_core * 100.0)),
            ("memory_total_mib", Some(mebibytes(total))),
            ("memory_available_mib", Some(mebibytes(available))),
            ("memory_used_percent", Some(self.memory * 100.0)),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
    }

    /// Reads what is no counter, and puts it beside what the counters say.
    pub(super) fn measure(before: Option<Counters>, now: Counters) -> Result<Self, ConnectError> {
        let memory = host::memory()?;
        let delta = before.and_then(|before| now.since(before));
        let stalled =
            |resource| host::pressure(resource).map(|p| p.map(|pressure| pressure.some.over_60s));
        let cores = u32::try_from(now.cpus.max(1)).unwrap_or(u32::MAX);
        Ok(Self {
            cpu: delta.and_then(|(cpu, _)| cpu),
            load_per_core: host::load_averages()?.one / f64::from(cores),
            memory: memory.used_ratio(),
            memory_bytes: (memory.total, memory.available),
            group_memory: host::cgroup_memory()?.and_then(|group| {
                let limit = group.limit.filter(|limit| *limit < memory.total)?;
                share(group.current.saturating_sub(group.reclaimable), limit)
            }),
            swap: share(
                memory.swap_total.saturating_sub(memory.swap_free),
                memory.swap_total,
            ),
            oom_kills: delta.map(|(_, kills)| kills),
            pressure: [stalled("cpu")?, stalled("memory")?, stalled("io")?],
        })
    }

    /// The figures as samples.
    pub(super) fn series(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let [cpu, memory, io] = self.pressure;
        #[expect(
            clippy::cast_precision_loss,
            reason = "kills of a minute are a small number"
        )]
        let kills = self.oom_kills.map(|kills| kills as f64);
        [
            ("cpu.used_ratio", self.cpu),
            ("load.per_core", Some(self.load_per_core)),
            (LIVENESS_SERIES, Some(self.memory)),
            ("memory.group_used_ratio", self.group_memory),
            ("swap.used_ratio", self.swap),
            ("oom.kills", kills),
            ("pressure.cpu", cpu),
            ("pressure.memory", memory),
            ("pressure.io", io),
        ]
        .into_iter()
        .filter_map(|(series, value)| Some((series, value?)))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share needs no more than the bits f64 keeps"
)]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEFORE: Counters = Counters {
        uptime_seconds: 1_000,
        total_ticks: 5_000,
        idle_ticks: 4_000,
        cpus: 2,
        oom_kills: 3,
    };

    #[test]
    fn rates_come_from_deltas() {
        let now = Counters {
            uptime_seconds: 1_060,
            total_ticks: 5_200,
            idle_ticks: 4_150,
            oom_kills: 5,
            ..BEFORE
        };
        assert_eq!(now.since(BEFORE), Some((Some(0.25), 2)));
        assert_eq!(Counters::read(&now.write()), Some(now));
        assert_eq!(Counters::read("{}"), None);
    }

    #[test]
    fn a_restart_of_the_machine_gives_no_rate() {
        let young = Counters {
            uptime_seconds: 5,
            total_ticks: 9_000,
            ..BEFORE
        };
        assert_eq!(young.since(BEFORE), None);
        let fewer_kills = Counters {
            oom_kills: 0,
            ..BEFORE
        };
        assert_eq!(fewer_kills.since(BEFORE), None);
    }

    proptest! {
        /// Whatever the counters do, a rate is a share.
        #[test]
        fn a_rate_is_a_share(total in 0u64..20_000, idle in 0u64..20_000, uptime in 0u64..2_000) {
            let now = Counters { uptime_seconds: uptime, total_ticks: total, idle_ticks: idle, ..BEFORE };
            if let Some((Some(cpu), _)) = now.since(BEFORE) {
                prop_assert!((0.0..=1.0).contains(&cpu));
            }
        }
    }

    #[test]
    fn this_machine_has_figures() {
        let figures = Figures::measure(None, Counters::measure().unwrap()).unwrap();
        assert!(figures.cpu.is_none() && figures.oom_kills.is_none());
        assert!(figures.memory > 0.0 && figures.memory < 1.0);
    }
}
