-- Tasks that `task_manager.executor` knows by name, and when it begins them by itself. They lie as the nouns of the inventory do;
-- what is behind `enabled` it sets itself.
CREATE TABLE task_definitions (
    id            INTEGER PRIMARY KEY NOT NULL,
    identity      TEXT NOT NULL UNIQUE,
    revision      BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    name          TEXT NOT NULL,
    kind          TEXT NOT NULL,
    template_id   BIGINT REFERENCES operation_templates (id),
    site_id       BIGINT REFERENCES sites (id),
    tag           TEXT,
    username      TEXT,
    stop_after    BIGINT,
    schedule      TEXT,
    task_window   TEXT,
    overlap       TEXT NOT NULL,
    catch_up      TEXT NOT NULL,
    -- Seconds.
    expires_after BIGINT,
    description   TEXT,
    enabled       BOOLEAN NOT NULL,
    -- The last planned instant that was decided, what became of it, and the last task that was begun for one.
    planned_at    BIGINT,
    decision      TEXT,
    task          TEXT
);
CREATE INDEX task_definitions_by_template ON task_definitions (template_id, id);
CREATE INDEX task_definitions_by_site ON task_definitions (site_id, id);

CREATE TABLE task_definition_devices (
    id            INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    definition_id BIGINT NOT NULL REFERENCES task_definitions (id) ON DELETE CASCADE,
    device_id     BIGINT NOT NULL REFERENCES devices (id),
    UNIQUE (definition_id, device_id)
);
CREATE INDEX task_definition_devices_by_device ON task_definition_devices (device_id, definition_id);
