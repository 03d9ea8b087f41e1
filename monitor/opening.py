"""What every command does first and last: find and load the config, know the time, fail in one clear line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from monitor.clock import Clock

OK, FAILED, USAGE = 0, 1, 2
PLACES = (Path("monitor.toml"), Path("/etc/response-monitor/monitor.toml"))

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", envvar="RESPONSE_MONITOR_CONFIG", help="the monitor.toml")
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of a table")]
ClockOption = Annotated[str | None, typer.Option("--pretended-time", hidden=True)]
WhoOption = Annotated[str, typer.Option("--by", envvar="USER", help="who says so")]
CaseArgument = Annotated[str, typer.Argument(help="a case's id, or the id of any of its messages")]


def fail(message: str, code: int = FAILED) -> NoReturn:
    Console(stderr=True, highlight=False, markup=False).print(message, soft_wrap=True)
    raise typer.Exit(code)


@dataclass(slots=True)
class Opened:
    """A config with what a command on its store needs."""

    path: Path
    config: Any
    policy: Any
    store_path: Path
    clock: Clock

    @property
    def now(self) -> datetime:
        return self.clock.now()


def find_path(config: Path | None) -> Path:
    if config is not None:
        return config
    for place in PLACES:
        if place.exists():
            return place
    fail("no monitor.toml here or in /etc/response-monitor; `response-monitor init` writes one", USAGE)


@contextmanager
def open_config(config: Path | None, pretended: str | None = None) -> Iterator[Opened]:
    """Load the config; turn what can go wrong into one clear line and the right exit code."""
    from monitor.act import NoSuchCase
    from monitor.load import ConfigError, load_config, load_packs, policy_json
    from monitor.policy import make_policy
    from monitor.store.database import StoreError

    path = find_path(config)
    try:
        loaded = load_config(path)
        policy = make_policy(loaded, load_packs(), {}, policy_json(loaded))
        clock = Clock() if pretended is None else Clock.parse(pretended)
        folder = loaded.monitor.folder(path)
        yield Opened(path, loaded, policy, folder / "monitor.db", clock)
    except ConfigError as error:
        fail(str(error), USAGE)
    except (StoreError, NoSuchCase, OSError) as error:
        fail(str(error))


def print_line(text: str) -> None:
    """One line on standard output."""
    sys.stdout.write(text + "\n")
