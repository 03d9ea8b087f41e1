"""The tables of docs/configuration.md, made from the models and the template.

`python -m tests.docs.settings_tables` writes them anew; test_settings_documented.py compares.
"""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

import alerts
import connectors
from monitor.calendars import CalendarConfig
from monitor.config import (
    AlertsConfig,
    BrandConfig,
    EscalationConfig,
    HeartbeatConfig,
    HttpConfig,
    MonitorConfig,
    PrivacyConfig,
    RoutingConfig,
    RulesConfig,
    SpikesConfig,
    StormsConfig,
    TargetConfig,
    WebConfig,
)
from monitor.load import as_toml, template
from monitor.who import PersonConfig, RouteConfig
from wire.secret import Secret

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"
TABLE = re.compile(r"(?<=<!-- settings: )(?P<name>[^>]+) -->\n(?P<body>.*?)(?=<!-- end -->)", re.DOTALL)
DEFAULTS = re.compile(r"(?<=<!-- default targets -->\n).*?(?=<!-- end of them -->)", re.DOTALL)
_PROMISES = ("first_response", "next_response", "resolution", "repeat")
_SAID: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    timedelta: "duration",
    Path: "path",
    Secret: "secret",
    dict: "table",
}


def models() -> dict[str, type[BaseModel]]:
    """Every model of a part of monitor.toml, connectors' and channels' own included, by its heading."""
    own: dict[str, type[BaseModel]] = {
        "monitor": MonitorConfig,
        "http": HttpConfig,
        "web": WebConfig,
        "heartbeat": HeartbeatConfig,
        "rules": RulesConfig,
        "brands.NAME": BrandConfig,
        "calendars.NAME": CalendarConfig,
        "targets": TargetConfig,
        "escalations": EscalationConfig,
        "routes": RouteConfig,
        "people": PersonConfig,
        "storms": StormsConfig,
        "spikes": SpikesConfig,
        "alerts": AlertsConfig,
        "privacy": PrivacyConfig,
        "channels.NAME": RoutingConfig,
    }
    own |= {f"brands.NAME.{name}": connectors.load(name).Settings for name in connectors.REGISTRY}
    own |= {f'channels.NAME, type = "{name}"': alerts.load(name).Settings for name in alerts.REGISTRY}
    return own


def _value(annotation: Any) -> str:
    """What one writes: "text", "duration", "list of text", or the words that may stand there."""
    if annotation in _SAID:
        return _SAID[annotation]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f'`"{word}"`' for word in inner)
    if origin in (Union, UnionType):
        return " or ".join(_value(one) for one in inner if one is not type(None))
    if origin in (list, tuple):
        return f"list of {_value(inner[0])}"
    if origin is dict:
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return ", ".join(f'`"{word.value}"`' for word in annotation)
    if hasattr(annotation, "__metadata__"):
        # What is made into a table before it is checked may be written without one.
        short = any(isinstance(one, BeforeValidator) for one in annotation.__metadata__)
        return (
            "text or table" if short and _is_model(annotation.__origin__) else _value(annotation.__origin__)
        )
    if _is_model(annotation):
        return "table"
    raise TypeError(f"no words for {annotation}")


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    given = field.get_default(call_default_factory=True)
    return "" if given is None else f"`{as_toml(given)}`"


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The settings of a model, by their names in the file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def table(model: type[BaseModel]) -> str:
    """The settings of a model as a Markdown table."""
    rows = ["| setting | value | default | meaning |", "|---|---|---|---|"]
    for name, field in fields_of(model).items():
        cells = (f"`{name}`", _value(field.annotation), _default(field), field.description or "")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def default_targets() -> str:
    """The targets of the template as a Markdown table, top to bottom."""
    rows = [f"| name | for | {' | '.join(p.replace('_', ' ') for p in _PROMISES)} |", "|---" * 6 + "|"]
    for target in tomllib.loads(template())["targets"]:
        others = {"name", "repeat_max", "no_target", *_PROMISES}
        matched = ", ".join(
            f"`{key} = {as_toml(value)}`" for key, value in target.items() if key not in others
        )
        promises = [f"`{as_toml(target[p])}`" if p in target else "" for p in _PROMISES]
        rows.append("| " + " | ".join([target["name"], matched, *promises]) + " |")
    return "\n".join(rows)


def with_tables(text: str) -> str:
    """The page with its tables made anew."""
    known = models()
    text = DEFAULTS.sub(lambda _: f"{default_targets()}\n", text)
    return TABLE.sub(lambda m: f"{m['name']} -->\n{table(known[m['name']])}\n", text)


if __name__ == "__main__":
    DOCS.write_text(with_tables(DOCS.read_text("utf-8")), "utf-8")
