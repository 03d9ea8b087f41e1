"""The one clock: what time it is, and how to wait. Everything else has time passed in.

The demo runs it faster than the world: `rate` pretended seconds pass in a real one. Cadences, targets and
rate windows are in pretended time; network time-outs are real.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Pretended time. By default it is the real one.

    `origin` is the pretended time at `real` (seconds since 1970): two processes given the same three
    numbers agree on what time it is.
    """

    def __init__(self, rate: float = 1.0, origin: datetime | None = None, real: float | None = None) -> None:
        self.rate = rate
        self._real = real
        self._origin = origin

    def now(self) -> datetime:
        """The pretended time, aware UTC."""
        if self._origin is None or self._real is None:
            return datetime.now(UTC)
        return self._origin + timedelta(seconds=(time.time() - self._real) * self.rate)

    def real_seconds_until(self, at: datetime) -> float:
        """How many real seconds pass until then; 0 where it has passed."""
        return max(0.0, (at - self.now()).total_seconds() / self.rate)

    def real_time_of(self, at: datetime) -> datetime:
        """When that will be on the wall, for schedulers that have no clock to inject."""
        return datetime.now(UTC) + timedelta(seconds=self.real_seconds_until(at))

    def stopwatch(self) -> float:
        """Real seconds that only grow, for time-outs and durations."""
        return time.monotonic()

    @classmethod
    def parse(cls, text: str) -> Clock:
        """Read "RATE@ORIGIN@REAL" (`60@2026-01-05T09:00:00+00:00@1767603600.5`), as the demo gives it to
        the daemon that it starts. Raises ValueError."""
        rate, origin, real = text.split("@")
        at = datetime.fromisoformat(origin)
        if at.tzinfo is None or not 0 < float(rate) <= 100_000:
            raise ValueError(f"expected RATE@ORIGIN@REAL with an aware time, not {text!r}")
        return cls(float(rate), at.astimezone(UTC), float(real))
