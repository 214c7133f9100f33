DROP TABLE task_definition_devices;
DROP TABLE task_definitions;
