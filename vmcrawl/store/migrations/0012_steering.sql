-- Why: an operator can tell all crawlers to pause, and that a day is not to be believed, also where no run has left a
-- page of history; and what has grown old is found without reading whole tables.

-- That no crawler may begin anything new; no row: they may. claims.claim asks in its own statement.
CREATE TABLE pause (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    paused_at timestamptz NOT NULL,
    -- It ends by itself; null: only when somebody says so.
    until     timestamptz,
    paused_by text NOT NULL,
    reason    text NOT NULL DEFAULT ''
);

CREATE VIEW pause_state AS
SELECT EXISTS (SELECT FROM pause WHERE until IS NULL OR until > now()) AS paused;

-- Days (UTC) that an operator does not believe. One that is believed again stays, so that whoever looks back at it
-- from later learns of that, too.
CREATE TABLE bad_days (
    day       date PRIMARY KEY,
    bad       boolean NOT NULL DEFAULT true,
    reason    text NOT NULL DEFAULT '',
    marked_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO bad_days (day, reason)
SELECT (at AT TIME ZONE 'UTC')::date, max(reason) FROM adoption_history GROUP BY 1 HAVING bool_and(invalid);

-- Without the reasons, which may name a server.
CREATE VIEW bad_day_states AS SELECT day, bad FROM bad_days;

-- upkeep.prune: what was seen longest ago. Both tables are only added to, at their end.
CREATE INDEX moves_observed ON moves (observed_at);
-- What prune deletes is gone from all scans soon, not only when a fifth of the table is dead.
ALTER TABLE moves SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE adoption_history SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE robots SET (autovacuum_vacuum_scale_factor = 0.05);

-- As before, and the two views of above.
CREATE OR REPLACE FUNCTION grant_reading(reader name) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), reader);
    EXECUTE format(
        'GRANT SELECT ON public_instances, adoption, exposure, branch_states, release_days, patch_uptake,'
        ' source_states, ledger_states, failing_states, freshness, lease_states, run_states, run_totals, crawl_totals,'
        ' crawl_durations, pause_state, bad_day_states TO %I', reader);
    -- Which public_instances calls as whoever reads it.
    EXECUTE format('GRANT EXECUTE ON FUNCTION lineage(text) TO %I', reader);
END $$;
-- Whoever could read the others is to read these: an exporter does not wait for somebody to call migrate.
DO $$
DECLARE
    reader name;
BEGIN
    FOR reader IN
        SELECT DISTINCT rolname FROM pg_class, aclexplode(relacl) AS granted JOIN pg_roles ON pg_roles.oid = grantee
        WHERE pg_class.oid = 'adoption'::regclass AND privilege_type = 'SELECT' AND grantee <> relowner
    LOOP
        PERFORM grant_reading(reader);
    END LOOP;
END $$;
