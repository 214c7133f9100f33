DROP TABLE tokens;
DROP TABLE syslog_outbox;
DROP TABLE audit_trail;
