"""Versions, numbers of users and names of software, as they should and should not be."""

from collections.abc import Iterator
from dataclasses import replace

from tests.fediverse.healthy import MISSING
from tests.fediverse.scenario import scenario
from tests.fediverse.site import Site
from vmcrawl.outcome import Outcome

_OK, _VERSION, _USERS = Outcome.OK, Outcome.BAD_VERSION, Outcome.NO_ACTIVE_USERS
_MONTH = "usage.users.activeMonth"
_LONG = "4.6.6+" + "x" * 3994

#: slug, outcome, what software.version is
_VERSIONS: tuple[tuple[str, Outcome, object], ...] = (
    ("missing", _VERSION, MISSING),
    ("null", _VERSION, None),
    ("number", _VERSION, 4.6),
    ("list", _VERSION, ["4.6.6"]),
    ("empty", _VERSION, ""),
    ("space", _VERSION, "   "),
    ("word", _VERSION, "latest"),
    ("garbage", _VERSION, "\u202e😀 <script>alert(1)</script>"),
    ("long", _VERSION, _LONG),
    ("nul", _VERSION, "4.6.6\0"),
    ("nul-within", _VERSION, "4.6\0.6"),
    ("above-main", _VERSION, "9.9.9"),
    ("above-main-minor", _VERSION, "4.99.0"),
    ("above-main-nightly", _VERSION, "5.7.0-nightly.2026-08-20"),
    ("huge-numbers", _VERSION, "4.6.99999999999999999999"),
    ("zero", _VERSION, "0.0.0"),
    ("two-parts", _VERSION, "4.6"),
    ("full-width", _VERSION, "\uff14.\uff16.\uff16"),
    ("arabic-digits", _VERSION, "٤.٦.٦"),
    ("negative", _VERSION, "-4.6.6"),
    ("compatible", _VERSION, "2.7.2 (compatible; Pleroma 2.10.2)"),
    ("sql", _VERSION, "'; DROP TABLE instances; --"),
    ("alpha", _OK, "4.8.0-alpha.1"),
    ("nightly", _OK, "4.8.0-nightly.2026-08-20"),
    ("nightly-security", _OK, "4.6.0-nightly.2026-05-21-security"),
    ("rc", _OK, "4.6.0-rc.2"),
    ("old-rc", _OK, "4.0.0rc2"),
    ("mistaken-alpha", _OK, "4.7.1-alpha.1"),
    ("pull-request", _OK, "4.7.0-alpha.2+pr-39999-68e5caf"),
    ("operator-suffix", _OK, "4.5.16 (with modifications)"),
    ("operator-emoji", _OK, "4.5.16+🐘"),
    ("tilde", _OK, "3.5.0~hello"),
)

#: slug, outcome, what usage.users.activeMonth is, and as which number it counts
_NUMBERS: tuple[tuple[str, Outcome, object, int | None], ...] = (
    ("missing", _USERS, MISSING, None),
    ("null", _USERS, None, None),
    ("string", _USERS, "16", None),
    ("fraction", _USERS, 12.5, None),
    ("whole-float", _OK, 12.0, 12),
    ("negative", _USERS, -1, None),
    ("true", _USERS, True, None),
    ("list", _USERS, [16], None),
    ("object", _USERS, {"count": 16}, None),
    ("huge-float", _USERS, 1e300, None),
    ("huge-integer", _USERS, 10**30, None),
    ("beyond-bigint", _USERS, 2**63, None),
    ("beyond-int", _USERS, 2**31, None),
    ("above-ceiling", _USERS, 10_000_001, None),
    ("at-ceiling", _OK, 10_000_000, 10_000_000),
    ("zero", _OK, 0, 0),
)

_OTHERS = (
    ("pleroma", "2.10.2"),
    ("misskey", "2025.7.0"),
    ("gotosocial", "0.19.1"),
    ("lemmy", "0.19.12"),
    ("pixelfed", "0.12.7"),
    ("peertube", "7.2.1"),
    ("akkoma", "3.15.2"),
    ("sharkey", "2025.4.3"),
    ("wordpress", "6.8.2"),
    ("birdsitelive", "1.0.0"),
    ("takahe", "0.10.1"),
    ("mastodon-like", "4.6.6"),
    ("notmastodon", "4.6.6"),
)


def value_scenarios() -> Iterator[Site]:
    """Give one site for each."""
    for slug, outcome, version in _VERSIONS:
        if outcome is _OK:
            yield scenario(f"version-{slug}", outcome, version=str(version))
        else:
            yield scenario(f"version-{slug}", outcome, documents={"nodeinfo": {"software.version": version}})
    for slug, outcome, number, users in _NUMBERS:
        yield scenario(f"users-{slug}", outcome, users=users, documents={"nodeinfo": {_MONTH: number}})
    yield from _debatable()
    yield from _users_elsewhere()
    yield from _software()


def _debatable() -> Iterator[Site]:
    def version(slug: str, text: str, outcome: Outcome, also: Outcome, notes: str) -> Site:
        return scenario(f"version-{slug}", outcome, version=text, also=(also,), notes=notes)

    yield version("v", "v4.6.6", _OK, _VERSION, "the raw string is stored as it was sent")
    yield version("half-pair", "4.6.6+\ud800", _VERSION, _OK, "a lone surrogate, escaped; no database takes it")
    escape = version("escape", "4.6.6+\x1b[31mred", _OK, _VERSION, "a terminal escape; how it is stored is left open")
    yield replace(escape, truth=replace(escape.truth, version=None))
    yield version("unreleased", "4.6.99", _OK, _VERSION, "of a branch that exists, but never released")
    yield version("four-parts", "4.6.6.1", _OK, _VERSION, "a fourth number")
    nan = {"nodeinfo": {_MONTH: float("nan")}}
    yield scenario("users-nan", Outcome.BAD_JSON, documents=nan, also=(_USERS,), notes="NaN is no JSON (RFC 8259, 6)")


def _users_elsewhere() -> Iterator[Site]:
    gone = {"usage.users": MISSING}
    singular = {"nodeinfo": {**gone, "usage.user": {"activeMonth": 321}}}
    yield scenario("users-singular", _OK, users=321, documents=singular)
    yield scenario("users-none-at-all", _USERS, documents={"nodeinfo": gone})
    yield scenario("usage-missing", _USERS, documents={"nodeinfo": {"usage": MISSING}}, also=(Outcome.BAD_JSON,))
    yield scenario("usage-list", _USERS, documents={"nodeinfo": {"usage": []}}, also=(Outcome.BAD_JSON,))
    yield scenario("users-as-list", _USERS, documents={"nodeinfo": {"usage.users": []}}, also=(Outcome.BAD_JSON,))
    closed = {"v2": {"usage.users.active_month": 0, "configuration.limited_federation": True}}
    notes = "limited federation hides the number in the API; NodeInfo has it"
    yield scenario("limited-federation-4-4", _OK, version="4.4.23", documents=closed, notes=notes)
    worst = {"nodeinfo": {_MONTH: "many", "software.version": "??"}}
    yield scenario("version-before-users", _VERSION, documents=worst, notes="the version is judged first")


def _software() -> Iterator[Site]:
    for software, version in _OTHERS:
        yield scenario(f"software-{software}", Outcome.NOT_MASTODON, software=software, version=version)
    bad = {"nodeinfo": {"software.version": None, _MONTH: MISSING}}
    yield scenario("software-lemmy-bare", Outcome.NOT_MASTODON, software="lemmy", documents=bad)
    imitation = {"v2": {"version": "2.7.2 (compatible; Pleroma 2.10.2)"}, "v1": {"version": "takahe/0.10.1"}}
    yield scenario("api-compatible", _OK, documents=imitation, notes="NodeInfo decides, never the version of the API")
    for slug, name, version in (
        ("hometown", "hometown", "4.5.11+hometown-1.2.1"),
        ("hometown-old", "hometown", "1.0.7+3.5.5"),
        ("kmyblue", "kmyblue", "4.6.3+kmyblue.24.2-lts"),
        ("fedibird", "fedibird", "0.1"),
        ("waka", "和歌", "4.4.0+waka.1.0"),
        ("glitch", "mastodon", "4.6.5+glitch"),
        ("chuckya", "mastodon", "4.7.0-alpha.1+chuckya"),
        ("catstodon", "mastodon", "4.1.4+glitch+cat+1.0.0+nya-1.2.2"),
        ("glitchcafe", "glitchcafe", "4.1.2+cafe.41a1757"),
        ("nagitodon", "nagitodon", "4.2.3+nagitodon.5.13-LTS."),
    ):
        yield scenario(f"fork-{slug}", _OK, software=name, version=version)
    notes = "a fork with a number of its own, and none of upstream's"
    yield scenario("fork-ecko", _VERSION, software="ecko", version="3.4.9001", also=(_OK,), notes=notes)
    notes = "NodeInfo 2.1 of a distant fork, which does not tell the upstream version"
    yield scenario("fork-corgidon", Outcome.NOT_MASTODON, software="corgidon", version="2.9.3", notes=notes)
    capitals = {"nodeinfo": {"software.name": "Mastodon"}}
    site = scenario("software-capitals", _OK, documents=capitals)
    yield replace(site, truth=replace(site.truth, software=None, notes="names of software are told apart without case"))
    nothing = {"nodeinfo": {"metadata": MISSING}}
    notes = "0.1 is no Mastodon version, and the upstream version is not told"
    yield scenario("fork-fedibird-bare", _VERSION, software="fedibird", version="0.1", documents=nothing, notes=notes)
