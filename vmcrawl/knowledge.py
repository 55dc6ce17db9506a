"""What the database knows of upstream, put to work: a reader for new version strings, and the stored ones read anew."""

from datetime import date
from functools import partial

from vmcrawl.meaning import PARSER_VERSION
from vmcrawl.reading import Reader
from vmcrawl.store.advisories import load_advisories, mark_ambiguous
from vmcrawl.store.catalogue import load_catalogue, revision
from vmcrawl.store.database import Database
from vmcrawl.store.meanings import needs_reclassify, reclassify


def load_reader(database: Database, today: date) -> Reader:
    """A reader with the catalogue and the advisories of the database, for one day (UTC)."""
    # First, so that what is loaded is at least as new: what came in between is read once more, never forgotten.
    known = database.run(revision)
    catalogue = database.run(load_catalogue)
    return Reader(today, catalogue, database.run(partial(load_advisories, catalogue=catalogue)), known)


def read_anew(database: Database, today: date) -> int:
    """Correct what stored version strings mean, if the catalogue, the day or the parser has changed; returns how many.

    Only distinct strings are touched, so it takes a second, whatever the number of instances. What is unclear about
    the advisories is written anew, too.
    """
    if not database.run(partial(needs_reclassify, today=today, parser=PARSER_VERSION)):
        return 0
    database.run(mark_ambiguous)
    reader = load_reader(database, today)
    revised = partial(reclassify, read=reader.read, today=today, revision=reader.revision, parser=PARSER_VERSION)
    return database.run(revised)
