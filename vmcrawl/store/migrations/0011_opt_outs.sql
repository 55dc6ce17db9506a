-- Why: whoever lifts an exclusion, or looks through them, has to tell what the operator wanted from what others asked for.

ALTER TABLE exclusions
    -- Somebody asked for it who may: the exclusion is theirs, not ours.
    ADD COLUMN requested boolean NOT NULL DEFAULT false;
