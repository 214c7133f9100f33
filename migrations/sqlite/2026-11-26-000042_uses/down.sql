ALTER TABLE credentials DROP COLUMN last_used_at;
