-- Within how long a node takes others for dead, in microseconds. Null: it does not say so.
ALTER TABLE nodes ADD COLUMN node_timeout BIGINT;
