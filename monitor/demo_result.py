"""What came of a demo: ground truth against what the daemon found, as numbers, and as a table for people.

What may live here: the figures, what of them is honest, and how they are shown. They are made by the judges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from monitor.demo_pressing import Pressing

WRONG_SHOWN_MAX = 20


@dataclass(slots=True)
class Result:
    """Ground truth against what the daemon found. Times are in pretended seconds.

    `cases_missed`: people who spoke to a brand and are in no case, but for `cases_hidden`, who deleted it
    while the platform could not be read. `first_response_errors`: how far each
    answered case's figure is from the truth; `next_response_errors` the same of each further answer, and
    `next_missed` names waits for one that were not found or are none. `due_errors`: how far due times are
    from the truth's; `due_interrupted`: how many of those span hours in which the office was closed.

    `breaches`: promises broken in truth. They were told one by one (`alerted`), by the message of a storm
    (`in_storm`), or were over before anybody could see them (`unseen`); else they are `missed`. `false`:
    told of waits that had ended, or never were. `escalations`: likewise, to the care lead. `unknown`: claims
    that said that nobody can know; `late_while_blind`: claims that should have and did not; `unknown_left`:
    those that were not taken back when it was known. `singly_in_storm`: said one by one all the same.
    `snoozed`: broken while somebody had put it off, and over before that ended.
    `duplicates`: the same alert received again, `doubled` by channel. `pressing`: what the care team pressed.
    """

    seed: int
    kills: int
    exit_code: int
    whole_day: bool = False
    cases: int = 0
    cases_hidden: int = 0
    cases_missed: list[str] = field(default_factory=list)
    answered: int = 0
    answered_missed: list[str] = field(default_factory=list)
    first_response_errors: list[float] = field(default_factory=list)
    next_response_errors: list[float] = field(default_factory=list)
    next_missed: list[str] = field(default_factory=list)
    due_errors: list[float] = field(default_factory=list)
    due_interrupted: int = 0
    breaches: int = 0
    alerted: int = 0
    in_storm: int = 0
    unseen: int = 0
    snoozed: int = 0
    missed: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    escalations: int = 0
    escalated: int = 0
    escalated_in_storm: int = 0
    escalations_put_off: int = 0
    escalations_missed: list[str] = field(default_factory=list)
    storms: int = 0
    storms_over: int = 0
    storm_cases: int = 0
    storm_miscounted: list[str] = field(default_factory=list)
    singly_in_storm: list[str] = field(default_factory=list)
    blind: int = 0
    blind_missed: list[str] = field(default_factory=list)
    blind_elsewhere: int = 0
    unknown: int = 0
    late_while_blind: list[str] = field(default_factory=list)
    unknown_left: list[str] = field(default_factory=list)
    delivered: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    doubled: Counter[str] = field(default_factory=Counter)
    corrected: int = 0
    historic_alerts: int = 0
    withdrawn: int = 0
    judged: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    pressing: Pressing = field(default_factory=Pressing)

    @property
    def not_shown(self) -> list[str]:
        """What a day of this length should have shown and did not."""
        if not self.whole_day:
            return []
        shown = {
            "a due time over closed hours": self.due_interrupted,
            "a next response": len(self.next_response_errors),
            "an escalation": self.escalated,
            "a storm that begins and ends": self.storms_over,
            "a promise that a storm's message told of": self.in_storm,
            "a blind span": self.blind,
            "a claim that says that nobody can know": self.unknown,
            **self.pressing.shown(whole_life=not self.kills),
        }
        return [what for what, count in shown.items() if not count]

    @property
    def honest(self) -> bool:
        """Nobody was missed, falsely accused or told twice; a kill may double what each channel was just
        sending, and nothing else."""
        errors = (*self.first_response_errors, *self.next_response_errors, *self.due_errors)
        wrong = (
            self.cases_missed,
            self.answered_missed,
            self.next_missed,
            self.missed,
            self.false,
            self.escalations_missed,
            self.storm_miscounted,
            self.singly_in_storm,
            self.blind_missed,
            self.late_while_blind,
            self.unknown_left,
            self.pressing.wrong,
            self.historic_alerts,
            max(errors, default=0.0) > 0.0,
            max(self.doubled.values(), default=0) > self.kills,
            self.exit_code,
            self.not_shown,
        )
        return not any(wrong)

    def as_dict(self) -> dict[str, Any]:
        """One JSON line."""
        return {
            "seed": self.seed,
            "honest": self.honest,
            "cases": self.cases,
            "cases_missed": self.cases_missed,
            "cases_hidden": self.cases_hidden,
            "answered": self.answered,
            "answered_missed": self.answered_missed,
            "withdrawn": self.withdrawn,
            "first_response_error_seconds": _spread(self.first_response_errors),
            "next_responses": {
                "compared": len(self.next_response_errors),
                "error_seconds": _spread(self.next_response_errors),
                "missed": self.next_missed,
            },
            "calendars": {
                "due_times_compared": len(self.due_errors),
                "over_closed_hours": self.due_interrupted,
                "error_seconds": _spread(self.due_errors),
            },
            "breaches": {
                "true": self.breaches,
                "alerted": self.alerted,
                "in_storm": self.in_storm,
                "unseen": self.unseen,
                "snoozed": self.snoozed,
                "missed": self.missed,
                "false": self.false,
            },
            "escalations": {
                "true": self.escalations,
                "told": self.escalated,
                "in_storm": self.escalated_in_storm,
                "put_off": self.escalations_put_off,
                "missed": self.escalations_missed,
            },
            "storms": {
                "begun": self.storms,
                "over": self.storms_over,
                "cases": self.storm_cases,
                "miscounted": self.storm_miscounted,
                "said_singly": self.singly_in_storm,
            },
            "blind": {
                "episodes": self.blind,
                "missed": self.blind_missed,
                "elsewhere": self.blind_elsewhere,
                "unknown_claims": self.unknown,
                "late_while_blind": self.late_while_blind,
                "unknown_left": self.unknown_left,
            },
            "presses": self.pressing.as_dict(),
            "not_shown": self.not_shown,
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
        self.pressing.show_life(console)
        table = Table(title=f"Truth against the daemon (seed {self.seed})", title_justify="left")
        for column in ("what", "in truth", "found by the daemon", "wrong"):
            table.add_column(column, justify="left" if column == "what" else "right")
        for row in self._rows():
            table.add_row(*map(str, row))
        console.print(table)
        console.print(
            f"Of the broken promises {self.alerted} were told one by one, {self.in_storm} by a storm's "
            f"message, and {self.unseen + self.snoozed} were over before the platform could be read again or "
            f"a snooze ended. {self.unknown} "
            f"claims said that nobody can know; {self.due_interrupted} due times passed over closed hours."
        )
        sent = ", ".join(f"{count} over {channel}" for channel, count in sorted(self.delivered.items()))
        console.print(
            f"Alerts delivered: {sent or 'none'}; {self.withdrawn} customers deleted their post first."
        )
        console.print(f"Faults that the platforms were made to have: {self.faults}.")
        self.pressing.show(console)
        for what in self._wrong_names()[:WRONG_SHOWN_MAX]:
            console.print(f"[red]Wrong: {escape(what)}[/red]")
        for what in self.not_shown:
            console.print(f"[red]The day should have had {what}, and had none.[/red]")
        verdict = "[green]Honest: nothing missed, nothing false, nothing doubled.[/green]"
        console.print(verdict if self.honest else "[red]Not honest: see the numbers above.[/red]")

    def _wrong_names(self) -> list[str]:
        """Everything that was wrong and has a name."""
        lists = {
            "nobody found": self.cases_missed,
            "its answer": self.answered_missed,
            "a next response": self.next_missed,
            "not told": self.missed,
            "told, but not so": self.false,
            "not escalated": self.escalations_missed,
            "a storm": self.storm_miscounted,
            "said singly in a storm": self.singly_in_storm,
            "blindness not told": self.blind_missed,
            "told as if seen": self.late_while_blind,
            "not taken back": self.unknown_left,
            "pressed": self.pressing.wrong,
        }
        return [f"{why}: {name}" for why, names in lists.items() for name in names]

    def _rows(self) -> Iterator[tuple[object, ...]]:
        """The table: what, in truth, found, wrong."""

        def found(what: str, true: int, wrong: list[str]) -> tuple[object, ...]:
            return what, true, true - len(wrong), len(wrong)

        def error(what: str, errors: list[float]) -> tuple[object, ...]:
            worst = max(errors, default=0.0)
            return what, len(errors), f"{worst:g} s off at most", "" if worst == 0 else "yes"

        yield found("people who spoke to a brand", self.cases, self.cases_missed)
        yield found("answered by a person", self.answered, self.answered_missed)
        yield error("first response times", self.first_response_errors)
        yield error("next response times", self.next_response_errors)
        yield error("due times, office hours counted", self.due_errors)
        told = self.breaches - len(self.missed)
        yield "promises broken, and told in time", self.breaches, told, len(self.missed)
        yield found("escalations to the care lead", self.escalations, self.escalations_missed)
        odd = len(self.storm_miscounted) + len(self.singly_in_storm)
        yield "storms, one message each", self.storms, f"{self.storms_over} over", odd
        odd = len(self.late_while_blind) + len(self.unknown_left)
        yield "blind spans", self.blind + len(self.blind_missed), self.blind, odd + len(self.blind_missed)
        yield found("buttons pressed in Slack", self.pressing.pressed, self.pressing.wrong)
        yield "told, but not so", 0, len(self.false), len(self.false)
        yield "alerts received twice", 0, self.duplicates, self.duplicates
        yield "alerts about the past", 0, self.historic_alerts, self.historic_alerts


def _spread(errors: list[float]) -> dict[str, float | None]:
    return {"p50": median(errors) if errors else None, "max": max(errors, default=None)}
