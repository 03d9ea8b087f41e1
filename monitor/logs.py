"""Logging: key=value on a terminal, JSON under systemd; one thing that happened, one line; never a secret."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

import structlog

from wire.redact import Redactor, inert

TEXT_LENGTH_MAX = 1000


def set_up(style: str, level: str, secrets: Callable[[], Iterable[str]]) -> None:
    """Configure structlog. `style` is auto, console or json; `secrets` gives the values to blot out.

    The libraries' own loggers are kept to warnings: they tell every request, URLs with tokens included.
    """
    json = style == "json" or (style == "auto" and not sys.stderr.isatty())

    def clean(_logger: Any, _method: str, words: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        redactor = Redactor(tuple(secrets()))  # read anew for each line, so that a rotated one is known
        for key, value in words.items():
            if isinstance(value, str):
                words[key] = (
                    inert(redactor.clean(value), TEXT_LENGTH_MAX)
                    if key != "exception"
                    else redactor.clean(value)
                )
        return words

    last = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level if json else structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            clean,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
