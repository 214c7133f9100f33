DROP INDEX mail_outbox_by_file;
ALTER TABLE mail_outbox DROP COLUMN file_id;
ALTER TABLE mail_outbox DROP COLUMN html;
DROP TABLE mail_files;
DROP TABLE password_change_reports;
DROP INDEX operations_by_report;
DROP INDEX operations_unreported;
ALTER TABLE operations DROP COLUMN report_id;
ALTER TABLE operations DROP COLUMN cause;
