"""Field types that the settings of connectors and channels share."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator

from wire.durations import Duration


def in_a_day(value: timedelta) -> timedelta:
    """A cadence that makes sense. Raises ValueError."""
    if not timedelta(seconds=1) <= value <= timedelta(days=1):
        raise ValueError('expected between "1s" and "1d"')
    return value


def _in_an_hour(value: timedelta) -> timedelta:
    if not timedelta(0) <= value <= timedelta(hours=1):
        raise ValueError('expected between "0s" and "1h"')
    return value


def _base_url(value: str) -> str:
    if not value.startswith(("https://", "http://")) or any(c in value for c in "@?#"):
        raise ValueError(
            'expected a URL such as "https://api.example.com", without a user, a query or a fragment'
        )
    return value.rstrip("/")


Cadence = Annotated[Duration, AfterValidator(in_a_day)]
"""How often something is done: a second to a day."""

Margin = Annotated[Duration, AfterValidator(_in_an_hour)]
"""A tolerance: nothing to an hour."""

BaseUrl = Annotated[str, AfterValidator(_base_url)]
"""Where an API is; without the slash at its end."""
