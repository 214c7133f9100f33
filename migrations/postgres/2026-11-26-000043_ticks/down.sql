ALTER TABLE robots RESET (fillfactor);
ALTER TABLE ticks ADD CONSTRAINT ticks_robot_id_fkey FOREIGN KEY (robot_id) REFERENCES robots (id);
