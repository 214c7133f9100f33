//! Processes and their logs.

use chrono::TimeDelta;
use robotd::domain::id::ProcessId;
use robotd::domain::task::{AfterRun, ProcessOutcome};
use robotd::store::Store;
use robotd::store::page::PageRequest;
use robotd::store::process::{LogLine, ProcessFilter, Progress};

use super::make::{at, end, first, ground, success, task};
use crate::support::database::{Database, on_all};

on_all!(
    running_and_ended_are_one_list,
    ended_runs_are_counted_by_time,
    a_log_is_cut_in_the_middle
);

/// Runs that ended their task and runs that are followed by another stand in different tables.
async fn ended_runs_are_counted_by_time(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    store
        .task_add(
            vec![task(robots[0]), task(robots[0]), task(robots[1])],
            at(1),
        )
        .await
        .unwrap();
    let wanted = vec![(robots[0], 2), (robots[1], 1)];
    let claimed = store.task_claim(node, wanted, at(50)).await.unwrap();
    let again = AfterRun::Again {
        run_at: at(100),
        attempt_used: true,
        death: false,
    };
    let ends = vec![
        end(&claimed[0], ProcessOutcome::Failed, again, 60),
        success(&claimed[1], 60),
    ];
    store.task_complete(ends).await.unwrap();
    store.task_promote(at(100), 10).await.unwrap();
    let again = store
        .task_claim(node, vec![(robots[0], 1)], at(125))
        .await
        .unwrap();
    store
        .task_complete(vec![success(&again[0], 130)])
        .await
        .unwrap();

    let part = TimeDelta::seconds(60);
    let counted = store
        .process_activity(at(0), at(1_000), part)
        .await
        .unwrap();
    let counted: Vec<_> = counted
        .iter()
        .map(|count| {
            let lengths =
                [count.took, count.longest, count.longest_wait].map(|length| length.as_secs());
            (count.at, count.robot, count.outcome, count.count, lengths)
        })
        .collect();
    assert_eq!(
        counted,
        [
            (at(0), robots[0], ProcessOutcome::Succeeded, 1, [10, 10, 49]),
            (at(0), robots[0], ProcessOutcome::Failed, 1, [10, 10, 0]),
            (at(120), robots[0], ProcessOutcome::Succeeded, 1, [5, 5, 25]),
        ],
        "the third is still running"
    );
    let early = store.process_activity(at(0), at(120), part).await.unwrap();
    assert_eq!(early.len(), 2);
}

async fn running_and_ended_are_one_list(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    store
        .task_add(vec![task(robots[0]); 6], at(1))
        .await
        .unwrap();
    let claimed = store
        .task_claim(node, vec![(robots[0], 6)], at(2))
        .await
        .unwrap();
    store
        .task_complete(vec![success(&claimed[1], 3), success(&claimed[4], 3)])
        .await
        .unwrap();
    let progress = Progress {
        percent: 40,
        message: "copying".to_owned(),
    };
    store
        .process_progress(vec![
            (claimed[0].process, progress.clone()),
            (claimed[1].process, progress.clone()),
        ])
        .await
        .unwrap();
    let newest_first: Vec<_> = claimed.iter().rev().map(|c| c.process).collect();
    assert_eq!(
        pages_of_four(store).await,
        newest_first.chunks(4).collect::<Vec<_>>()
    );
    let live = store
        .execution_list(ProcessFilter::default(), first(10))
        .await
        .unwrap()
        .items;
    assert_eq!(live.len(), 4);
    assert_eq!(live.last().unwrap().progress, Some(progress));
    for (outcome, count) in [
        (ProcessOutcome::Running, 4),
        (ProcessOutcome::Succeeded, 2),
        (ProcessOutcome::Lost, 0),
    ] {
        let filter = ProcessFilter {
            outcome: Some(outcome),
            robots: vec![robots[0]],
            ..ProcessFilter::default()
        };
        assert_eq!(
            store
                .process_list(filter, first(10))
                .await
                .unwrap()
                .items
                .len(),
            count,
            "{outcome}"
        );
    }
    let ended = store
        .process_get(claimed[1].process)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (ended.counters, ended.attempt, ended.node),
        (serde_json::json!({"done": 1}), 1, node)
    );
}

/// All processes, newest first, read page by page.
async fn pages_of_four(store: &Store) -> Vec<Vec<ProcessId>> {
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let request = PageRequest { limit: 4, after };
        let page = store.process_list(ProcessFilter::default(), request).await;
        let page = page.unwrap();
        pages.push(page.items.iter().map(|process| process.id).collect());
        match page.next {
            None => return pages,
            next => after = next,
        }
    }
}

async fn a_log_is_cut_in_the_middle(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    store.task_add(vec![task(robots[0])], at(1)).await.unwrap();
    let process = store
        .task_claim(node, vec![(robots[0], 1)], at(2))
        .await
        .unwrap()[0]
        .process;
    let line = |seq| LogLine {
        process,
        seq,
        at: at(seq),
        level: 5,
        text: format!("line {seq}\u{0}"),
    };
    store
        .log_append((1..=6).map(line).collect(), vec![])
        .await
        .unwrap();
    store
        .log_append((6..=9).map(line).collect(), vec![(process, 3, 7)])
        .await
        .unwrap();
    let read = store.log_read(process, 0, 100).await.unwrap();
    assert_eq!(
        read.iter().map(|line| line.seq).collect::<Vec<_>>(),
        [1, 2, 8, 9]
    );
    assert_eq!(read[0].text, "line 1\u{fffd}");
    assert_eq!(store.log_read(process, 2, 1).await.unwrap()[0].seq, 8);
    for (after, before, limit, seqs) in [
        (0, i64::MAX, 3, &[2, 8, 9][..]),
        (0, 8, 500, &[1, 2]),
        (1, 9, 500, &[2, 8]),
        (9, i64::MAX, 500, &[]),
    ] {
        let back = store.log_read_back(process, after, before, limit).await;
        let back: Vec<_> = back.unwrap().iter().map(|line| line.seq).collect();
        assert_eq!(back, seqs, "{after}..{before}");
    }
}
