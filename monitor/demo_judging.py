"""Comparing what the daemon found and said with the ground truth of the simulated world."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from monitor.store.store import Reader
from rules.case import Case
from simulator.town import Heard, Town
from simulator.truth import TrueCase

TOLD_WITHIN = timedelta(seconds=120)
"""A breach counts as alerted if a sink received it that soon after the due time (pretended)."""

TOLD_WITHIN_AFTER_KILL = timedelta(seconds=900)
"""While the daemon is down nobody is told; started again, it must still tell."""


@dataclass(slots=True)
class Result:
    """Ground truth against what the daemon found. Times are in pretended seconds.

    `cases_missed`: people who spoke to the brand and are in no case. `first_response_errors`: how far each
    answered case's figure is from the truth. `breaches_*`: those that truly happened, were told in time on
    every channel, were not, and those told that did not happen. `duplicates`: the same alert received again.
    """

    seed: int
    kills: int
    exit_code: int
    cases: int = 0
    cases_missed: list[str] = field(default_factory=list)
    answered: int = 0
    answered_missed: list[str] = field(default_factory=list)
    first_response_errors: list[float] = field(default_factory=list)
    breaches: int = 0
    alerted: int = 0
    missed: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    delivered: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    corrected: int = 0
    historic_alerts: int = 0
    withdrawn: int = 0
    judged: Counter[str] = field(default_factory=Counter)
    faults: int = 0

    @property
    def honest(self) -> bool:
        """Nobody was missed, falsely accused or told twice; after a kill, one double is allowed each."""
        wrong = (
            self.cases_missed,
            self.answered_missed,
            self.missed,
            self.false,
            self.historic_alerts,
            max(self.first_response_errors, default=0.0) > 0.0,
            self.duplicates > self.kills,
            self.exit_code,
        )
        return not any(wrong)

    def as_dict(self) -> dict[str, Any]:
        """One JSON line."""
        errors = self.first_response_errors
        return {
            "seed": self.seed,
            "honest": self.honest,
            "cases": self.cases,
            "cases_missed": self.cases_missed,
            "answered": self.answered,
            "answered_missed": self.answered_missed,
            "withdrawn": self.withdrawn,
            "first_response_error_seconds": {
                "p50": median(errors) if errors else None,
                "max": max(errors, default=None),
            },
            "breaches": {
                "true": self.breaches,
                "alerted": self.alerted,
                "missed": self.missed,
                "false": self.false,
            },
            "alerts_delivered": dict(sorted(self.delivered.items())),
            "duplicates": self.duplicates,
            "corrected": self.corrected,
            "historic_alerts": self.historic_alerts,
            "judge": dict(sorted(self.judged.items())),
            "faults_injected": self.faults,
            "kills": self.kills,
            "exit_code": self.exit_code,
        }

    def show(self, console: Console) -> None:
        """The same for people."""
        worst = max(self.first_response_errors, default=0.0)
        table = Table(title=f"Truth against the daemon (seed {self.seed})", title_justify="left")
        for column in ("what", "in truth", "found by the daemon", "wrong"):
            table.add_column(column, justify="left" if column == "what" else "right")
        rows = (
            (
                "people who spoke to the brand",
                self.cases,
                self.cases - len(self.cases_missed),
                len(self.cases_missed),
            ),
            (
                "answered by a person",
                self.answered,
                self.answered - len(self.answered_missed),
                len(self.answered_missed),
            ),
            ("first response time, largest error", "", f"{worst:g} s", "" if worst == 0 else "yes"),
            ("promises broken, and told in time", self.breaches, self.alerted, len(self.missed)),
            ("told, but not broken", 0, len(self.false), len(self.false)),
            ("alerts received twice", 0, self.duplicates, self.duplicates),
            ("alerts about the past", 0, self.historic_alerts, self.historic_alerts),
        )
        for row in rows:
            table.add_row(*map(str, row))
        console.print(table)
        sent = ", ".join(f"{count} over {channel}" for channel, count in sorted(self.delivered.items()))
        console.print(
            f"Alerts delivered: {sent or 'none'}; {self.withdrawn} customers deleted their post first."
        )
        console.print(f"Faults that the platforms were made to have: {self.faults}.")
        verdict = "[green]Honest: nothing missed, nothing false, nothing doubled.[/green]"
        console.print(verdict if self.honest else "[red]Not honest: see the numbers above.[/red]")


def compare(
    reader: Reader, town: Town, end: datetime, *, seed: int, kills: int = 0, exit_code: int = 0
) -> Result:
    """Hold the store and the sinks against the truth as of `end`."""
    result = Result(seed, kills, exit_code, faults=town.faults_injected())
    found = {(c.place.connector, c.first_message_id): c for c in _cases(reader)}
    truth = [t for t in town.truth(end) if t.addressed]
    heard = town.heard()
    _count_deliveries(result, heard)
    lately = [t for t in truth if not t.historic]
    for true in lately:
        _compare_case(result, true, found.get((true.platform.value, town.message_id(true))), end)
    _compare_breaches(result, town, truth, heard, kills)
    return result


def _cases(reader: Reader) -> list[Case]:
    return [row.case for row in reader.cases.everything()]


def _compare_case(result: Result, true: TrueCase, case: Case | None, end: datetime) -> None:
    result.cases += 1
    name = f"{true.platform.value}/{true.customer_handle}/{true.first_message_id}"
    result.withdrawn += true.withdrawn_at is not None
    if true.answered_at is not None:
        result.answered += 1
    if case is None:
        result.cases_missed.append(name)
        return
    meant, judged = ("complaint" if true.kind == "complaint" else "other"), case.complaint
    right = (meant == "complaint") == judged
    result.judged[f"{meant}_{'right' if right else 'wrong'}"] += 1
    if true.first_response_seconds is None:
        # While the daemon drains, the world goes on: what is answered after the end is not compared.
        answered = case.first_response is not None and case.first_response.at <= end
        if answered and true.withdrawn_at is None:
            result.answered_missed.append(f"{name}: found an answer that is none")
        return
    if case.first_response_seconds is None:
        result.answered_missed.append(name)
        return
    result.first_response_errors.append(abs(case.first_response_seconds - true.first_response_seconds))


def _count_deliveries(result: Result, heard: list[Heard]) -> None:
    copies = Counter((h.channel, h.key) for h in heard if not h.update)
    for (channel, key), count in copies.items():
        result.delivered[channel] += count
        result.duplicates += count - 1
        result.corrected += "/corrected/" in key
    for h in heard:
        if h.update:
            result.delivered[h.channel] += 1
            result.corrected += "/corrected/" in h.key


def _compare_breaches(
    result: Result, town: Town, truth: list[TrueCase], heard: list[Heard], kills: int
) -> None:
    channels = town.channels()
    first: dict[tuple[str, str], datetime] = {}
    for h in heard:
        parts = h.key.rsplit("/", 6)
        if len(parts) == 7 and parts[3] == "breach" and parts[4] == "0":
            first.setdefault((parts[0], h.channel), h.at)
    within = TOLD_WITHIN_AFTER_KILL if kills else TOLD_WITHIN
    expected: set[str] = set()
    for true in truth:
        subject = f"{town.brand}/{true.platform.value}/{town.message_id(true)}"
        told = [first.get((subject, channel)) for channel in channels]
        if true.historic:
            result.historic_alerts += any(told)
            expected.add(subject)
            continue
        if not true.breached:
            continue
        expected.add(subject)
        result.breaches += 1
        if all(t is not None and t <= true.due_at + within for t in told):
            result.alerted += 1
        elif not (kills and _answered_while_down(true, within)):
            result.missed.append(subject)
    result.false += sorted({subject for subject, _ in first} - expected)


def _answered_while_down(true: TrueCase, within: timedelta) -> bool:
    """After a kill: the answer came before the daemon could tell, so that there was nothing to tell."""
    return true.answered_at is not None and true.answered_at <= true.due_at + within
