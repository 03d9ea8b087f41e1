"""What the sinks heard, read as a person on call would read it: from the keys and the words alone.

What may live here: taking alerts apart that arrived at the simulated Slack and mailboxes. What was said is
judged by what was received; the store of whoever said it is not looked into.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from simulator.town import Heard

CLAIMS = ("warning", "breach", "escalated")
ENDS = ("cleared", "corrected")
_STORM = re.compile(r"(?P<brand>.+)_storm_(?P<number>\d+)")
_BLIND = re.compile(r"(?P<brand>.+)/(?P<connector>.+)/(?P<account>.+)_blind_(?P<episode>\d+)")
_OF_MANY = re.compile("_(storm|blind|digest)_")
_STORM_COUNT = re.compile(r"is over: ([\d,]+) cases?\b")


@dataclass(frozen=True, slots=True)
class Claim:
    """One time that people were told of one wait: that it lasts (a claim), or that it is over.

    `cycle` numbers the waits of a case, `repeat` what is said again of a stage (of warnings: which one).
    `unknown`: it says that nobody knows whether there was an answer.
    """

    subject: str
    clock: str
    cycle: int
    stage: str
    repeat: int
    channel: str
    at: datetime
    unknown: bool

    @property
    def wait(self) -> tuple[str, str, int]:
        """Which wait of which case it is about."""
        return self.subject, self.clock, self.cycle


@dataclass(slots=True)
class Episode:
    """A storm, or a blind span, as one channel heard of it: `over_at` None where it did not hear the end.
    `where` is the brand, or brand, platform and account. `count`: the cases that its last word speaks of."""

    where: str
    number: int
    channel: str
    begun_at: datetime
    over_at: datetime | None = None
    count: int | None = None

    def covers(self, moment: datetime, within_seconds: float) -> bool:
        """Whether it was said, soon enough after that moment, and not over before."""
        late = (self.begun_at - moment).total_seconds() > within_seconds
        return not late and (self.over_at is None or self.over_at >= moment)


def read_claims(heard: Iterable[Heard]) -> list[Claim]:
    """All that was said of single cases, in the order of arrival."""
    found = []
    for h in heard:
        parts = h.key.rsplit("/", 6)
        if len(parts) != 7 or _OF_MANY.search(parts[0]):
            continue
        subject, clock, wait, stage, repeat, channel, _ = parts
        found.append(
            Claim(
                subject=subject,
                clock=clock,
                cycle=int(wait.partition(".")[0]),
                stage=stage.partition(":")[0],
                repeat=int(repeat),
                channel=channel,
                at=h.at,
                unknown="unknown whether answered" in h.headline.lower(),
            )
        )
    return found


def read_storms(heard: Sequence[Heard]) -> list[Episode]:
    """The storms, one for each channel that heard of it."""
    return _episodes(heard, _STORM, lambda found: found["brand"], "storm")


def read_blindness(heard: Sequence[Heard]) -> list[Episode]:
    """The blind spans that were told, one for each channel."""
    return _episodes(
        heard, _BLIND, lambda f: f"{f['brand']}/{f['connector']}/{f['account']}", "trouble", "episode"
    )


def _episodes(
    heard: Sequence[Heard],
    pattern: re.Pattern[str],
    where: Callable[[re.Match[str]], str],
    begins: str,
    number: str = "number",
) -> list[Episode]:
    found: dict[tuple[str, str], Episode] = {}
    for h in heard:
        parts = h.key.rsplit("/", 6)
        match = pattern.fullmatch(parts[0]) if len(parts) == 7 else None
        if match is None:
            continue
        stage, channel = parts[3], parts[5]
        episode = found.get((parts[0], channel))
        if episode is None and stage == begins:
            episode = Episode(where(match), int(match[number]), channel, h.at)
            found[parts[0], channel] = episode
        if episode is not None and stage == "cleared":
            episode.over_at = h.at
            said = _STORM_COUNT.search(h.headline)
            episode.count = int(said[1].replace(",", "")) if said is not None else None
    return list(found.values())
