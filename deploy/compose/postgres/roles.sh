#!/bin/sh
# Who may do what in Postgres. Runs when the database is made, and can run again, to bring in new passwords:
#
#   docker compose --file deploy/compose.yaml exec postgres sh /docker-entrypoint-initdb.d/roles.sh
#
#   vmcrawl           owns the database and nothing else; crawler, refresh and migrate
#   vmcrawl_reader    may read what is published, once migrate has run; nobody logs in as it
#   vmcrawl_exporter  logs in and reads
#   vmcrawl_grafana   logs in and reads, a little at a time: who sees a dashboard may send any query as this user
#
# Ends with 3, and changes nothing, where one of these is a superuser. For Postgres 14 and newer.
set -eu

# As vmcrawl reads the same files: one line, whatever it ends with. An empty one would let nobody in.
password_in() {
    tr -d '\r' <"${VMCRAWL_SECRETS:-/run/secrets}/$1"
}
VMCRAWL_OWNER_PASSWORD=$(password_in database_password)
VMCRAWL_EXPORTER_PASSWORD=$(password_in exporter_database_password)
VMCRAWL_GRAFANA_PASSWORD=$(password_in grafana_database_password)
: "${VMCRAWL_OWNER_PASSWORD:?is empty}" "${VMCRAWL_EXPORTER_PASSWORD:?is empty}" "${VMCRAWL_GRAFANA_PASSWORD:?is empty}"
export VMCRAWL_OWNER_PASSWORD VMCRAWL_EXPORTER_PASSWORD VMCRAWL_GRAFANA_PASSWORD

# By environment, so that no password stands on a command line. (\getenv is not known to psql before 15.)
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\set owner_password `printf %s "$VMCRAWL_OWNER_PASSWORD"`
\set exporter_password `printf %s "$VMCRAWL_EXPORTER_PASSWORD"`
\set grafana_password `printf %s "$VMCRAWL_GRAFANA_PASSWORD"`
-- Statements with passwords are not logged, not even when they fail.
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET client_min_messages = 'warning';

-- Before anything is changed: who is a superuser already is one for somebody, and would be none after this.
DO $$
DECLARE found text := (
    SELECT string_agg(rolname, ', ') FROM pg_roles
    WHERE rolsuper AND rolname IN ('vmcrawl', 'vmcrawl_reader', 'vmcrawl_exporter', 'vmcrawl_grafana'));
BEGIN
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'nothing is changed: % is a superuser here, and this would take that away', found
            USING HINT = 'Rename it, and run this as the superuser of another name (POSTGRES_USER).';
    END IF;
END $$;

SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['vmcrawl', 'vmcrawl_reader', 'vmcrawl_exporter', 'vmcrawl_grafana']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE vmcrawl_reader NOLOGIN;
ALTER ROLE vmcrawl LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'owner_password';
ALTER ROLE vmcrawl_exporter LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 8 PASSWORD :'exporter_password';
ALTER ROLE vmcrawl_grafana LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 8 PASSWORD :'grafana_password';
ALTER ROLE vmcrawl_exporter SET default_transaction_read_only = on;
ALTER ROLE vmcrawl_grafana SET default_transaction_read_only = on;
ALTER ROLE vmcrawl_grafana SET statement_timeout = '30s';

-- Migrations let the owner read as the reader does; who may not make roles needs this for it.
GRANT vmcrawl_reader TO vmcrawl WITH ADMIN OPTION;
GRANT vmcrawl_reader TO vmcrawl_exporter, vmcrawl_grafana;

SELECT 'CREATE DATABASE vmcrawl OWNER vmcrawl' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'vmcrawl') \gexec
REVOKE ALL ON DATABASE vmcrawl FROM PUBLIC;
GRANT CONNECT ON DATABASE vmcrawl TO vmcrawl_reader;
SQL
