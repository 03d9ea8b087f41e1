"""The commands of `alerts`: who would be told, what was said, what was not, and how it looks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from monitor.opening import (
    FAILED,
    USAGE,
    ClockOption,
    ConfigOption,
    JsonOption,
    Opened,
    WhoOption,
    fail,
    open_config,
    print_line,
)
from wire.redact import inert

alerts_app = typer.Typer(
    help="Who would be told of what and why; what was said, and what was not.", no_args_is_help=True
)

RETRY_MAX = 10_000
STAGES = ("warning", "breach", "escalated", "cleared", "corrected")

CaseOption = Annotated[
    str | None, typer.Option("--case", help="a case's id, or the id of any of its messages")
]
ExampleOption = Annotated[bool, typer.Option("--example", help="an invented public complaint")]


@contextmanager
def _open(config: Path | None, pretended: str | None) -> Iterator[tuple[Opened, dict[str, Any]]]:
    """The config with its channels, by which routes know whom they reach. Nothing is sent."""
    from monitor.daemon import build_channels
    from monitor.policy import find_reaches, make_routes
    from wire.errors import EdgeError
    from wire.secret import SecretMissing

    with open_config(config, pretended) as opened:
        try:
            channels = build_channels(opened.config, opened.clock)
        except (EdgeError, SecretMissing, ValueError) as error:
            fail(str(error))
        recipients = {name: channel.recipient for name, channel in channels.items()}
        opened.policy = replace(
            opened.policy,
            routes=make_routes(opened.config, recipients),
            reaches=find_reaches(opened.policy.people, channels),
        )
        try:
            yield opened, channels
        finally:
            for channel in channels.values():
                channel.close()


@contextmanager
def _case(opened: Opened, id: str | None, *, answered: bool = False) -> Iterator[tuple[Any, Any]]:
    """The store and the row of a case; None: of an invented one."""
    from monitor.act import find_case
    from monitor.example import invented_case
    from monitor.store.store import read_store

    if id is not None:
        reader = read_store(opened.store_path)
        try:
            yield reader, find_case(reader, id)
        finally:
            reader.close()
        return
    try:
        with invented_case(opened.config, opened.policy, opened.now, answered=answered) as found:
            yield found
    except LookupError as error:
        fail(str(error))


@alerts_app.command()
def route(
    id: Annotated[
        str | None, typer.Argument(help="a case's id, or the id of any of its messages", metavar="CASE")
    ] = None,
    example: ExampleOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    pretended_time: ClockOption = None,
) -> None:
    """Who would be told of each stage of a case, when, and why."""
    from monitor.alerts_view import route_case, route_caseless, show_route

    if (id is None) != example:
        fail("give either a case or --example", USAGE)
    with _open(config, pretended_time) as (opened, _), _case(opened, id) as (reader, row):
        found = route_case(reader, opened.policy, row, opened.now)
        if example:
            found["stages"] += route_caseless(opened.policy, row.case.place.brand, opened.now)
        if as_json:
            print_line(json.dumps(found, ensure_ascii=False))
        else:
            show_route(found, Console())


@alerts_app.command("list")
def list_alerts(
    state: Annotated[
        str | None, typer.Option(help="pending, delivered, dead, superseded or shadow; default: all")
    ] = None,
    channel: Annotated[str | None, typer.Option(help="of this channel only")] = None,
    case: CaseOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    pretended_time: ClockOption = None,
) -> None:
    """What was said, is to be said, or could not be: the latest first."""
    from monitor.act import find_case
    from monitor.alerts_view import STATES, outbox_rows
    from monitor.store.store import read_store
    from monitor.views import View, show
    from monitor.watch import said_of

    if state is not None and state not in STATES:
        fail(f"unknown state {inert(state, 60)!r}; known are {', '.join(STATES)}", USAGE)
    states = STATES[state] if state is not None else ()
    with open_config(config, pretended_time) as opened:
        _known_channel(opened, channel)
        reader = read_store(opened.store_path)
        if case is None:
            rows = reader.outbox.latest(states, channel, limit)
        else:
            row = find_case(reader, case)
            said = reversed(said_of(reader, row.scope, row.case))
            rows = [r for r in said if channel in (None, r.channel) and (not states or r.state in states)]
        show(View("Alerts", outbox_rows(rows[:limit])), Console(), as_json=as_json)


def _known_channel(opened: Opened, channel: str | None) -> None:
    """Refuse a channel that the config does not have: it is a typing error."""
    if channel is not None and channel not in opened.config.channels:
        known = ", ".join(opened.config.channels) or "none"
        fail(f"unknown channel {inert(channel, 60)!r}; known are {known}", USAGE)


@alerts_app.command("show")
def show_alert(
    which: Annotated[str, typer.Argument(help="its number in `alerts list`, or its key")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    pretended_time: ClockOption = None,
) -> None:
    """All that is known of one alert: why it was made, every attempt at it, how it ended."""
    from monitor.alerts_view import outbox_row
    from monitor.store.store import read_store
    from monitor.views import View, show

    with open_config(config, pretended_time) as opened:
        reader = read_store(opened.store_path)
        row = reader.outbox.find(which)
        if row is None:
            fail(f"no alert has the number or key {inert(which, 200)!r}; `alerts list` shows them")
        found = outbox_row(reader, row)
        if as_json:
            print_line(json.dumps(found, ensure_ascii=False))
            return
        plain = {k: v for k, v in found.items() if k != "tries" and v not in (None, [], False)}
        rows = [
            {"what": k.replace("_", " "), "is": ", ".join(v) if isinstance(v, list) else v}
            for k, v in plain.items()
        ]
        show(View("The alert", rows), Console(), as_json=False)
        show(View("Attempts", found["tries"]), Console(), as_json=False)


@alerts_app.command()
def retry(
    which: Annotated[str | None, typer.Argument(help="its number in `alerts list`, or its key")] = None,
    channel: Annotated[str | None, typer.Option(help="all dead letters of this channel")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="all dead letters of all channels")] = False,
    by: WhoOption = "somebody",
    config: ConfigOption = None,
    as_json: JsonOption = False,
    pretended_time: ClockOption = None,
) -> None:
    """Have dead letters tried again. What is no longer true by then is not sent."""
    from monitor.store.store import open_store

    if (which is not None) + (channel is not None) + dead != 1:
        fail("give one of: an alert's number or key, --channel NAME, --dead", USAGE)
    with open_config(config, pretended_time) as opened:
        _known_channel(opened, channel)
        store = open_store(opened.store_path)
        try:
            with store.transaction("retry"):
                if which is None:
                    numbers = store.outbox.dead_rows(channel, RETRY_MAX)
                else:
                    row = store.outbox.find(which)
                    if row is None:
                        fail(
                            f"no alert has the number or key {inert(which, 200)!r}; `alerts list` shows them"
                        )
                    numbers = [row.pk]
                again = [pk for pk in numbers if store.outbox.try_again(pk, by, opened.now)]
        finally:
            store.close()
        if which is not None and not again and row is not None:
            fail(f"alert {row.pk} is {row.state.value}, and only dead letters are tried again")
        said = f"{len(again)} put back, to be sent by the daemon if still true"
        print_line(json.dumps({"retried": again}) if as_json else said)


@alerts_app.command()
def preview(
    channel: Annotated[str, typer.Argument(help="the name of a [channels.NAME]")],
    case: CaseOption = None,
    example: ExampleOption = False,
    stage: Annotated[str, typer.Option(help=", ".join(STAGES))] = "breach",
    out: Annotated[
        Path | None,
        typer.Option(help="a file: as the channel sends it (HTML, Block Kit …), or the text for *.txt"),
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="as the channel sends it, such as Slack's Block Kit, and no file")
    ] = False,
    config: ConfigOption = None,
    pretended_time: ClockOption = None,
) -> None:
    """How an alert looks; nothing is sent."""
    from zoneinfo import ZoneInfo

    from alerts.contract import Previewing
    from monitor.daemon import build_templates

    if (case is None) != example:
        fail("give either --case or --example", USAGE)
    if stage not in STAGES:
        fail(f"unknown stage {inert(stage, 60)!r}; known are {', '.join(STAGES)}", USAGE)
    over = stage in ("cleared", "corrected")
    with _open(config, pretended_time) as (opened, channels):
        _known_channel(opened, channel)
        with _case(opened, case, answered=over) as (reader, row):
            alert = _alert(opened, reader, row, channel, stage)
        words = build_templates(opened.config).words(channel, opened.config.channels[channel].type)
        text = words.render(alert, ZoneInfo(opened.config.monitor.time_zone)).text
        made, kind = text + "\n", "text"
        as_sent = raw if out is None else out.suffix != ".txt"
        if as_sent and isinstance(channels[channel], Previewing):
            shown = channels[channel].preview(alert)
            made, kind = shown.text, shown.kind
        if out is None:
            print_line(made.rstrip("\n"))
            return
        out.write_text(made, "utf-8", "replace")
        os.chmod(out, 0o600)
        print_line(f"{kind} written to {out}")


def _alert(opened: Opened, reader: Any, row: Any, channel: str, stage: str) -> Any:
    """The alert of a case's stage, with the facts as they are now, as that channel would be given it."""
    from monitor.alerts_view import find_stage
    from monitor.saying import alert_key
    from monitor.telling import facts_for
    from rules.alert import Alert, Stage

    policy = opened.policy.remembering(reader.policies())
    try:
        owed, at = find_stage(policy, row, Stage(stage), opened.now)
    except LookupError as error:
        fail(str(error), FAILED)
    facts = facts_for(reader, policy, row, owed, channel, at)
    key = alert_key(row.case.id, owed, channel, "preview")
    return Alert(key, row.case.id, owed.stage, at, owed.repeat, case=facts, step=owed.step)


@alerts_app.command()
def templates(
    name: Annotated[
        str | None, typer.Argument(help="a template to print, such as case.j2", metavar="NAME")
    ] = None,
    channel: Annotated[str | None, typer.Option(help="as this channel has it; default: built-in")] = None,
    config: ConfigOption = None,
) -> None:
    """Which templates alerts are made of; with a NAME, its text, to begin one of your own with."""
    from rich.table import Table

    from alerts.words import NAMES
    from monitor.daemon import build_templates

    if name is not None and name not in NAMES:
        fail(f"unknown template {inert(name, 60)!r}; known are {', '.join(NAMES)}", USAGE)
    with open_config(config, None) as opened:
        _known_channel(opened, channel)
        try:
            made = build_templates(opened.config)
        except ValueError as error:
            fail(str(error))
        layers = {each: (each, settings.type) for each, settings in opened.config.channels.items()}
        if name is not None:
            print_line(made.source(name, layers[channel] if channel is not None else None))
            return
        table = Table("Template", *(layers if channel is None else [channel]), title="Templates")
        for each in NAMES:
            found = [made.find(each, layers[column.header]) or "built-in" for column in table.columns[1:]]
            table.add_row(each, *found)
        Console().print(table)
