"""monitor.toml, docs/configuration.md and the models say the same."""

from __future__ import annotations

import re
import tomllib
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter

from monitor.config import RoutingConfig
from monitor.load import ConfigError, load_config, template
from tests.docs.settings_tables import DOCS, TABLE, fields_of, models, with_tables

_COMMENTED = re.compile(r"^#(?=[^\s#])", re.MULTILINE)
_SETTING = re.compile(r"^(?P<off>#?)(?P<key>[a-z_0-9]+) = ")


def everything_on() -> str:
    """The template with every commented setting set."""
    return _COMMENTED.sub("", template())


def _named(name: str) -> str:
    """Where a model's settings stand in the template, by the names that it gives."""
    for part, shown in (("brands", "acme"), ("calendars", "office"), ("channels", "care-slack")):
        name = name.replace(f"{part}.NAME", f"{part}.{shown}")
    return name


def tables_of(name: str, text: str) -> list[dict[str, Any]]:
    """The tables of a text in which a model's settings stand."""
    found: Any = tomllib.loads(text)
    if "type = " in name:
        kind = name.split('"')[1]
        return [channel for channel in found["channels"].values() if channel["type"] == kind]
    for step in _named(name).split("."):
        found = found.get(step, {})
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize("name", models())
def test_every_setting_stands_in_the_template(name: str) -> None:
    """Whoever reads monitor.toml has seen all that can be set, and nothing that cannot."""
    shown = {key for table in tables_of(name, everything_on()) for key in table}
    others: set[str] = set()
    if name == "brands.NAME":
        others = {n.rpartition(".")[2] for n in models() if n.startswith("brands.NAME.")}
    elif name == "channels.NAME":
        others = set(models()['channels.NAME, type = "slack"'].model_fields)
    elif name.startswith("channels.NAME, "):
        others = set(RoutingConfig.model_fields)
    fields = set(fields_of(models()[name]))
    assert fields - shown == set()
    assert shown - fields - others == set()


def test_every_setting_of_the_template_is_explained_beside_it() -> None:
    """No line of monitor.toml has to be guessed: above the first of each setting stands a comment."""
    lines = template().splitlines()
    seen: set[tuple[str, str]] = set()
    part = ""
    for number, line in enumerate(lines):
        head = re.match(r"#?\[+([^\]]+)\]+$", line)
        if head:
            part = head[1]
            continue
        setting = _SETTING.match(line)
        if setting and part != "rules.patterns" and (part, setting["key"]) not in seen:
            seen.add((part, setting["key"]))
            assert lines[number - 1].startswith("# "), f"{part}.{setting['key']}"
    # The Slack channel's `type` is in two models; rules.patterns is shown as [[rules.patterns]].
    assert len(seen) == sum(len(model.model_fields) for model in models().values()) - 2


def test_what_is_commented_out_shows_the_default() -> None:
    """To take the "#" away from a setting that has a default changes nothing. (An escalation, a route
    and a person stand there as examples, as a whole: a file has none until somebody writes one.)"""
    compared = 0
    for name, model in models().items():
        if name in ("escalations", "routes", "people"):
            continue
        for on, off in zip_longest(tables_of(name, everything_on()), tables_of(name, template())):
            for key in (on.keys() - (off or {}).keys()) & model.model_fields.keys():
                field = model.model_fields[key]
                default = None if field.is_required() else field.get_default(call_default_factory=True)
                if default not in (None, [], (), {}):
                    kind: Any = Annotated[(field.annotation, *field.metadata, "as the model has it")]
                    assert TypeAdapter(kind).validate_python(on[key]) == default, f"{name}.{key}"
                    compared += 1
    assert compared > 50


def test_every_example_in_the_template_is_valid(tmp_path: Path) -> None:
    """Whatever one takes the "#" away from, it is accepted: with all of it taken away, only the settings that
    exclude each other are complained of."""
    path = tmp_path / "monitor.toml"
    (tmp_path / "own-ca.pem").touch()
    (tmp_path / "templates").mkdir()
    text = everything_on().replace("/etc/response-monitor/own-ca.pem", "own-ca.pem")
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    said = {problem.key: problem.message for problem in caught.value.problems}
    assert {key: message.split(":")[0].split(",")[0] for key, message in said.items()} == {
        "brands.acme.x[0]": "more than one set of credentials",
        "brands.acme.reddit[0]": "set exactly one of password and refresh_token",
        "brands.acme.email[0]": "expected one of password and access_token",
        "channels.care-slack": "expected either webhook_url",
        "channels.alertmanager": "expected either bearer_token",
    }


def test_every_part_has_its_table_in_the_docs() -> None:
    """No connector or channel comes without its settings in docs/configuration.md."""
    assert sorted(m["name"] for m in TABLE.finditer(DOCS.read_text("utf-8"))) == sorted(models())


def test_the_docs_tables_are_those_of_the_models() -> None:
    """What the page says of a setting, its default included, is what the code does. To write it anew:
    python -m tests.docs.settings_tables"""
    text = DOCS.read_text("utf-8")
    assert with_tables(text) == text


@pytest.mark.parametrize("name", models())
def test_every_setting_says_what_it_is(name: str) -> None:
    """Each model describes each of its fields in a sentence."""
    for key, field in fields_of(models()[name]).items():
        assert field.description and field.description.endswith((".", '".')), key
