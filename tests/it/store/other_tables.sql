-- Rows of SQLite for every table that `transfer.rs` does not fill by the store itself: values at their edges, columns
-- empty and not, more than one page where a key has several columns.
INSERT INTO store_facts (name, value) VALUES ('key_check', 'c0ffee');
INSERT INTO vault_keys VALUES (1, X'00ff10', 1, 2), (2, X'', 3, NULL);
INSERT INTO tokens VALUES (1, 'old', 'viewer', X'000102', 1, 2), (7, 'ci', 'admin', X'ff00', -9223372036854775807, NULL);
INSERT INTO events VALUES (31, 'test', 'e1', 'test.happened', NULL, 0, '{"a":"ä ''\"\\\u0007"}', 9223372036854775807);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 204)
INSERT INTO process_logs SELECT 100 + i / 150, i % 150, i, 2, 'line ' || i || char(10) || char(13, 9, 127, 133, 8232, 128512) FROM n;
INSERT INTO processes VALUES (100, 1, 1, 0, 32767, 1, 1, 2, 2, NULL, 'exit_status', '', '{}', TRUE),
    (101, 1, 1, 0, 2147483647, 1, 1, 2, 1, 5, NULL, NULL, '{"n":1}', FALSE);
INSERT INTO ticks VALUES (5, 1, 10, NULL, 1, 1, 11, 1, NULL, 0), (6, 2, 10, 20, 3, 2, 11, 1, 4, 1);
INSERT INTO shares VALUES (1, 1, 4), (2, 1, 0);
-- The highest ids are gone: they must not be given out again.
INSERT INTO syslog_outbox VALUES (900, 1, 7, 'gone', '{}', 'gone');
DELETE FROM syslog_outbox WHERE id = 900;
INSERT INTO mail_outbox VALUES (3, '<a@b>', 'ops@example.org', 'ß', '', -1, 0, 0, 5, NULL, NULL, 5, 9, NULL, NULL, NULL),
    (4, '<b@b>', 'ops@example.org', 's', 'x', 9, 2, 1, 5, 11, 12, 5, 9, 13, '<p>x</p>', 70);
INSERT INTO mail_attempts VALUES (8, 4, 12, 11, 2, 250, 'done'), (9, 4, 12, 11, 2, NULL, '');
INSERT INTO alert_states VALUES ('disk:/', 2, 1, NULL, 'full'), ('disk:/ä', 0, 1, 2, '');
INSERT INTO expiration_notices VALUES (0, 1, -1, '', 1, 2), (1, 1, 30, 'ops@example.org', 1, 2);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 249)
INSERT INTO samples SELECT i % 3, CASE i % 2 WHEN 0 THEN 'cpu' ELSE 'Cpu' END, 'n' || (i / 50), i, 1, i / 3.0, 1 FROM n;
INSERT INTO samples VALUES (0, 'edge', 'n', 1, 1, 0.1, 1), (0, 'edge', 'n', 2, 1, 1.7976931348623157e308, 1),
    (0, 'edge', 'n', 3, 1, 5e-324, 1), (0, 'edge', 'n', 4, 1, 3.0, 1), (0, 'edge', 'n', 5, 1, -1e300, 1);
INSERT INTO daily_facts VALUES ('2026-11-25', 'm', '', '', 1), ('2026-11-25', 'm', 'd', 'x', -1);
INSERT INTO watermarks VALUES (1, 'w', '{}');
INSERT INTO sites VALUES (40, 'hq', 1, 2, 3, 'HQ', NULL), (41, 'lab', 1, 2, 3, 'Lab', 'two');
INSERT INTO credential_policies VALUES (42, 'p', 1, 2, 3, 'p', 5, NULL, 60, NULL, '{}', NULL, TRUE, 7, NULL, 8, 45, 30);
INSERT INTO devices VALUES (43, 'web', 1, 2, 3, 'web', '192.0.2.7', 40, 'linux', NULL, '[]', TRUE),
    (44, 'db', 1, 2, 3, 'db', '192.0.2.8', NULL, NULL, 'd', '["a"]', FALSE);
INSERT INTO device_connectivities VALUES (1, 43, 'ssh', 22, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (12, 43, 'ssh', 2222, 'trust_on_first_use', 'k', 'pem', 'down', 1, 2, 3, 'timeout', 'seen', '+-');
INSERT INTO connectivity_tests VALUES (82, 1, 43, 'ssh', 22, NULL, 3), (83, 2, 99, 'ssh', 22, 'timeout', NULL);
INSERT INTO credentials VALUES (45, 'web root', 1, 2, 3, 43, 'root', NULL, 'local', TRUE, NULL, 42, NULL, '[]', TRUE, 2, 3, 9, NULL, TRUE, 'match', 8, 7, 6, NULL, 45, 9);
INSERT INTO credential_links VALUES (45, 45, NULL);
INSERT INTO secret_versions VALUES (45, 1, 2, 1, X'0a0d', 1), (45, 2, 1, 1, X'00', 2), (45, 3, 0, 1, X'ff', 3);
INSERT INTO credential_views VALUES (46, 1, 45, 2, 'admin', NULL), (47, 1, 99, 1, 'admin', 'why');
INSERT INTO users VALUES (48, 'a', 1, 2, 3, 'a', NULL, NULL, NULL, NULL, FALSE);
INSERT INTO user_groups VALUES (49, 'g', 1, 2, 3, 'g', NULL);
INSERT INTO user_group_members VALUES (2, 49, 48);
INSERT INTO certificates VALUES (50, 'c', 1, 2, 3, 'pem', NULL, 'f', '01', 'CN=a', 'CN=b', '[]', 1, 2, NULL, 'superseded', 3, NULL);
INSERT INTO operation_templates VALUES (51, 't', 1, 2, 3, 't', 'change_password', 'ssh', '[]', NULL, TRUE);
INSERT INTO operations VALUES (60, 0, 45, 4, NULL, 1, 1, NULL, 3, 'admin', NULL, NULL, 1, 2, 3, NULL, 1, 80, 4, NULL, NULL),
    (61, 2, 45, 0, 'refused', 0, 1, 9, NULL, 'admin', 7, 8, 1, 2, NULL, 51, 0, NULL, 9, 2, 45);
INSERT INTO operation_attempts VALUES (60, 1, 45, 7, 1, 2, 5, 'refused', NULL, 1, NULL), (60, 2, 45, 8, 1, 2, 4, NULL, 'ok', 0, '[]');
INSERT INTO sign_in_tries VALUES ('credential:45', 60, 1, 1, 2, TRUE, NULL), ('credential:45', 60, 2, 9, 2, FALSE, 1);
INSERT INTO certificate_issuers VALUES (52, 'ca', 1, 2, 3, 'CA', 'internal', 4, NULL, 5, 6, NULL, TRUE, 'pem', 7),
    (53, 'acme', 1, 2, 3, 'ACME', 'acme', 4, '{}', 5, 6, 'd', FALSE, NULL, NULL);
INSERT INTO certificate_automations VALUES (54, 'a', 1, 2, 3, 'a', 52, 50, '[]', 4, 'ecdsa_p256', TRUE, '{}', 'd', TRUE, 50, 57, '01', 1, 9, 5, 1, 6, 'e', 'admin', 1, 'a', 2, 'b', 3, 4, 5),
    (55, 'b', 1, 2, 3, 'b', 53, NULL, '[]', 4, 'rsa_3072', FALSE, NULL, NULL, FALSE, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO certificate_bindings VALUES (56, 'w', 1, 2, 3, 'w', 54, 45, '/etc/tls', 'root', '0600', 't', 'r', 'h', 443, 's', NULL, TRUE, 'served', 57, 1, 'f', 0, NULL, NULL);
INSERT INTO private_keys VALUES (1, 52, NULL, 2, X'00ff', 1), (2, NULL, 54, 2, X'0a', 1);
INSERT INTO certificate_issues VALUES (57, 54, 52, 2, '[]', NULL, 'pem', 50, 1, 2), (58, 54, 52, 2, '[]', 'https://a', NULL, NULL, 3, NULL);
INSERT INTO certificate_publications VALUES (59, 56, 54, 57, 1, 'p', 'f', NULL, NULL, NULL, 1, 2), (62, 56, 54, 58, 0, 'p', 'g', 'q', 'f', 'd', 3, NULL);
-- More rows of bytes than are read at a time; the highest id is gone.
INSERT INTO mail_files VALUES (70, 'a.csv', 'text/csv', X'2c0d0a'), (71, 'b', 'b', X''), (72, 'c', 'c', zeroblob(3000)), (73, 'd', 'd', X'01'),
    (74, 'e', 'e', X'02'), (75, 'f', 'f', X'03');
DELETE FROM mail_files WHERE id = 75;
INSERT INTO password_change_reports VALUES (80, 1, 2, 3, 4, 5, 6), (81, 1, 3, 9, 5, 6, NULL);
INSERT INTO task_executions VALUES (7, 60, 2, 1, '{"ä":1}', 1), (8, 62, 1, 2, NULL, NULL);
INSERT INTO task_definitions VALUES (63, 'n', 1, 2, 3, 'N', 'run_template', 51, 40, 'ä', 'root', 3, '{"every":"PT1H"}', '{}', 'skip', 'last', 60, 'd', TRUE, 9, 'fired', '7', 5, 'admin', 'operator', 3600),
    (64, 'o', 1, 2, 3, 'o', 'test', NULL, NULL, NULL, 'root', NULL, NULL, NULL, 'allow', 'none', NULL, NULL, FALSE, NULL, NULL, NULL, NULL, 'operator', NULL, NULL);
INSERT INTO task_approvals VALUES (7, 63, 3, 'N', '{}', 'operator', 'ana', 1, 2, 1, 'bob', 3, 'ä'),
    (9, 64, 3, 'o', '{}', 'admin', 'ana', 1, 2, 0, NULL, NULL, NULL);
INSERT INTO task_definition_devices VALUES (1, 63, 43), (5, 63, 44);
INSERT INTO batch_imports VALUES (90, 'ä.csv', 9, 'f', NULL, 0, 2, NULL, 'ci', '["hostname"]', 2, 2, 1, 0, 0, 1, 0, 1, FALSE, NULL, NULL, NULL, 1, 2, 3),
    (91, 'b.csv', 9, 'f', 90, 1, 1, 'e', 'ci', NULL, NULL, 0, 0, 0, 0, 0, 0, 3, TRUE, 4, 5, 6, 1, 2, NULL);
INSERT INTO batch_import_files VALUES (91, 2, X'00ff00');
INSERT INTO batch_import_rows VALUES (90, 2, 0, TRUE, '{}', '[]', 43, 45), (90, 10, 3, FALSE, '{"a":"ß"}', '["e"]', NULL, NULL);
INSERT INTO change_outbox VALUES (11, 0, 7, 1, 2, 1), (12, 4, 3, NULL, 0, 2), (13, 0, 7, 1, 3, 3);
DELETE FROM change_outbox WHERE id = 13;
INSERT INTO change_outbox_lease VALUES (1, 1700000000000000, 1, 9);
