"""Who is told, over which channel."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rules.alert import Stage
from rules.meaning.contract import Priority
from rules.targets import PRIORITY_ORDER


@dataclass(frozen=True, slots=True)
class Route:
    """One recipient on one channel, and what they want to hear. `brands` None: of all brands. `updates`: what
    was sent there can be changed later."""

    channel: str
    recipient: str
    stages: frozenset[Stage]
    brands: frozenset[str] | None = None
    min_priority: Priority = Priority.LOW
    updates: bool = False


def route(
    routes: Sequence[Route],
    stage: Stage,
    brand: str,
    priority: Priority,
    told: Collection[tuple[str, str]] = (),
) -> tuple[Route, ...]:
    """Those who are to be told of a stage. An all-clear or a correction goes to those who were `told`,
    as (channel, recipient), and to nobody else; what has moved, to those of them whose messages can be
    changed."""
    if stage is Stage.MOVED:
        return tuple(r for r in routes if (r.channel, r.recipient) in told and r.updates)
    if stage in (Stage.CLEARED, Stage.CORRECTED):
        return tuple(r for r in routes if (r.channel, r.recipient) in told and Stage.CLEARED in r.stages)
    return tuple(
        r
        for r in routes
        if stage in r.stages
        and (r.brands is None or brand in r.brands)
        and PRIORITY_ORDER[priority] >= PRIORITY_ORDER[r.min_priority]
    )
