ALTER TABLE credential_policies DROP COLUMN wait_after_view;
ALTER TABLE credentials DROP COLUMN change_stopped_at;
ALTER TABLE credentials DROP COLUMN expiry_told;
