-- Secrets that follow each other, accounts that are closed, which operation goes first, and what an attempt did.

ALTER TABLE credentials ADD COLUMN parent_id BIGINT;
-- When a robot closed the account; none that is open.
ALTER TABLE credentials ADD COLUMN deactivated_at BIGINT;
-- Higher goes first.
ALTER TABLE operations ADD COLUMN priority SMALLINT NOT NULL DEFAULT 4;
-- JSON: the steps of `domain::transcript`.
ALTER TABLE operation_attempts ADD COLUMN steps TEXT;

-- `credentials.parent_id` by the parent, and since when a change of its secret has the other one wait to be changed.
CREATE TABLE credential_links (
    credential_id INTEGER PRIMARY KEY NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    parent_id     BIGINT NOT NULL,
    due_at        BIGINT
);
CREATE INDEX credential_links_by_parent ON credential_links (parent_id);
CREATE INDEX credential_links_due ON credential_links (due_at) WHERE due_at IS NOT NULL;
