"""What a run leaves behind: a page of history, or why there is none, and how far fixes have spread."""

from datetime import datetime, timedelta
from functools import partial

from vmcrawl.delay import read_uptake
from vmcrawl.settings import PublishSettings
from vmcrawl.sight import find_gap
from vmcrawl.store import history
from vmcrawl.store.catalogue import load_catalogue
from vmcrawl.store.database import Database
from vmcrawl.store.uptakes import write_uptakes


def memory_of(publish: PublishSettings) -> timedelta:
    """For how long a page of history is what later runs are held against.

    What is gone is published for ``publish.retention`` still, and missing from then on: a run looks back a little
    further than that. After another day what is gone has become the way things are. While nothing runs nothing is
    forgotten: after a longer downtime the last page counts until runs have gone on for so long without leaving one.
    """
    return publish.retention + timedelta(days=1)


def leave_history(database: Database, run_id: int, now: datetime, publish: PublishSettings) -> str:
    """Write what is published as the page of a run; if too much is missing for it, say what and write nothing."""
    since = now - memory_of(publish)
    gap = find_gap(database.run(partial(history.sight, run_id=run_id, since=since)), publish.history_drop)
    if not gap:
        database.run(partial(history.write_history, run_id=run_id, at=now))
    return gap


def note_uptakes(database: Database, now: datetime) -> None:
    """Note how the newest security release of each branch has been taken up so far."""
    known = database.run(load_catalogue)
    adoptions = database.run(partial(history.adoptions, catalogue=known))
    uptakes = [(adoption, read_uptake(adoption.released_on, adoption.takers)) for adoption in adoptions]
    database.run(partial(write_uptakes, uptakes=uptakes, now=now))
