-- Files that become things of the inventory, and what became of each row.
--
-- mode: 0 apply, 1 validate
-- state: 0 waiting, 1 running, 2 finished, 3 failed, 4 cancelled

CREATE TABLE batch_imports (
    id               INTEGER PRIMARY KEY NOT NULL,
    -- The file's name as it was sent; its bytes; what tells it from others, of no use to whoever has no key.
    name             TEXT NOT NULL,
    bytes            BIGINT NOT NULL,
    fingerprint      TEXT NOT NULL,
    -- An earlier import of the same file.
    same_as          BIGINT,
    mode             SMALLINT NOT NULL,
    state            SMALLINT NOT NULL,
    failure          TEXT,
    requested_by     TEXT NOT NULL,
    -- The columns of the file, as JSON; none until it was read.
    headings         TEXT,
    -- Rows of the file, those with an answer, and the answers.
    rows_total       INTEGER,
    rows_done        INTEGER NOT NULL,
    created          INTEGER NOT NULL,
    updated          INTEGER NOT NULL,
    unchanged        INTEGER NOT NULL,
    refused          INTEGER NOT NULL,
    skipped          INTEGER NOT NULL,
    attempts         INTEGER NOT NULL,
    cancel_requested BOOLEAN NOT NULL,
    -- Who has it in hand, for which task, and how long that is believed.
    task_id          BIGINT,
    process_id       BIGINT,
    lease_until      BIGINT,
    created_at       BIGINT NOT NULL,
    started_at       BIGINT,
    finished_at      BIGINT
);
CREATE INDEX batch_imports_open ON batch_imports (id) WHERE finished_at IS NULL;
CREATE INDEX batch_imports_by_fingerprint ON batch_imports (fingerprint, id);
CREATE INDEX batch_imports_by_age ON batch_imports (created_at);

-- The files themselves, sealed; they go when their import ends.
CREATE TABLE batch_import_files (
    import_id BIGINT PRIMARY KEY NOT NULL REFERENCES batch_imports (id) ON DELETE CASCADE,
    key_id    BIGINT NOT NULL,
    sealed    BLOB NOT NULL
);

-- A row is written down before its things are changed, and its answer is final when they are.
-- answer: 0 created, 1 updated, 2 unchanged, 3 refused, 4 skipped
CREATE TABLE batch_import_rows (
    import_id     BIGINT NOT NULL REFERENCES batch_imports (id) ON DELETE CASCADE,
    line          BIGINT NOT NULL,
    answer        SMALLINT NOT NULL,
    done          BOOLEAN NOT NULL,
    -- The row's texts without its secrets, and what is wrong with it, as JSON.
    cells         TEXT NOT NULL,
    errors        TEXT NOT NULL,
    device_id     BIGINT,
    credential_id BIGINT,
    PRIMARY KEY (import_id, line)
);
