ALTER TABLE credential_policies DROP COLUMN reconcile_template_id;
ALTER TABLE credential_policies DROP COLUMN change_template_id;
