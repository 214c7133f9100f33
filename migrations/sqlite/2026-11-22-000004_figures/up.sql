-- Measured series. `resolution`: 0 raw, 1 hour, 2 day; `weight` counts the raw samples in `value`,
-- so that averages of averages stay right. `node` is the start that measured the newest of them.
CREATE TABLE samples (
    resolution SMALLINT NOT NULL,
    series     TEXT NOT NULL,
    node_name  TEXT NOT NULL,
    at         BIGINT NOT NULL,
    node       BIGINT NOT NULL,
    value      DOUBLE NOT NULL,
    weight     BIGINT NOT NULL,
    PRIMARY KEY (resolution, series, node_name, at)
) WITHOUT ROWID;
-- The order of rolling up.
CREATE INDEX samples_by_age ON samples (resolution, at);

-- Counts per day; they outlive the rows they were counted from. `day` is YYYY-MM-DD.
CREATE TABLE daily_facts (
    day       TEXT NOT NULL,
    metric    TEXT NOT NULL,
    dimension TEXT NOT NULL,
    detail    TEXT NOT NULL,
    value     BIGINT NOT NULL,
    PRIMARY KEY (day, metric, dimension, detail)
) WITHOUT ROWID;

-- Positions that robots remember.
CREATE TABLE watermarks (
    robot BIGINT NOT NULL,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (robot, key)
) WITHOUT ROWID;
