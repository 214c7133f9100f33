DROP TABLE alert_states;
DROP TABLE mail_attempts;
DROP TABLE mail_outbox;
