"""What many tests share."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest


@pytest.fixture
def stopwatch() -> Callable[[], float]:
    """Real seconds that only grow, to see that a bound held; never to assert speed."""
    return time.monotonic
