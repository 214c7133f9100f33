DROP TABLE change_outbox_lease;
DROP TABLE change_outbox;
