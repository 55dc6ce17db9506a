-- Why: the exporter counts what is published and how crawls go, as often as it is asked; it sees sums, never a server,
-- by a role that can read nothing else. Counters live here, so that no restart of anything sets them back.

-- What crawls have cost and how they ended. Each crawler process adds to rows of its own, so that none waits for
-- another; when its run is over they are added up in run 0, holder ''.
CREATE TABLE tallies (
    run_id         bigint NOT NULL,
    holder         text NOT NULL,
    outcome        text COLLATE "C" NOT NULL,
    crawls         bigint NOT NULL,
    requests       bigint NOT NULL,
    received_bytes bigint NOT NULL,
    -- Exact, so that the sum is the same in every order: a counter that loses its last bit has begun anew.
    seconds        numeric NOT NULL,
    -- Crawls by how long they took; the bounds stand in vmcrawl/tally.py.
    durations      bigint[] NOT NULL,
    PRIMARY KEY (run_id, holder, outcome)
) WITH (fillfactor = 50);

-- How many runs have ended how, also when their rows in runs are gone.
CREATE TABLE run_endings (
    status text COLLATE "C" PRIMARY KEY,
    runs   bigint NOT NULL
);
INSERT INTO run_endings SELECT status, count(*) FROM runs WHERE status <> 'running' GROUP BY status;

ALTER TABLE runs
    ADD COLUMN requests bigint NOT NULL DEFAULT 0,
    ADD COLUMN received_bytes bigint NOT NULL DEFAULT 0,
    -- Somebody named what to crawl: such a run says nothing of how the crawl as a whole is.
    ADD COLUMN by_hand        boolean NOT NULL DEFAULT false;

-- How the newest security release of each branch was taken up, as of the end of the last run: a question to every
-- instance and its past, too dear to be asked with each scrape.
CREATE TABLE uptakes (
    branch                   text COLLATE "C" PRIMARY KEY,
    release                  text COLLATE "C" NOT NULL,
    released_on              date NOT NULL,
    noted_at                 timestamptz NOT NULL,
    instances                bigint NOT NULL,
    active_users             bigint NOT NULL,
    -- Of these, with the release or a newer one.
    adopted_instances        bigint NOT NULL,
    adopted_users            bigint NOT NULL,
    -- From the start of the day of the release; null: not yet, or nobody knows.
    half_of_instances        interval,
    half_of_users            interval,
    nine_tenths_of_instances interval,
    nine_tenths_of_users     interval
);

-- Published instances by what they say they run.
CREATE VIEW version_counts AS
SELECT version_id, count(*) AS instances, sum(active_users)::bigint AS active_users
FROM sightings
WHERE last_seen_at > now() - (SELECT retention FROM publication)
GROUP BY version_id;

-- Published instances by what that means. Whoever shows releases or branches by name must leave out what upstream
-- does not know: servers can say what they like.
CREATE VIEW adoption AS
SELECT v.software, v.fork, v.branch, v.release, v.patched,
       EXISTS (SELECT FROM branches AS b WHERE b.branch = v.branch) AS known_branch,
       EXISTS (SELECT FROM releases AS r WHERE r.release = v.release)
       OR EXISTS (SELECT FROM main_ranges AS m WHERE m.release = v.release) AS known_release,
       sum(c.instances)::bigint AS instances, sum(c.active_users)::bigint AS active_users
FROM version_counts AS c
JOIN versions AS v ON v.id = c.version_id
GROUP BY v.software, v.fork, v.branch, v.release, v.patched;

-- Published instances that each advisory touches.
CREATE VIEW exposure AS
SELECT a.ghsa_id, a.severity, a.published,
       coalesce(sum(c.instances), 0)::bigint AS instances, coalesce(sum(c.active_users), 0)::bigint AS active_users
FROM advisories AS a
LEFT JOIN version_advisories AS t USING (ghsa_id)
LEFT JOIN version_counts AS c USING (version_id)
GROUP BY a.ghsa_id;

CREATE VIEW branch_states AS
SELECT branch, support, supported_until, latest_release, latest_released_on FROM branches;

-- When upstream's stable releases came out.
CREATE VIEW release_days AS
SELECT release, branch, released_on FROM releases WHERE NOT prerelease;

CREATE VIEW patch_uptake AS
SELECT u.*, b.support FROM uptakes AS u JOIN branches AS b USING (branch);

CREATE VIEW source_states AS
SELECT name, fetched_at, failed_at FROM sources;

-- The ledger by outcome, and what of it waits.
CREATE VIEW ledger_states AS
SELECT outcome, count(*) AS domains,
       count(*) FILTER (WHERE waits) AS due,
       count(*) FILTER (WHERE waits AND due_at <= now() - interval '6 hours') AS overdue,
       min(due_at) FILTER (WHERE waits) AS oldest_due_at
FROM (
    SELECT outcome, due_at,
           due_at <= now() AND (leased_until IS NULL OR leased_until <= now())
           AND (retry_after_until IS NULL OR retry_after_until <= now()) AS waits
    FROM domains
) AS each
GROUP BY outcome;

-- Published instances that could not be seen the last time, by outcome.
CREATE VIEW failing_states AS
SELECT d.outcome, count(*) AS instances
FROM sightings AS s
JOIN domains AS d USING (domain)
WHERE s.last_seen_at > now() - (SELECT retention FROM publication) AND d.outcome <> 'ok'
GROUP BY d.outcome;

-- How old what is published is; stale is what was last seen more than a third of the retention ago.
CREATE VIEW freshness AS
SELECT count(*) AS instances, min(last_seen_at) AS oldest_seen_at,
       count(*) FILTER (WHERE last_seen_at <= now() - retention / 3) AS stale
FROM sightings, publication
WHERE last_seen_at > now() - retention;

-- Domains under lease, and the crawler processes that hold them: lost is one whose leases have all run out.
CREATE VIEW lease_states AS
SELECT coalesce(sum(held), 0)::bigint AS held, coalesce(sum(expired), 0)::bigint AS expired,
       count(*) FILTER (WHERE held > 0) AS running, count(*) FILTER (WHERE held = 0) AS lost
FROM (
    SELECT count(*) FILTER (WHERE leased_until > now()) AS held,
           count(*) FILTER (WHERE leased_until <= now()) AS expired
    FROM domains WHERE lease_holder IS NOT NULL GROUP BY lease_holder
) AS each;

-- What a run has cost, also before that is added up.
CREATE VIEW run_states AS
SELECT id, started_at, finished_at, status, planned, crawled, outcomes,
       requests + (SELECT coalesce(sum(t.requests), 0) FROM tallies AS t WHERE t.run_id = runs.id)::bigint AS requests,
       received_bytes
       + (SELECT coalesce(sum(t.received_bytes), 0) FROM tallies AS t WHERE t.run_id = runs.id)::bigint
       AS received_bytes,
       by_hand
FROM runs;

CREATE VIEW run_totals AS
SELECT status, runs FROM run_endings;

CREATE VIEW crawl_totals AS
SELECT outcome, sum(crawls)::bigint AS crawls, sum(requests)::bigint AS requests,
       sum(received_bytes)::bigint AS received_bytes, sum(seconds) AS seconds
FROM tallies GROUP BY outcome;

-- Crawls by how long they took: bucket 1 is the quickest.
CREATE VIEW crawl_durations AS
SELECT each.bucket, sum(each.crawls)::bigint AS crawls
FROM tallies, unnest(durations) WITH ORDINALITY AS each (crawls, bucket)
GROUP BY each.bucket;

-- Whoever reads a list of instances wants to know which of them could not be seen the last time.
CREATE OR REPLACE VIEW public_instances AS
SELECT i.*, d.outcome IS DISTINCT FROM 'ok' AS failing
FROM instances AS i JOIN domains AS d ON d.domain = i.domain
WHERE NOT EXISTS (SELECT FROM dni WHERE dni.domain = ANY (lineage(i.domain)));

-- Whoever reads it must not learn from errors whom it leaves out: their conditions are asked after its own. Replacing
-- the view takes this from it.
ALTER VIEW public_instances SET (security_barrier = true);

-- Let a role read what is published, and nothing else: not the ledger, and no instance that a DNI list covers.
CREATE FUNCTION grant_reading(reader name) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), reader);
    EXECUTE format(
        'GRANT SELECT ON public_instances, adoption, exposure, branch_states, release_days, patch_uptake,'
        ' source_states, ledger_states, failing_states, freshness, lease_states, run_states, run_totals, crawl_totals,'
        ' crawl_durations TO %I', reader);
    -- Which public_instances calls as whoever reads it.
    EXECUTE format('GRANT EXECUTE ON FUNCTION lineage(text) TO %I', reader);
END $$;

-- The role is there for the whole server. Whoever may not make it can go on without: see the documentation.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vmcrawl_reader') THEN
        CREATE ROLE vmcrawl_reader NOLOGIN;
    END IF;
    GRANT vmcrawl_reader TO CURRENT_USER;
EXCEPTION WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN
    RAISE NOTICE 'the role vmcrawl_reader is left to whoever may make it: %', SQLERRM;
END $$;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'vmcrawl_reader') THEN
        PERFORM grant_reading('vmcrawl_reader');
    END IF;
END $$;
