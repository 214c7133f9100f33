-- By which commands passwords are set under a policy. No foreign key, which SQLite could not take away again: a template that a
-- policy names is not deleted, and one that is gone all the same is told of by the operation that needs it.
ALTER TABLE credential_policies ADD COLUMN change_template_id BIGINT;
ALTER TABLE credential_policies ADD COLUMN reconcile_template_id BIGINT;
