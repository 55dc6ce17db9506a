"""Forks of Mastodon as data: by which names and marks they are known, and how each one numbers itself."""

import re

#: NodeInfo names of software that puts Mastodon's number first -> fork ("" where only the text can say).
MASTODON_NUMBERS = {
    "mastodon": "",
    "hometown": "hometown",
    "kmyblue": "kmyblue",
    "glitchcafe": "glitchcafe",
    "nagitodon": "nagitodon",
}

#: Forks with numbers of their own (Fedibird 0.1, Ecko 3.4.9001): only ``metadata.upstream`` says which Mastodon.
OWN_NUMBERS = {"fedibird": "fedibird", "ecko": "ecko"}

#: Distant forks, followed only where ``metadata.upstream`` says which Mastodon they are; other software otherwise.
UPSTREAM_ONLY = {
    "corgidon": "corgidon",
    "koyuspace": "koyuspace",
    "paon": "paon",
    "truecolors": "truecolors",
    "waka": "waka",
    "和歌": "waka",
}

#: Words in the text of servers that call themselves mastodon -> fork. The first in this order wins: what builds on
#: glitch-soc names glitch beside itself.
MARKS = {
    "catstodon": "catstodon",
    "chuckya": "chuckya",
    "hometown": "hometown",
    "kmyblue": "kmyblue",
    "nagitodon": "nagitodon",
    "glitchcafe": "glitchcafe",
    "glitch": "glitch",
}

#: Catstodon says ``+glitch+cat+1.0.0``, ``+cat.1.0.0``, ``+cat.nightly`` or just ``+cat``; any other cat is a cat.
_CATSTODON = re.compile(r"(?:^|[+.])cat[+.](?:[0-9]|nightly)|(?:^|\+)cat$")
#: Metadata of upstream's own images: builds of pull requests, and of main until 2023-07.
_UPSTREAM_IMAGE = re.compile(r"pr-[0-9]+-[0-9a-f]{4,40}|edge-[0-9a-f]{4,40}")
_WORDS = re.compile(r"[^\W_]+")


def name_fork(software: object) -> str | None:
    """The fork that a NodeInfo ``software.name`` stands for: None for other software, "" for mastodon itself."""
    if not isinstance(software, str):
        return None
    name = software.strip().casefold()
    for names in (MASTODON_NUMBERS, OWN_NUMBERS, UPSTREAM_ONLY):
        if name in names:
            return names[name]
    return None


def has_mastodon_numbers(software: str) -> bool:
    """Whether that NodeInfo name stands for Mastodon or a fork that can be followed without ``metadata.upstream``."""
    name = software.strip().casefold()
    return name in MASTODON_NUMBERS or name in OWN_NUMBERS


def text_fork(named: str, metadata: str) -> str:
    """The fork, given what the name says (:func:`name_fork`) and the operator's text.

    ``vanilla`` where nothing is changed, ``custom`` where only the operator's own words say that something is.
    """
    if named:
        return named
    text = metadata.lower()
    if _CATSTODON.search(text):
        return "catstodon"
    words = set(_WORDS.findall(text))
    for mark, fork in MARKS.items():
        if mark in words:
            return fork
    if not any(character.isalnum() or not character.isascii() for character in text):
        return "vanilla"
    return "vanilla" if _UPSTREAM_IMAGE.fullmatch(text) else "custom"
