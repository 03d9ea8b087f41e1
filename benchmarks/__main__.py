"""Run the benchmarks: `python -m benchmarks [--json] [NAME …]`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.deadlines import due_check, due_to_post
from benchmarks.folding import folding_cases, replaying
from benchmarks.idle import idle_daemon
from benchmarks.ingesting import full_path, long_thread
from benchmarks.outbox import outbox_throughput
from benchmarks.parsing import parsing
from benchmarks.real_threads import real_threads

ALL: dict[str, Callable[[], dict[str, Any]]] = {
    "ingest": full_path,
    "thread": long_thread,
    "fold": folding_cases,
    "replay": replaying,
    "threads": real_threads,
    "due_check": due_check,
    "due_to_post": due_to_post,
    "outbox": outbox_throughput,
    "parsing": parsing,
    "idle": idle_daemon,
}


def main() -> None:
    """Run those that are named, all by default."""
    parser = argparse.ArgumentParser(description="measured ratios")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("names", nargs="*", choices=[[], *ALL], metavar="NAME", help=", ".join(ALL))
    words = parser.parse_args()
    found: dict[str, Any] = {}
    for name in words.names or ALL:
        found[name] = ALL[name]()
        if not words.json:
            print(f"{name}")
            for key, value in found[name].items():
                print(f"  {key:<42} {value}")
            sys.stdout.flush()
    if words.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
