"""The bounded HTTP client: a time limit over the whole exchange, body and redirect limits, own CA, proxy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How we talk HTTP to anybody. `proxy` is a URL; `ca_file` a PEM bundle trusted beside the system's."""

    proxy: str | None = None
    ca_file: Path | None = None
    body_bytes_max: int = 8 * 1024 * 1024
    user_agent: str = "response-monitor"
