-- What a task of `task_manager.executor` has ordered: its operations have the ids from `first_operation` on.
CREATE TABLE task_executions (
    task_id         BIGINT PRIMARY KEY,
    first_operation BIGINT NOT NULL,
    wanted          INTEGER NOT NULL,
    started_at      BIGINT NOT NULL
);
CREATE INDEX task_executions_by_start ON task_executions (started_at);
