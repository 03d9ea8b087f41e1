"""Places where a test may kill the daemon: by name and count, from the environment, never in the config.

RESPONSE_MONITOR_FAILPOINT="ingest.before_commit:7" kills the process (SIGKILL) the seventh time that it
comes by. Names are those of the store's transactions, before and after their commit.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from monitor.store.database import no_failpoint

VARIABLE = "RESPONSE_MONITOR_FAILPOINT"


def from_environment() -> Callable[[str], None]:
    """The failpoint that the environment asks for; one that never fails where it asks for none.

    Raises ValueError for one that cannot be read.
    """
    asked = os.environ.get(VARIABLE)
    if not asked:
        return no_failpoint
    name, _, count = asked.partition(":")
    left = int(count or "1")

    def fail(passed: str) -> None:
        nonlocal left
        if passed != name:
            return
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return fail
