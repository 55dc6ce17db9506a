-- Why: earlier versions have written down what this one would not have, and believes if it finds it.

-- They took the moment at which they first saw a version of main for the one at which it began; since 0005 that is said
-- of a row only where it is sure. Sure are the packaged facts, which know main until 2026-08-22, and no others: what was
-- read from commits is read again, below. A version began after the one before it was seen.
UPDATE main_ranges AS known
SET not_before = greatest(earlier.since, timestamptz '2026-08-22 00:00:00+00')
FROM (SELECT since AS at, lag(since) OVER (ORDER BY since) AS since FROM main_ranges) AS earlier
WHERE known.since = earlier.at AND known.not_before IS NULL AND known.since > '2026-08-22 00:00:00+00';

-- They let sources undo that a release fixes security problems, and empty what an advisory affects: the packaged facts
-- are to be taken in once more, and say it again.
UPDATE catalogue_state SET snapshot_on = NULL, revision = revision + 1;

-- And to what they were told, the answer is not to be "not modified": it is to be heard in full.
UPDATE sources SET etag = '' WHERE etag <> '';
