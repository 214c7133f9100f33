-- Who issues certificates, which are renewed, and where they are published. The three nouns lie as those of the inventory do;
-- their state is set by `certificates.certificate_expiration`.

CREATE TABLE certificate_issuers (
    id            INTEGER PRIMARY KEY NOT NULL,
    identity      TEXT NOT NULL UNIQUE,
    revision      BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    name          TEXT NOT NULL,
    kind          TEXT NOT NULL,
    -- Seconds.
    lifetime      BIGINT NOT NULL,
    acme          TEXT,
    orders_max    BIGINT NOT NULL,
    orders_window BIGINT NOT NULL,
    description   TEXT,
    enabled       BOOLEAN NOT NULL,
    -- Of an authority of our own: its certificate, PEM.
    certificate   TEXT,
    not_after     BIGINT
);

CREATE TABLE certificate_automations (
    id                  INTEGER PRIMARY KEY NOT NULL,
    identity            TEXT NOT NULL UNIQUE,
    revision            BIGINT NOT NULL,
    created_at          BIGINT NOT NULL,
    updated_at          BIGINT NOT NULL,
    name                TEXT NOT NULL,
    issuer_id           BIGINT NOT NULL REFERENCES certificate_issuers (id),
    certificate_id      BIGINT REFERENCES certificates (id),
    names               TEXT NOT NULL,
    renew_before        BIGINT NOT NULL,
    key_algorithm       TEXT NOT NULL,
    reuse_key           BOOLEAN NOT NULL,
    renewal_window      TEXT,
    description         TEXT,
    enabled             BOOLEAN NOT NULL,
    -- The certificate in force, and its issue; a certificate that somebody removed from the inventory stays named here.
    current_id          BIGINT,
    issue               BIGINT,
    serial              TEXT,
    not_before          BIGINT,
    not_after           BIGINT,
    renewal_asked_at    BIGINT,
    failures            BIGINT NOT NULL DEFAULT 0,
    next_attempt_at     BIGINT,
    error               TEXT
);
CREATE INDEX certificate_automations_by_issuer ON certificate_automations (issuer_id, id);
CREATE INDEX certificate_automations_by_certificate ON certificate_automations (certificate_id, id);

CREATE TABLE certificate_bindings (
    id              INTEGER PRIMARY KEY NOT NULL,
    identity        TEXT NOT NULL UNIQUE,
    revision        BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    name            TEXT NOT NULL,
    automation_id   BIGINT NOT NULL REFERENCES certificate_automations (id),
    credential_id   BIGINT NOT NULL REFERENCES credentials (id),
    directory       TEXT NOT NULL,
    owner           TEXT,
    key_mode        TEXT NOT NULL,
    test            TEXT NOT NULL,
    reload          TEXT NOT NULL,
    host            TEXT,
    port            BIGINT NOT NULL,
    server_name     TEXT,
    description     TEXT,
    enabled         BOOLEAN NOT NULL,
    -- The issue that is proven to be served, and what became of the last attempt to change it.
    state           TEXT,
    published_issue BIGINT,
    published_at    BIGINT,
    served          TEXT,
    failures        BIGINT NOT NULL DEFAULT 0,
    next_attempt_at BIGINT,
    error           TEXT
);
CREATE INDEX certificate_bindings_by_automation ON certificate_bindings (automation_id, id);
CREATE INDEX certificate_bindings_by_credential ON certificate_bindings (credential_id, id);

-- Sealed private keys, each of an issuer (an authority's, an account's) or of a certificate of an automation.
CREATE TABLE private_keys (
    id            INTEGER PRIMARY KEY NOT NULL,
    issuer_id     BIGINT UNIQUE REFERENCES certificate_issuers (id) ON DELETE CASCADE,
    automation_id BIGINT REFERENCES certificate_automations (id) ON DELETE CASCADE,
    key_id        BIGINT NOT NULL,
    sealed        BLOB NOT NULL,
    created_at    BIGINT NOT NULL,
    CHECK ((issuer_id IS NULL) <> (automation_id IS NULL))
);
CREATE INDEX private_keys_by_automation ON private_keys (automation_id, id);
CREATE INDEX private_keys_by_key ON private_keys (key_id, id);

-- Certificates ordered of an issuer. The row and its private key are there before the issuer is asked; what the issuer
-- answered is there before it is used. Open until `finished_at`.
CREATE TABLE certificate_issues (
    id            INTEGER PRIMARY KEY NOT NULL,
    automation_id BIGINT NOT NULL REFERENCES certificate_automations (id) ON DELETE CASCADE,
    issuer_id     BIGINT NOT NULL,
    private_key   BIGINT NOT NULL,
    names         TEXT NOT NULL,
    order_url     TEXT,
    -- The certificate and its chain, PEM; and, once it is in force, where it lies in the inventory.
    certificate    TEXT,
    certificate_id BIGINT,
    created_at    BIGINT NOT NULL,
    finished_at   BIGINT
);
CREATE UNIQUE INDEX certificate_issues_one_open ON certificate_issues (automation_id) WHERE finished_at IS NULL;
CREATE INDEX certificate_issues_by_automation ON certificate_issues (automation_id, id);
CREATE INDEX certificate_issues_by_issuer ON certificate_issues (issuer_id, created_at);

-- What was about to be published where, before the target is touched. Rows outlive their binding: whoever comes after one
-- that was cut off settles it by what stands here.
-- state: 0 begun, 1 published, 2 rolled_back, 3 broken
CREATE TABLE certificate_publications (
    id            INTEGER PRIMARY KEY NOT NULL,
    binding_id    BIGINT NOT NULL,
    automation_id BIGINT NOT NULL,
    issue_id      BIGINT NOT NULL,
    state         SMALLINT NOT NULL,
    place         TEXT NOT NULL,
    fingerprint   TEXT NOT NULL,
    -- What was in force in the folder, and what was served, before.
    previous      TEXT,
    served_before TEXT,
    detail        TEXT,
    created_at    BIGINT NOT NULL,
    finished_at   BIGINT
);
CREATE UNIQUE INDEX certificate_publications_one_open ON certificate_publications (binding_id) WHERE finished_at IS NULL;
CREATE INDEX certificate_publications_by_end ON certificate_publications (finished_at) WHERE finished_at IS NOT NULL;

-- The certificate that took this one's place everywhere: nobody is to be told of its end.
ALTER TABLE certificates ADD COLUMN replaced_by BIGINT;
