"""The documents in tests/data/documents: samples of what servers send, and one file for each oddity met in the wild."""

import json
from pathlib import Path

DOCUMENTS = Path(__file__).parent / "data" / "documents"


def document(*parts: str) -> bytes:
    """The bytes of a document, by its path below tests/data/documents."""
    return DOCUMENTS.joinpath(*parts).read_bytes()


def json_document(*parts: str) -> object:
    """The JSON of a document, by its path below tests/data/documents."""
    return json.loads(document(*parts))
