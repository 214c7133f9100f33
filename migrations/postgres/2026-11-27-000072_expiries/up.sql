-- How a secret's end is dealt with: the last end that programs were told of, and since when no change is ordered any more because
-- too many in a row have failed.
ALTER TABLE credentials ADD COLUMN expiry_told BIGINT;
ALTER TABLE credentials ADD COLUMN change_stopped_at BIGINT;
UPDATE credentials SET expiry_told = (
    SELECT n.ends_at FROM expiration_notices n
    WHERE n.kind = 0 AND n.object = credentials.id AND n.level = -1 AND n.recipient = '');
-- For how long a viewer may rely on the secret, in seconds.
ALTER TABLE credential_policies ADD COLUMN wait_after_view BIGINT;
