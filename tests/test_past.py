"""From pages to samples: values hold until the next page, gaps stay gaps, and sums are right at every instant."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.past import Points, Stretch, Window, draw

Labels = tuple[str, ...]
#: Series and values of one page.
Page = dict[Labels, int]

A: Labels = ("4.5", "true")
B: Labels = ("4.5", "false")
WINDOW = Window(0, 10_000, 300)
KEPT = 1_500


def stretches(pages: Sequence[tuple[int, Page]]) -> list[Stretch]:
    """What the store gives for pages in the order of time: series by series."""
    following = [*(begins for begins, _ in pages), None][1:]
    return [
        Stretch(
            labels,
            begins,
            begins + KEPT if after is None else min(after, begins + KEPT),
            after,
            page[labels],
        )
        for labels in (B, A)
        for (begins, page), after in zip(pages, following, strict=True)
        if labels in page
    ]


def drawn(pages: Sequence[tuple[int, Page]], window: Window = WINDOW) -> list[tuple[Labels, int, int]]:
    return [(p.labels, instant, p.value) for p in draw(stretches(pages), window) for instant in p.instants]


def test_a_value_is_repeated_until_the_next_page():
    assert drawn([(601, {A: 5}), (1_500, {A: 6}), (1_900, {A: 7})], Window(0, 2_101, 300)) == [
        *((A, 900, 5), (A, 1_200, 5)),
        *((A, 1_500, 6), (A, 1_800, 6)),
        (A, 2_100, 7),
    ]


def test_without_a_next_page_it_is_believed_for_the_retention_and_then_there_is_a_gap():
    instants = [instant for _, instant, _ in drawn([(300, {A: 5}), (4_000, {A: 6})])]
    assert instants == [300, 600, 900, 1_200, 1_500, 4_200, 4_500, 4_800, 5_100, 5_400]


def test_a_series_that_the_next_page_lacks_ends_with_one_zero_so_that_no_sum_counts_it_twice():
    assert drawn([(0, {A: 5}), (600, {B: 5}), (1_200, {B: 4})], Window(0, 1_201, 300)) == [
        *((B, 600, 5), (B, 900, 5), (B, 1_200, 4)),
        *((A, 0, 5), (A, 300, 5), (A, 600, 0)),
    ]


def test_a_series_that_fades_has_no_zero():
    assert [value for _, _, value in drawn([(0, {A: 5}), (3_000, {B: 5})])] == [5] * 10


def test_it_has_one_if_the_next_page_came_before_anybody_could_see_that_it_had_faded():
    fades = 300 + KEPT
    assert drawn([(300, {A: 5}), (fades + 250, {B: 5})])[-1] == (A, fades - 300, 5)
    assert drawn([(250, {A: 5}), (fades - 20, {B: 5})])[-1] == (A, fades, 0)


def test_of_several_pages_between_two_instants_the_last_one_is_seen():
    assert drawn([(10, {A: 1}), (20, {B: 2}), (20, {A: 3})], Window(0, 301, 300)) == [(A, 300, 3)]
    assert drawn([(0, {A: 1}), (310, {B: 2}), (320, {A: 3})], Window(0, 601, 300)) == [
        (A, 0, 1),
        (A, 300, 1),
        (A, 600, 3),
    ]
    assert drawn([(0, {A: 1}), (310, {A: 2}), (320, {B: 3})], Window(0, 601, 300)) == [
        (B, 600, 3),
        *((A, 0, 1), (A, 300, 1), (A, 600, 0)),
    ]


def test_nothing_is_drawn_outside_of_the_window():
    page: list[tuple[int, Page]] = [(0, {A: 5})]
    assert [instant for _, instant, _ in drawn(page, Window(301, 900, 300))] == [600]
    assert drawn(page, Window(900, 900, 300)) == []
    assert drawn([], WINDOW) == []
    assert [points for points in draw(stretches(page), Window(5_000, 9_000, 300)) if points.instants] == []


def test_points_of_a_stretch_come_as_a_range_however_long_it_is():
    (points,) = draw([Stretch(A, 0, 10**12, None, 1)], Window(0, 10**12, 1))
    assert points == Points(A, range(10**12), 1)


pages_of_any_kind = st.lists(
    st.tuples(st.integers(0, 9_000), st.dictionaries(st.sampled_from([A, B]), st.integers(1, 9), min_size=1)),
    max_size=12,
).map(lambda pages: sorted(pages, key=lambda page: page[0]))


@given(pages_of_any_kind, st.integers(1, 700))
def test_at_each_instant_there_is_what_the_page_of_that_moment_says(pages, step):
    def page_at(instant: int) -> Page | None:
        before = [(begins, page) for begins, page in pages if begins <= instant]
        return before[-1][1] if before and instant < before[-1][0] + KEPT else None

    expected: dict[tuple[Labels, int], int] = {}
    for instant in range(0, 10_000, step):
        page, before = page_at(instant), page_at(instant - step) or {}
        if page is not None:
            expected |= {(labels, instant): 0 for labels in before} | {
                (labels, instant): n for labels, n in page.items()
            }
    samples = drawn(pages, Window(0, 10_000, step))
    assert {(labels, instant): value for labels, instant, value in samples} == expected
    assert len(samples) == len(expected)
    for labels in A, B:
        instants = [instant for series, instant, _ in samples if series == labels]
        assert instants == sorted(instants)


@given(pages_of_any_kind, st.integers(1, 700), st.integers(0, 10_000))
def test_two_windows_that_meet_make_the_samples_of_one(pages, step, seam):
    parts = drawn(pages, Window(0, seam, step)) + drawn(pages, Window(seam, 10_000, step))
    assert sorted(parts) == sorted(drawn(pages, Window(0, 10_000, step)))


@pytest.mark.parametrize(("begins", "ends", "instants"), [(0, 1, [0]), (1, 300, []), (1, 301, [300]), (-5, 0, [])])
def test_instants_are_multiples_of_the_step(begins, ends, instants):
    assert list(WINDOW.instants(begins, ends)) == instants
