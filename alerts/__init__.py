"""People out: one module a channel, under the one contract in `contract.py`.

`render.py` puts an alert's facts into words, purely; each channel escapes them for its medium. The
registry names the modules; one is imported only when a channel of its kind is configured.
"""

from __future__ import annotations

import importlib
from types import ModuleType

REGISTRY: dict[str, str] = {
    "alertmanager": "alerts.alertmanager",
    "apprise": "alerts.apprise",
    "pagerduty": "alerts.pagerduty",
    "slack": "alerts.slack",
    "smtp": "alerts.smtp",
    "webhook": "alerts.webhook",
}
"""Type in the config → module. Each module has `Settings` (a pydantic model) and
`build(settings, surroundings) -> Channel`."""


def load(name: str) -> ModuleType:
    """The module of that channel type, imported now. Raises KeyError for one that we do not have."""
    return importlib.import_module(REGISTRY[name])
