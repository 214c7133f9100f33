DROP TABLE batch_import_rows;
DROP TABLE batch_import_files;
DROP TABLE batch_imports;
