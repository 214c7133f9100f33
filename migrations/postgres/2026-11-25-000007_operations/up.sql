-- What is to be done to the accounts of credentials, and what each attempt came to. Rows outlive their credential: they say
-- what was done to it.
--
-- kind: 0 change_password, 1 reconcile, 2 test
-- state: 0 queued, 1 running, 2 retrying, 3 unverified, 4 succeeded, 5 failed, 6 expired, 7 cancelled
-- An operation is open until it has `finished_at`: an unverified one may be tried again, or have been given up.

CREATE TABLE operations (
    id            BIGINT PRIMARY KEY,
    kind          SMALLINT NOT NULL,
    credential_id BIGINT NOT NULL,
    state         SMALLINT NOT NULL,
    -- Of the last attempt that failed.
    error_class   TEXT,
    attempts      INTEGER NOT NULL,
    run_at        BIGINT NOT NULL,
    expires_at    BIGINT,
    -- The version of the new secret; while the operation is open, one that the target may know.
    candidate     BIGINT,
    requested_by  TEXT NOT NULL,
    -- Who has it in hand, and how long that is believed.
    process_id    BIGINT,
    lease_until   BIGINT,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    finished_at   BIGINT
);
CREATE UNIQUE INDEX operations_one_open ON operations (credential_id, kind) WHERE finished_at IS NULL;
-- Two at once would each change the password that the other one needs.
CREATE UNIQUE INDEX operations_one_running ON operations (credential_id) WHERE state = 1;
CREATE INDEX operations_open ON operations (state, run_at, id) WHERE finished_at IS NULL;
CREATE INDEX operations_by_credential ON operations (credential_id, kind, id);
CREATE INDEX operations_by_end ON operations (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE operation_attempts (
    operation_id  BIGINT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    number        INTEGER NOT NULL,
    credential_id BIGINT NOT NULL,
    process_id    BIGINT NOT NULL,
    started_at    BIGINT NOT NULL,
    ended_at      BIGINT NOT NULL,
    state         SMALLINT NOT NULL,
    error_class   TEXT,
    detail        TEXT,
    -- Sign-ins that the target refused: too many of them lock the account.
    refused       INTEGER NOT NULL,
    PRIMARY KEY (operation_id, number)
);
CREATE INDEX operation_attempts_by_credential ON operation_attempts (credential_id, ended_at);
