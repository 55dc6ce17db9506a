-- Why: known instances are asked for their peers, to find new ones. What they answer is not kept, only when they were
-- asked and how that ended.

-- One row for each server that was asked. The day is enough to know when to ask again; the moment, next to the moments at
-- which names came into the ledger, would tell who named whom.
CREATE TABLE peers_asked (
    domain   text COLLATE "C" PRIMARY KEY REFERENCES domains ON DELETE CASCADE,
    asked_on date NOT NULL,
    ended    text COLLATE "C" NOT NULL
);

-- store/peers.py: how many names there are under a registrable domain. By the name read from its end, all that is below
-- example.org lies together.
CREATE INDEX domains_from_the_end ON domains (reverse(domain) COLLATE "C");
