-- What the last tests of a way came to, the newest last: `+` answered, `-` did not.
ALTER TABLE device_connectivities ADD COLUMN recent TEXT;

-- Each test of a way. Rows outlive their device: they say what was found then.
CREATE TABLE connectivity_tests (
    id          BIGINT PRIMARY KEY,
    at          BIGINT NOT NULL,
    device_id   BIGINT NOT NULL,
    protocol    TEXT NOT NULL,
    port        BIGINT NOT NULL,
    -- None: it answered.
    error_class TEXT,
    latency_us  BIGINT
);
CREATE INDEX connectivity_tests_by_device ON connectivity_tests (device_id, id);
CREATE INDEX connectivity_tests_by_time ON connectivity_tests (at);
