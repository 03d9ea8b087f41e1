"""The demo's live view: who waits, what was just said, how the house and the platforms do."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from monitor.clock import Clock
from monitor.store.store import Reader
from simulator.deeds import Deed
from simulator.heard import read_blindness, read_claims, read_storms
from simulator.promises import MINUTE, OfficeHours
from simulator.town import Heard, Town
from wire.durations import say_duration
from wire.redact import inert

ROWS_MAX = 10
ALERTS_MAX = 8
MINUTES_A_DAY = 24 * 60
BLIND_SHOWN_SECONDS = 120.0
"""A single failed poll is no news."""


class LiveView:
    """Redraws itself from the store and the sinks; it changes nothing."""

    def __init__(self, clock: Clock, town: Town, end: datetime) -> None:
        self._clock = clock
        self._town = town
        self._end = end
        self._live = Live(refresh_per_second=5, transient=True)
        self._live.start()

    def show(self, reader: Reader | None) -> None:
        """Draw once."""
        now = self._clock.now()
        left = max(0.0, (self._end - now).total_seconds())
        head = Text(
            f"pretended time {now:%H:%M:%S}, {say_duration(left)} to go; Ctrl-C ends it", style="bold"
        )
        if reader is None:
            self._live.update(Group(head, Text("the daemon starts …")))
            return
        heard = self._town.heard()
        self._live.update(
            Group(
                head,
                _queue(reader, now),
                self._house(reader, heard, now),
                _alerts(heard),
                _streams(reader, now),
            )
        )

    def close(self) -> None:
        self._live.stop()

    def _house(self, reader: Reader, heard: list[Heard], now: datetime) -> Panel:
        """Who is there, what came all at once, what cannot be seen, and who else was told."""
        rows = (
            ("calendar", _office(self._town.promises.forum.hours, now)),
            ("storm", _storm(reader, heard)),
            ("blind", _blind(reader, heard, now)),
            ("escalated", _escalated(heard, self._town.lead_channel())),
            ("pressed", _pressed(self._town)),
        )
        table = Table(expand=True, box=None, show_header=False)
        table.add_column(no_wrap=True, width=10, style="bold")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for row in rows:
            table.add_row(*row)
        return Panel(table, title="How things stand", title_align="left")


def _office(hours: OfficeHours | None, now: datetime) -> Text:
    """Whether the office is open, and until when."""
    if hours is None:
        return Text("always open")
    is_open = hours.is_open(now)
    change = now.replace(second=0, microsecond=0)
    for _ in range(MINUTES_A_DAY):
        change += MINUTE
        if hours.is_open(change) != is_open:
            break
    left = say_duration((change - now).total_seconds())
    state = "open" if is_open else "closed: its promises stand still"
    local = change + hours.offset
    return Text(
        f"office {state}, until {local:%H:%M} in {hours.zone} ({left})", "green" if is_open else "yellow"
    )


def _storm(reader: Reader, heard: list[Heard]) -> Text:
    """The storms that rage, and those that are over."""
    said = []
    for surge in reader.surges.all_running():
        reached, waiting, answered = surge.standing or (0, 0, 0)
        counts = f"{reached} cases, {waiting} wait, {answered} answered" if reached else "just begun"
        said.append(f"{surge.brand} since {surge.since:%H:%M}: {counts}")
    over = {(s.where, s.number): s for s in read_storms(heard) if s.over_at is not None}
    for storm in over.values():
        said.append(f"{storm.where}'s is over since {storm.over_at:%H:%M}: one message for {storm.count}")
    raging = len(said) > len(over)
    return Text(inert("; ".join(said) or "none", 200), "red" if raging else "green")


def _blind(reader: Reader, heard: list[Heard], now: datetime) -> Text:
    """Where we cannot see, and how often that was admitted of a case."""
    unknown = len({c.wait for c in read_claims(heard) if c.unknown})
    episodes = len({(b.where, b.number) for b in read_blindness(heard)})
    said = [
        f"@{a.account} on {a.connector} since {a.blind_since:%H:%M}"
        for a in reader.streams.accounts()
        if a.blind_since is not None and (now - a.blind_since).total_seconds() > BLIND_SHOWN_SECONDS
    ]
    counts = f"blind spans told: {episodes}; claims that nobody can know: {unknown}"
    return Text(inert(f"{', '.join(said) or 'nowhere'}; {counts}", 200), "red" if said else "green")


def _escalated(heard: list[Heard], lead: str) -> Text:
    """Of how many the lead was told, and of which last."""
    cases = {c.wait for c in read_claims(heard) if c.stage == "escalated"}
    said = [h.headline for h in heard if h.channel == lead]
    last = f", last heard: {inert(said[-1], 100)}" if said else ""
    return Text(f"{len(cases)} to the care lead{last}", "yellow" if cases else "green")


def _pressed(town: Town) -> Text:
    """What the care team pressed in Slack, and what it was told last."""
    team = town.colleagues
    answered = [] if team is None else [p for p in team.presses if p.answer is not None]
    if not answered:
        return Text("nothing yet", "green")
    counts = Counter(press.deed for press in answered)
    said = ", ".join(f"{counts[deed]} {deed}" for deed in Deed if counts[deed])
    last = answered[-1].answer
    return Text(inert(f"{said}; last: {last.text if last is not None else ''}", 200), "green")


def _queue(reader: Reader, now: datetime) -> Panel:
    table = Table(expand=True, box=None)
    for column in ("who", "where", "target", "wrote"):
        table.add_column(column, no_wrap=True, ratio=3 if column == "wrote" else 1)
    blind = {a.scope: a.blind_since for a in reader.streams.accounts() if a.blind_since is not None}
    for row in reader.cases.waiting(ROWS_MAX):
        case = row.case
        if case.due_at is None:
            continue
        left = (case.due_at - now).total_seconds()
        style = "red" if left < 0 else "yellow" if left < 450 else ""
        clock = f"{say_duration(-left)} late" if left < 0 else f"{say_duration(left)} left"
        if left < 0 and row.scope in blind and blind[row.scope] < case.due_at:
            style, clock = "magenta", "unknown: blind"
        message = reader.messages(row.scope).read(case.waiting_message_id or case.first_message_id)
        text = message.text if message is not None and case.public else "(private)"
        where = f"{case.place.connector} {'public' if case.public else 'DM'}"
        table.add_row(
            escape(inert(case.customer_handle or "?", 20)), where, Text(clock, style), escape(inert(text, 70))
        )
    count = reader.cases.count_waiting()
    return Panel(table, title=f"{count} wait for an answer, the most urgent first", title_align="left")


def _alerts(heard: list[Heard]) -> Panel:
    lines = [
        Text(f"{h.at:%H:%M:%S}  {h.channel:<11} {inert(h.headline, 100)}", overflow="ellipsis", no_wrap=True)
        for h in heard[-ALERTS_MAX:]
    ]
    return Panel(Group(*lines), title="What people were told", title_align="left")


def _streams(reader: Reader, now: datetime) -> Panel:
    table = Table(expand=True, box=None, show_header=False)
    for _ in range(4):
        table.add_column(no_wrap=True)
    cells = []
    for s in reader.streams.all():
        lag = (
            "never read"
            if s.complete_through is None
            else f"{(now - s.complete_through).total_seconds():.0f} s"
        )
        style = "red" if s.failing_since is not None else "green"
        cells.append(Text(f"{s.connector}/{s.account}/{s.name}: {lag}", style))
    for start in range(0, len(cells), 4):
        table.add_row(*cells[start : start + 4])
    return Panel(table, title="Read through, behind now", title_align="left")
