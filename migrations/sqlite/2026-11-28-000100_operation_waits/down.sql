ALTER TABLE sign_in_tries DROP COLUMN refused;
ALTER TABLE operations DROP COLUMN wait_credential;
ALTER TABLE operations DROP COLUMN wait_reason;
