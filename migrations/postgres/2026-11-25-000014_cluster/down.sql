-- The first row of an instant stays.
DELETE FROM ticks t WHERE EXISTS (
    SELECT 1 FROM ticks o WHERE o.robot_id = t.robot_id AND o.planned_at = t.planned_at AND o.id < t.id);
ALTER TABLE ticks DROP CONSTRAINT ticks_instant;
ALTER TABLE ticks ADD CONSTRAINT ticks_robot_id_planned_at_key UNIQUE (robot_id, planned_at);
ALTER TABLE ticks DROP COLUMN for_node_id;

DROP INDEX tasks_for_node;
ALTER TABLE tasks DROP COLUMN for_node_id;
DROP TABLE shares;
DROP TABLE leadership;
ALTER TABLE nodes DROP COLUMN clock_offset;
ALTER TABLE nodes DROP COLUMN draining;
