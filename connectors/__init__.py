"""Platforms in: one module a platform, under the one contract in `contract.py`.

The registry names the modules; one is imported only when a brand has an account there, so that an idle
daemon stays small. Other packages bring connectors by an entry point (docs/connectors/adding.md).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import ModuleType

ENTRY_POINTS = "response_monitor.connectors"
"""The group of entry points by which a package that is installed beside us brings a connector."""

REGISTRY: dict[str, str] = {
    "x": "connectors.x",
    "reddit": "connectors.reddit",
    "bluesky": "connectors.bluesky",
    "mastodon": "connectors.mastodon",
    "email": "connectors.email",
    "app_store": "connectors.app_store",
    "google_play": "connectors.google_play",
    "webhook": "connectors.webhook",
    "chatwoot": "connectors.chatwoot",
}
"""Ours: name in the config → module. Each module has `Settings` (a pydantic model that keeps
`contract.AccountSettings`), `CAPABILITIES` and `build(settings, surroundings) -> Connector`."""


class BadConnector(ValueError):
    """A connector of another package that cannot be used: it says which one, and why."""


def known() -> Mapping[str, str]:
    """Every connector that there is: name in the config → module. Nobody can take the name of one of ours."""
    others = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    return {**others, **REGISTRY}


def load(name: str) -> ModuleType:
    """The module of that platform, imported now. Raises KeyError where there is none, and BadConnector."""
    module = known()[name]
    if name in REGISTRY:
        return importlib.import_module(module)
    try:
        found = importlib.import_module(module)
    except Exception as error:  # another's code may do anything when it is imported
        raise BadConnector(f"connector {name} ({module}) cannot be imported: {error}") from error
    missing = [part for part in ("Settings", "CAPABILITIES", "build") if not hasattr(found, part)]
    if missing:
        raise BadConnector(f"connector {name} ({module}) has no {', '.join(missing)}")
    return found
