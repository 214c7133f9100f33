-- Many nodes on one database.

-- draining: it starts nothing more and is about to end. clock_offset: how far its machine's clock is ahead of the
-- database's, in microseconds, as of its last heartbeat.
ALTER TABLE nodes ADD COLUMN draining BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE nodes ADD COLUMN clock_offset BIGINT NOT NULL DEFAULT 0;

-- Its one row, which comes with the first node, says which node decides ticks; the term counts how often that changed.
-- No node has the id 0.
CREATE TABLE leadership (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    node_id BIGINT NOT NULL,
    term BIGINT NOT NULL,
    since_at BIGINT NOT NULL
);

-- How many of a robot's instances each node may run; a node that knows a robot has a row of it, perhaps of 0.
CREATE TABLE shares (
    robot_id BIGINT NOT NULL,
    node_id BIGINT NOT NULL,
    slots BIGINT NOT NULL,
    PRIMARY KEY (robot_id, node_id)
);
CREATE INDEX shares_node ON shares (node_id);

-- The node that a task is for, where it is not for all.
ALTER TABLE tasks ADD COLUMN for_node_id BIGINT;
CREATE INDEX tasks_for_node ON tasks (for_node_id) WHERE for_node_id IS NOT NULL;

-- An instant of a robot that runs on each node is decided for each of them; 0 is all nodes together.
CREATE TABLE ticks_new (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    robot_id BIGINT NOT NULL REFERENCES robots (id),
    planned_at BIGINT NOT NULL,
    through_at BIGINT,
    count BIGINT NOT NULL,
    decision SMALLINT NOT NULL,
    decided_at BIGINT NOT NULL,
    node_id BIGINT NOT NULL,
    task_id BIGINT,
    for_node_id BIGINT NOT NULL DEFAULT 0,
    UNIQUE (robot_id, planned_at, for_node_id)
);
INSERT INTO ticks_new (id, robot_id, planned_at, through_at, count, decision, decided_at, node_id, task_id)
SELECT id, robot_id, planned_at, through_at, count, decision, decided_at, node_id, task_id FROM ticks;
DROP TABLE ticks;
ALTER TABLE ticks_new RENAME TO ticks;
CREATE INDEX ticks_planned ON ticks (planned_at, id);
CREATE INDEX ticks_decision ON ticks (decision, planned_at, id);
