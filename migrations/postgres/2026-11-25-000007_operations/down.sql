DROP TABLE operation_attempts;
DROP TABLE operations;
