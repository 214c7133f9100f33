-- Who may begin a definition's task by hand, who must agree to it, and in how many seconds.
ALTER TABLE task_definitions ADD COLUMN run_role TEXT NOT NULL DEFAULT 'operator';
ALTER TABLE task_definitions ADD COLUMN approval_role TEXT;
ALTER TABLE task_definitions ADD COLUMN approval_within BIGINT;

-- Tasks that wait, or waited, for a decision, and what they mean: that is what is decided on, whatever becomes of the definition.
CREATE TABLE task_approvals (
    task_id             BIGINT PRIMARY KEY,
    definition_id       BIGINT NOT NULL,
    definition_revision BIGINT NOT NULL,
    definition_name     TEXT NOT NULL,
    -- JSON.
    meaning             TEXT NOT NULL,
    role                TEXT NOT NULL,
    requested_by        TEXT NOT NULL,
    requested_at        BIGINT NOT NULL,
    expires_at          BIGINT NOT NULL,
    state               SMALLINT NOT NULL,
    decided_by          TEXT,
    decided_at          BIGINT,
    reason              TEXT
);
CREATE INDEX task_approvals_by_state ON task_approvals (state, task_id);
CREATE INDEX task_approvals_by_request ON task_approvals (requested_at);
