"""The demo's live view: who waits, what was just said, how the platforms do."""

from __future__ import annotations

from datetime import datetime

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from monitor.clock import Clock
from monitor.store.store import Reader
from simulator.town import Heard, Town
from wire.durations import say_duration
from wire.redact import inert

ROWS_MAX = 10
ALERTS_MAX = 8


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
        self._live.update(
            Group(head, _queue(reader, now), _alerts(self._town.heard()), _streams(reader, now))
        )

    def close(self) -> None:
        self._live.stop()


def _queue(reader: Reader, now: datetime) -> Panel:
    table = Table(expand=True, box=None)
    for column in ("who", "where", "target", "wrote"):
        table.add_column(column, no_wrap=True, ratio=3 if column == "wrote" else 1)
    for row in reader.cases.waiting(ROWS_MAX):
        case = row.case
        if case.due_at is None:
            continue
        left = (case.due_at - now).total_seconds()
        style = "red" if left < 0 else "yellow" if left < 450 else ""
        clock = f"{say_duration(-left)} late" if left < 0 else f"{say_duration(left)} left"
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
