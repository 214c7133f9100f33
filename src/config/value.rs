//! Values with bounds.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::Findings;
use crate::domain::iso_duration;

/// The duration written at `key`, or the default; out of bounds or unreadable, the mistake is noted
/// and the default stands in.
pub(super) fn duration(
    findings: &mut Findings,
    key: &str,
    written: Option<&str>,
    default: Duration,
    bounds: RangeInclusive<Duration>,
) -> Duration {
    let Some(text) = written else { return default };
    let Some(duration) = findings.value(key, iso_duration::parse(text)) else {
        return default;
    };
    if !bounds.contains(&duration) {
        let (min, max) = (
            iso_duration::format(*bounds.start()),
            iso_duration::format(*bounds.end()),
        );
        findings.wrong(key, format!("it must lie between {min} and {max}"));
    }
    duration
}
