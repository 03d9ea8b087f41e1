"""Durations as people write them in config ("90s", "15m", "12h", "2d"), and as they read them in alerts."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

_PATTERN = re.compile(r"(?P<count>[0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(?P<unit>ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}

_LONGEST_SECONDS = 36525 * 86400
"""A century: any longer, and adding it to a time may leave the calendar."""


def parse_duration(text: Any) -> timedelta:
    """Read "90s", "15m", "12h", "2d", "1.5h" or "500ms".

    A bare number is refused, since its unit could only be guessed, and so is more than a century. Raises
    ValueError with an example.
    """
    if isinstance(text, timedelta):
        return text
    match = _PATTERN.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'expected a duration such as "90s", "15m", "12h" or "2d", not {text!r:.60}')
    seconds = float(match["count"]) * _SECONDS[match["unit"]]
    if seconds > _LONGEST_SECONDS:
        raise ValueError(f"the duration {text!r} is too long; the longest is 36525d")
    return timedelta(seconds=seconds)


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
"""A pydantic field type that reads "15m"."""


def say_duration(seconds: float) -> str:
    """Say it as a person would: "40 s", "12 min", "2 h 05 min", "3 d 4 h". Never negative."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
