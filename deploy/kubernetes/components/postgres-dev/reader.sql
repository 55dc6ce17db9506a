-- Run once, when the database is made: the user of the exporter, who may read sums and nothing else. What the role may read
-- is granted by `vmcrawl migrate`.
\set password `cat /run/secrets/postgres/reader-password`
CREATE ROLE vmcrawl_reader NOLOGIN;
CREATE ROLE vmcrawl_exporter LOGIN PASSWORD :'password' IN ROLE vmcrawl_reader;
