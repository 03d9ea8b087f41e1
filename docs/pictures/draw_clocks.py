"""The pictures of docs/clocks.md, drawn by folding a story: what a picture shows is what the core does.

What may live here: two stories, and how they become SVG. No time and no length in a picture is written by
hand but the stories' own; every bar, mark and duration comes out of `rules.fold`.

`python -m docs.pictures.draw_clocks` writes the pictures anew; tests/docs compares.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from rules.case import Action, Case, Clock, Part, Place, Word
from rules.fold import fold
from rules.hours import Calendar, Opening
from rules.meaning.contract import Priority, Verdict
from rules.message import Kind
from rules.policies import FoldPolicy
from rules.targets import Target
from wire.durations import say_duration

FOLDER = Path(__file__).parent
ZONE = ZoneInfo("Europe/Berlin")

WIDTH = 420
AXIS = 50
LANE = 42
BAR = 12
TOP = 34
LINE = 16
LABEL_LETTERS = 26
KEY_LETTERS = 60
SIGNS = (
    ("customer", "the customer"),
    ("person", "a person"),
    ("bot", "a bot"),
    ("word", "operator’s word"),
)

STYLE = """
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--ink)}
.small{font-size:12px}.quiet{fill:var(--quiet)}.strong{font-weight:600}.late-text{fill:var(--late);font-weight:600}
svg{--paper:#fff;--ink:#1c1c1e;--quiet:#5a5a62;--open:#e9eef6;--line:#a9aeb8;--bar:#2463b4;--late:#b3261e}
@media (prefers-color-scheme:dark){
svg{--paper:#16181c;--ink:#ececf1;--quiet:#a9adb8;--open:#232a36;--line:#5c6270;--bar:#7ab0f5;--late:#ff8a80}}
.paper{fill:var(--paper)}.open{fill:var(--open)}.line{stroke:var(--line)}.bar{fill:var(--bar)}.late{fill:var(--late)}
.closed{opacity:.4}.mark{stroke:var(--ink);stroke-width:2}.due{stroke:var(--late);stroke-width:3}
.pause{stroke:var(--bar);stroke-width:2;stroke-dasharray:2 4}
.who{fill:var(--ink);stroke:var(--ink);stroke-width:1.5}.bot{fill:var(--paper)}
"""


@dataclass(frozen=True, slots=True)
class Said:
    """A line of the story: when, who ("customer", "person", "bot", "word"), and how the picture tells it."""

    at: datetime
    who: str
    tells: str


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn: a folded case in its calendar, from `start` to `end`, and its lanes. An hour is drawn
    so many pixels long, and a closed one shorter."""

    title: str
    case: Case
    calendar: Calendar
    target: Target
    start: datetime
    end: datetime
    story: tuple[Said, ...]
    lanes: tuple[str, ...]
    open_pixels: float
    closed_pixels: float

    def y(self, at: datetime) -> float:
        """Where that moment is."""
        opened = self.calendar.open_seconds(self.start, at) / 3600
        closed = (at - self.start).total_seconds() / 3600 - opened
        return TOP + opened * self.open_pixels + closed * self.closed_pixels

    @property
    def text_at(self) -> int:
        """Where the story's words begin."""
        return AXIS + 12 + LANE * len(self.lanes)


def _at(day: int, hour: int, minute: int = 0) -> datetime:
    """A wall time of March 2026, which begins on a Sunday."""
    return datetime(2026, 3, day, hour, minute, tzinfo=ZONE).astimezone(UTC)


def _office(closes: int) -> Calendar:
    return Calendar("office", str(ZONE), tuple(Opening(day, 9 * 60, closes * 60) for day in range(5)))


def _part(number: int, said: Said, kind: Kind, *, needs_reply: bool) -> Part:
    verdict = Verdict(0.9 if needs_reply else 0.1, needs_reply, needs_reply, True, Priority.NORMAL)
    inbound = said.who == "customer"
    return Part(
        id=str(number),
        inbound=inbound,
        created_at=said.at,
        seen_at=said.at,
        author_handle="ana" if inbound else "olga",
        verdict=verdict if inbound else None,
        automated=said.who == "bot",
        kind=kind,
        public=kind is Kind.POST,
    )


def _fold(story: Sequence[Said], thanks: Sequence[datetime], kind: Kind, policy: FoldPolicy) -> Case:
    """The one case of a story; what was written at one of `thanks` needs no reply."""
    parts = [
        _part(number, said, kind, needs_reply=said.at not in thanks)
        for number, said in enumerate(story)
        if said.who != "word"
    ]
    words = [Action(Word.RESOLVE, "0", "olga", said.at) for said in story if said.who == "word"]
    [case] = fold(Place("acme", "mail", "thread", "ana"), parts, words, policy)
    return case


def story_of_ana() -> Picture:
    """A week with every clock: a bot, an answer, a late one, thanks, resolved, reopened."""
    thanks = _at(4, 11, 40)
    story = (
        Said(_at(2, 15), "customer", "Ana asks: “Where is my parcel?”"),
        Said(_at(2, 15, 1), "bot", "a bot replies: stops nothing"),
        Said(_at(3, 9, 10), "customer", "Ana: “Hello?” joins the wait"),
        Said(_at(3, 9, 45), "person", "Olga answers"),
        Said(_at(3, 14), "customer", "Ana asks again"),
        Said(_at(4, 11, 30), "person", "Olga answers, late"),
        Said(thanks, "customer", "Ana: “Thanks!” starts nothing"),
        Said(_at(4, 11, 50), "word", "Olga says: resolved"),
        Said(_at(5, 9, 30), "customer", "Ana: “It is broken!” reopens it"),
        Said(_at(5, 12), "person", "Olga answers"),
        Said(_at(5, 12, 10), "word", "Olga says: resolved"),
    )
    calendar = _office(18)
    target = Target("email", 4 * 3600.0, 4 * 3600.0, 12 * 3600.0, calendar="office")
    case = _fold(story, (thanks,), Kind.EMAIL, FoldPolicy((target,), calendars={"office": calendar}))
    return Picture(
        "Ana's case and its clocks",
        case,
        calendar,
        target,
        _at(2, 14),
        _at(5, 13),
        story,
        ("any", "first", "next", "solve"),
        open_pixels=28,
        closed_pixels=4,
    )


def friday_afternoon() -> Picture:
    """The golden case: Friday 16:45 and 30 minutes, with the doors open from 9 to 17."""
    story = (
        Said(_at(6, 16, 45), "customer", "Ben asks"),
        Said(_at(9, 9, 25), "person", "Olga answers, late"),
    )
    calendar = _office(17)
    target = Target("public", 30 * 60.0, calendar="office")
    case = _fold(story, (), Kind.POST, FoldPolicy((target,), calendars={"office": calendar}))
    return Picture(
        "Thirty minutes over a weekend",
        case,
        calendar,
        target,
        _at(6, 16, 15),
        _at(9, 10),
        story,
        ("first",),
        open_pixels=150,
        closed_pixels=1.2,
    )


def draw(picture: Picture) -> str:
    """The picture as SVG, the same text each time."""
    labels, labels_end = _labels(picture)
    key, height = _key(picture, max(picture.y(picture.end), labels_end) + 26)
    body = [*_background(picture), *_lanes(picture), *labels, *key]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
            f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-labelledby="title desc">',
            f'<title id="title">{escape(picture.title)}</title>',
            f'<desc id="desc">{escape(describe(picture))}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{height:.0f}"/>',
            *body,
            "</svg>\n",
        ]
    )


def describe(picture: Picture) -> str:
    """The picture in words, for who cannot see it."""
    told = "; ".join(f"{_clock_time(said.at, day=True)} {said.tells}" for said in picture.story)
    return f"The story: {told}. The clocks: {'; '.join(key_lines(picture))}."


def key_lines(picture: Picture) -> Iterator[str]:
    """What each lane shows, with its figures: waits in real time, promises in open time."""
    case, target = picture.case, picture.target
    if case.first_any_reply_at is not None and "any" in picture.lanes:
        waited = (case.first_any_reply_at - case.opened_at).total_seconds()
        yield f"any: the first reply of any kind, after {say_duration(waited)}"
    for clock in case.clocks:
        lane = clock.name.value.split("_")[0]
        yield f"{lane}: {clock.name.value.replace('_', ' ')} after {_figures(picture, clock)}"
    if case.resolution is not None and target.resolution_seconds is not None:
        first, full = case.first_resolution_seconds or 0.0, case.full_resolution_seconds or 0.0
        yield (
            f"solve: resolution, less its pauses: first after {say_duration(first)}, in full after "
            f"{say_duration(full)}; {_promise(picture, case.resolution)}"
        )


def _figures(picture: Picture, clock: Clock) -> str:
    if clock.stopped_at is None or clock.seconds is None:
        return "no end yet"
    used = picture.calendar.open_seconds(clock.started_at, clock.stopped_at)
    return f"{say_duration(clock.seconds)}: {say_duration(used)} of open time, {_promise(picture, clock)}"


def _promise(picture: Picture, clock: Clock) -> str:
    said = f"{say_duration(clock.target_seconds or 0.0)} promised"
    if clock.breached_at is None:
        return f"{said}, kept"
    return f"{said}, broken {_clock_time(clock.breached_at, day=True)}"


def _clock_time(at: datetime, *, day: bool = False) -> str:
    return f"{at.astimezone(ZONE):{'%a %H:%M' if day else '%H:%M'}}"


def _background(picture: Picture) -> Iterator[str]:
    """The open hours, shaded, with the times at which they begin and end."""
    right = picture.text_at - 8
    for begun, ended in picture.calendar.openings_between(picture.start, picture.end):
        top, bottom = picture.y(begun), picture.y(ended)
        yield _rect("open", AXIS, top, right - AXIS, bottom - top)
        first = begun == picture.start
        yield _text(4, top + (22 if first else 4), f"{begun.astimezone(ZONE):%a}", "small strong")
        if not first:
            yield _text(4, top + 18, _clock_time(begun), "small quiet")
        if ended != picture.end:
            yield _text(4, bottom + 4, _clock_time(ended), "small quiet")
    for number, head in enumerate(picture.lanes):
        yield _text(_lane_x(number) - 2, 20, head, "small strong")


def _lanes(picture: Picture) -> Iterator[str]:
    case = picture.case
    for number, lane in enumerate(picture.lanes):
        x = _lane_x(number)
        if lane == "any" and case.first_any_reply_at is not None:
            yield from _bar(picture, x, case.opened_at, case.first_any_reply_at, None)
        elif lane == "solve" and case.resolution is not None:
            yield from _resolution(picture, x, case.resolution)
        for clock in case.clocks:
            if clock.name.value.startswith(lane):
                yield from _bar(picture, x, clock.started_at, _until(picture, clock), clock.due_at)
                yield from _marks(picture, x, clock)


def _until(picture: Picture, clock: Clock) -> datetime:
    return clock.stopped_at or picture.end


def _resolution(picture: Picture, x: float, clock: Clock) -> Iterator[str]:
    """It runs while the customer waits for us, and pauses while we wait for the customer."""
    waits = [(wait.started_at, _until(picture, wait)) for wait in picture.case.clocks]
    ends = [*(start for start, _ in waits[1:]), clock.stopped_at or picture.end]
    for (start, end), resumed in zip(waits, ends, strict=True):
        if resumed > end:
            middle = x + BAR / 2
            yield _line("pause", middle, picture.y(end), middle, picture.y(resumed))
        yield from _bar(picture, x, start, end, clock.due_at)
    yield from _marks(picture, x, clock)


def _bar(picture: Picture, x: float, start: datetime, end: datetime, due: datetime | None) -> Iterator[str]:
    """A wait: pale in closed hours, where it goes on and the promise does not count; another colour, and
    wider, from the moment at which it is late."""
    openings = picture.calendar.openings_between(start, end)
    moments = sorted({start, end, *(m for o in openings for m in o), *([due] if due else [])})
    for since, until in pairwise(moments):
        if not start <= since < until <= end:
            continue
        late = due is not None and since >= due
        opened = any(a <= since < b for a, b in openings)
        kind = ("late" if late else "bar") + ("" if opened else " closed")
        top, wide = picture.y(since), BAR + 4 if late else BAR
        height = max(2.0, picture.y(until) - top)
        yield _rect(kind, x - (wide - BAR) / 2, top, wide, height)


def _marks(picture: Picture, x: float, clock: Clock) -> Iterator[str]:
    """The shares at which people are told, and the breach, as far as the wait went."""
    end = _until(picture, clock)
    for share, at in clock.warnings:
        if at < end:
            yield _line("mark", x - 3, picture.y(at), x + BAR + 3, picture.y(at))
            yield _text(x + BAR + 3, picture.y(at) - 3, f"{share:.0%}", "small quiet")
    if clock.due_at is not None and clock.due_at < end:
        y = picture.y(clock.due_at)
        yield _line("due", x - 5, y, x + BAR + 5, y)
        yield _text(x + BAR + 5, y - 3, "late", "small late-text")


def _labels(picture: Picture) -> tuple[list[str], float]:
    """The story in words, each line beside its moment or, where it is crowded, below the one before."""
    drawn: list[str] = []
    free, x = float(TOP), picture.text_at
    letters = LABEL_LETTERS + (4 - len(picture.lanes)) * 6
    for said in picture.story:
        y = picture.y(said.at)
        lines = textwrap.wrap(f"{_clock_time(said.at)} {said.tells}", letters)
        top = max(free, y)
        drawn.append(_line("line", AXIS, y, x - 8, y))
        drawn.append(_line("line", x - 8, y, x, top))
        drawn.append(_who(said.who, x + 4, top))
        drawn += [_text(x + 13, top + 4 + n * LINE, line, "small") for n, line in enumerate(lines)]
        free = top + len(lines) * LINE + 3
    return drawn, free


def _who(who: str, x: float, y: float) -> str:
    """A sign for each speaker: a disc, a square, an empty square, a lozenge."""
    if who == "customer":
        return f'<circle class="who" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    if who == "word":
        return f'<path class="who" d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z"/>'
    kind = "who bot" if who == "bot" else "who"
    return f'<rect class="{kind}" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'


def _key(picture: Picture, top: float) -> tuple[list[str], float]:
    """What the lanes and the signs mean, below. Returns where it ends, too."""
    drawn = []
    for line in key_lines(picture):
        for wrapped in textwrap.wrap(line, KEY_LETTERS, subsequent_indent="\u2003"):
            drawn.append(_text(4, top, wrapped, "small"))
            top += LINE
    top += 8
    spoke = {said.who for said in picture.story}
    signs = [
        ("customer", "the customer"),
        ("person", "a person"),
        ("bot", "a bot"),
        ("word", "operator’s word"),
    ]
    shown = [(who, says) for who, says in signs if who in spoke]
    x = 9.0
    for who, says in shown:
        drawn += [_who(who, x, top - 4), _text(x + 9, top, says, "small quiet")]
        x += 30 + 7 * len(says)
    notes = (
        "Shaded: open hours; nights are drawn shorter. Pale: the wait goes on, the promise does not count."
    )
    if "solve" in picture.lanes:
        notes += " Dotted: a pause."
    for line in textwrap.wrap(notes, KEY_LETTERS):
        top += LINE
        drawn.append(_text(4, top, line, "small quiet"))
    return drawn, top + 12


def _lane_x(number: int) -> float:
    return AXIS + 10 + number * LANE


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, said: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(said)}</text>'


def pictures() -> list[tuple[Path, str]]:
    """Each picture with the file that it stands in."""
    return [(FOLDER / "clocks.svg", draw(story_of_ana())), (FOLDER / "friday.svg", draw(friday_afternoon()))]


if __name__ == "__main__":
    for path, drawn in pictures():
        path.write_text(drawn, "utf-8")
