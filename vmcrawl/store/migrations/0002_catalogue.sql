-- Why: what upstream has released, supports and has warned of moves into the database, so that it can be brought up to
-- date without a new version of the program; and what is seen gets a past: moves between versions, and adoption.

-- Upstream's releases and pre-releases.
CREATE TABLE releases (
    -- As upstream numbers it: 4.5.6, 4.6.0-rc.1.
    release     text COLLATE "C" PRIMARY KEY,
    branch      text COLLATE "C" NOT NULL,
    released_on date NOT NULL,
    prerelease  boolean NOT NULL,
    -- It fixes security problems; null: not known.
    security    boolean,
    -- snapshot (of the package) or the source that said so last.
    source      text NOT NULL,
    changed_at  timestamptz NOT NULL
);

-- What main carried since when, until the next row.
CREATE TABLE main_ranges (
    since   timestamptz PRIMARY KEY,
    release text COLLATE "C" NOT NULL
);

-- What an operator says of a branch, against all sources.
CREATE TABLE branch_overrides (
    branch          text COLLATE "C" PRIMARY KEY,
    supported_until date NOT NULL,
    reason          text NOT NULL DEFAULT '',
    set_at          timestamptz NOT NULL
);

-- Branches: what sources state, and what follows from that, the releases and the day; written by catalogue.stand.
CREATE TABLE branches (
    branch             text COLLATE "C" PRIMARY KEY,
    stated_until       date,
    stated_source      text NOT NULL DEFAULT '',
    stated_at          timestamptz,
    support            text NOT NULL DEFAULT 'unknown',
    supported_until    date,
    -- Where supported_until is from; null where there is none (yet).
    support_source     text CHECK (support_source IN ('stated', 'derived', 'override')),
    -- In words: who states it, which release it is derived from, why it is overridden.
    support_note       text NOT NULL DEFAULT '',
    latest_release     text COLLATE "C",
    latest_released_on date,
    first_released_on  date
);

CREATE TABLE advisories (
    -- The CVE id where GitHub has no id of its own.
    ghsa_id    text COLLATE "C" PRIMARY KEY,
    cve_id     text NOT NULL DEFAULT '',
    severity   text NOT NULL,
    score      double precision,
    title      text NOT NULL,
    published  date,
    -- As published.
    ranges     text NOT NULL,
    patched    text NOT NULL,
    -- Why nobody can say exactly whom it touches; empty where that is clear.
    ambiguous  text NOT NULL DEFAULT '',
    source     text NOT NULL,
    changed_at timestamptz NOT NULL
);

-- What an operator says an advisory touches, in place of the published ranges.
CREATE TABLE advisory_overrides (
    ghsa_id text COLLATE "C" PRIMARY KEY REFERENCES advisories ON UPDATE CASCADE,
    ranges  text NOT NULL,
    reason  text NOT NULL DEFAULT '',
    set_at  timestamptz NOT NULL
);

-- How the last question to each source of the above went.
CREATE TABLE sources (
    name       text COLLATE "C" PRIMARY KEY,
    etag       text NOT NULL DEFAULT '',
    fetched_at timestamptz,
    failed_at  timestamptz,
    error      text NOT NULL DEFAULT ''
);

-- Which state of the catalogue the versions were last read with.
CREATE TABLE catalogue_state (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Raised with every change to releases, main_ranges, branches, advisories and overrides.
    revision      bigint NOT NULL DEFAULT 0,
    read_revision bigint,
    read_on       date,
    read_parser   integer
);
INSERT INTO catalogue_state DEFAULT VALUES;

-- With what a row was read, so that an older reader changes nothing; and since when an unpatched version has had a
-- newer release of its branch to go to.
ALTER TABLE versions
    ADD COLUMN revision bigint NOT NULL DEFAULT 0,
    ADD COLUMN read_on date NOT NULL DEFAULT '0001-01-01',
    ADD COLUMN fix_available_on date,
    -- Its rows of version_advisories in one text, so that one comparison tells whether they have changed.
    ADD COLUMN exposures text NOT NULL DEFAULT '';

-- Which advisories touch a version. No reference to advisories: a crawl is not lost over an unknown one.
CREATE TABLE version_advisories (
    version_id      bigint NOT NULL REFERENCES versions ON DELETE CASCADE,
    ghsa_id         text COLLATE "C" NOT NULL,
    -- The release of its own branch, or else of the newest branch, that fixes it; null where there is none.
    fixed_in        text,
    fix_released_on date,
    PRIMARY KEY (version_id, ghsa_id)
);
CREATE INDEX version_advisories_ghsa ON version_advisories (ghsa_id);

-- Which instance was seen to move from one version to another. By reference, so that better readings of a string
-- correct the past, too.
CREATE TABLE moves (
    domain      text COLLATE "C" NOT NULL REFERENCES domains ON DELETE CASCADE,
    from_id     bigint NOT NULL REFERENCES versions,
    to_id       bigint NOT NULL REFERENCES versions,
    observed_at timestamptz NOT NULL,
    PRIMARY KEY (domain, observed_at)
);
-- history.adoptions; upkeep.sweep, for versions that nobody runs any more.
CREATE INDEX moves_to ON moves (to_id);
CREATE INDEX moves_from ON moves (from_id);

CREATE VIEW version_changes AS
SELECT m.domain, f.version AS from_version, t.version AS to_version, m.observed_at,
       f.release AS from_release, t.release AS to_release, f.branch AS from_branch, t.branch AS to_branch
FROM moves AS m
JOIN versions AS f ON f.id = m.from_id
JOIN versions AS t ON t.id = m.to_id;

-- How far each release had spread at the end of each run. Kept for good, also when the run's own row is gone.
CREATE TABLE adoption_history (
    at           timestamptz NOT NULL,
    run_id       bigint NOT NULL,
    branch       text COLLATE "C" NOT NULL,
    -- A release.
    version      text COLLATE "C" NOT NULL,
    instances    integer NOT NULL,
    active_users bigint NOT NULL,
    -- Null where it could not be said.
    patched      boolean,
    -- An operator has said that these numbers are wrong, and why.
    invalid      boolean NOT NULL DEFAULT false,
    reason       text NOT NULL DEFAULT '',
    PRIMARY KEY (run_id, branch, version)
);
CREATE INDEX adoption_history_at ON adoption_history (at);

CREATE OR REPLACE VIEW instances AS
SELECT s.domain, v.software, v.fork, v.version, v.release, v.branch, v.support, v.patched,
       s.active_users, s.first_seen_at, s.last_seen_at, v.fix_available_on
FROM sightings AS s
JOIN versions AS v ON v.id = s.version_id
WHERE s.last_seen_at > now() - (SELECT retention FROM publication);

CREATE OR REPLACE VIEW public_instances AS
SELECT i.* FROM instances AS i
WHERE NOT EXISTS (SELECT FROM dni WHERE dni.domain = ANY (lineage(i.domain)));

-- Which published instance is exposed to what.
CREATE VIEW instance_advisories AS
SELECT s.domain, a.ghsa_id, a.fixed_in, a.fix_released_on
FROM sightings AS s
JOIN version_advisories AS a USING (version_id)
WHERE s.last_seen_at > now() - (SELECT retention FROM publication);
