-- Measured series. `resolution`: 0 raw, 1 hour, 2 day; `weight` counts the raw samples in `value`,
-- so that averages of averages stay right. `node` is the start that measured the newest of them.
CREATE TABLE samples (
    resolution SMALLINT NOT NULL,
    series     TEXT COLLATE "C" NOT NULL,
    node_name  TEXT COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    node       BIGINT NOT NULL,
    value      DOUBLE PRECISION NOT NULL,
    weight     BIGINT NOT NULL,
    PRIMARY KEY (resolution, series, node_name, at)
);
-- The order of rolling up.
CREATE INDEX samples_by_age ON samples (resolution, at);

-- Counts per day; they outlive the rows they were counted from. `day` is YYYY-MM-DD.
CREATE TABLE daily_facts (
    day       TEXT COLLATE "C" NOT NULL,
    metric    TEXT COLLATE "C" NOT NULL,
    dimension TEXT COLLATE "C" NOT NULL,
    detail    TEXT COLLATE "C" NOT NULL,
    value     BIGINT NOT NULL,
    PRIMARY KEY (day, metric, dimension, detail)
);

-- Positions that robots remember.
CREATE TABLE watermarks (
    robot BIGINT NOT NULL,
    key   TEXT COLLATE "C" NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (robot, key)
);
