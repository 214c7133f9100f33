-- Reports of changed passwords, and mails with more than a text.

-- Why an operation was ordered: 0 ordered, 1 expired, 2 viewed.
ALTER TABLE operations ADD COLUMN cause SMALLINT NOT NULL DEFAULT 0;
-- The report that tells of an operation: each is told of once.
ALTER TABLE operations ADD COLUMN report_id BIGINT;
CREATE INDEX operations_unreported ON operations (finished_at, id)
    WHERE kind = 0 AND report_id IS NULL AND finished_at IS NOT NULL;
CREATE INDEX operations_by_report ON operations (report_id, id) WHERE report_id IS NOT NULL;

-- One after the other, without gaps between their times. A report is open until its mails are queued: a run that was cut
-- off is gone on with. Secrets that a person recorded are told of by their audit entries.
CREATE TABLE password_change_reports (
    id          INTEGER PRIMARY KEY NOT NULL,
    -- What ended by then is in no report.
    since_at    BIGINT NOT NULL,
    from_at     BIGINT NOT NULL,
    until_at    BIGINT NOT NULL,
    audit_from  BIGINT NOT NULL,
    audit_until BIGINT NOT NULL,
    finished_at BIGINT
);

-- What goes with mails, once for all that have the same.
CREATE TABLE mail_files (
    id         INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    name       TEXT NOT NULL,
    media_type TEXT NOT NULL,
    content    BLOB NOT NULL
);
ALTER TABLE mail_outbox ADD COLUMN html TEXT;
ALTER TABLE mail_outbox ADD COLUMN file_id BIGINT;
CREATE INDEX mail_outbox_by_file ON mail_outbox (file_id) WHERE file_id IS NOT NULL;
