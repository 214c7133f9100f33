-- The reverse of up.sql; what the tables hold is lost.
DROP TABLE events;
DROP TABLE ticks;
DROP TABLE process_logs;
DROP TABLE processes;
DROP TABLE task_keys;
DROP TABLE tasks_done;
DROP TABLE tasks;
DROP TABLE store_facts;
DROP TABLE id_blocks;
DROP TABLE nodes;
DROP TABLE robots;
