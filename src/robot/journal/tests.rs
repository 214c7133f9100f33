use chrono::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::clock::ManualClock;

fn journal() -> Journal {
    let at = chrono::Utc.timestamp_opt(1_800_000_000, 0).unwrap();
    Journal::new(ProcessId(1), Arc::new(ManualClock::new(at)))
}

proptest! {
    /// Whatever is written, what stays in the database is the beginning and the end, bounded.
    #[test]
    fn the_log_keeps_its_head_and_tail(sizes in prop::collection::vec(1usize..60_000, 1..200), every in 1usize..20) {
        let journal = journal();
        let mut stored = std::collections::BTreeMap::new();
        for (i, size) in sizes.iter().enumerate() {
            journal.push(LogLevel::Stdout, "x".repeat(*size));
            if i % every == 0 || i + 1 == sizes.len() {
                let drained = journal.drain();
                stored.extend(drained.lines.into_iter().map(|l| (l.seq, l.text.len())));
                for (_, a, b) in drained.cut {
                    stored.retain(|seq, _| *seq < a || *seq > b);
                }
            }
        }
        let last = i64::try_from(sizes.len()).unwrap();
        prop_assert!(stored.contains_key(&last));
        let bytes: usize = stored.values().sum();
        prop_assert!(bytes <= HEAD_BYTES_MAX + TAIL_BYTES_MAX + PENDING_BYTES_MAX + LOG_LINE_BYTES_MAX);
    }
}

#[test]
fn a_long_line_is_cut_visibly_at_a_character() {
    let text = cut_line(&"é".repeat(LOG_LINE_BYTES_MAX));
    assert!(text.len() <= LOG_LINE_BYTES_MAX && text.ends_with("(cut)"));
}

/// Writes `count` lines, draining whenever the writer waits; answers what was drained each time.
async fn flood(count: usize, text: &str) -> Vec<Vec<LogLine>> {
    let journal = journal();
    let writer = {
        let journal = journal.clone();
        async move {
            for _ in 0..count {
                journal.write(LogLevel::Stdout, text).await;
            }
        }
    };
    let mut writer = std::pin::pin!(writer);
    let mut drained = Vec::new();
    loop {
        let done = futures_util::future::poll_immediate(writer.as_mut())
            .await
            .is_some();
        drained.push(journal.drain().lines);
        if done {
            return drained;
        }
    }
}

#[test]
fn a_journal_is_kept_until_it_is_closed_and_not_when_its_run_is_over() {
    let (journals, journal) = (Journals::default(), journal());
    journals.open(&journal, &AtomicBool::new(false));
    assert_eq!(journals.all().len(), 1);
    assert_eq!(journals.close([ProcessId(1)].into_iter()).len(), 1);
    journals.open(&journal, &AtomicBool::new(true));
    assert_eq!(journals.all().len(), 0);
}

#[tokio::test]
async fn a_flood_waits_until_its_beginning_is_kept_and_then_keeps_its_end() {
    let text = "x".repeat(16_000);
    let drained = flood(1_000, &text).await;
    assert_eq!(drained.len(), 2, "it waits once");
    assert!(drained[0].len() <= 1 + PENDING_BYTES_MAX / 16_000);
    assert!(
        drained[0]
            .iter()
            .zip(1..)
            .all(|(line, seq)| line.seq == seq)
    );
    assert!(drained[1].len() <= 1 + TAIL_BYTES_MAX / 16_000);
    assert_eq!(drained[1].last().unwrap().seq, 1_000);
}

#[tokio::test]
async fn empty_lines_weigh_too() {
    for lines in flood(200_000, "").await {
        assert!(lines.len() <= 1 + PENDING_BYTES_MAX / LINE_BYTES);
    }
}
