-- A task may order its operations in batches: what it means is kept from its start on, and how many of `wanted` were ordered. Null of
-- both: all were, by a program that knew no batches.
ALTER TABLE task_executions ADD COLUMN plan TEXT;
ALTER TABLE task_executions ADD COLUMN ordered INTEGER;
ALTER TABLE task_definitions ADD COLUMN batch_size BIGINT;
