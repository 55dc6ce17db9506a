-- Why: the first schema. A ledger of domains that many processes work off together, what each crawl saw, and what of
-- it is published.

-- The ledger. Every claim and every result moves due_at, which is indexed, so those updates cannot be HOT; renewing
-- a lease can, and the space that fillfactor leaves keeps a row's versions on one page. Claims always read the front
-- of the due index, where the dead entries gather: vacuum comes early, and does not wait for a fifth of a big table.
CREATE TABLE domains (
    domain            text COLLATE "C" PRIMARY KEY,
    source            text NOT NULL DEFAULT 'sql',
    added_at          timestamptz NOT NULL DEFAULT now(),
    outcome           text,
    detail            text,
    alias_of          text COLLATE "C",
    failures          integer NOT NULL DEFAULT 0,
    due_at            timestamptz NOT NULL DEFAULT now(),
    -- A 429 is obeyed even by runs that crawl everything.
    retry_after_until timestamptz,
    leased_until      timestamptz,
    -- The worker that holds the lease; only it may write the result.
    lease_holder      text,
    -- The run it was leased for.
    lease_run         bigint,
    -- The run that named this domain.
    wanted_by         bigint,
    -- The run that crawled it last.
    crawled_in        bigint,
    -- It was in flight when its process died: crawled alone from now on, until there is a result.
    suspect           boolean NOT NULL DEFAULT false,
    nodeinfo_url      text,
    last_crawled_at   timestamptz
) WITH (
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.05
);

-- claims.claim: what is due, oldest first.
CREATE INDEX domains_due ON domains (due_at) WHERE NOT suspect;
CREATE INDEX domains_due_suspect ON domains (due_at) WHERE suspect;
-- claims.claim of a run that was given its domains.
CREATE INDEX domains_wanted ON domains (wanted_by, due_at) WHERE wanted_by IS NOT NULL;
-- claims.release and release_dead.
CREATE INDEX domains_leased ON domains (lease_holder) WHERE lease_holder IS NOT NULL;

-- One row for each distinct thing that servers say they run, and what it means: the centre of the star. A new release
-- or a better parser changes these rows, never the sightings.
CREATE TABLE versions (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    software         text COLLATE "C" NOT NULL,
    version          text COLLATE "C" NOT NULL,
    upstream_version text COLLATE "C",
    release          text,
    branch           text,
    fork             text,
    support          text,
    patched          boolean,
    parser           integer NOT NULL
);
-- By expression instead of NULLS NOT DISTINCT, which Postgres 14 does not know.
CREATE UNIQUE INDEX versions_said ON versions (software, version, coalesce(upstream_version, ''));

-- The last good look at each server. A look that finds nothing new touches no indexed column, so it is a HOT update.
CREATE TABLE sightings (
    domain        text COLLATE "C" PRIMARY KEY REFERENCES domains ON DELETE CASCADE,
    version_id    bigint NOT NULL REFERENCES versions,
    active_users  integer NOT NULL CHECK (active_users >= 0),
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL
) WITH (fillfactor = 80);
-- upkeep.sweep: which versions nobody runs any more.
CREATE INDEX sightings_version ON sightings (version_id);

CREATE TABLE runs (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    heartbeat_at timestamptz NOT NULL,
    status       text NOT NULL DEFAULT 'running'
                 CHECK (status IN ('running', 'success', 'partial', 'failed', 'interrupted')),
    host         text NOT NULL,
    planned      integer NOT NULL DEFAULT 0,
    crawled      integer NOT NULL DEFAULT 0,
    outcomes     jsonb NOT NULL DEFAULT '{}',
    CHECK ((status = 'running') = (finished_at IS NULL))
) WITH (fillfactor = 80);
-- runs.close_stale, claims.want.
CREATE INDEX runs_running ON runs (id) WHERE status = 'running';

-- What a host's robots.txt says of us: for a day it need not be asked for again.
CREATE TABLE robots (
    host    text COLLATE "C" PRIMARY KEY,
    read_at timestamptz NOT NULL,
    rules   text NOT NULL
) WITH (fillfactor = 90);

-- The operator's own list: never crawled.
CREATE TABLE exclusions (
    domain     text COLLATE "C" PRIMARY KEY,
    subdomains boolean NOT NULL DEFAULT false,
    reason     text NOT NULL DEFAULT '',
    added_at   timestamptz NOT NULL DEFAULT now()
);

-- "Do not interact" lists: hard entries are never crawled, soft ones are counted and never listed. An entry covers
-- the domain itself and everything below it.
CREATE TABLE dni (
    domain   text COLLATE "C" PRIMARY KEY,
    severity text NOT NULL DEFAULT 'soft' CHECK (severity IN ('hard', 'soft')),
    comment  text NOT NULL DEFAULT '',
    source   text NOT NULL DEFAULT 'manual' CHECK (source IN ('import', 'manual')),
    added_at timestamptz NOT NULL DEFAULT now()
);

-- How long a good look counts; writers bring the one row in line with publish.retention.
CREATE TABLE publication (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    retention interval NOT NULL
);
INSERT INTO publication (retention) VALUES ('3 days');

-- A domain and everything above it: a.b.example gives {a.b.example, b.example, example}.
CREATE FUNCTION lineage(name text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT array_agg(array_to_string(split.labels[label:], '.'))
    FROM (SELECT string_to_array(name, '.') AS labels) AS split, generate_subscripts(split.labels, 1) AS label;
END;

-- The entry that forbids us to crawl a domain, in words; null where none does.
CREATE FUNCTION refused_by(name text) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT 'exclusion of ' || domain FROM exclusions
    WHERE domain = ANY (lineage(name)) AND (domain = name OR subdomains)
    UNION ALL
    SELECT 'DNI entry ' || domain FROM dni
    WHERE domain = ANY (lineage(name)) AND severity = 'hard'
    LIMIT 1;
END;

CREATE VIEW instances AS
SELECT s.domain, v.software, v.fork, v.version, v.release, v.branch, v.support, v.patched,
       s.active_users, s.first_seen_at, s.last_seen_at
FROM sightings AS s
JOIN versions AS v ON v.id = s.version_id
WHERE s.last_seen_at > now() - (SELECT retention FROM publication);

CREATE VIEW public_instances AS
SELECT i.* FROM instances AS i
WHERE NOT EXISTS (SELECT FROM dni WHERE dni.domain = ANY (lineage(i.domain)));
