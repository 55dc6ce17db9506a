-- Why: known instances are asked for their peers, to find new ones. What they answer is not kept, only when they were
-- asked and how that ended.

-- One row for each server that was asked. The day is enough to know when to ask again; the moment, next to the moments at
-- which names came into the ledger, would tell who named whom.
CREATE TABLE peers_asked (
    domain   text COLLATE "C" PRIMARY KEY REFERENCES domains ON DELETE CASCADE,
    asked_on date NOT NULL,
    ended    text COLLATE "C" NOT NULL
);

-- store/peers.py: how many names there are under a registrable domain. Read from its end, all that is below example.org
-- lies together. No index of domains: each look moves a domain in all of those, and these names never change.
CREATE TABLE domains_backwards (
    name text COLLATE "C" PRIMARY KEY
);
INSERT INTO domains_backwards SELECT reverse(domain) FROM domains ORDER BY 1;

CREATE FUNCTION note_backwards() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO domains_backwards SELECT reverse(domain) FROM moved ORDER BY 1 ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM domains_backwards WHERE name IN (SELECT reverse(domain) FROM moved);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER note_added AFTER INSERT ON domains
    REFERENCING NEW TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION note_backwards();
CREATE TRIGGER note_removed AFTER DELETE ON domains
    REFERENCING OLD TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION note_backwards();
