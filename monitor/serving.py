"""Serving: from a config's path to a running daemon, and from what went wrong to an exit code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from monitor.clock import Clock
from monitor.daemon import AlreadyRunning, Daemon
from monitor.failpoints import from_environment
from monitor.load import ConfigError, secret_values
from monitor.logs import set_up
from monitor.store.database import StoreError
from monitor.web.server import WebError
from wire.errors import EdgeError
from wire.secret import SecretMissing

OK, FAILED, USAGE = 0, 1, 2


def serve(config: Path, pretended_time: str | None = None) -> int:
    """Run the daemon until it is told to stop. Returns the exit code: 2 for a config that cannot be used, so
    that systemd does not try it for ever; 1 for what may be better next time."""
    os.umask(0o077)
    try:
        clock = Clock() if pretended_time is None else Clock.parse(pretended_time)
        daemon = Daemon(config, clock, from_environment())
        set_up(
            daemon.config.monitor.log, daemon.config.monitor.log_level, lambda: secret_values(daemon.config)
        )
        for warning in daemon.config.warnings:
            sys.stderr.write(f"warning: {warning}\n")
        daemon.run()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE
    except (StoreError, AlreadyRunning, WebError, EdgeError, SecretMissing, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    return OK
