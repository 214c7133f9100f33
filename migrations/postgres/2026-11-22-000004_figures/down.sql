DROP TABLE watermarks;
DROP TABLE daily_facts;
DROP TABLE samples;
