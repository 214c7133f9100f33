DROP INDEX certificates_by_subject;
DROP TABLE expiration_notices;
