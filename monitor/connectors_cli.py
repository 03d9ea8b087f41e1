"""The commands of `connectors`: which platforms there are, what each can see, what one brings right now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from monitor.opening import (
    FAILED,
    USAGE,
    ClockOption,
    ConfigOption,
    JsonOption,
    fail,
    open_config,
    print_line,
)
from wire.redact import inert

if TYPE_CHECKING:
    from connectors.contract import Capabilities, Connector, Page
    from rules.message import Message

connectors_app = typer.Typer(
    help="Which platforms there are, and what each can see.", invoke_without_command=True
)

TEXT_LENGTH_MAX = 300


@connectors_app.callback()
def list_connectors(context: typer.Context, as_json: JsonOption = False) -> None:
    """Every connector that is installed, with what it can see."""
    if context.invoked_subcommand is not None:
        return
    import connectors
    from monitor.views import View, show

    rows = []
    for name, module in sorted(connectors.known().items()):
        try:
            rows.append({"connector": name, **_capabilities(connectors.load(name).CAPABILITIES)})
        except (ImportError, connectors.BadConnector) as error:
            rows.append({"connector": name, **dict.fromkeys(_COLUMNS, ""), "streams": f"{module}: {error}"})
    show(View("Connectors", rows), Console(), as_json=as_json)


_COLUMNS = ("streams", "own_replies", "edits", "deletes", "bots_known", "looks_back")


def _capabilities(can: Capabilities) -> dict[str, Any]:
    from wire.durations import say_duration

    streams = [f"{stream.name}{' (private)' if stream.private else ''}" for stream in can.streams]
    return {
        "streams": ", ".join(streams),
        "own_replies": can.outbound.value,
        "edits": can.edits,
        "deletes": can.deletes,
        "bots_known": can.automated_known,
        "looks_back": say_duration(can.look_back_seconds),
    }


@connectors_app.command()
def peek(
    name: Annotated[
        str, typer.Argument(help="a connector such as x, an account such as acme/x/acmehelp", metavar="NAME")
    ],
    limit: Annotated[int, typer.Option(min=1, max=100, help="so many messages of each stream")] = 5,
    stream: Annotated[str | None, typer.Option(help="this stream only")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    pretended_time: ClockOption = None,
) -> None:
    """What a platform brings right now, as we understand it: one page of each stream. Nothing is stored."""
    from monitor.daemon import build_edges
    from wire.errors import EdgeError
    from wire.secret import SecretMissing

    with open_config(config, pretended_time) as opened:
        try:
            edges = build_edges(opened.config, opened.clock, opened.store_path.parent)
        except (EdgeError, SecretMissing, ValueError) as error:
            fail(str(error))
        wanted = name.rstrip("/").split("/")
        chosen = {
            key: each for key, each in edges.connectors.items() if wanted in ([key[1]], [*key], [*key[:2]])
        }
        if not chosen:
            there = ", ".join("/".join(key) for key in edges.connectors)
            fail(f"no account {inert(name, 80)!r}; there are {there}", USAGE)
        seconds = opened.config.http.time_limit.total_seconds()
        failed = False
        try:
            for key, connector in chosen.items():
                failed |= _peek("/".join(key), connector, stream, limit, seconds, as_json=as_json)
        finally:
            for each in edges.connectors.values():
                each.close()
            for channel in edges.channels.values():
                channel.close()
    if failed:
        raise typer.Exit(FAILED)


def _peek(
    account: str, connector: Connector, only: str | None, limit: int, seconds: float, *, as_json: bool
) -> bool:
    """Show a page of each stream of an account; whether one could not be read."""
    from wire.errors import EdgeError
    from wire.secret import SecretMissing

    streams = [stream.name for stream in connector.streams]
    if only is not None and only not in streams:
        fail(f"{account} has no stream {inert(only, 60)!r}; it has {', '.join(streams)}", USAGE)
    failed = False
    for stream in streams if only is None else [only]:
        try:
            page = connector.poll(stream, None, seconds)
        except (EdgeError, SecretMissing) as error:
            failed = True
            said = inert(str(error), 500)
            print_line(
                json.dumps({"account": account, "stream": stream, "error": said})
                if as_json
                else f"{account} {stream}: {said}"
            )
            continue
        _show_page(account, stream, page, limit, as_json=as_json)
    return failed


def _show_page(account: str, stream: str, page: Page, limit: int, *, as_json: bool) -> None:
    from rules.message_json import message_to_json

    latest = sorted(page.messages, key=lambda message: message.created_at)[-limit:]
    if as_json:
        for message in latest:
            found = {"account": account, "stream": stream, "message": message_to_json(message)}
            print_line(json.dumps(found, ensure_ascii=True))
        return
    more = ", and there is more" if page.has_more else ""
    print_line(f"{account} {stream}: {len(page.messages)} messages{more}")
    for message in latest:
        print_line(f"  {_line(message)}")
    for each in page.rejected[:limit]:
        print_line(f"  not understood: {inert(each.id or '?', 100)}: {inert(each.reason, 200)}")
    if page.gap is not None:
        print_line(f"  a gap: {inert(page.gap, 200)}")
    for budget in page.budgets:
        print_line(f"  left of {budget.name}: {budget.remaining:g} of {budget.limit:g}")


def _line(message: Message) -> str:
    """A message on one line, harmless to a terminal."""
    who = inert(message.author.handle or message.author.name or message.author.id, 60)
    side = "in " if message.inbound else "out"
    kind = message.kind.value if message.public else f"{message.kind.value}, private"
    stars = f" {message.rating:g}★" if message.rating is not None else ""
    text = inert(message.text, TEXT_LENGTH_MAX)
    at, id = f"{message.created_at:%Y-%m-%d %H:%M:%S}", inert(message.id, 120)
    return f"{side} {at} {who} ({kind}, {id}){stars}: {text}"
