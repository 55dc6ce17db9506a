-- Why: a newer snapshot in the package has to reach databases that were seeded from an older one, and an operator may
-- say where a branch stands whatever its dates lead to.

ALTER TABLE catalogue_state
    -- The day of the packaged facts that were taken in last; null: of a version that did not write it down.
    ADD COLUMN snapshot_on date;

ALTER TABLE branch_overrides
    ALTER COLUMN supported_until DROP NOT NULL,
    -- Null: it follows from the end of support, the releases and the day.
    ADD COLUMN support text CHECK (support IN ('main', 'latest', 'previous', 'deprecated', 'eol')),
    ADD CHECK (supported_until IS NOT NULL OR support IS NOT NULL);
