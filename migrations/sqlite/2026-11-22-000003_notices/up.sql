-- Mails, queued in the transaction of the change that causes them. `state`: 0 queued, 1 sending,
-- 2 sent, 3 deferred, 4 failed. `process` is the sender's run that holds a mail that is sending.
CREATE TABLE mail_outbox (
    id              INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    message_id      TEXT NOT NULL UNIQUE,
    recipient       TEXT NOT NULL,
    subject         TEXT NOT NULL,
    text            TEXT NOT NULL,
    priority        SMALLINT NOT NULL,
    state           SMALLINT NOT NULL,
    attempts        INTEGER NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    process         BIGINT,
    claimed_at      BIGINT,
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    finished_at     BIGINT
);
-- The order of claiming; sent and failed mails are not in it.
CREATE INDEX mail_outbox_open ON mail_outbox (priority DESC, id) WHERE state IN (0, 1, 3);
-- When the next one is due.
CREATE INDEX mail_outbox_due ON mail_outbox (next_attempt_at) WHERE state IN (0, 3);
-- Depths by state, and pruning.
CREATE INDEX mail_outbox_ended ON mail_outbox (state, finished_at);
-- Facts of a day.
CREATE INDEX mail_outbox_by_time ON mail_outbox (created_at);

-- What every attempt came to; goes with its mail.
CREATE TABLE mail_attempts (
    id      INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    mail    BIGINT NOT NULL REFERENCES mail_outbox (id) ON DELETE CASCADE,
    at      BIGINT NOT NULL,
    process BIGINT NOT NULL,
    state   SMALLINT NOT NULL,
    code    SMALLINT,
    text    TEXT NOT NULL
);
CREATE INDEX mail_attempts_by_mail ON mail_attempts (mail);

-- What was last told of each thing the monitors watch. `level`: 0 ok, 1 warning, 2 critical.
CREATE TABLE alert_states (
    key          TEXT PRIMARY KEY NOT NULL,
    level        SMALLINT NOT NULL,
    since        BIGINT NOT NULL,
    last_sent_at BIGINT,
    title        TEXT NOT NULL
);
