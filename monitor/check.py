"""`check`: is the config whole, who are we on each platform and what can be read there, does each alert
channel work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from alerts.contract import Channel
from connectors.contract import Connector, Cursor
from monitor.calendars import week_lines
from monitor.clock import Clock
from monitor.config import Config
from monitor.daemon import build_edges, build_policy
from monitor.load import check_secrets
from monitor.store.store import read_store
from rules.alert import Alert, Stage, Trouble
from rules.hours import Calendar
from wire.durations import say_duration
from wire.errors import EdgeError
from wire.secret import SecretMissing


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked."""

    what: str
    ok: bool
    detail: str


def check_all(
    path: Path, config: Config, clock: Clock, state_folder: Path, *, send: bool, offline: bool
) -> list[Finding]:
    """Check everything that can be checked; `send` also says something over each channel."""
    findings = [Finding(str(path), True, f"{len(config.brands)} brands, {len(config.targets)} targets")]
    findings += [Finding("config", True, f"warning: {w}") for w in config.warnings]
    findings += [f for calendar in config.calendars.values() for f in _check_calendar(calendar, clock.now())]
    problems = check_secrets(config)
    findings += [Finding("secret", False, str(p)) for p in problems]
    if problems:
        return findings
    try:
        state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        edges = build_edges(config, clock, state_folder)
        build_policy(config, edges)
    except (EdgeError, SecretMissing, ValueError, OSError) as error:
        return [*findings, Finding("config", False, str(error))]
    if offline:
        return findings
    limit = config.http.time_limit.total_seconds()
    cursors = _cursors(state_folder / "monitor.db")
    for key, connector in edges.connectors.items():
        what = "/".join(key)
        findings.append(_check_connector(what, connector, limit))
        if findings[-1].ok:
            known = {stream.name: cursors.get((*key, stream.name)) for stream in connector.streams}
            findings += [_check_stream(what, connector, *each, limit, clock.now()) for each in known.items()]
        connector.close()
    for name, channel in edges.channels.items():
        findings.append(_check_channel(name, channel, limit, clock.now(), send=send))
        channel.close()
    return findings


def _check_calendar(calendar: Calendar, now: datetime) -> list[Finding]:
    """The opening hours of the coming week, so that a person can see a mistake."""
    today = now.astimezone(ZoneInfo(calendar.zone)).date()
    what = f"calendar {calendar.name} ({calendar.zone})"
    return [Finding(what, True, line) for line in week_lines(calendar, today)]


def _check_connector(what: str, connector: Connector, limit: float) -> Finding:
    try:
        who = connector.identify(limit)
    except (EdgeError, SecretMissing) as error:
        return Finding(what, False, str(error))
    said = [f"we are @{who.handle} ({who.id})", *who.notes]
    said += [f"missing: {p}" for p in who.permissions_missing]
    if who.credentials_expire_at is not None:
        said.append(f"the credential lapses on {who.credentials_expire_at:%Y-%m-%d}")
    return Finding(what, not who.permissions_missing, "; ".join(said))


def _cursors(store: Path) -> dict[tuple[str, str, str, str], Cursor | None]:
    """Where each stream stands, if there is a store already: what was read once is not paid for again."""
    if not store.exists():
        return {}
    reader = read_store(store)
    try:
        rows = reader.streams.all()
        return {(row.brand, row.connector, row.account, row.name): row.cursor for row in rows}
    finally:
        reader.close()


def _check_stream(
    what: str, connector: Connector, stream: str, cursor: Cursor | None, limit: float, now: datetime
) -> Finding:
    """Read one page of a stream from where it stands, and forget it: it will be read again."""
    try:
        page = connector.poll(stream, cursor, limit)
    except (EdgeError, SecretMissing) as error:
        return Finding(f"{what} {stream}", False, str(error))
    count = len(page.messages)
    said = [f"read {count} {'message' if count == 1 else 'messages'}{' and more' if page.has_more else ''}"]
    if page.messages:
        newest = max(message.created_at for message in page.messages)
        said.append(f"the newest is {say_duration((now - newest).total_seconds())} old")
    if page.rejected:
        said.append(f"{len(page.rejected)} not understood, such as: {page.rejected[0].reason}")
    if page.gap is not None:
        said.append(page.gap)
    said += [f"{budget.remaining:,g} of {budget.limit:,g} {budget.name} left" for budget in page.budgets]
    if page.cost_usd:
        said.append(f"it cost ${page.cost_usd:.3f}")
    return Finding(f"{what} {stream}", True, "; ".join(said))


def _check_channel(name: str, channel: Channel, limit: float, now: datetime, *, send: bool) -> Finding:
    trouble = Trouble("This is a test", "response-monitor check --send was called. Nothing is wrong.", now)
    alert = Alert(f"test/{name}/{now:%Y%m%dT%H%M%S}", f"test {name}", Stage.TEST, now, trouble=trouble)
    try:
        if not send:
            return Finding(f"channel {name}", True, channel.check(limit))
        channel.send(alert, None, limit)
    except (EdgeError, SecretMissing) as error:
        return Finding(f"channel {name}", False, str(error))
    return Finding(f"channel {name}", True, f"a test alert was accepted for {channel.recipient}")
