-- Why an operation that was put back waits (`domain::operation::WaitReason`), and for whose account.
ALTER TABLE operations ADD COLUMN wait_reason SMALLINT;
ALTER TABLE operations ADD COLUMN wait_credential BIGINT;
-- How many of the reserved sign-ins were refused so far. Null: an older node reserved them, and does not say.
ALTER TABLE sign_in_tries ADD COLUMN refused INTEGER;
