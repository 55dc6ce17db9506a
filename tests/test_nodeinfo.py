"""NodeInfo documents of Mastodon, its forks and others -> what they say."""

import math

import pytest

from tests.documents import DOCUMENTS, json_document
from vmcrawl.nodeinfo import InvalidNodeInfo, is_mastodon_family, parse_nodeinfo, whole_number


@pytest.mark.parametrize(
    ("sample", "software", "version", "upstream_version"),
    [
        ("2.0-birdsitelive", "birdsitelive", "1.0.0", None),
        ("2.0-chuckya", "mastodon", "4.7.0-alpha.1+chuckya", None),
        ("2.0-ecko", "ecko", "3.4.9001", None),
        ("2.0-fedibird", "fedibird", "0.1", "3.4.1"),
        ("2.0-glitch", "mastodon", "4.6.5+glitch", None),
        ("2.0-hometown-old-order", "hometown", "1.0.7+3.5.5", None),
        ("2.0-hometown", "hometown", "4.5.11+hometown-1.2.1", None),
        ("2.0-kmyblue", "kmyblue", "4.6.3+kmyblue.24.2-lts", "4.6.3"),
        ("2.0-mastodon-3.0-to-3.5", "mastodon", "3.5.19", None),
        ("2.0-mastodon-3.0.0rc2-no-openregistrations", "mastodon", "3.0.0rc2", None),
        ("2.0-mastodon-4.0-to-4.2", "mastodon", "4.2.29", None),
        ("2.0-mastodon-4.0.0rc1-rc2-metadata-array", "mastodon", "4.0.0rc2", None),
        ("2.0-mastodon-4.3plus", "mastodon", "4.7.0", None),
        ("2.0-mastodon-nightly-security", "mastodon", "4.6.0-nightly.2026-05-21-security", None),
        ("2.0-mastodon-nightly", "mastodon", "4.8.0-nightly.2026-08-20", None),
        ("2.0-waka-unicode-name", "和歌", "4.4.0+waka.1.0", "4.4.0"),
        ("2.1-corgidon", "corgidon", "2.9.3", None),
    ],
)
def test_a_sample_is_read_rightly(sample, software, version, upstream_version):
    nodeinfo = parse_nodeinfo(json_document("samples", f"nodeinfo-{sample}.json"))
    assert (nodeinfo.software_name, nodeinfo.software_version) == (software, version)
    assert nodeinfo.upstream_name == ("mastodon" if upstream_version else None)
    assert nodeinfo.upstream_version == upstream_version
    assert nodeinfo.active_month == (None if software == "birdsitelive" else 2345)
    assert is_mastodon_family(nodeinfo) is (software not in ("birdsitelive", "corgidon"))


def test_every_sample_has_a_row():
    assert len(list((DOCUMENTS / "samples").glob("nodeinfo-*.json"))) == 17


@pytest.mark.parametrize(
    ("name", "software", "version", "active_month"),
    [
        ("usage-user-singular.json", "mastodon", "4.5.0", 16),
        ("usage-as-list.json", "mastodon", "4.5.0", None),
        ("usage-missing.json", "mastodon", "4.5.0", None),
        ("active-month-as-string.json", "mastodon", "4.5.0", "16"),
        ("version-as-number.json", "mastodon", None, 16),
        ("software-name-in-capitals.json", "mastodon", "4.5.0", 16),
        ("upstream-of-an-unknown-fork.json", "newfork", "1.0", 16),
        ("nodeinfo-in-place-of-links.json", "mastodon", "4.5.0", 12),
    ],
)
def test_an_oddity_is_forgiven(name, software, version, active_month):
    nodeinfo = parse_nodeinfo(json_document(name))
    assert (nodeinfo.software_name, nodeinfo.software_version, nodeinfo.active_month) == (
        software,
        version,
        active_month,
    )
    assert is_mastodon_family(nodeinfo)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 1, "mastodon", [], {}, {"software": None}, {"software": "mastodon"}, {"software": ["mastodon"]}),
        *({"software": {}}, {"software": {"name": None}}, {"software": {"name": 1}}, {"software": {"name": " "}}),
        *(json_document("samples", "well-known-nodeinfo.json"), json_document("samples", "api-v2-instance-4.7.json")),
        [{"software": {"name": "mastodon"}}],
    ],
)
def test_what_names_no_software_is_not_nodeinfo(value):
    with pytest.raises(InvalidNodeInfo):
        parse_nodeinfo(value)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        *((name, True) for name in ("mastodon", "Mastodon", " MASTODON\n", "hometown", "kmyblue", "fedibird", "ecko")),
        *((name, True) for name in ("glitchcafe", "nagitodon")),
        # Forks that nobody can place without metadata.upstream.
        *((name, False) for name in ("koyuspace", "corgidon", "和歌", "waka", "paon", "truecolors")),
        *(
            (name, False)
            for name in ("birdsitelive", "birdmeetup", "pleroma", "akkoma", "misskey", "gotosocial", "takahe")
        ),
        *((name, False) for name in ("mastodon2", "mastodon compatible", "not mastodon", "mast\0odon", "\ud800")),
    ],
)
def test_the_family_is_known_by_name(name, family):
    assert is_mastodon_family(parse_nodeinfo({"software": {"name": name}})) is family


@pytest.mark.parametrize("name", ["koyuspace", "corgidon", "和歌", "waka", "paon", "truecolors"])
def test_a_distant_fork_is_followed_where_it_names_its_upstream(name):
    metadata = {"upstream": {"name": "mastodon", "version": "4.4.0"}}
    assert is_mastodon_family(parse_nodeinfo({"software": {"name": name}, "metadata": metadata}))


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *((0, 0), (1, 1), (100, 100), (12.0, 12), (0.0, 0), (-0.0, 0), (100.0, 100)),
        *((101, None), (-1, None), (12.5, None), (100.5, None), (-0.5, None), (10**400, None), (-(10**400), None)),
        *((True, None), (False, None), (None, None), ("16", None), ("", None), ([], None), ([1], None), ({}, None)),
        *((math.inf, None), (-math.inf, None), (math.nan, None), (1e308, None), (5e-324, None)),
    ],
)
def test_active_users_are_a_whole_number_up_to_the_ceiling(value, number):
    result = whole_number(value, 100)
    assert result == number
    assert type(result) is type(number)
