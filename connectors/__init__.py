"""Platforms in: one module a platform, under the one contract in `contract.py`.

The registry names the modules; one is imported only when a brand has an account there, so that an idle
daemon stays small.
"""

from __future__ import annotations

import importlib
from types import ModuleType

REGISTRY: dict[str, str] = {
    "x": "connectors.x",
    "reddit": "connectors.reddit",
    "bluesky": "connectors.bluesky",
}
"""Name in the config → module. Each module has `Settings` (a pydantic model), `CAPABILITIES` and
`build(settings, surroundings) -> Connector`."""


def load(name: str) -> ModuleType:
    """The module of that platform, imported now. Raises KeyError for one that we do not have."""
    return importlib.import_module(REGISTRY[name])
