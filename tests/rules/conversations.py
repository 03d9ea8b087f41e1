"""Conversations for property tests: what one customer, the brand, its bots and its operators may do to each
other, drawn so that coincidences (the same instant, exactly the gap, exactly five seconds) are likely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from rules.case import Action, Part, Word
from tests.rules.build import asks, at, replies, says, verdict

SECOND = 1.0
MINUTE = 60.0
HOUR = 3600.0
DAY = 24 * HOUR
GAPS = (2 * HOUR, DAY)
"""The silences that end a case, in seconds, which the conversations aim to hit and to miss narrowly."""

PAUSES = st.one_of(
    st.sampled_from([0.0, 0.0, 2.0, 4.999, 5.0, 6.0, MINUTE, MINUTE, 10 * MINUTE, HOUR]),
    st.sampled_from([g + d for g in GAPS for d in (-SECOND, 0.0, SECOND)] + [3 * HOUR, 40 * HOUR]),
    st.integers(0, 2 * 1440 * 60_000).map(lambda ms: ms / 1000),
)
"""Seconds from one message to the next: a small grid of telling values, and any other."""

LAGS = st.sampled_from([0.0, 0.0, 0.0, SECOND, 10 * MINUTE, 3 * HOUR, 30 * HOUR])
"""Seconds until we saw it."""

DELETED = st.one_of(
    st.none(), st.none(), st.none(), st.sampled_from([0.0, 5.0, MINUTE, HOUR, DAY]), st.floats(0, 2 * DAY)
)
"""Seconds until its author deleted it, if ever."""

NEEDS = st.sampled_from(
    [(True, True), (True, True), (True, True), (False, False), (False, True), (True, False)]
)
"""Whether its present text, and its first text, ask for a reply: the two differ where it was edited."""

WHAT = st.sampled_from(["asks"] * 5 + ["replies"] * 3 + ["bot", "in two parts"])

WORDS = st.sampled_from([Word.RESOLVE, Word.IGNORE, Word.ANSWERED, Word.RESOLVE, Word.ACK, Word.SNOOZE])

STEP = st.tuples(WHAT, PAUSES, LAGS, DELETED, NEEDS, st.booleans())
SPEECH = st.tuples(WORDS, st.integers(0, 30), st.integers(0, 30), PAUSES, st.booleans())


@dataclass(frozen=True)
class Talk:
    """One customer's conversation: its messages in the order drawn, and what operators said of it."""

    parts: tuple[Part, ...]
    words: tuple[Action, ...]


def _later(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(milliseconds=round(seconds * 1000))


def _build_parts(steps: Sequence[tuple[Any, ...]], *, backwards: bool) -> list[Part]:
    """The messages; `backwards` names them so that ids do not ascend with time."""
    made: list[Part] = []
    moment = at(0)
    for what, pause, lag, deleted, (needs, needed), complaint in steps:
        moment = _later(moment, pause)
        for second in (False, True) if what == "in two parts" else (False,):
            number = len(made)
            id = f"{90 - number if backwards else 10 + number}"
            if second:
                moment = _later(moment, 3 * SECOND)
            times: dict[str, Any] = {
                "created_at": moment,
                "seen_at": _later(moment, lag),
                "deleted_at": None if deleted is None else _later(moment, deleted),
            }
            if what == "asks":
                now = verdict(complaint=complaint and needs, needs_reply=needs)
                first = None if needs == needed else verdict(complaint=False, needs_reply=needed)
                edited = None if first is None else _later(moment, 2 * MINUTE)
                part = asks(id, 0, verdict=now, first_verdict=first, edited_at=edited)
            else:
                by = "acmebot" if what == "bot" else ("acmehelp" if complaint else "acme")
                part = replies(id, 0, automated=what == "bot", author_handle=by)
            made.append(replace(part, **times))
    return made


def _build_words(speeches: Sequence[tuple[Any, ...]], parts: Sequence[Part]) -> list[Action]:
    """What operators say, each of a message that had been seen by then: most often shortly after something
    was written or seen."""
    asked = [p for p in parts if p.inbound]
    made: list[Action] = []
    for word, named, near, pause, seen in speeches:
        if not asked:
            break
        message = asked[named % len(asked)]
        close_to = parts[near % len(parts)]
        moment = _later(close_to.seen_at if seen else close_to.created_at, pause if pause < HOUR else 0.0)
        moment = max(moment, message.created_at, message.seen_at)
        until = _later(moment, HOUR) if word is Word.SNOOZE else None
        if any(said.at == moment for said in made):
            continue  # nothing says which of two words in the same instant was the first
        action = says(word, message.id, 0, until=until)
        made.append(replace(action, at=moment, who=f"olga{len(made)}"))
    return made


def _build(steps: Sequence[tuple[Any, ...]], speeches: Sequence[tuple[Any, ...]], backwards: bool) -> Talk:
    parts = _build_parts(steps, backwards=backwards)
    return Talk(tuple(parts), tuple(_build_words(speeches, parts)))


def talks(*, length_max: int = 10, words_max: int = 3) -> st.SearchStrategy[Talk]:
    """Conversations of up to so many steps, in which operators say up to so many words."""
    return st.builds(
        _build,
        st.lists(STEP, min_size=1, max_size=length_max),
        st.lists(SPEECH, max_size=words_max),
        st.booleans(),
    )
