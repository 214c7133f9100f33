-- The first row of an instant stays.
CREATE TABLE ticks_old (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    robot_id BIGINT NOT NULL REFERENCES robots (id),
    planned_at BIGINT NOT NULL,
    through_at BIGINT,
    count BIGINT NOT NULL,
    decision SMALLINT NOT NULL,
    decided_at BIGINT NOT NULL,
    node_id BIGINT NOT NULL,
    task_id BIGINT,
    UNIQUE (robot_id, planned_at)
);
INSERT OR IGNORE INTO ticks_old (id, robot_id, planned_at, through_at, count, decision, decided_at, node_id, task_id)
SELECT id, robot_id, planned_at, through_at, count, decision, decided_at, node_id, task_id FROM ticks ORDER BY id;
DROP TABLE ticks;
ALTER TABLE ticks_old RENAME TO ticks;
CREATE INDEX ticks_planned ON ticks (planned_at, id);
CREATE INDEX ticks_decision ON ticks (decision, planned_at, id);

DROP INDEX tasks_for_node;
ALTER TABLE tasks DROP COLUMN for_node_id;
DROP TABLE shares;
DROP TABLE leadership;
ALTER TABLE nodes DROP COLUMN clock_offset;
ALTER TABLE nodes DROP COLUMN draining;
