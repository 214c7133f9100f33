ALTER TABLE task_definitions DROP COLUMN batch_size;
ALTER TABLE task_executions DROP COLUMN ordered;
ALTER TABLE task_executions DROP COLUMN plan;
