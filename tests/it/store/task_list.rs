//! Paging through tasks, and counting them.

use robotd::domain::id::TaskId;
use robotd::domain::task::TaskStatus;
use robotd::store::page::PageRequest;
use robotd::store::task::TaskFilter;

use super::make::{at, first, ground, open_runs, success, task};
use crate::support::database::{Database, on_both};

on_both!(
    a_list_loses_and_repeats_nothing_while_tasks_end,
    filters_agree_with_the_rows,
    queues_are_counted,
);

async fn a_list_loses_and_repeats_nothing_while_tasks_end(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let mut wanted: Vec<TaskId> = Vec::new();
    for robot in [robots[0], robots[1], robots[0]] {
        wanted.extend(
            store
                .task_add(vec![task(robot); 17], at(1))
                .await
                .unwrap()
                .iter()
                .map(|a| a.id),
        );
    }
    wanted.sort_unstable_by(|a, b| b.cmp(a));
    for limit in [1, 7, 500] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = store
                .task_list(TaskFilter::default(), PageRequest { limit, after })
                .await
                .unwrap();
            assert!(page.items.len() <= usize::try_from(limit).unwrap());
            seen.extend(page.items.iter().map(|task| task.id));
            // Meanwhile tasks end, and new ones come, which a list that has begun does not show.
            let claimed = store
                .task_claim(node, vec![(robots[0], 1), (robots[1], 1)], at(2))
                .await
                .unwrap();
            store
                .task_complete(claimed.iter().map(|c| success(c, 3)).collect())
                .await
                .unwrap();
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, wanted);
    }
}

async fn filters_agree_with_the_rows(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    for (seconds, robot) in robots.iter().cycle().take(12).enumerate() {
        store
            .task_add(vec![task(*robot)], at(i64::try_from(seconds).unwrap()))
            .await
            .unwrap();
    }
    let claimed = store
        .task_claim(node, vec![(robots[0], 3), (robots[1], 1)], at(20))
        .await
        .unwrap();
    store
        .task_complete(vec![success(&claimed[0], 21), success(&claimed[3], 21)])
        .await
        .unwrap();
    let all = store
        .task_list(TaskFilter::default(), first(500))
        .await
        .unwrap()
        .items;
    assert_eq!(all.len(), 12);
    for wanted_robots in [vec![], vec![robots[0]], vec![robots[1], robots[2]]] {
        for status in [
            None,
            Some(TaskStatus::Queued),
            Some(TaskStatus::Running),
            Some(TaskStatus::Succeeded),
            Some(TaskStatus::Failed),
        ] {
            for (from, to) in [
                (None, None),
                (Some(at(3)), Some(at(9))),
                (None, Some(at(2))),
            ] {
                let filter = TaskFilter {
                    robots: wanted_robots.clone(),
                    status,
                    from,
                    to,
                };
                let found = store
                    .task_list(filter.clone(), first(500))
                    .await
                    .unwrap()
                    .items;
                let expected: Vec<_> = all
                    .iter()
                    .filter(|t| filter.robots.is_empty() || filter.robots.contains(&t.robot))
                    .filter(|t| status.is_none_or(|s| s == t.status))
                    .filter(|t| {
                        from.is_none_or(|f| t.created_at >= f)
                            && to.is_none_or(|u| t.created_at < u)
                    })
                    .cloned()
                    .collect();
                assert_eq!(found, expected, "{filter:?}");
            }
        }
    }
}

async fn queues_are_counted(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    store
        .task_add(
            vec![
                task(robots[0]),
                task(robots[0]),
                task(robots[0]),
                task(robots[2]),
            ],
            at(1),
        )
        .await
        .unwrap();
    assert_eq!(
        store.task_depths().await.unwrap(),
        [(robots[0], 3), (robots[2], 1)]
    );
    assert_eq!(open_runs(store, robots[0]).await, (2, 2));
    assert_eq!(open_runs(store, robots[1]).await, (0, 0));
    store
        .task_claim(node, vec![(robots[2], 1)], at(2))
        .await
        .unwrap();
    assert_eq!(open_runs(store, robots[2]).await, (1, 0));
    let of_all = store
        .task_open_runs(robots.iter().map(|robot| (*robot, None)).collect())
        .await
        .unwrap();
    assert_eq!(of_all.len(), 2, "the idle one is left out: {of_all:?}");
}
