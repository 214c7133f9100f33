ALTER TABLE credential_policies DROP COLUMN verify_template_id;
