-- How every target is reached and asked: whom a certificate must come from, which account may set the passwords of the
-- others of its device, what was last found of a secret and of a way, and how often an account was refused.

ALTER TABLE credentials ADD COLUMN privileged BOOLEAN NOT NULL DEFAULT FALSE;
-- What the account last said to the secret in force: match, mismatch, locked or disabled; none where nothing is known.
ALTER TABLE credentials ADD COLUMN secret_state TEXT;
ALTER TABLE credentials ADD COLUMN secret_tested_at BIGINT;

-- The authorities of its certificate, PEM; none: those of robotd's machine.
ALTER TABLE device_connectivities ADD COLUMN ca TEXT;
-- What the connectivity test found: `up` or `down` as it was last told, and the last answer or failure.
ALTER TABLE device_connectivities ADD COLUMN status TEXT;
ALTER TABLE device_connectivities ADD COLUMN tested_at BIGINT;
ALTER TABLE device_connectivities ADD COLUMN latency_us BIGINT;
-- In a row; none that was never tested.
ALTER TABLE device_connectivities ADD COLUMN failures BIGINT;
ALTER TABLE device_connectivities ADD COLUMN error_class TEXT;
-- The key of the machine, or the digest of its certificate, that was last seen.
ALTER TABLE device_connectivities ADD COLUMN seen_key TEXT;

-- For `run_template`.
ALTER TABLE operations ADD COLUMN template_id BIGINT;

-- Sign-ins that a target refused, or may have refused: an attempt writes down as many as it may make before the first one,
-- and what they came to when it is over. `account`: `credential:ID`, or one name for all credentials of a domain's account.
CREATE TABLE sign_in_tries (
    account      TEXT NOT NULL,
    operation_id BIGINT NOT NULL,
    attempt      INTEGER NOT NULL,
    -- When they were refused; while they may still be made, the end of the attempt's lease.
    at           BIGINT NOT NULL,
    count        INTEGER NOT NULL,
    settled      BOOLEAN NOT NULL,
    PRIMARY KEY (account, operation_id, attempt)
);
INSERT INTO sign_in_tries (account, operation_id, attempt, at, count, settled)
SELECT 'credential:' || credential_id, operation_id, number, ended_at, refused, TRUE FROM operation_attempts WHERE refused > 0;
