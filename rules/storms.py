"""Many at once: when single alerts become one message (a storm), and when complaints are unusually many
(a spike). Pure: the moments and counts are handed in, and nothing is remembered.

Both are level-triggered: each look works out anew how things stand, so that a restart is harmless.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import groupby, islice

from rules.case import Case, Status
from rules.targets import PRIORITY_ORDER

TEXTS_MAX = 1000
"""So many texts are read for common words: more would not change what they are."""

TEXT_LENGTH_MAX = 1000
WORD_LENGTH_MIN = 3
WORD_LENGTH_MAX = 30
WORD_TEXTS_MIN = 3
WORD_SHARE_MIN = 0.2

_FUNCTION_WORDS = frozenset(
    """
    about after again all also always and another any anybody anyone anything are aren't around because
    been before being both but can can't cannot could couldn't did didn't does doesn't doing don't done
    down each either else ever every everyone everything few for from get gets getting give given gives
    giving going gone gonna got had hadn't has hasn't have haven't having hello her here hers hey him his
    how however i'd i'll i'm i've into isn't it'll it's its itself just know let let's like look made make
    makes many may maybe might more most much must myself need needs never nobody nor not nothing now off
    one only onto other our ours out over own please put really said same say says see she should
    shouldn't since some somebody someone something still such take tell than thank thanks that that's the
    their theirs them then there there's these they they're they've thing things think this those though
    through till too try trying under until upon use used using very via want wants was wasn't way we'd
    we'll we're we've well went were weren't what what's when where which while who whole whom whose why
    will with within without won't would wouldn't yes yet you you'd you'll you're you've your yours
    """.split()
)
"""Words that tell nothing of what a text is about, in English. Those of other languages can be handed in as
`ignored`."""


class StormKind(StrEnum):
    """How things stand."""

    CALM = "calm"  # no storm
    BEGINS = "begins"  # there was none, and now there is one
    GOES_ON = "goes_on"
    OVER = "over"  # there was one, and it has ended


@dataclass(frozen=True, slots=True)
class StormPolicy:
    """When people get one message instead of many.

    A storm begins when more than `cases` cases reached a stage within `within_seconds`, and is over when for
    `over_after_seconds` no further one did. While it goes on, its message is brought up to date at most
    every `update_seconds`. Raises ValueError where `over_after_seconds` is shorter than `within_seconds`:
    the cases that ended the calm would begin the next storm at once.
    """

    cases: int = 10
    within_seconds: float = 600.0
    over_after_seconds: float = 900.0
    update_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.cases < 1 or self.within_seconds <= 0 or self.update_seconds <= 0:
            raise ValueError("a storm needs at least one case, and times above zero")
        if self.over_after_seconds < self.within_seconds:
            raise ValueError(
                "a storm must not be over before the cases that made it are too old to make another: "
                "expected over_after to be as long as within, or longer"
            )


@dataclass(frozen=True, slots=True)
class StormVerdict:
    """How things stand, since when, and why.

    `since` is when the storm began: when the first of the cases that made it reached its stage (None: calm).
    `reached` counts the cases that reached a stage since then, or in calm within the time that counts.
    `over_at` is when it ended (OVER), or will if nothing more happens (BEGINS, GOES_ON): a reason to look
    again then.
    """

    kind: StormKind
    since: datetime | None
    reached: int
    over_at: datetime | None
    reason: str


def judge_storm(
    running_since: datetime | None, reached: Sequence[datetime], policy: StormPolicy, now: datetime
) -> StormVerdict:
    """Whether there is a storm. `running_since` is the `since` of the one that was found before and not seen
    to end (None: none). `reached` has one moment for each case: when it first reached a stage, in any order;
    moments after `now` do not count yet."""
    if running_since is None:
        window = timedelta(seconds=policy.within_seconds)
        recent = [at for at in reached if now - window < at <= now]
        said = f"{len(recent)} cases reached a stage within {policy.within_seconds / 60:g} min"
        if len(recent) <= policy.cases:
            return StormVerdict(StormKind.CALM, None, len(recent), None, f"{said}, not over {policy.cases}")
        over_at = max(recent) + timedelta(seconds=policy.over_after_seconds)
        return StormVerdict(
            StormKind.BEGINS, min(recent), len(recent), over_at, f"{said}, more than {policy.cases}"
        )
    since_then = [at for at in reached if running_since <= at <= now]
    last = max(since_then, default=running_since)
    over_at = last + timedelta(seconds=policy.over_after_seconds)
    if now < over_at:
        reason = f"the last case reached a stage at {last.astimezone(UTC):%H:%M} UTC"
        return StormVerdict(StormKind.GOES_ON, running_since, len(since_then), over_at, reason)
    reason = f"no further case reached a stage for {policy.over_after_seconds / 60:g} min"
    return StormVerdict(StormKind.OVER, running_since, len(since_then), over_at, reason)


def worst(cases: Sequence[Case], limit: int = 5) -> tuple[Case, ...]:
    """Those whom to answer first, of those who wait: by priority, then the longest overdue (or soonest due;
    those who were promised nothing last), then by id, so that the order never wavers."""
    waiting = [case for case in cases if case.status is Status.WAITING]
    return tuple(sorted(waiting, key=_urgency)[:limit])


def _urgency(case: Case) -> tuple[int, bool, datetime, str]:
    due_at = case.due_at
    return (-PRIORITY_ORDER[case.priority], due_at is None, due_at or case.opened_at, case.id)


def common_words(
    texts: Iterable[str], ignored: Collection[str] = (), limit: int = 5
) -> tuple[tuple[str, int], ...]:
    """The words that many of these texts share, as (word, in how many texts), the most common first.

    It tells at a glance what a storm is about ("delivery" in 20, "refund" in 12). A word counts once a text
    and without its case; it has at least three letters, and stands in at least three texts and a fifth of
    them. Handles, links, addresses and whatever has a digit in it are left out, and so are `ignored` (the
    brand's own names, say) and English function words. Words are strangers' words: escape them.

    Texts are the enemy's: of each only the first 1,000 letters are read, and 1,000 texts at most, so that
    the time is bounded; of words that are as common the alphabet decides, so that the order never wavers.
    """
    left_out = {unicodedata.normalize("NFKC", word).casefold() for word in ignored}
    counts: Counter[str] = Counter()
    total = 0
    for text in islice(texts, TEXTS_MAX):
        total += 1
        counts.update(set(_words(text)))
    enough = max(WORD_TEXTS_MIN, math.ceil(total * WORD_SHARE_MIN))
    shared = [
        (word, count)
        for word, count in counts.items()
        if count >= enough and word not in left_out and word not in _FUNCTION_WORDS
    ]
    return tuple(sorted(shared, key=lambda found: (-found[1], found[0]))[:limit])


def _words(text: str) -> Iterator[str]:
    """The words of a text, case-folded, in linear time."""
    plain = unicodedata.normalize("NFKC", text[:TEXT_LENGTH_MAX]).replace("’", "'")
    for chunk in plain.casefold()[:TEXT_LENGTH_MAX].split():
        if "@" in chunk or "://" in chunk or chunk.startswith("www.") or ("/" in chunk and "." in chunk):
            continue
        for is_word, letters in groupby(chunk, _in_word):
            word = "".join(letters).strip("'")
            if not is_word or not WORD_LENGTH_MIN <= len(word) <= WORD_LENGTH_MAX:
                continue
            if sum(map(str.isalpha, word)) >= WORD_LENGTH_MIN and not any(map(str.isnumeric, word)):
                yield word


def _in_word(letter: str) -> bool:
    """Whether a word goes on: letters and their marks, digits (which spoil it), apostrophes."""
    return letter.isalnum() or letter == "'" or unicodedata.category(letter)[0] == "M"


@dataclass(frozen=True, slots=True)
class SpikePolicy:
    """When complaints are unusually many: at least `at_least` in `window_seconds`, and at least `times` as
    many as usual, where less than one counts as one. `samples_min`: so many past counts are needed before
    anything is called usual (there are six windows of ten minutes in an hour, so 12 are two weeks).

    Two plain numbers, so that a care lead can say beforehand what will be told: with the defaults 15, where
    up to 3 are usual; 25, where 5 are; 50, where 10 are.

    Why the defaults are rarely chance: complaints that have nothing to do with each other come as a Poisson
    process, whose counts rarely leave their mean by far. The window slides, so it passes a threshold of t
    upwards t * P(X = t) times in each window's length. Over all means, and over all medians that 12 past
    counts may have, that is at worst once in about 40 days, for a brand with nearly 5 complaints in every
    ten minutes of the day and night; at 3 it is less than once a year, at 1 not in a thousand years. (With
    10 and four times, it would be every other day: an alert that few would believe.)
    """

    window_seconds: float = 600.0
    at_least: int = 15
    times: float = 5.0
    samples_min: int = 12

    def __post_init__(self) -> None:
        if self.window_seconds <= 0 or self.at_least < 1 or self.times < 1 or self.samples_min < 1:
            raise ValueError("a spike needs a window, and at_least, times and samples_min of 1 or more")


@dataclass(frozen=True, slots=True)
class SpikeVerdict:
    """Whether there is a spike, and why. `usual` is the median of the past counts, `needed` from how many on
    it is a spike; both None while there are too few past counts to know."""

    usual: float | None
    is_spike: bool
    reason: str
    needed: int | None = None


def _median(counts: Sequence[int]) -> float:
    """The middle one; of two, what lies between."""
    ordered, middle = sorted(counts), len(counts) // 2
    return float(ordered[middle]) if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def judge_spike(count: int, past: Sequence[int], policy: SpikePolicy) -> SpikeVerdict:
    """Whether so many complaints in the last window are a spike.

    `past` are the counts in windows as long at the same hour of past weeks, several a week: the median of
    them is what is usual, since one past spike, or one blind hour, does not move it.
    """
    if len(past) < policy.samples_min:
        reason = f"only {len(past)} past counts, {policy.samples_min} are needed to know what is usual"
        return SpikeVerdict(None, False, reason)
    usual = _median(past)
    needed = max(policy.at_least, math.ceil(policy.times * max(usual, 1.0)))
    said = f"{count} in {policy.window_seconds / 60:g} min, usually {usual:g}; a spike begins at {needed}"
    return SpikeVerdict(usual, count >= needed, said, needed)
