-- What a node claimed of a robot at one instant: the tasks as a JSON array, in the order of their processes, which
-- are numbered from `id` on. `running` counts those that have not ended; at 0 the row goes. A task's own row says
-- what runs; a claim says where to look for it, so that no index changes when a task starts and ends.
CREATE TABLE claims (
    id BIGINT PRIMARY KEY,
    node_id BIGINT NOT NULL,
    robot_id BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    tasks TEXT NOT NULL,
    running BIGINT NOT NULL
);
CREATE INDEX claims_robot ON claims (robot_id);
-- Short-lived: compressing costs more than it saves.
ALTER TABLE claims ALTER COLUMN tasks SET STORAGE EXTERNAL;
INSERT INTO claims (id, node_id, robot_id, started_at, tasks, running)
SELECT process_id, node_id, robot_id, started_at, '[' || id || ']', 1 FROM tasks WHERE status = 2;
CREATE VIEW claimed AS
SELECT c.id + a.place - 1 AS process_id, CAST(a.task AS BIGINT) AS task_id, c.robot_id, c.node_id, c.started_at
FROM claims c CROSS JOIN LATERAL jsonb_array_elements_text(CAST(c.tasks AS JSONB)) WITH ORDINALITY AS a (task, place);
DROP INDEX tasks_running;
DROP INDEX tasks_running_process;
DROP INDEX tasks_running_robot;

-- No index depends on what a claim changes, so that a claimed row's new version stays on its page and no index is
-- touched (a HOT update); half of each page is left for it. `stage`: 0 for later, 1 queued or running, 2 for later, again.
-- `id + 0` stands in the queue's index only, so that the server looks there and not through the ids of all robots.
ALTER TABLE tasks ADD COLUMN stage SMALLINT NOT NULL
    GENERATED ALWAYS AS (CASE WHEN status <> 0 THEN 1 WHEN process_id IS NULL THEN 0 ELSE 2 END) STORED;
ALTER TABLE tasks SET (fillfactor = 45);
DROP INDEX tasks_queued;
DROP INDEX tasks_queued_by_event;
DROP INDEX tasks_due;
DROP INDEX tasks_retrying;
DROP INDEX tasks_deadline;
CREATE INDEX tasks_queued ON tasks (robot_id, priority DESC, (id + 0)) WHERE stage = 1;
CREATE INDEX tasks_queued_by_event ON tasks (robot_id) WHERE stage = 1 AND trigger_code = 1;
CREATE INDEX tasks_due ON tasks (run_at) WHERE stage <> 1;
CREATE INDEX tasks_retrying ON tasks (robot_id) WHERE stage = 2;
CREATE INDEX tasks_deadline ON tasks (deadline_at) WHERE deadline_at IS NOT NULL;

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
);
CREATE INDEX id_marks_at ON id_marks (name, at, first);
DROP INDEX tasks_done_created;
DROP INDEX tasks_done_finished;
