"""What the version strings mean, row by row: written as crawls come in, and read anew when the knowledge changes."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import psycopg

from vmcrawl.exposure import Reading
from vmcrawl.store.branches import stand
from vmcrawl.store.catalogue import lock

#: Software, version, upstream version: what distinguishes one row of ``versions`` from another.
Said = tuple[str | None, str | None, str | None]
#: None: refused, no Mastodon version (any more).
Read = Callable[[str, str, str | None], Reading | None]


def needs_reclassify(connection: psycopg.Connection, today: date, parser: int) -> bool:
    """Whether anything has changed since :func:`reclassify`: the catalogue, the advisories, the day, the parser."""
    row = connection.execute(
        "SELECT (read_revision, read_on, read_parser) IS DISTINCT FROM (revision, %s::date, %s) FROM catalogue_state",
        [today, parser],
    ).fetchone()
    assert row is not None
    return bool(row[0])


def reclassify(connection: psycopg.Connection, read: Read, *, today: date, revision: int, parser: int) -> int:
    """Read every distinct version string anew, in one transaction; returns how many mean something else now.

    ``revision`` is what :func:`vmcrawl.store.catalogue.revision` said before the catalogue behind ``read`` was loaded,
    ``parser`` is :data:`vmcrawl.meaning.PARSER_VERSION`. Touches ``versions`` and ``version_advisories`` where they
    change, and ``branches`` as of ``today``; no sighting. What was read with later knowledge stays; where all was read
    with the same or later knowledge meanwhile, there is nothing left to do.
    """
    # Nobody has to wait while thousands of strings are read: only who changes the catalogue, or brings in a new string,
    # and only while what came of it is written.
    ready = {said: read(*said) for said in _all_said(connection)}
    with connection.transaction():
        lock(connection)
        if _is_done(connection, today, revision, parser):
            return 0
        # Some have come in meanwhile, some may have gone.
        readings: dict[Said, Reading | None] = {
            said: ready[said] if said in ready else read(*said) for said in _all_said(connection)
        }
        # A writer that was faster with a string has read it with what it knew: the stamps decide.
        changed = _write(connection, readings, _parameters(readings, (parser, revision, today)))
        stand(connection, today)
        connection.execute(
            "UPDATE catalogue_state SET read_revision = %s, read_on = %s, read_parser = %s", [revision, today, parser]
        )
    return changed


def write_versions(connection: psycopg.Connection, readings: Mapping[Said, Reading | None]) -> None:
    """Add the rows that a batch of crawls needs, and correct those that were read with older knowledge.

    None, where a crawl was good and its version cannot be read, is a row without a meaning. What was read with
    knowledge that is not the newest any more is written all the same, and marked to be read anew.
    """
    parameters = _parameters(readings, (0, 0, date.min))
    # Nearly always all of it is known: hundreds of writers see the same few strings all day.
    news = connection.execute(f"SELECT EXISTS ({_NEWS})", parameters).fetchone()
    if news is None or not news[0]:
        return
    lock(connection)
    _write(connection, readings, parameters)
    knowledge = ((reading.revision, reading.read_on) for reading in readings.values() if reading is not None)
    oldest = min(knowledge, default=(0, date.min))
    connection.execute(
        "UPDATE catalogue_state SET read_revision = NULL WHERE (revision, read_on) > (%s, %s::date)", oldest
    )


def _is_done(connection: psycopg.Connection, today: date, revision: int, parser: int) -> bool:
    row = connection.execute(
        "SELECT coalesce(read_on >= %s AND read_revision >= %s AND read_parser >= %s, false) FROM catalogue_state",
        [today, revision, parser],
    ).fetchone()
    assert row is not None
    return bool(row[0])


def _all_said(connection: psycopg.Connection) -> list[tuple[str, str, str | None]]:
    return connection.execute("SELECT software, version, upstream_version FROM versions").fetchall()


def _write(
    connection: psycopg.Connection, readings: Mapping[Said, Reading | None], parameters: Mapping[str, object]
) -> int:
    """Returns how many rows are new or changed."""
    rows = connection.execute(_WRITE_VERSIONS, parameters).fetchall()
    by_key = {(software, version, upstream or ""): id_ for id_, software, version, upstream in rows}
    _write_advisories(
        connection,
        {
            id_: reading
            for (software, version, upstream), reading in readings.items()
            if (id_ := by_key.get((software, version, upstream or ""))) is not None
        },
    )
    return len(rows)


def _parameters(
    readings: Mapping[Said, Reading | None], refused_by: tuple[int, int, date]
) -> dict[str, Sequence[object]]:
    """``refused_by`` (parser, revision, day) stamps the strings that have no reading."""
    stamps = [
        refused_by if reading is None else (reading.meaning.parser, reading.revision, reading.read_on)
        for reading in readings.values()
    ]
    meanings = [reading and reading.meaning for reading in readings.values()]
    return {
        "software": [software for software, _, _ in readings],
        "version": [version for _, version, _ in readings],
        "upstream": [upstream for _, _, upstream in readings],
        "release": [m and m.release for m in meanings],
        "branch": [m and m.branch for m in meanings],
        "fork": [m and m.fork for m in meanings],
        "support": [m and str(m.support) for m in meanings],
        "patched": [m and m.patched for m in meanings],
        "fix": [reading and reading.fix_available_on for reading in readings.values()],
        "exposures": [_exposures(reading) for reading in readings.values()],
        "parser": [parser for parser, _, _ in stamps],
        "revision": [revision for _, revision, _ in stamps],
        "read_on": [read_on for _, _, read_on in stamps],
    }


def _exposures(reading: Reading | None) -> str:
    """All of a version's rows of ``version_advisories`` in one text, by which a change is seen."""
    exposures = () if reading is None else reading.exposures
    return ",".join(sorted(f"{e.ghsa_id} {e.fixed_in or '-'} {e.fix_released_on or '-'}" for e in exposures))


def _write_advisories(connection: psycopg.Connection, readings: Mapping[int, Reading | None]) -> None:
    if not readings:
        return
    connection.execute("DELETE FROM version_advisories WHERE version_id = ANY (%s)", [list(readings)])
    rows = [
        (id_, exposure.ghsa_id, exposure.fixed_in, exposure.fix_released_on)
        for id_, reading in readings.items()
        if reading is not None
        for exposure in reading.exposures
    ]
    if rows:
        connection.execute(
            "INSERT INTO version_advisories (version_id, ghsa_id, fixed_in, fix_released_on)"
            " SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::date[])",
            [list(column) for column in zip(*rows, strict=True)],
        )


# What is there already and means the same is not touched. A reader that is older, in its parser, its catalogue or its
# day, than the one who wrote a row changes nothing.
_NEWS = """
SELECT said.*
FROM unnest(
    %(software)s::text[], %(version)s::text[], %(upstream)s::text[], %(release)s::text[], %(branch)s::text[],
    %(fork)s::text[], %(support)s::text[], %(patched)s::boolean[], %(fix)s::date[], %(exposures)s::text[],
    %(parser)s::integer[], %(revision)s::bigint[], %(read_on)s::date[]
) AS said (software, version, upstream_version, release, branch, fork, support, patched, fix_available_on, exposures,
           parser, revision, read_on)
LEFT JOIN versions AS known
       ON known.software = said.software AND known.version = said.version
      AND coalesce(known.upstream_version, '') = coalesce(said.upstream_version, '')
WHERE known.id IS NULL
   OR (known.parser, known.revision, known.read_on) <= (said.parser, said.revision, said.read_on)
      AND (known.release, known.branch, known.fork, known.support, known.patched, known.fix_available_on,
           known.exposures, known.parser)
          IS DISTINCT FROM
          (said.release, said.branch, said.fork, said.support, said.patched, said.fix_available_on,
           said.exposures, said.parser)
"""
_WRITE_VERSIONS = f"""
INSERT INTO versions (software, version, upstream_version, release, branch, fork, support, patched, fix_available_on,
                      exposures, parser, revision, read_on)
{_NEWS}
ORDER BY said.software COLLATE "C", said.version COLLATE "C", coalesce(said.upstream_version, '') COLLATE "C"
ON CONFLICT (software, version, coalesce(upstream_version, '')) DO UPDATE
SET release = excluded.release, branch = excluded.branch, fork = excluded.fork, support = excluded.support,
    patched = excluded.patched, fix_available_on = excluded.fix_available_on, exposures = excluded.exposures,
    parser = excluded.parser, revision = excluded.revision, read_on = excluded.read_on
WHERE (versions.parser, versions.revision, versions.read_on) <= (excluded.parser, excluded.revision, excluded.read_on)
RETURNING id, software, version, upstream_version
"""
