-- When a session last used the account.
ALTER TABLE credentials ADD COLUMN last_used_at BIGINT;
