CREATE INDEX tasks_done_finished ON tasks_done (finished_at);
CREATE INDEX tasks_done_created ON tasks_done (created_at);
DROP TABLE id_marks;

INSERT INTO processes (id, task_id, robot_id, trigger_code, attempt, node_id, started_at, finished_at, outcome,
    planned_at, error_class, error, counters, cancel_requested)
SELECT process_id, id, robot_id, trigger_code, attempts, node_id, started_at, finished_at, outcome, planned_at,
    error_class, run_error, COALESCE(counters, '{}'), cancel_requested
FROM tasks_done WHERE outcome IS NOT NULL;
UPDATE tasks_done SET error = run_error WHERE run_error IS NOT NULL;
DROP INDEX tasks_done_robot_status;
DROP INDEX tasks_done_robot_outcome;
DROP INDEX tasks_done_outcome;
DROP INDEX tasks_done_robot_process;
DROP INDEX tasks_done_process;
ALTER TABLE tasks_done DROP COLUMN cancel_requested;
ALTER TABLE tasks_done DROP COLUMN counters;
ALTER TABLE tasks_done DROP COLUMN run_error;
ALTER TABLE tasks_done DROP COLUMN error_class;
ALTER TABLE tasks_done DROP COLUMN outcome;
ALTER TABLE tasks_done DROP COLUMN started_at;
ALTER TABLE tasks_done DROP COLUMN node_id;

CREATE INDEX tasks_running_robot ON tasks (robot_id) WHERE status = 2;
CREATE INDEX tasks_running_process ON tasks (process_id) WHERE status = 2;
CREATE INDEX tasks_running ON tasks (node_id) WHERE status = 2;
DROP VIEW claimed;
DROP TABLE claims;
