DROP TABLE task_approvals;
ALTER TABLE task_definitions DROP COLUMN approval_within;
ALTER TABLE task_definitions DROP COLUMN approval_role;
ALTER TABLE task_definitions DROP COLUMN run_role;
