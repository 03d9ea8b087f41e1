"""Reading newest-first lists: whatever the list does meanwhile, nothing that stays in it is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.walk import PAGES_MAX, RECENT_MAX, Place, Row, begin, is_new, take, was_changed

START = datetime(2026, 11, 2, 12, tzinfo=UTC)
LOOK_BACK = timedelta(hours=1)
OVERLAP = timedelta(minutes=5)


@dataclass
class Lists:
    """A platform with newest-first lists, and whoever reads them: only the cursor's JSON lives on between two
    pages. The token of a page is the time and the id of its last entry, as on most platforms."""

    names: tuple[str, ...] = ("a",)
    page_size: int = 3
    overlap: timedelta = OVERLAP
    now: datetime = START
    entries: dict[str, list[Row]] = field(default_factory=dict)
    cursor: dict[str, Any] | None = None
    seen: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)
    doubled: bool = False

    def add(self, id: str, late: timedelta = timedelta(0), name: str = "a", stamp: str = "") -> None:
        at = (self.now - late).timestamp()
        ordered = self.entries.setdefault(name, [])
        ordered.append(Row(id, at, stamp))
        ordered.sort(key=lambda row: (row.at or 0.0, row.id), reverse=True)

    def drop(self, index: int, name: str = "a") -> None:
        if ordered := self.entries.get(name):
            ordered.pop(index % len(ordered))

    def page(self, name: str, token: str | None) -> tuple[list[Row], str | None]:
        ordered = self.entries.get(name, [])
        if token is not None:
            at, _, id = token.partition(" ")
            ordered = [row for row in ordered if (row.at or 0.0, row.id) < (float(at), id)]
        rows = ordered[: self.page_size]
        onward = f"{rows[-1].at!r} {rows[-1].id}" if len(ordered) > self.page_size else None
        return (rows + rows[:2] if self.doubled else rows), onward

    def poll(self) -> bool:
        """Read one page after a restart. Whether more waits."""
        place, walk, gap = begin(self.cursor, self.now, LOOK_BACK, self.names)
        rows, token = self.page(walk.listing, walk.token)
        for row in rows:
            if is_new(place, walk.listing, row):
                self.seen.setdefault(walk.listing, set()).add((row.id, row.stamp))
        after, lost = take(place, self.names, rows, token, overlap=self.overlap)
        if walk.listing == self.names[-1] and after.drained:
            assert after.marks[walk.listing].at <= max([self.now.timestamp(), *((r.at or 0.0) for r in rows)])
        else:
            # Until a list is read to its end its mark stays where it was.
            same = after.walk is not None and after.walk.listing == walk.listing
            assert not same or after.marks == place.marks
        self.gaps += [g for g in (gap, lost) if g is not None]
        self.cursor = json.loads(json.dumps(after.written()))
        return not after.drained

    def drain(self, pages_max: int = 300) -> int:
        """Read to the end. How many pages it took."""
        for read in range(1, pages_max + 1):
            if not self.poll():
                return read
        raise AssertionError("the reading never ends")

    def unseen(self, name: str = "a") -> set[str]:
        since = (START - LOOK_BACK).timestamp()
        ids = {id for id, _ in self.seen.get(name, set())}
        return {row.id for row in self.entries.get(name, []) if (row.at or 0.0) >= since} - ids


DEEDS = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 5)),
    st.tuples(st.just("late"), st.integers(0, 290)),
    st.tuples(st.just("drop"), st.integers(0, 40)),
    st.tuples(st.just("poll"), st.integers(1, 3)),
    st.tuples(st.just("wait"), st.integers(1, 400)),
    st.tuples(st.just("edit"), st.integers(0, 40)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(DEEDS, max_size=40), st.integers(1, 7), st.booleans(), st.booleans())
def test_nothing_that_stays_in_a_list_is_lost(
    deeds: list[tuple[str, int]], page_size: int, doubled: bool, punctual: bool
) -> None:
    """Entries come, late ones too (within the overlap), others go or come twice, and the program restarts
    between any two pages: at the end everything that is there was handed over."""
    lists = Lists(page_size=page_size, doubled=doubled, overlap=timedelta(0) if punctual else OVERLAP)
    written = 0
    for deed, number in deeds:
        match deed:
            case "write":
                for _ in range(number):
                    lists.add(f"e{written}")
                    written += 1
                    lists.now += timedelta(seconds=1)
            case "late":
                lists.add(f"e{written}", timedelta(seconds=0 if punctual else number))
                written += 1
                lists.now += timedelta(seconds=1)
            case "drop":
                lists.drop(number)
            case "edit" if lists.entries.get("a"):
                ordered = lists.entries["a"]
                row = ordered[number % len(ordered)]
                ordered[number % len(ordered)] = Row(row.id, row.at, f"edited at {lists.now}")
            case "poll":
                for _ in range(number):
                    lists.poll()
            case _:
                lists.now += timedelta(seconds=number)
    # A reading under way began before the latest entries: the next one brings them.
    lists.drain()
    lists.drain()
    assert lists.unseen() == set() and lists.gaps == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=60), st.integers(1, 4))
def test_a_stream_of_several_lists_reads_each_to_its_end(where: list[int], page_size: int) -> None:
    """Every list is read, one after the other, and each has a mark of its own."""
    names = ("a", "b", "c")
    lists = Lists(names=names, page_size=page_size, overlap=timedelta(0))
    for number, place in enumerate(where):
        lists.add(f"e{number}", name=names[place])
        lists.now += timedelta(seconds=1)
    lists.drain()
    for name in names:
        assert lists.unseen(name) == set()
        assert len(lists.seen.get(name, ())) == where.count(names.index(name))


def test_what_is_handed_over_once_is_not_again_unless_it_changed() -> None:
    """A quiet list costs one page a reading; an edited entry comes once more."""
    lists = Lists(page_size=100)
    for number in range(20):
        lists.add(f"e{number}", timedelta(seconds=600 - number))
    lists.drain()
    lists.seen.clear()
    assert lists.drain() == 1 and lists.seen == {}
    lists.entries["a"][3] = Row(lists.entries["a"][3].id, lists.entries["a"][3].at, "edited")
    place, walk, _ = begin(lists.cursor, lists.now, LOOK_BACK, lists.names)
    changed = [row.id for row in lists.page("a", None)[0] if was_changed(place, walk.listing, row)]
    lists.drain()
    assert lists.seen == {"a": {(changed[0], "edited")}} and len(changed) == 1


def test_without_an_overlap_a_page_that_is_known_ends_the_reading() -> None:
    """Where nothing turns up late, the newest page tells that all below is known."""
    lists = Lists(overlap=timedelta(0), page_size=3)
    for number in range(12):
        lists.add(f"e{number}")
    assert lists.drain() == 4
    assert lists.drain() == 1


def test_the_first_reading_goes_back_no_further_than_asked() -> None:
    """What is older than the look-back is neither handed over nor read page by page."""
    lists = Lists(page_size=2, overlap=timedelta(0))
    for number in range(40):
        lists.add(f"e{number}", timedelta(minutes=10 * number))
    pages = lists.drain()
    assert {id for id, _ in lists.seen["a"]} == {f"e{n}" for n in range(7)} and pages == 4


def test_a_list_without_end_is_left_with_a_gap() -> None:
    """Not more than so many pages are read at once, and the gap says that some were not."""
    lists = Lists(page_size=1)
    for number in range(PAGES_MAX + 5):
        lists.add(f"e{number}", timedelta(seconds=number))
    assert lists.drain() == PAGES_MAX
    assert lists.gaps == [f"more than {PAGES_MAX} pages at once, so the rest was not read"]


@pytest.mark.parametrize("token", ["same", "x" * 5000])
def test_a_list_that_goes_in_circles_is_left_with_a_gap(token: str) -> None:
    """A platform that gives the same page again, or a token that no cursor holds, ends the reading."""
    place, _, _ = begin(None, START, LOOK_BACK, ("a",))
    lost = None
    for _ in range(3):
        place, lost = take(place, ("a",), [Row("e", START.timestamp())], token)
        if lost is not None:
            break
    assert lost == "the platform gave the same page again, so the rest was not read" and place.drained


def test_rows_without_a_time_do_not_end_a_reading() -> None:
    """Entries whose time cannot be read, and empty pages with a next one, are walked past."""
    place, _, _ = begin(None, START, LOOK_BACK, ("a",))
    pages: Sequence[tuple[list[Row], str | None]] = [
        ([Row("broken", None)], "1"),
        ([], "2"),
        ([Row("old", (START - timedelta(days=3)).timestamp())], "3"),
    ]
    for rows, token in pages:
        assert not place.drained
        place, lost = take(place, ("a",), rows, token)
        assert lost is None
    assert place.drained and place.marks["a"].recent.keys() == {"broken", "old"}


def test_a_mark_remembers_a_bounded_number_of_entries() -> None:
    """A cursor does not grow with its list."""
    lists = Lists(page_size=100)
    for number in range(3 * RECENT_MAX):
        lists.add(f"e{number}", timedelta(seconds=number))
    lists.drain()
    assert lists.cursor is not None
    assert len(lists.cursor["marks"]["a"]["recent"]) == RECENT_MAX
    assert "e0" in lists.cursor["marks"]["a"]["recent"], "the newest are those that are kept"


def test_a_list_that_is_no_longer_read_is_forgotten() -> None:
    """A keyword that leaves the config takes its mark with it, and a reading of it is not gone on with."""
    lists = Lists(names=("a", "b"), page_size=1)
    for number in range(3):
        lists.add(f"e{number}", name="a")
    lists.poll()
    lists.names = ("b",)
    lists.drain()
    assert lists.cursor is not None and lists.cursor["marks"].keys() == {"b"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("v", "since", "marks", "walk", "at", "recent", "begun", "listing", "token", "top", "pages")


@given(st.recursive(json_values, lambda inner: st.dictionaries(st.sampled_from(KEYS), inner), max_leaves=12))
def test_a_cursor_that_is_none_of_ours_begins_anew_and_says_so(stored: Any) -> None:
    """Whatever stands in the database, the reading goes on, and the gap is recorded."""
    if not isinstance(stored, dict):
        stored = {"v": 1, "since": START.isoformat(), "marks": stored}
    place, walk, gap = begin(stored, START, LOOK_BACK, ("a",))
    assert walk.listing == "a" and place.walk == walk
    if gap is not None:
        assert place == Place(START - LOOK_BACK, {}, walk)


def test_nothing_is_taken_where_nothing_was_begun() -> None:
    """A mistake in a connector is told at once."""
    with pytest.raises(ValueError, match="no reading is under way"):
        take(Place(START, {}), ("a",), [], None)
