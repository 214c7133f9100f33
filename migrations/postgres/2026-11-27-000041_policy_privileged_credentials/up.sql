-- By whose account passwords are set under a policy. No foreign key, as for the policy's templates.
ALTER TABLE credential_policies ADD COLUMN privileged_credential_id BIGINT;
