DROP TABLE credential_links;
ALTER TABLE operation_attempts DROP COLUMN steps;
ALTER TABLE operations DROP COLUMN priority;
ALTER TABLE credentials DROP COLUMN deactivated_at;
ALTER TABLE credentials DROP COLUMN parent_id;
