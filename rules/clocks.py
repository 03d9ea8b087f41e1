"""The clocks of a case: its waits, held to what was promised, in the hours in which that counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rules.case import Clock, ClockName, Part, Status
from rules.hours import Calendar
from rules.match import Traits
from rules.policies import FoldPolicy, Policies
from rules.targets import Target, add_time, due_times, open_seconds
from rules.waits import Story, Wait


@dataclass(frozen=True, slots=True)
class Held:
    """What a wait is held to: the target (None: nothing), since when, and what it was chosen by."""

    target: Target | None
    since: datetime
    traits: Traits
    policy: FoldPolicy


def promised(target: Target, name: ClockName) -> float | None:
    if name is ClockName.FIRST_RESPONSE:
        return target.first_response_seconds
    return target.next_response_seconds


def make_clocks(
    waits: Sequence[Wait], held: Sequence[Held], first: Part, live: Part | None, policies: Policies
) -> tuple[Clock, ...]:
    """The response clocks: each wait with what it is held to."""
    clocks = []
    for cycle, (wait, hold) in enumerate(zip(waits, held, strict=True)):
        target = hold.target
        seconds = None if target is None else promised(target, wait.name)
        due = calendar = None
        if target is not None and seconds is not None:
            started_at = _clock_start(wait, first, live)
            calendar = policies.calendar(target.calendar, first.created_at)
            due = due_times(seconds, target.warnings, started_at, max(hold.since, started_at), calendar)
        clocks.append(
            Clock(
                name=wait.name,
                cycle=cycle,
                started_at=wait.started_at,
                message_id=wait.messages[0].id,
                stopped_at=wait.stopped_at,
                stopped_by=wait.stopped_by,
                ending=wait.ending,
                answer_id=None if wait.answer is None else wait.answer.id,
                target=None if target is None else target.name,
                target_seconds=seconds,
                calendar=None if calendar is None else calendar.name,
                due_at=None if due is None else due.due_at,
                warnings=() if due is None else due.warnings,
                repeat_seconds=None if target is None else target.repeat_seconds,
                repeat_max=0 if target is None else target.repeat_max,
            )
        )
    return tuple(clocks)


def _clock_start(wait: Wait, first: Part, live: Part | None) -> datetime:
    """When the clock that alerts go by starts: at the message that waits; in a case that began before
    the first run, at the first message written since."""
    if first.quiet_before is not None and live is not None:
        return max(live.created_at, wait.started_at)
    return wait.started_at


def make_resolution(
    story: Story, held: Held, first: Part, live: Part | None, policies: Policies
) -> Clock | None:
    """The clock of the resolution: where the target lets it pause, it runs only while the customer waits."""
    target = held.target
    seconds = None if target is None else target.resolution_seconds
    if seconds is None and not story.resolved_at:
        return None
    last = story.waits[-1]
    ended = story.resolved or last.ending in (Status.WITHDRAWN, Status.IGNORED)
    stopped_at = None
    if ended:
        stopped_at = story.resolved_at[-1] if story.resolved else last.stopped_at
    due_at, calendar = None, None
    warnings: tuple[tuple[float, datetime], ...] = ()
    if target is not None and seconds is not None:
        calendar = policies.calendar(target.calendar, first.created_at)
        spans = _handling(story, target, stopped_at)
        if first.quiet_before is not None and live is not None:
            spans = [(max(a, live.created_at), b) for a, b in spans if b is None or b > live.created_at]
        due_at = _reached(spans, seconds, calendar)
        if due_at is not None:
            marks = ((share, _reached(spans, seconds * share, calendar)) for share in target.warnings)
            warnings = tuple((share, at) for share, at in marks if at is not None)
    return Clock(
        name=ClockName.RESOLUTION,
        cycle=0,
        started_at=first.created_at,
        message_id=first.id,
        stopped_at=None if stopped_at is None else max(stopped_at, first.created_at),
        stopped_by=story.resolved_by if story.resolved else last.stopped_by if ended else None,
        ending=(Status.RESOLVED if story.resolved else last.ending) if ended else None,
        target=None if target is None or seconds is None else target.name,
        target_seconds=seconds,
        calendar=None if calendar is None else calendar.name,
        due_at=due_at,
        warnings=warnings,
        repeat_seconds=None if target is None else target.repeat_seconds,
        repeat_max=0 if target is None else target.repeat_max,
    )


def _handling(
    story: Story, target: Target | None, stopped_at: datetime | None
) -> list[tuple[datetime, datetime | None]]:
    """The spans that count towards the resolution; the last may be open (None)."""
    if target is None or target.pauses:
        return [(w.started_at, w.stopped_at) for w in sorted(story.waits, key=lambda w: w.started_at)]
    return [(story.waits[0].started_at, stopped_at)]


def _reached(
    spans: Sequence[tuple[datetime, datetime | None]], seconds: float, calendar: Calendar | None
) -> datetime | None:
    """When so much open time had passed in these spans; None where the clock stands still before that."""
    for start, end in spans:
        if end is None:
            return add_time(calendar, start, seconds)
        passed = open_seconds(calendar, start, end)
        if passed >= seconds:
            return add_time(calendar, start, seconds)
        seconds -= passed
    return None


def resolution_seconds(story: Story, held: Held) -> tuple[float | None, float | None]:
    """To the first and to the last time that it was resolved, in real time less the pauses."""
    if not story.resolved_at:
        return None, None
    sums = []
    for until in (story.resolved_at[0], story.resolved_at[-1]):
        if held.target is not None and held.target.pauses:
            ended = [
                (a, until if b is None else min(b, until)) for a, b in _handling(story, held.target, None)
            ]
            sums.append(sum(max(0.0, (b - a).total_seconds()) for a, b in ended))
        else:
            sums.append(max(0.0, (until - story.waits[0].started_at).total_seconds()))
    return sums[0], sums[1]
