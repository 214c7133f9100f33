DROP TABLE connectivity_tests;
ALTER TABLE device_connectivities DROP COLUMN recent;
