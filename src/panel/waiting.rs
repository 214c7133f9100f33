//! How many tasks waited within the last day, as a chart.

use super::spark::Bars;
use super::text as t;
use super::words::count;
use crate::api::queue_history::QueueView;

/// The most tasks that waited at once in each part of the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    /// As a picture.
    pub(super) bars: Bars,
}

impl Waiting {
    /// What was counted, and how many wait now, which may not be counted yet.
    pub(super) fn of(view: &QueueView, now: u64) -> Self {
        let counted = view.highest.iter();
        let mut parts: Vec<_> = counted.map(|most| (most.unwrap_or(0), 0)).collect();
        if let Some((last, _)) = parts.last_mut() {
            *last = now.max(*last);
        }
        Self {
            bars: Bars::new(parts),
        }
    }

    /// Whether no task waited.
    pub(super) fn is_empty(&self) -> bool {
        self.bars.highest() == 0
    }

    /// In words, for who does not see the picture.
    pub(super) fn words(&self) -> String {
        format!("{} {}", count(self.bars.highest()), t::AT_ONCE)
    }

    /// What its colour means: class and words.
    pub(super) fn captions(&self) -> [(&'static str, String); 1] {
        [("well", self.words())]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;

    use super::*;

    #[test]
    fn what_waits_now_is_seen_before_it_is_counted() {
        let view = |highest: Vec<Option<u64>>| QueueView {
            from: DateTime::UNIX_EPOCH,
            part: Duration::from_secs(1_800),
            highest,
        };
        let counted = view(vec![Some(1_500), None, Some(3)]);
        let waiting = Waiting::of(&counted, 7);
        assert_eq!(waiting.words(), "1,500 at once at most");
        assert_eq!(waiting.bars, Bars::new(vec![(1_500, 0), (0, 0), (7, 0)]));
        assert_eq!(Waiting::of(&counted, 2).bars.highest(), 1_500);
        assert!(Waiting::of(&view(vec![None, Some(0)]), 0).is_empty());
    }
}
