-- The inventory. What is shown of a thing lies in columns of its own, so that robots ask for what they need; `identity` is
-- what is unique of it, folded (see `domain::inventory::name`), the part it is searched by first. Ids come from one
-- series for all tables. A reference forbids to delete what it points at, except from rows that are part of a thing.

CREATE TABLE sites (
    id          INTEGER PRIMARY KEY NOT NULL,
    identity    TEXT NOT NULL UNIQUE,
    revision    BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT
);

CREATE TABLE credential_policies (
    id                 INTEGER PRIMARY KEY NOT NULL,
    identity           TEXT NOT NULL UNIQUE,
    revision           BIGINT NOT NULL,
    created_at         BIGINT NOT NULL,
    updated_at         BIGINT NOT NULL,
    name               TEXT NOT NULL,
    priority           BIGINT NOT NULL,
    -- Seconds.
    max_age            BIGINT,
    expires_after_view BIGINT,
    expires_after_use  BIGINT,
    password           TEXT NOT NULL,
    description        TEXT,
    enabled            BOOLEAN NOT NULL
);

CREATE TABLE devices (
    id          INTEGER PRIMARY KEY NOT NULL,
    identity    TEXT NOT NULL UNIQUE,
    revision    BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    hostname    TEXT NOT NULL,
    address     TEXT NOT NULL,
    site_id     BIGINT REFERENCES sites (id),
    kind        TEXT,
    description TEXT,
    tags        TEXT NOT NULL,
    enabled     BOOLEAN NOT NULL
);
CREATE INDEX devices_by_site ON devices (site_id, id);
CREATE INDEX devices_by_address ON devices (address, id);

-- How a device is reached. `host_key` is what the caller asks for, `pinned_host_key` what was met at the first use.
CREATE TABLE device_connectivities (
    id              INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    device_id       BIGINT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    protocol        TEXT NOT NULL,
    port            BIGINT NOT NULL,
    host_key        TEXT,
    pinned_host_key TEXT,
    UNIQUE (device_id, protocol, port)
);

CREATE TABLE credentials (
    id                INTEGER PRIMARY KEY NOT NULL,
    identity          TEXT NOT NULL UNIQUE,
    revision          BIGINT NOT NULL,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    device_id         BIGINT NOT NULL REFERENCES devices (id),
    username          TEXT NOT NULL,
    domain            TEXT,
    kind              TEXT NOT NULL,
    automatic_change  BOOLEAN NOT NULL,
    expires_at        BIGINT,
    policy_id         BIGINT REFERENCES credential_policies (id),
    description       TEXT,
    tags              TEXT NOT NULL,
    enabled           BOOLEAN NOT NULL,
    -- The version in force; none where the secret is not known.
    secret_version    BIGINT,
    -- The highest version given out, to a candidate too.
    secret_latest     BIGINT NOT NULL DEFAULT 0,
    secret_changed_at BIGINT,
    last_viewed_at    BIGINT
);
CREATE INDEX credentials_by_device ON credentials (device_id, id);
CREATE INDEX credentials_by_policy ON credentials (policy_id, id);
CREATE INDEX credentials_by_expiry ON credentials (expires_at) WHERE expires_at IS NOT NULL;

-- Sealed secrets. A row is written once; only its state, and at a rotation its key and seal, change.
-- state: 0 candidate, 1 current, 2 old
CREATE TABLE secret_versions (
    credential_id BIGINT NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    version       BIGINT NOT NULL,
    state         SMALLINT NOT NULL,
    key_id        BIGINT NOT NULL,
    sealed        BLOB NOT NULL,
    created_at    BIGINT NOT NULL,
    PRIMARY KEY (credential_id, version)
);
CREATE UNIQUE INDEX secret_versions_one_current ON secret_versions (credential_id) WHERE state = 1;
CREATE UNIQUE INDEX secret_versions_one_candidate ON secret_versions (credential_id) WHERE state = 0;
CREATE INDEX secret_versions_by_key ON secret_versions (key_id, credential_id, version);

-- Who saw which secret. Rows outlive their credential.
CREATE TABLE credential_views (
    id            INTEGER PRIMARY KEY NOT NULL,
    at            BIGINT NOT NULL,
    credential_id BIGINT NOT NULL,
    version       BIGINT NOT NULL,
    actor         TEXT NOT NULL,
    reason        TEXT
);
CREATE INDEX credential_views_by_credential ON credential_views (credential_id, id);

-- Data keys, wrapped by the master key. The highest id seals; a key whose `finished_at` is empty has older keys' secrets
-- still to be sealed anew. Keys are never removed: a backup may need them.
CREATE TABLE vault_keys (
    id          INTEGER PRIMARY KEY NOT NULL,
    wrapped     BLOB NOT NULL,
    created_at  BIGINT NOT NULL,
    finished_at BIGINT
);

CREATE TABLE users (
    id         INTEGER PRIMARY KEY NOT NULL,
    identity   TEXT NOT NULL UNIQUE,
    revision   BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    login      TEXT NOT NULL,
    name       TEXT,
    email      TEXT,
    locale     TEXT,
    timezone   TEXT,
    enabled    BOOLEAN NOT NULL
);
CREATE INDEX users_by_email ON users (email, id);

CREATE TABLE user_groups (
    id          INTEGER PRIMARY KEY NOT NULL,
    identity    TEXT NOT NULL UNIQUE,
    revision    BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT
);

CREATE TABLE user_group_members (
    id       INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    group_id BIGINT NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    user_id  BIGINT NOT NULL REFERENCES users (id),
    UNIQUE (group_id, user_id)
);
CREATE INDEX user_group_members_by_user ON user_group_members (user_id, group_id);

CREATE TABLE certificates (
    id          INTEGER PRIMARY KEY NOT NULL,
    identity    TEXT NOT NULL UNIQUE,
    revision    BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    certificate TEXT NOT NULL,
    description TEXT,
    fingerprint TEXT NOT NULL,
    serial      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    issuer      TEXT NOT NULL,
    names       TEXT NOT NULL,
    not_before  BIGINT NOT NULL,
    not_after   BIGINT NOT NULL
);
CREATE INDEX certificates_by_end ON certificates (not_after, id);

CREATE TABLE operation_templates (
    id          INTEGER PRIMARY KEY NOT NULL,
    identity    TEXT NOT NULL UNIQUE,
    revision    BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    name        TEXT NOT NULL,
    kind        TEXT NOT NULL,
    protocol    TEXT NOT NULL,
    steps       TEXT NOT NULL,
    description TEXT,
    enabled     BOOLEAN NOT NULL
);
