-- Why: several machines may work on one run. Each says for itself that it is still at it, and one of them closes it.

-- Those who know its name may join a run; null: it is nobody else's.
ALTER TABLE runs ADD COLUMN name text COLLATE "C" UNIQUE;
-- The part that is closing it, as long as it is alive.
ALTER TABLE runs ADD COLUMN closer text;

-- Who works on a run: one process with its crawlers, on one machine.
CREATE TABLE run_parts (
    run_id       bigint NOT NULL REFERENCES runs ON DELETE CASCADE,
    -- A process, by a name that tells whether it still is.
    part         text COLLATE "C" NOT NULL,
    -- The name of its machine or pod, for people.
    machine      text NOT NULL,
    -- Which of a Kubernetes Job's completions it is; null: of none.
    number       integer,
    joined_at    timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    left_at      timestamptz,
    PRIMARY KEY (run_id, part)
) WITH (fillfactor = 80);

-- It was under suspicion already when a machine died that crawled it: who crawls it now, crawls nothing else.
ALTER TABLE domains ADD COLUMN isolated boolean NOT NULL DEFAULT false;
