-- Why: a source that says when it wants to be asked again is left alone until then; and where nobody can say when main
-- got a version, what is sure has to be told from what is not.

-- Until when it wants to be left alone.
ALTER TABLE sources ADD COLUMN retry_at timestamptz;

-- Null: main carried the version from since on. Otherwise it was first seen then, and began at not_before or later.
ALTER TABLE main_ranges ADD COLUMN not_before timestamptz;
