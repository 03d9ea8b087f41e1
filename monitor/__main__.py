"""Where it begins: the console script, and `python -m monitor`.

`run` lives for months, so it is started without the libraries that only the other commands need (typer, rich
and what they bring are 10 MiB). Its plain forms are read here; anything else goes to `monitor.cli`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_OPTIONS = {"--config": "config", "-c": "config", "--pretended-time": "clock"}


def main() -> None:
    """The console script."""
    found = _plain_run(sys.argv[1:])
    if found is None:
        from monitor.cli import app

        app()
        return
    # structlog imports rich where it finds it, for tracebacks in colour that a daemon does not print: 5 MiB.
    # A None in sys.modules is Python's own way to say that a module is not to be found.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type] # None is allowed there
    from monitor.serving import serve

    sys.exit(serve(Path(found["config"]), found.get("clock")))


def _plain_run(words: list[str]) -> dict[str, str] | None:
    """The options of `run --config PATH [--pretended-time CLOCK]`; None where it is anything else."""
    if words[:1] != ["run"] or len(words) % 2 == 0:
        return None
    found: dict[str, str] = {}
    given = os.environ.get("RESPONSE_MONITOR_CONFIG")
    if given:
        found["config"] = given
    for name, value in zip(words[1::2], words[2::2], strict=True):
        if name not in _OPTIONS:
            return None
        found[_OPTIONS[name]] = value
    return found if "config" in found else None


if __name__ == "__main__":
    main()
