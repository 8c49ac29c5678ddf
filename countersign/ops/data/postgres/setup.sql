-- Run once in the database, as its owner or a superuser: who mints and ends, with no more rights than that.
CREATE ROLE countersign LOGIN CREATEROLE PASSWORD 'CHANGE-ME';
GRANT pg_signal_backend TO countersign;       -- cuts the connections of a grant
GRANT pg_read_all_stats TO countersign;       -- sees them
-- What it may pass on, and nothing else; each table that may be asked for is named here.
GRANT CONNECT ON DATABASE orders TO countersign WITH GRANT OPTION;
GRANT USAGE ON SCHEMA public TO countersign WITH GRANT OPTION;
GRANT SELECT ON TABLE public.customers TO countersign WITH GRANT OPTION;
