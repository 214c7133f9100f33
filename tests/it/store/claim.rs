//! Claims come and go with what runs; ids tell the time.

use std::time::Instant;

use chrono::TimeDelta;
use robotd::domain::id::{NodeId, ProcessId, RobotId, TaskId};
use robotd::domain::task::{AfterRun, ProcessOutcome, TaskStatus};
use robotd::domain::tick::Decision;
use robotd::domain::time::Timestamp;
use robotd::store::Store;
use robotd::store::page::PageRequest;
use robotd::store::process::{Process, ProcessFilter};
use robotd::store::task::{NewTask, QUEUED_COUNT_MAX, Task, TaskFilter};
use robotd::store::tick::TickFilter;

use super::make::{at, end, first, ground, success, task};
use crate::support::counterpart::PATIENCE;
use crate::support::database::{Database, on_all};

on_all!(
    a_claim_goes_when_the_last_of_its_runs_has_ended,
    each_run_is_found_by_its_process_whatever_became_of_it,
    a_repeated_task_keeps_the_process_that_had_ended_it,
    a_search_by_time_finds_the_same_as_reading_everything,
    a_task_that_comes_to_stand_further_in_front_is_not_forgotten,
);

async fn claims(database: &Database) -> (i64, i64) {
    (
        database.number("SELECT count(*) FROM claims").await,
        database
            .number("SELECT COALESCE(sum(running), 0) FROM claims")
            .await,
    )
}

async fn a_claim_goes_when_the_last_of_its_runs_has_ended(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    for robot in &robots[..2] {
        store.task_add(vec![task(*robot); 4], at(1)).await.unwrap();
    }
    let demands = vec![(robots[0], 4), (robots[1], 3)];
    let claimed = store.task_claim(node, demands, at(2)).await.unwrap();
    assert_eq!(claims(database).await, (2, 7), "one a robot");
    let again = AfterRun::Again {
        run_at: at(60),
        attempt_used: true,
        death: false,
    };
    let ends = vec![
        success(&claimed[0], 3),
        end(&claimed[1], ProcessOutcome::Failed, again, 3),
        success(&claimed[6], 3),
    ];
    assert_eq!(store.task_complete(ends.clone()).await.unwrap(), [true; 3]);
    assert_eq!(claims(database).await, (2, 4));
    assert_eq!(store.task_complete(ends).await.unwrap(), [false; 3]);
    assert_eq!(claims(database).await, (2, 4), "a late end counts nothing");
    store
        .task_release(vec![(claimed[2].task, claimed[2].process)])
        .await
        .unwrap();
    store.task_cancel(claimed[3].task, at(4)).await.unwrap();
    store
        .task_release(vec![(claimed[3].task, claimed[3].process)])
        .await
        .unwrap();
    assert_eq!(claims(database).await, (1, 2), "the first robot's is over");
    let ends = vec![success(&claimed[4], 5), success(&claimed[5], 5)];
    store.task_complete(ends).await.unwrap();
    assert_eq!(claims(database).await, (0, 0));
}

async fn each_run_is_found_by_its_process_whatever_became_of_it(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    store
        .task_add(vec![task(robots[0]); 3], at(1))
        .await
        .unwrap();
    let claimed = store
        .task_claim(node, vec![(robots[0], 3)], at(2))
        .await
        .unwrap();
    let again = AfterRun::Again {
        run_at: at(2),
        attempt_used: true,
        death: false,
    };
    let ends = vec![
        success(&claimed[0], 3),
        end(&claimed[1], ProcessOutcome::Failed, again, 3),
    ];
    store.task_complete(ends).await.unwrap();
    let second = store
        .task_claim(node, vec![(robots[0], 1)], at(4))
        .await
        .unwrap();
    assert_eq!(second[0].task, claimed[1].task);
    let outcomes = [
        (&claimed[0], ProcessOutcome::Succeeded, 1),
        (&claimed[1], ProcessOutcome::Failed, 1),
        (&claimed[2], ProcessOutcome::Running, 1),
        (&second[0], ProcessOutcome::Running, 2),
    ];
    for (run, outcome, attempt) in outcomes {
        let process = store.process_get(run.process).await.unwrap().unwrap();
        assert_eq!(
            (process.task, process.outcome, process.attempt),
            (run.task, outcome, attempt)
        );
    }
    for unknown in [0, claimed[0].process.0 - 1, second[0].process.0 + 1] {
        assert_eq!(store.process_get(ProcessId(unknown)).await.unwrap(), None);
    }
}

async fn a_repeated_task_keeps_the_process_that_had_ended_it(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let added = store.task_add(vec![task(robots[0])], at(1)).await.unwrap();
    let mut processes = Vec::new();
    for round in 0..3 {
        let claimed = store
            .task_claim(node, vec![(robots[0], 1)], at(10 + round))
            .await
            .unwrap();
        let mut failure = end(
            &claimed[0],
            ProcessOutcome::Failed,
            AfterRun::Finished(TaskStatus::Failed),
            20 + round,
        );
        failure.error = Some(format!("no. {round}"));
        store.task_complete(vec![failure]).await.unwrap();
        processes.insert(0, claimed[0].process);
        let found = store.task_get(added[0].id).await.unwrap().unwrap();
        assert_eq!(found.error, Some(format!("no. {round}")));
        assert_eq!(found.process, Some(claimed[0].process));
        store
            .task_retry(added[0].id, "ana", at(30 + round))
            .await
            .unwrap();
    }
    let filter = ProcessFilter {
        task: Some(added[0].id),
        ..ProcessFilter::default()
    };
    let found = store.process_list(filter, first(10)).await.unwrap().items;
    let ids: Vec<_> = found.iter().map(|process| process.id).collect();
    assert_eq!(ids, processes);
    let errors: Vec<_> = found.iter().map(|p| p.error.clone().unwrap()).collect();
    assert_eq!(errors, ["no. 2", "no. 1", "no. 0"]);
}

/// Seconds at which something happens: bursts, pauses longer and shorter than a mark's, and clocks that are set back.
const HAPPENS: [i64; 16] = [
    5, 6, 7, 60, 66, 126, 127, 800, 801, 400, 401, 470, 900, 5_000, 4_000, 10_000,
];

async fn a_search_by_time_finds_the_same_as_reading_everything(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    // Two nodes with blocks of their own.
    let stores = [store.clone(), database.open_again().await];
    let other = store.node_start("other", "0.1.0", 2, at(6)).await.unwrap();
    for (turn, seconds) in HAPPENS.into_iter().enumerate() {
        let (store, node) = [(&stores[0], node), (&stores[1], other)][turn / 2 % 2];
        let robot = robots[turn % 3];
        store
            .task_add(vec![task(robot); 2], at(seconds))
            .await
            .unwrap();
        let claimed = store
            .task_claim(node, vec![(robot, 1)], at(seconds))
            .await
            .unwrap();
        if turn % 4 != 3 {
            let mut ended = success(&claimed[0], 0);
            ended.finished_at = at(seconds) + TimeDelta::milliseconds(3);
            store.task_complete(vec![ended]).await.unwrap();
        }
    }
    store.node_stop(other, at(10_001)).await.unwrap();
    let page = first(500);
    let tasks = store.task_list(TaskFilter::default(), page).await.unwrap();
    let processes = store
        .process_list(ProcessFilter::default(), page)
        .await
        .unwrap();
    assert_eq!((tasks.items.len(), processes.items.len()), (32, 16));
    let some = HAPPENS.into_iter().step_by(2).map(|s| Some(at(s)));
    let bounds: Vec<_> = [None].into_iter().chain(some).collect();
    for from in bounds.iter().copied() {
        for to in bounds.iter().copied() {
            for robot in [None, Some(robots[1])] {
                same_tasks(store, &tasks.items, robot, from, to, page).await;
                for node in [None, Some(node), Some(other)] {
                    let asked = ProcessFilter {
                        robots: robot.into_iter().collect(),
                        node,
                        from,
                        to,
                        ..ProcessFilter::default()
                    };
                    same_processes(store, &processes.items, asked, page).await;
                }
            }
        }
    }
}

fn within(at: Timestamp, from: Option<Timestamp>, to: Option<Timestamp>) -> bool {
    from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to)
}

async fn same_tasks(
    store: &Store,
    all: &[Task],
    robot: Option<RobotId>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    page: PageRequest,
) {
    let filter = TaskFilter {
        robots: robot.into_iter().collect(),
        from,
        to,
        ..TaskFilter::default()
    };
    let found = store.task_list(filter, page).await.unwrap().items;
    let found: Vec<TaskId> = found.iter().map(|task| task.id).collect();
    let wanted: Vec<TaskId> = all
        .iter()
        .filter(|task| robot.is_none_or(|robot| task.robot == robot))
        .filter(|task| within(task.created_at, from, to))
        .map(|task| task.id)
        .collect();
    assert_eq!(found, wanted, "{robot:?} {from:?} {to:?}");
}

async fn same_processes(store: &Store, all: &[Process], asked: ProcessFilter, page: PageRequest) {
    let ProcessFilter { node, from, to, .. } = asked;
    let of_node = |id: NodeId| node.is_none_or(|node| node == id);
    let of_robot = |id: &RobotId| asked.robots.is_empty() || asked.robots.contains(id);
    let wanted: Vec<ProcessId> = all
        .iter()
        .filter(|process| of_robot(&process.robot) && of_node(process.node))
        .filter(|process| within(process.started_at, from, to))
        .map(|process| process.id)
        .collect();
    let found = store.process_list(asked.clone(), page).await.unwrap().items;
    let found: Vec<ProcessId> = found.iter().map(|process| process.id).collect();
    assert_eq!(found, wanted, "{asked:?}");
}

/// Claims of so many begin where the one before ended.
const MANY: u32 = 120;

async fn a_task_that_comes_to_stand_further_in_front_is_not_forgotten(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let robot = robots[0];
    let count = usize::try_from(MANY).unwrap();
    store
        .task_add(vec![task(robot); 2 * count], at(1))
        .await
        .unwrap();
    let claim = || store.task_claim(node, vec![(robot, MANY)], at(2));
    let claimed = claim().await.unwrap();
    store
        .task_release(vec![(claimed[0].task, claimed[0].process)])
        .await
        .unwrap();
    let urgent = NewTask {
        priority: 9,
        ..task(robot)
    };
    let urgent = store.task_add(vec![urgent], at(3)).await.unwrap();
    let second = claim().await.unwrap();
    assert_eq!(second[0].task, urgent[0].id, "the most urgent is the first");
    assert_eq!(second.len(), count);
    let rest = claim().await.unwrap();
    assert_eq!(rest.len(), 2, "what is left, wherever it stands");
    let again = second.iter().chain(&rest).map(|claimed| claimed.task);
    assert_eq!(again.filter(|task| *task == claimed[0].task).count(), 1);
    assert_eq!(claim().await.unwrap(), []);
}

/// More than the queue's length is counted up to.
const LONG: usize = 12_000;

/// Where one robot has all the tasks, the server thinks that reading them all finds one soonest. For the others it does not.
#[tokio::test]
async fn a_look_into_the_queues_reads_their_index_only() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    for _ in 0..4 {
        let tasks = vec![task(robots[0]); LONG / 4];
        store.task_add(tasks, at(1)).await.unwrap();
    }
    let running = store.task_claim(node, vec![(robots[0], MANY)], at(1));
    assert_eq!(running.await.unwrap().len(), usize::try_from(MANY).unwrap());
    database.sql("ANALYZE tasks").await;
    let whole = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'tasks'";
    let index = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'tasks_queued'";
    let before = (database.number(whole).await, database.number(index).await);
    // The server's counts are up to a second late.
    let deadline = Instant::now() + PATIENCE;
    while database.number(index).await < before.1 + 100 {
        assert!(Instant::now() < deadline, "the index is not used");
        let promoted = store.task_sweep(at(2), 10).await.unwrap();
        assert_eq!(promoted.robots, [robots[0]]);
        let depths = store.task_depths().await.unwrap();
        assert_eq!(depths, [(robots[0], QUEUED_COUNT_MAX)]);
        assert_eq!(store.robot_loads(at(0)).await.unwrap().len(), 1);
        let asked = robots.iter().map(|robot| (*robot, None)).collect();
        assert_eq!(store.task_open_runs(asked).await.unwrap().len(), 1);
        assert_eq!(store.task_orphans(10).await.unwrap(), []);
        assert_eq!(store.task_to_stop(node).await.unwrap(), []);
    }
    assert_eq!(database.number(whole).await, before.0);
}

/// Rows of history of which the first two hundred are the second robot's, and the others those of two by turns. Taken to be
/// spread evenly, they are found soonest by walking through everybody's; the server plans so once a question was asked five times.
const HISTORY: i64 = 20_000;

fn history(rested: RobotId, node: NodeId) -> String {
    let robot = format!("{rested} + CASE WHEN i <= 200 THEN 0 ELSE 1 - i % 2 * 2 END");
    format!(
        "INSERT INTO tasks_done (id, robot_id, trigger_code, status, payload, priority, run_at, attempts, max_attempts, \
            deaths, requested_by, created_at, process_id, finished_at, node_id, started_at, outcome, cancel_requested) \
         SELECT i, {robot}, 3, 3 + i % 3 / 2, 'null', 4, i, 1, 5, 0, 'test', i, i, i, \
            {node}, i, 1 + i % 3 / 2, FALSE FROM generate_series(1, {HISTORY}) i; \
         INSERT INTO ticks (robot_id, planned_at, count, decision, decided_at, node_id) \
         SELECT {robot}, i, 1, CASE WHEN i <= 200 THEN 5 ELSE 0 END, i, {node} \
         FROM generate_series(1, {HISTORY}) i; ANALYZE tasks_done, ticks",
    )
}

#[tokio::test]
async fn a_robot_that_rested_is_found_by_its_own_index() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let rested = robots[1];
    database.sql(&history(rested, node)).await;
    store.task_add(vec![task(rested)], at(1)).await.unwrap();
    let everybodys = "SELECT CAST(sum(idx_tup_read) AS BIGINT) FROM pg_stat_user_indexes \
        WHERE indexrelname IN ('tasks_done_pkey', 'tasks_done_process', 'ticks_planned')";
    let own = "SELECT CAST(sum(idx_scan) AS BIGINT) FROM pg_stat_user_indexes WHERE indexrelname LIKE 'tasks_done_robot_%'";
    let walked_before = database.number(everybodys).await;
    let used_before = database.number(own).await;
    let page = PageRequest {
        limit: 50,
        after: None,
    };
    // The server's counts are up to a second late.
    let deadline = Instant::now() + PATIENCE;
    while database.number(own).await < used_before + 40 {
        assert!(Instant::now() < deadline, "its indexes are not used");
        for outcome in [
            None,
            Some(ProcessOutcome::Succeeded),
            Some(ProcessOutcome::Failed),
        ] {
            let asked = ProcessFilter {
                robots: vec![rested],
                outcome,
                ..ProcessFilter::default()
            };
            assert_eq!(
                store.process_list(asked, page).await.unwrap().items.len(),
                50
            );
        }
        for status in [TaskStatus::Succeeded, TaskStatus::Failed] {
            let asked = TaskFilter {
                robots: vec![rested],
                status: Some(status),
                ..TaskFilter::default()
            };
            assert_eq!(store.task_list(asked, page).await.unwrap().items.len(), 50);
        }
        for (robots, decision) in [(vec![rested], None), (Vec::new(), Some(Decision::Missed))] {
            let asked = TickFilter {
                robots,
                decision,
                ..TickFilter::default()
            };
            assert_eq!(store.tick_list(asked, page).await.unwrap().items.len(), 50);
        }
        assert_eq!(store.robot_loads(at(0)).await.unwrap().len(), 1);
    }
    let walked = database.number(everybodys).await - walked_before;
    assert!(
        walked < HISTORY,
        "{walked} rows of everybody's indexes were read"
    );
}
