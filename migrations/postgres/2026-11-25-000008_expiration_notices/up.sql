-- Who was told that something expires: one row for each thing, level and recipient. A row counts for the end it was
-- about only, so that a thing that was renewed is told of anew. `kind`: 0 credential, 1 certificate. `level`: days before
-- the end, -1 where it has passed. `recipient`: a mail address, empty for the events that programs hear.
CREATE TABLE expiration_notices (
    kind      SMALLINT NOT NULL,
    object    BIGINT NOT NULL,
    level     BIGINT NOT NULL,
    recipient TEXT COLLATE "C" NOT NULL,
    ends_at   BIGINT NOT NULL,
    told_at   BIGINT NOT NULL,
    PRIMARY KEY (kind, object, level, recipient)
);
-- Who issued a certificate. By hash: a subject may be longer than an ordered index takes.
CREATE INDEX certificates_by_subject ON certificates USING hash (subject);
