-- The runtime's tables. Portable types only: instants are BIGINT microseconds since 1970 (UTC), JSON is TEXT,
-- ids are 64-bit, small codes are SMALLINT (domain/task.rs, domain/tick.rs say what they mean).

-- One row a robot, for ever: what was changed of it, and where its schedule stands.
CREATE TABLE robots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    overrides TEXT NOT NULL,
    revision BIGINT NOT NULL,
    anchor_at BIGINT NOT NULL,
    last_tick_at BIGINT,
    last_process_id BIGINT,
    last_process_outcome SMALLINT,
    last_process_at BIGINT,
    last_process_error TEXT
);

-- One row a start of robotd. state: 0 alive, 1 stopped, 2 dead.
CREATE TABLE nodes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started_at BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL,
    state SMALLINT NOT NULL
);
CREATE INDEX nodes_alive ON nodes (heartbeat_at) WHERE state = 0;

-- What has been reserved of each series of ids.
CREATE TABLE id_blocks (
    name TEXT NOT NULL PRIMARY KEY,
    next BIGINT NOT NULL
);

-- Single facts about the database itself, e.g. the check value of the master key.
CREATE TABLE store_facts (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- Open tasks only: scheduled (0), queued (1), running (2). Small, however long the history is.
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY,
    robot_id BIGINT NOT NULL,
    trigger_code SMALLINT NOT NULL,
    status SMALLINT NOT NULL CHECK (status IN (0, 1, 2)),
    payload TEXT NOT NULL,
    priority SMALLINT NOT NULL,
    run_at BIGINT NOT NULL,
    deadline_at BIGINT,
    unique_key TEXT,
    attempts INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    deaths INTEGER NOT NULL,
    planned_at BIGINT,
    event_id BIGINT,
    requested_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    process_id BIGINT,
    node_id BIGINT,
    started_at BIGINT,
    error TEXT,
    cancel_requested BOOLEAN NOT NULL,
    progress_percent SMALLINT,
    progress_message TEXT,
    CHECK (status <> 2 OR (process_id IS NOT NULL AND node_id IS NOT NULL AND started_at IS NOT NULL))
);
CREATE INDEX tasks_queued ON tasks (robot_id, priority DESC, id) WHERE status = 1;
CREATE INDEX tasks_queued_by_event ON tasks (robot_id) WHERE status = 1 AND trigger_code = 1;
CREATE INDEX tasks_due ON tasks (run_at) WHERE status = 0;
CREATE INDEX tasks_retrying ON tasks (robot_id) WHERE status = 0 AND process_id IS NOT NULL;
CREATE INDEX tasks_running ON tasks (node_id) WHERE status = 2;
CREATE INDEX tasks_running_process ON tasks (process_id) WHERE status = 2;
CREATE INDEX tasks_running_robot ON tasks (robot_id) WHERE status = 2;
CREATE INDEX tasks_deadline ON tasks (deadline_at) WHERE deadline_at IS NOT NULL AND status < 2;

-- Finished tasks: succeeded (3), failed (4), cancelled (5), expired (6), quarantined (7).
CREATE TABLE tasks_done (
    id INTEGER PRIMARY KEY,
    robot_id BIGINT NOT NULL,
    trigger_code SMALLINT NOT NULL,
    status SMALLINT NOT NULL CHECK (status BETWEEN 3 AND 7),
    payload TEXT NOT NULL,
    priority SMALLINT NOT NULL,
    run_at BIGINT NOT NULL,
    deadline_at BIGINT,
    unique_key TEXT,
    attempts INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    deaths INTEGER NOT NULL,
    planned_at BIGINT,
    event_id BIGINT,
    requested_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    process_id BIGINT,
    finished_at BIGINT NOT NULL,
    error TEXT
);
CREATE INDEX tasks_done_robot ON tasks_done (robot_id, id);
CREATE INDEX tasks_done_created ON tasks_done (created_at);
CREATE INDEX tasks_done_finished ON tasks_done (finished_at);
-- Most tasks succeed: only what did not is indexed by its status.
CREATE INDEX tasks_done_trouble ON tasks_done (status, id) WHERE status <> 3;
CREATE INDEX tasks_done_robot_trouble ON tasks_done (robot_id, status, finished_at) WHERE status <> 3;

-- The callers' keys: the same (robot, key) is one task, until the task is pruned.
CREATE TABLE task_keys (
    robot_id BIGINT NOT NULL,
    unique_key TEXT NOT NULL,
    task_id BIGINT NOT NULL,
    PRIMARY KEY (robot_id, unique_key)
) WITHOUT ROWID;

-- Ended processes; one in execution lives in its task's row.
CREATE TABLE processes (
    id INTEGER PRIMARY KEY,
    task_id BIGINT NOT NULL,
    robot_id BIGINT NOT NULL,
    trigger_code SMALLINT NOT NULL,
    attempt INTEGER NOT NULL,
    node_id BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    outcome SMALLINT NOT NULL,
    planned_at BIGINT,
    error_class TEXT,
    error TEXT,
    counters TEXT NOT NULL,
    cancel_requested BOOLEAN NOT NULL
);
CREATE INDEX processes_task ON processes (task_id);
CREATE INDEX processes_robot ON processes (robot_id, id);
CREATE INDEX processes_node ON processes (node_id, id);
CREATE INDEX processes_started ON processes (started_at);
CREATE INDEX processes_trouble ON processes (outcome, id) WHERE outcome <> 1;

-- What processes wrote, line by line.
CREATE TABLE process_logs (
    process_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    level SMALLINT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (process_id, seq)
) WITHOUT ROWID;

-- Every planned instant and what became of it; (robot_id, planned_at) is decided once.
CREATE TABLE ticks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    robot_id BIGINT NOT NULL REFERENCES robots (id),
    planned_at BIGINT NOT NULL,
    through_at BIGINT,
    count BIGINT NOT NULL,
    decision SMALLINT NOT NULL,
    decided_at BIGINT NOT NULL,
    node_id BIGINT NOT NULL,
    task_id BIGINT,
    UNIQUE (robot_id, planned_at)
);
CREATE INDEX ticks_planned ON ticks (planned_at, id);
CREATE INDEX ticks_decision ON ticks (decision, planned_at, id);

-- Accepted events; (source, event_id) is one event.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    type TEXT NOT NULL,
    subject TEXT,
    at BIGINT NOT NULL,
    body TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    UNIQUE (source, event_id)
);
CREATE INDEX events_type ON events (type, id);
CREATE INDEX events_source ON events (source, id);
CREATE INDEX events_received ON events (received_at);
