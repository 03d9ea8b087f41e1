"""The commands. Each reads its words, calls one function of another module, and prints what came of it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TimeRemainingColumn

from monitor.alerts_cli import alerts_app
from monitor.connectors_cli import connectors_app
from monitor.opening import (
    FAILED,
    USAGE,
    CaseArgument,
    ClockOption,
    ConfigOption,
    JsonOption,
    WhoOption,
    print_line,
)
from monitor.opening import fail as _fail
from monitor.opening import find_path as _path
from monitor.opening import open_config as _open
from rules.case import Action, Word
from wire.durations import parse_duration
from wire.redact import inert

app = typer.Typer(
    name="response-monitor",
    help="Watches social platforms for customers who wait for an answer, and says so before it is late.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(alerts_app, name="alerts")
app.add_typer(connectors_app, name="connectors")


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="where to write it")] = Path("monitor.toml"),
    force: Annotated[bool, typer.Option(help="overwrite what is there")] = False,
) -> None:
    """Write a commented monitor.toml to start from."""
    if path.exists() and not force:
        _fail(f"{path} is there already; --force overwrites it", USAGE)
    text = resources.files("monitor").joinpath("templates/monitor.toml").read_text("utf-8")
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        _fail(f"{path} cannot be written: {error.strerror}")
    print_line(f"wrote {path}; edit it, then: response-monitor check --config {path}")


@app.command()
def run(config: ConfigOption = None, pretended_time: ClockOption = None) -> None:
    """Run the daemon in the foreground, until SIGTERM or Ctrl-C."""
    from monitor.serving import serve

    raise typer.Exit(serve(_path(config), pretended_time))


@app.command()
def check(
    config: ConfigOption = None,
    send: Annotated[bool, typer.Option(help="send a test alert over each channel")] = False,
    offline: Annotated[bool, typer.Option(help="check the config and the secrets only")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the config, then who we are on each platform, then each alert channel."""
    from monitor.check import check_all
    from monitor.views import View, show

    with _open(config) as opened:
        findings = check_all(
            opened.path, opened.config, opened.clock, opened.store_path.parent, send=send, offline=offline
        )
        rows = [{"what": f.what, "result": "ok" if f.ok else "FAILED", "detail": f.detail} for f in findings]
        show(View("Checks", rows), Console(), as_json=as_json)
        if not all(f.ok for f in findings):
            raise typer.Exit(FAILED)


@app.command()
def status(
    config: ConfigOption = None, as_json: JsonOption = False, pretended_time: ClockOption = None
) -> None:
    """What the daemon sees now: who waits, how each stream does, what is left of limits."""
    from monitor.store.store import read_store
    from monitor.views import show_status
    from monitor.views import status as make_status

    with _open(config, pretended_time) as opened:
        reader = read_store(opened.store_path)
        found = make_status(reader, opened.now)
        if as_json:
            print_line(json.dumps(found))
        else:
            show_status(found, Console())


@app.command()
def queue(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: JsonOption = False,
    pretended_time: ClockOption = None,
) -> None:
    """Who waits for an answer, the most urgent first."""
    from monitor.store.store import read_store
    from monitor.views import queue as make_queue
    from monitor.views import show

    with _open(config, pretended_time) as opened:
        reader = read_store(opened.store_path)
        view = make_queue(reader, opened.now, limit, show_dm_text=opened.policy.show_dm_text)
        show(view, Console(), as_json=as_json)


@app.command()
def case(
    id: CaseArgument,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    pretended_time: ClockOption = None,
) -> None:
    """A case's whole story, with every clock and reason."""
    from monitor.act import find_case
    from monitor.store.store import read_store
    from monitor.views import show_story, story

    with _open(config, pretended_time) as opened:
        reader = read_store(opened.store_path)
        found = story(reader, opened.policy, find_case(reader, id), opened.now)
        if as_json:
            print_line(json.dumps(found, ensure_ascii=False))
        else:
            show_story(found, Console())


@app.command()
def explain(
    id: CaseArgument,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    pretended_time: ClockOption = None,
) -> None:
    """Which target each clock of a case is held to, and why the ones above it are not for it."""
    from monitor.act import find_case
    from monitor.store.store import read_store
    from monitor.views import explain_targets, show_explanation

    with _open(config, pretended_time) as opened:
        reader = read_store(opened.store_path)
        row = find_case(reader, id)
        found = explain_targets(reader, opened.policy, row)
        if as_json:
            print_line(json.dumps(found, ensure_ascii=False))
        else:
            show_explanation(row.case.id, found, Console())


def _say(
    config: Path | None,
    pretended: str | None,
    word: Word,
    id: str,
    who: str,
    until: str | None = None,
    note: str | None = None,
) -> None:
    """Record an operator's word."""
    from monitor.act import act
    from monitor.store.store import open_store

    with _open(config, pretended) as opened:
        end = None
        if until is not None:
            try:
                end = opened.now + parse_duration(until)
            except ValueError as error:
                _fail(str(error), USAGE)
        if word is Word.ASSIGN:
            note = _person(opened.policy, note)
        store = open_store(opened.store_path)
        done = act(store, opened.policy, Action(word, id, who, opened.now, end, note), opened.now)
        store.close()
        print_line(f"{done.id}: {done.status.value.replace('_', ' ')}")


def _person(policy: Any, word: str | None) -> str | None:
    """The name of the person meant; the word itself, with a warning, where the config knows nobody so."""
    from rules.team import find_person

    found = find_person(policy.people, word)
    if found is None and policy.people:
        err = Console(stderr=True, markup=False, highlight=False)
        err.print(
            f"warning: nobody in [[people]] is {inert(word or '')!r}: the case is theirs, and no alert "
            "calls them",
            soft_wrap=True,
        )
    return word if found is None else found.name


@app.command()
def ack(
    id: CaseArgument,
    by: WhoOption = "somebody",
    config: ConfigOption = None,
    pretended_time: ClockOption = None,
) -> None:
    """I take it: no more repeats of its alerts."""
    _say(config, pretended_time, Word.ACK, id, by)


@app.command()
def resolve(
    id: CaseArgument,
    by: WhoOption = "somebody",
    config: ConfigOption = None,
    pretended_time: ClockOption = None,
) -> None:
    """It is resolved: nobody waits any more."""
    _say(config, pretended_time, Word.RESOLVE, id, by)


@app.command()
def ignore(
    id: CaseArgument,
    by: WhoOption = "somebody",
    config: ConfigOption = None,
    pretended_time: ClockOption = None,
) -> None:
    """It needs no reply."""
    _say(config, pretended_time, Word.IGNORE, id, by)


@app.command()
def answered(
    id: CaseArgument,
    how: Annotated[str | None, typer.Option(help="by phone, in a shop …")] = None,
    by: WhoOption = "somebody",
    config: ConfigOption = None,
    pretended_time: ClockOption = None,
) -> None:
    """It was answered elsewhere."""
    _say(config, pretended_time, Word.ANSWERED, id, by, note=how)


@app.command()
def snooze(
    id: CaseArgument,
    duration: Annotated[str, typer.Argument(help='how long, such as "15m" or "1h"')],
    by: WhoOption = "somebody",
    config: ConfigOption = None,
    pretended_time: ClockOption = None,
) -> None:
    """Hide its alerts for a while; the customer's wait goes on."""
    _say(config, pretended_time, Word.SNOOZE, id, by, until=duration)


@app.command()
def assign(
    id: CaseArgument,
    to: Annotated[str, typer.Argument(help="whose it is now")],
    by: WhoOption = "somebody",
    config: ConfigOption = None,
    pretended_time: ClockOption = None,
) -> None:
    """Say whose it is: somebody's name, Slack id or address in [[people]], or any other name."""
    _say(config, pretended_time, Word.ASSIGN, id, by, note=to)


@app.command(name="not-complaint")
def not_complaint(
    id: CaseArgument,
    by: WhoOption = "somebody",
    config: ConfigOption = None,
    pretended_time: ClockOption = None,
) -> None:
    """It is no complaint: the wait goes on, held to what is promised to others."""
    _say(config, pretended_time, Word.NOT_COMPLAINT, id, by)


@app.command()
def mute(
    author: Annotated[str | None, typer.Option(help="a handle or an id")] = None,
    phrase: Annotated[str | None, typer.Option(help="words of a campaign")] = None,
    brand: Annotated[str, typer.Option(help="of which brand; default: all")] = "",
    duration: Annotated[
        str | None, typer.Option("--for", help='how long, such as "2d"; default: for ever')
    ] = None,
    by: WhoOption = "somebody",
    config: ConfigOption = None,
    pretended_time: ClockOption = None,
) -> None:
    """Alert nobody about an author or a phrase; the waits are measured all the same."""
    from monitor.act import mute as record_mute
    from monitor.store.cases import Mute
    from monitor.store.store import open_store

    if (author is None) == (phrase is None):
        _fail("give either --author or --phrase", USAGE)
    with _open(config, pretended_time) as opened:
        try:
            until = None if duration is None else opened.now + parse_duration(duration)
        except ValueError as error:
            _fail(str(error), USAGE)
        what = "author" if author is not None else "phrase"
        store = open_store(opened.store_path)
        record_mute(store, Mute(brand, what, author or phrase or "", until, by, opened.now), opened.now)
        store.close()
        print_line(f"muted {what} {inert(author or phrase or '')}")


@app.command()
def unmute(
    author: Annotated[str | None, typer.Option(help="a handle or an id")] = None,
    phrase: Annotated[str | None, typer.Option(help="words of a campaign")] = None,
    brand: Annotated[str, typer.Option(help="of which brand, as it was muted; default: all")] = "",
    by: WhoOption = "somebody",
    config: ConfigOption = None,
    pretended_time: ClockOption = None,
) -> None:
    """Alert people about an author or a phrase again; `status` shows what is muted."""
    from monitor.act import NotOurs
    from monitor.act import unmute as end_mute
    from monitor.store.cases import Mute
    from monitor.store.store import open_store

    if (author is None) == (phrase is None):
        _fail("give either --author or --phrase", USAGE)
    with _open(config, pretended_time) as opened:
        what, word = ("author", author or "") if author is not None else ("phrase", phrase or "")
        store = open_store(opened.store_path)
        try:
            ended = end_mute(store, Mute(brand, what, word, None, by, opened.now), opened.now)
        except NotOurs as error:
            _fail(str(error))
        finally:
            store.close()
        if not ended:
            _fail(f"no such {what} is muted: {inert(word)!r}; `response-monitor status` shows what is")
        print_line(f"{what} {inert(word)} is muted no more")


@app.command()
def rebuild(
    config: ConfigOption = None,
    rejudge: Annotated[bool, typer.Option(help="judge every message anew with today's rules first")] = False,
) -> None:
    """Fold every case again from the facts; changes nothing unless the rules did."""
    from monitor.act import rebuild as do_rebuild
    from monitor.act import rejudge as do_rejudge
    from monitor.store.store import open_store

    with _open(config) as opened:
        store = open_store(opened.store_path)
        if rejudge:
            print_line(f"{do_rejudge(store, opened.policy)} verdicts changed")
        conversations, changed = do_rebuild(store, opened.policy, opened.now)
        store.close()
        print_line(f"{conversations} conversations folded, {changed} cases changed")


@app.command()
def replay(
    file: Annotated[str, typer.Argument(help='JSONL of messages, gzip too; "-" is standard input')],
    config: ConfigOption = None,
    store: Annotated[Path | None, typer.Option(help="a database of its own instead of the daemon's")] = None,
    alerts: Annotated[bool, typer.Option(help="work out what would have been said, and when")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take messages in from a file. They are the past: nobody is alerted."""
    from monitor.store.store import open_store
    from monitor.transfer import open_lines
    from monitor.transfer import replay as do_replay

    with _open(config) as opened:
        path = store or opened.store_path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = open_store(path)
        err = Console(stderr=True, markup=False, highlight=False)
        with (
            open_lines(file, sys.stdin.buffer) as (lines, size),
            Progress(
                "{task.description}",
                BarColumn(),
                "{task.completed} lines",
                TimeRemainingColumn(),
                console=err,
            )
            if err.is_terminal
            else _no_progress() as progress,
        ):
            on_line = _counter(progress, size)
            done = do_replay(target, opened.policy, lines, opened.now, with_alerts=alerts, on_line=on_line)
        target.close()
        for number, problem in done.problems or ():
            err.print(f"{file}:{number}: {inert(problem)}", soft_wrap=True)
        found = {
            "lines": done.lines,
            "messages": done.taken,
            "new": done.new,
            "bad": done.bad,
            "alerts": done.alerts,
        }
        print_line(json.dumps(found) if as_json else ", ".join(f"{k} {v}" for k, v in found.items()))


@contextmanager
def _no_progress() -> Iterator[None]:
    yield None


def _counter(progress: Progress | None, size: int | None) -> Any:
    if progress is None:
        return lambda _bytes: None
    del size  # lines are counted: a packed file's bytes tell nothing of what is left
    task = progress.add_task("replay", total=None)
    return lambda _bytes: progress.advance(task, 1)


@app.command()
def export(
    what: Annotated[str, typer.Argument(help="cases or messages")],
    format: Annotated[str, typer.Option("--format", help="jsonl or csv")] = "jsonl",
    out: Annotated[Path | None, typer.Option(help="a file instead of standard output")] = None,
    config: ConfigOption = None,
    store: Annotated[Path | None, typer.Option(help="a database other than the daemon's")] = None,
) -> None:
    """Write all cases or messages, oldest first."""
    from monitor.store.store import read_store
    from monitor.transfer import export_rows, write_csv, write_jsonl

    if what not in ("cases", "messages") or format not in ("jsonl", "csv"):
        _fail("expected `export cases` or `export messages`, with --format jsonl or csv", USAGE)
    with _open(config) as opened:
        reader = read_store(store or opened.store_path)
        write = write_jsonl if format == "jsonl" else write_csv
        rows = export_rows(reader, what, opened.now)
        if out is None:
            write(rows, sys.stdout)
            return
        with out.open("w", encoding="utf-8", newline="") as stream:
            os.chmod(out, 0o600)
            count = write(rows, stream)
        print_line(f"{count} {what} written to {out}")


@app.command()
def demo(
    duration: Annotated[str, typer.Option(help="how long, in real time")] = "90s",
    speed: Annotated[float, typer.Option(min=1, max=600, help="pretended seconds in a real one")] = 60.0,
    seed: Annotated[int, typer.Option(help="another seed is another day")] = 1,
    as_json: JsonOption = False,
    kills: Annotated[int, typer.Option(min=0, max=100, help="kill -9 the daemon so often on the way")] = 0,
    keep: Annotated[Path | None, typer.Option(help="keep its files in this folder")] = None,
) -> None:
    """The whole story on this machine: simulated platforms, the real daemon, alerts as they arrive."""
    try:
        seconds = parse_duration(duration).total_seconds()
    except ValueError as error:
        _fail(str(error), USAGE)
    from monitor.demo import run_demo

    live = not as_json and sys.stdout.isatty()
    try:
        result = run_demo(seconds=seconds, speed=speed, seed=seed, live=live, kills=kills, keep=keep)
    except ImportError as error:
        _fail(
            f"the demo needs the extra [demo]: pip install 'response-monitor[demo]' ({error.name} is missing)"
        )
    if as_json:
        print_line(json.dumps(result.as_dict()))
    else:
        result.show(
            Console(width=None if sys.stdout.isatty() else shutil.get_terminal_size((100, 24)).columns)
        )
    if not result.honest:
        raise typer.Exit(FAILED)
