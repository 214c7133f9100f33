ALTER TABLE certificates DROP COLUMN replaced_by;
DROP TABLE certificate_publications;
DROP TABLE certificate_issues;
DROP TABLE private_keys;
DROP TABLE certificate_bindings;
DROP TABLE certificate_automations;
DROP TABLE certificate_issuers;
