-- Why: a DNI list is imported again and again. What the list says, what the operator says, and what follows from both
-- (dni) are three things: else an import could not leave alone what was entered or taken out by hand, and nobody could
-- say what it has changed.

-- The list as it was imported last, also what the operator has overruled.
CREATE TABLE dni_listed (
    domain   text COLLATE "C" PRIMARY KEY,
    severity text NOT NULL CHECK (severity IN ('hard', 'soft')),
    comment  text NOT NULL DEFAULT ''
);
INSERT INTO dni_listed SELECT domain, severity, comment FROM dni WHERE source = 'import';

-- What the list may say without effect, since the operator has taken it out.
CREATE TABLE dni_waivers (
    domain    text COLLATE "C" PRIMARY KEY,
    comment   text NOT NULL DEFAULT '',
    waived_at timestamptz NOT NULL
);

-- Imports that changed something, or came from elsewhere than the one before, or were to be read in another way.
CREATE TABLE dni_imports (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    imported_at timestamptz NOT NULL,
    -- A file, or an address without its query.
    origin      text NOT NULL,
    -- Digest of address, treatment and parser: while it is the same, "not modified" means that nothing is to be done.
    stamp       text NOT NULL,
    -- The columns had names.
    header      boolean NOT NULL,
    entries     integer NOT NULL,
    added       integer NOT NULL,
    removed     integer NOT NULL,
    changed     integer NOT NULL
);

-- What they changed; not of the first, with which everything is new.
CREATE TABLE dni_changes (
    import_id    bigint NOT NULL REFERENCES dni_imports ON DELETE CASCADE,
    domain       text COLLATE "C" NOT NULL,
    change       text NOT NULL CHECK (change IN ('added', 'removed', 'changed')),
    old_severity text,
    severity     text,
    comment      text NOT NULL DEFAULT '',
    PRIMARY KEY (import_id, domain)
);
