-- The audit trail: each entry carries the hash of the one before it. A hash is followed at most
-- once (the UNIQUE), so that the chain cannot fork whatever the writers do.
CREATE TABLE audit_trail (
    id          INTEGER PRIMARY KEY NOT NULL,
    at          BIGINT NOT NULL,
    actor       TEXT NOT NULL,
    action      TEXT NOT NULL,
    object      TEXT NOT NULL,
    before_json TEXT,
    after_json  TEXT,
    prev_hash   TEXT NOT NULL UNIQUE,
    hash        TEXT NOT NULL
);
CREATE INDEX audit_trail_by_actor ON audit_trail (actor, id);
CREATE INDEX audit_trail_by_object ON audit_trail (object, id);
CREATE INDEX audit_trail_by_time ON audit_trail (at);

-- Messages for the syslog collector. Ids are never given twice, so that a late "done" cannot
-- remove a newer message.
CREATE TABLE syslog_outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    at         BIGINT NOT NULL,
    severity   SMALLINT NOT NULL,
    msgid      TEXT NOT NULL,
    structured TEXT NOT NULL,
    text       TEXT NOT NULL
);

-- Access tokens, as SHA-256 of their text. A name belongs to one living token.
CREATE TABLE tokens (
    id         INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE UNIQUE INDEX tokens_living_name ON tokens (name) WHERE revoked_at IS NULL;
