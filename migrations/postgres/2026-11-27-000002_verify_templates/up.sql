-- By which command an account proves its secret under a policy. No foreign key, as for the policy's other templates.
ALTER TABLE credential_policies ADD COLUMN verify_template_id BIGINT;
