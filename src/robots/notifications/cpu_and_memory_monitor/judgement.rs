//! What the figures mean: pure decisions from samples to findings.

use std::time::Duration;

use super::measurement::Figures;
use super::settings::Settings;
use crate::domain::alert::{Finding, Level, Notice};
use crate::domain::trend::{Limit, is_breached};
use crate::robots::alerts::Round;

/// Alert keys of nodes that send no samples.
pub(super) const OFFLINE_PREFIX: &str = "offline:";

/// The alert key of one thing of one node.
pub(super) fn host_key(node: &str, thing: &str) -> String {
    format!("host:{node}:{thing}")
}

/// The thing that a series tells about, as it stands in its key.
fn thing(series: &str) -> Option<&'static str> {
    match series {
        "cpu.used_ratio" => Some("cpu"),
        "load.per_core" => Some("load"),
        "memory.used_ratio" => Some("memory"),
        "memory.group_used_ratio" => Some("group_memory"),
        "oom.kills" => Some("oom"),
        _ => None,
    }
}

/// Whether a series is judged, not only kept.
pub(super) fn is_judged(series: &str) -> bool {
    thing(series).is_some()
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    /// Its name.
    pub name: String,
    /// How old its newest sample is.
    pub silent_for: Duration,
    /// It was ended in order, and nobody misses it.
    pub stopped: bool,
}

/// Judges this node by its newest samples.
///
/// A series without a figure in this run (the processor's after a restart) is left as it was.
pub(super) fn judge_host(
    round: &mut Round,
    settings: &Settings,
    node: &str,
    recent: &[(&'static str, Vec<f64>)],
    figures: &Figures,
) {
    let measured: Vec<_> = recent
        .iter()
        .filter_map(|(series, _)| thing(series))
        .collect();
    for unmeasured in ["cpu", "oom"]
        .into_iter()
        .filter(|thing| !measured.contains(thing))
    {
        round.undecided.push(host_key(node, unmeasured));
    }
    for (series, values) in recent {
        let Some(thing) = thing(series) else { continue };
        let key = host_key(node, thing);
        let before = round.level(&key) > Level::Ok;
        let breached = is_breached(values, before, limit(settings, thing, before));
        let level = match (breached, thing) {
            (false, _) => Level::Ok,
            (true, "oom") => Level::Critical,
            (true, _) => Level::Warning,
        };
        let newest = values.last().copied().unwrap_or_default();
        round.push(
            key,
            level,
            title(thing, node, newest),
            text(settings, values, figures),
        );
    }
}

fn limit(settings: &Settings, thing: &str, before: bool) -> Limit {
    let of_share = |percent: f64| (percent, percent - settings.clear_percent_lower);
    let (raise, clear) = match thing {
        "cpu" => of_share(settings.cpu_percent),
        "load" => {
            let lower = 1.0 - settings.clear_percent_lower / 100.0;
            return Limit {
                raise: settings.load_per_core,
                clear: settings.load_per_core * lower,
                ..counts(settings)
            };
        }
        // One kill is news at once; it is over when the samples looked at are all without one.
        "oom" => {
            let of = if before { counts(settings).of } else { 1 };
            return Limit {
                raise: 1.0,
                clear: 1.0,
                agree: of,
                of,
            };
        }
        _ => of_share(settings.memory_percent),
    };
    Limit {
        raise: raise / 100.0,
        clear: clear / 100.0,
        ..counts(settings)
    }
}

fn counts(settings: &Settings) -> Limit {
    let count = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    Limit {
        raise: 0.0,
        clear: 0.0,
        agree: count(settings.agree),
        of: count(settings.samples),
    }
}

fn title(thing: &str, node: &str, newest: f64) -> String {
    let percent = newest * 100.0;
    match thing {
        "cpu" => format!("processors of `{node}` are {percent:.0} % busy"),
        "load" => format!("load of `{node}` is {newest:.1} per processor"),
        "memory" => format!("memory of `{node}` is {percent:.0} % used"),
        "group_memory" => format!("memory limit of robotd on `{node}` is {percent:.0} % used"),
        _ => format!("`{node}` killed {newest:.0} processes for want of memory"),
    }
}

fn text(settings: &Settings, values: &[f64], figures: &Figures) -> String {
    let newest = values
        .iter()
        .rev()
        .take(settings.samples.try_into().unwrap_or(usize::MAX));
    let newest: Vec<_> = newest.map(|value| format!("{value:.3}")).collect();
    let all: Vec<_> = figures
        .series()
        .map(|(series, value)| format!("  {series}: {value:.3}"))
        .collect();
    format!(
        "Newest first: {}\n\nAll figures now:\n{}",
        newest.join(", "),
        all.join("\n")
    )
}

/// Judges the other nodes by their silence.
///
/// A node whose samples are so old that they were folded away is not known any more; its alert is
/// then over without a word of it having come back.
pub(super) fn judge_peers(
    round: &mut Round,
    settings: &Settings,
    interval: Duration,
    peers: &[Peer],
) {
    let limit = interval.saturating_mul(settings.offline_after_intervals);
    for peer in peers {
        let level = if peer.silent_for > limit && !peer.stopped {
            Level::Critical
        } else {
            Level::Ok
        };
        round.push(
            format!("{OFFLINE_PREFIX}{}", peer.name),
            level,
            format!("node `{}` sends nothing", peer.name),
            format!("Its newest sample is {} s old.", peer.silent_for.as_secs()),
        );
    }
}

/// The event of a change: type and subject.
pub(super) fn event_of(finding: &Finding, change: Notice) -> Option<(&'static str, String)> {
    let cleared = change == Notice::Cleared;
    if let Some(node) = finding.key.strip_prefix(OFFLINE_PREFIX) {
        let kind = if cleared {
            "system.node_offline.cleared"
        } else {
            "system.node_offline"
        };
        return Some((kind, node.to_owned()));
    }
    let (node, thing) = finding.key.strip_prefix("host:")?.rsplit_once(':')?;
    let kind = match (thing, cleared) {
        ("cpu" | "load", false) => "system.cpu_high",
        ("cpu" | "load", true) => "system.cpu_high.cleared",
        ("oom", false) => "system.oom",
        ("oom", true) => "system.oom.cleared",
        (_, false) => "system.memory_high",
        (_, true) => "system.memory_high.cleared",
    };
    Some((kind, node.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        Figures {
            cpu: Some(0.95),
            load_per_core: 0.5,
            memory: 0.5,
            memory_bytes: (1 << 30, 1 << 29),
            group_memory: None,
            swap: None,
            oom_kills: Some(0),
            pressure: [None; 3],
        }
    }

    fn judged(recent: &[(&'static str, Vec<f64>)]) -> Round {
        let mut round = Round::default();
        judge_host(&mut round, &Settings::default(), "n", recent, &figures());
        round
    }

    #[test]
    fn a_sustained_breach_is_a_warning_and_a_peak_is_not() {
        let busy = judged(&[("cpu.used_ratio", vec![0.95, 0.2, 0.95, 0.2, 0.95])]);
        assert_eq!(busy.findings[0].level, Level::Warning);
        assert_eq!(busy.findings[0].key, "host:n:cpu");
        assert_eq!(
            event_of(&busy.findings[0], Notice::Raised),
            Some(("system.cpu_high", "n".to_owned()))
        );
        let peak = judged(&[("cpu.used_ratio", vec![0.2, 0.2, 0.95, 0.2, 0.95])]);
        assert_eq!(peak.findings[0].level, Level::Ok);
    }

    #[test]
    fn thresholds_are_in_the_unit_of_their_series() {
        let round = judged(&[
            ("load.per_core", vec![5.5; 5]),
            ("memory.used_ratio", vec![0.86; 5]),
            ("memory.group_used_ratio", vec![0.84; 5]),
            ("oom.kills", vec![0.0, 2.0]),
        ]);
        let levels: Vec<_> = round.findings.iter().map(|finding| finding.level).collect();
        assert_eq!(
            levels,
            [Level::Warning, Level::Warning, Level::Ok, Level::Critical]
        );
    }

    #[test]
    fn what_is_not_measured_stays_as_it_was() {
        let round = judged(&[("memory.used_ratio", vec![0.1; 5])]);
        assert_eq!(round.undecided, ["host:n:cpu", "host:n:oom"]);
    }

    #[test]
    fn a_silent_node_is_offline_unless_it_was_stopped() {
        let peer = |name: &str, silent, stopped| Peer {
            name: name.to_owned(),
            silent_for: Duration::from_secs(silent),
            stopped,
        };
        let mut round = Round::default();
        let peers = [
            peer("a", 299, false),
            peer("b", 301, false),
            peer("c", 301, true),
        ];
        judge_peers(
            &mut round,
            &Settings::default(),
            Duration::from_mins(1),
            &peers,
        );
        let levels: Vec<_> = round.findings.iter().map(|finding| finding.level).collect();
        assert_eq!(levels, [Level::Ok, Level::Critical, Level::Ok]);
        let event = event_of(&round.findings[1], Notice::Cleared);
        assert_eq!(event, Some(("system.node_offline.cleared", "b".to_owned())));
    }
}
