-- Changes that wait for the broker. Ids are never given twice: the broker takes a change of a known id for the one it
-- has. kind: 0 task, 1 process, 2 robot, 3 event, 4 mark of changes given up (entity_id says how many).
CREATE TABLE change_outbox (
    id        INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    kind      SMALLINT NOT NULL,
    entity_id BIGINT NOT NULL,
    robot_id  BIGINT,
    code      SMALLINT NOT NULL,
    at        BIGINT NOT NULL
);

-- Who publishes them: one row, made by the first who does. Its epoch tells this outbox from any other.
CREATE TABLE change_outbox_lease (
    id      SMALLINT PRIMARY KEY NOT NULL,
    epoch   BIGINT NOT NULL,
    node_id BIGINT NOT NULL,
    until   BIGINT NOT NULL
);
