-- What a node claimed of a robot at one instant: the tasks as a JSON array, in the order of their processes, which
-- are numbered from `id` on. `running` counts those that have not ended; at 0 the row goes. A task's own row says
-- what runs; a claim says where to look for it, so that no index changes when a task starts and ends.
CREATE TABLE claims (
    id INTEGER PRIMARY KEY,
    node_id BIGINT NOT NULL,
    robot_id BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    tasks TEXT NOT NULL,
    running BIGINT NOT NULL
);
CREATE INDEX claims_robot ON claims (robot_id);
INSERT INTO claims (id, node_id, robot_id, started_at, tasks, running)
SELECT process_id, node_id, robot_id, started_at, '[' || id || ']', 1 FROM tasks WHERE status = 2;
CREATE VIEW claimed AS
SELECT c.id + a.key AS process_id, a.value AS task_id, c.robot_id, c.node_id, c.started_at
FROM claims c, json_each(c.tasks) a;
DROP INDEX tasks_running;
DROP INDEX tasks_running_process;
DROP INDEX tasks_running_robot;

-- A finished task's row holds its last process too, as an open task's does; `processes` holds those before it.
-- `outcome` is NULL where that process stands in `processes` (or there was none), `error` where it is `run_error`,
-- `counters` where nothing was counted.
ALTER TABLE tasks_done ADD COLUMN node_id BIGINT;
ALTER TABLE tasks_done ADD COLUMN started_at BIGINT;
ALTER TABLE tasks_done ADD COLUMN outcome SMALLINT;
ALTER TABLE tasks_done ADD COLUMN error_class TEXT;
ALTER TABLE tasks_done ADD COLUMN run_error TEXT;
ALTER TABLE tasks_done ADD COLUMN counters TEXT;
ALTER TABLE tasks_done ADD COLUMN cancel_requested BOOLEAN;
CREATE UNIQUE INDEX tasks_done_process ON tasks_done (process_id) WHERE outcome IS NOT NULL;
CREATE INDEX tasks_done_robot_process ON tasks_done (robot_id, process_id) WHERE outcome IS NOT NULL;
-- What did not succeed is little: an index for each way of asking for it.
CREATE INDEX tasks_done_outcome ON tasks_done (outcome, process_id) WHERE outcome <> 1;
CREATE INDEX tasks_done_robot_outcome ON tasks_done (robot_id, outcome, process_id) WHERE outcome <> 1;
CREATE INDEX tasks_done_robot_status ON tasks_done (robot_id, status, id) WHERE status <> 3;

-- Ids rise with time: where a series stood at which time, once a minute or oftener. A search by time becomes one by id.
CREATE TABLE id_marks (
    name TEXT NOT NULL,
    first BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (name, first)
) WITHOUT ROWID;
CREATE INDEX id_marks_at ON id_marks (name, at, first);
DROP INDEX tasks_done_created;
DROP INDEX tasks_done_finished;
