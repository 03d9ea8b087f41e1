"""What the simulated care team pressed in Slack, against what the daemon kept of it and what Slack showed.

What may live here: the judge of presses, and the life of one alert as Slack saw it. The world says who
pressed what and when; of the daemon it takes only when its clock says that it was kept, which must lie
between the press and its answer. What was said is read as people read it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from monitor.store.store import Reader
from rules.case import Action, Case, Word
from simulator.colleagues import CHANNEL, Press
from simulator.deeds import CLOSING, SNOOZED_FOR, Deed, Said
from simulator.slack_api import Delivery, Post
from simulator.town import Town
from simulator.truth import TrueCase
from wire.redact import inert

AT_ONCE = timedelta(seconds=60)
"""So soon after a press its message shows it, if it does at once: a second of real time in the demo."""

LISTED_BEHIND = timedelta(seconds=120)
"""So long ago somebody on the list may have been answered: the platforms are read now and then."""

BLIND_FOR = timedelta(seconds=480)
"""So long after an outage somebody may be listed who was answered in it."""

LISTED_MAX = 10

WORDS = {
    Deed.TAKE: Word.ACK,
    Deed.SNOOZE: Word.SNOOZE,
    Deed.ELSEWHERE: Word.ANSWERED,
    Deed.NO_REPLY: Word.IGNORE,
    Deed.NOT_COMPLAINT: Word.NOT_COMPLAINT,
    Deed.RESOLVED: Word.RESOLVE,
}
_READS = {
    Deed.TAKE: "taken by @{who}",
    Deed.SNOOZE: "snoozed until .* by @{who}",
    Deed.ELSEWHERE: "answered elsewhere, says @{who}",
    Deed.NO_REPLY: "@{who} says that it needs no reply",
    Deed.NOT_COMPLAINT: "no complaint, says @{who}",
    Deed.RESOLVED: "resolved by @{who}",
}
"""What a message says after a press, in the eyes of whoever pressed."""

_OVER = re.compile("answered after|deleted it")
_CASE = re.compile(r"\(([^\s()]+/[^\s()]+/[^\s()]+)\)")


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened in the life of an alert: `what` is who did it, `text` what could be read."""

    at: datetime
    what: str
    text: str


@dataclass(slots=True)
class Pressing:
    """What was pressed. `kept`: how many became an operator's word, by deed; `at_once`: how many of these the
    message showed at once, `seconds` how long each took (pretended). `again`: presses that Slack or a kill
    swallowed, and that were made again; `too_late`: those that came when it was over. `lists`: how often
    somebody asked who waits and was told. `lines`: on how many lines Slack was listened to.

    All of `wrong` must be empty: presses that were not kept, or twice; words that nobody pressed; what was
    kept and never shown, or is not how the case stands; and lists that were wrong.
    """

    kept: Counter[str] = field(default_factory=Counter)
    at_once: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    pressed: int = 0
    again: int = 0
    too_late: int = 0
    lists: int = 0
    lines: int = 0
    wrong: list[str] = field(default_factory=list)
    life: list[Moment] = field(default_factory=list)

    def shown(self, *, whole_life: bool) -> dict[str, int]:
        """What a day should have had, with how often it did. A kill may come between a press and its alert's
        life."""
        found = {f'the button "{deed.value}" pressed': self.kept[deed] for deed in Deed}
        found["a list of who waits"] = self.lists
        if whole_life:
            found["the whole life of an alert"] = len(self.life)
        return found

    def as_dict(self) -> dict[str, Any]:
        """For the JSON line."""
        return {
            "pressed": self.pressed,
            "kept": {deed.name.lower(): self.kept[deed] for deed in Deed},
            "shown_at_once": {deed.name.lower(): self.at_once[deed] for deed in Deed},
            "shown_after_seconds": {
                "p50": round(median(self.seconds), 1) if self.seconds else None,
                "max": round(max(self.seconds), 1) if self.seconds else None,
            },
            "pressed_again": self.again,
            "too_late": self.too_late,
            "lists": self.lists,
            "lines_opened": self.lines,
            "wrong": self.wrong,
            "life": [
                {"at": f"{each.at:%H:%M:%S}", "what": each.what, "text": each.text} for each in self.life
            ],
        }

    def show_life(self, console: Console) -> None:
        """The life of one alert."""
        if not self.life:
            return
        table = Table(title="The life of one alert, as Slack saw it", title_justify="left", box=None)
        for column in ("when", "what", "and so it reads"):
            table.add_column(column, no_wrap=column == "when")
        for each in self.life:
            table.add_row(f"{each.at:%H:%M:%S}", escape(each.what), escape(each.text))
        console.print(table)
        console.print()

    def show(self, console: Console) -> None:
        """How often what was pressed."""
        if not self.pressed:
            return
        parts = [
            f'{self.kept[deed]} "{deed.value}" ({self.at_once[deed]} shown at once)'
            for deed in Deed
            if self.kept[deed]
        ]
        slowest = f", the slowest after {max(self.seconds):.0f} s" if self.seconds else ""
        console.print(
            f"Pressed in Slack: {', '.join(parts)}{slowest}; {self.again} had to be pressed again, "
            f"{self.too_late} came too late. {self.lists} lists of who waits were asked for."
        )


def judge_presses(
    reader: Reader, town: Town, end: datetime, within: timedelta, kills: int
) -> tuple[Pressing, list[Said]]:
    """Every press against the store and against Slack; and what was said by them, for the truth."""
    if town.colleagues is None:
        return Pressing(), []
    judge = _Judge(reader, town, end, within, kills)
    said = judge.match()
    truth = town.truth(end, said)
    judge.compare_shown()
    judge.compare_standing(truth)
    judge.compare_lists(truth)
    judge.found.lines = town.slack.lines.opened
    judge.found.life = _life_of_one(town, judge.kept)
    return judge.found, said


class _Judge:
    """The presses of one day."""

    def __init__(self, reader: Reader, town: Town, end: datetime, within: timedelta, kills: int) -> None:
        self.found = Pressing()
        self.kept: list[tuple[Press, Action]] = []
        self._reader = reader
        self._town = town
        self._within = within
        self._kills = kills
        self._presses: Sequence[Press] = [] if town.colleagues is None else town.colleagues.presses
        self._asked: Sequence[Press] = [] if town.colleagues is None else town.colleagues.asked
        truth = town.truth(end)
        self._names = town.subjects(truth)
        self._first_ids = {town.subject(t): t.first.id for t in truth}

    def match(self) -> list[Said]:
        """Each press became exactly one word, as its answer says, and no word came from nowhere."""
        scopes = self._reader.scopes()
        left: dict[tuple[str, Word], list[Action]] = {}
        for scope, action in self._reader.cases.all_said():
            brand, connector = scopes[scope]
            subject = f"{brand}/{connector}/{action.message_id}"
            first_id = self._first_ids.get(self._names.get(subject, subject), subject)
            left.setdefault((first_id, action.word), []).append(action)
        for n, press in enumerate(self._presses):
            self.found.pressed += 1
            self.found.again += press.failed
            self.found.too_late += press.too_late
            until = _answered_by(press, self._presses[n + 1 :])
            mine = left.get(_about(press), [])
            made = [
                a
                for a in mine
                if a.who == f"@{press.who.handle}" and press.at <= a.at and (until is None or a.at <= until)
            ]
            for action in made:
                mine.remove(action)
            sure = not press.failed
            if len(made) > 1 or (sure and len(made) != (0 if press.too_late else 1)):
                self.found.wrong.append(f"{_name(press)}: kept {len(made)} times")
            for action in made[:1]:
                self.kept.append((press, action))
                self.found.kept[press.deed or ""] += 1
        for actions in left.values():
            self.found.wrong += [f"{a.word} of {a.message_id} by {a.who}: nobody pressed it" for a in actions]
        return [
            Said(press.plan.first.id, press.deed, press.who.handle, action.at)
            for press, action in self.kept
            if press.plan is not None and press.deed is not None
        ]

    def compare_shown(self) -> None:
        """The message on which it was pressed says so soon, and its thread tells it once."""
        changes: dict[str, list[Delivery]] = {}
        for delivery in list(self._town.slack.deliveries):
            changes.setdefault(delivery.ts, []).append(delivery)
        for press, action in self.kept:
            mine = [d for d in changes.get(press.ts, ()) if d.at >= press.at]
            reads = _reading(press)
            shown = next((d for d in mine if reads.search(_all_text(d))), None)
            over = next((d for d in mine if _OVER.search(d.text)), None)
            # Between the press and its showing it may be answered: then the message says that.
            first = shown or (over if press.deed is Deed.RESOLVED or self._kills else None)
            if first is None or first.at > action.at + self._within:
                late = (
                    "not" if first is None else f"only after {(first.at - action.at).total_seconds():.0f} s"
                )
                self.found.wrong.append(f"{_name(press)}: its message shows it {late}")
                continue
            seconds = (first.at - action.at).total_seconds()
            self.found.seconds.append(seconds)
            self.found.at_once[press.deed or ""] += seconds <= AT_ONCE.total_seconds()
            if press.deed not in CLOSING and shown is not None and not self._told_in_thread(press):
                self.found.wrong.append(f"{_name(press)}: its thread does not tell it")

    def _told_in_thread(self, press: Press) -> bool:
        posts = list(self._town.slack.posts)
        root = next((p.thread_ts or p.ts for p in posts if p.ts == press.ts), press.ts)
        reads = _reading(press)
        lines = [p for p in posts if p.thread_ts == root and not p.blocks and reads.search(_plain(p.text))]
        return bool(lines)

    def compare_standing(self, truth: Sequence[TrueCase]) -> None:
        """The case stands as it was said, and ended at the very moment at which it was."""
        cases = {
            (r.case.place.connector, r.case.first_message_id): r.case for r in self._reader.cases.everything()
        }
        by_first = {t.first.id: t for t in truth}
        # What was pressed again counts from the last time.
        last = {(p.plan.first.id, p.deed): (p, a) for p, a in self.kept if p.plan is not None}
        for press, action in last.values():
            true = by_first.get("" if press.plan is None else press.plan.first.id)
            case = None if true is None else cases.get((true.platform.value, self._town.message_id(true)))
            if true is None or case is None or not _stands(case, true, press, action):
                self.found.wrong.append(f"{_name(press)}: its case does not stand so")

    def compare_lists(self, truth: Sequence[TrueCase]) -> None:
        """Who is on a list waits, as far as anybody could see."""
        cases = {self._town.subject(t): t for t in truth}
        for asked in self._asked:
            if asked.answer is None or asked.failed:
                self.found.again += 1
                continue
            self.found.lists += 1
            listed = _CASE.findall(json.dumps(asked.answer.blocks, ensure_ascii=False))
            if not listed and "Nobody waits" not in asked.answer.text:
                self.found.wrong.append(f"a list at {asked.at:%H:%M:%S} says nothing: {asked.answer.text}")
            names = {self._names.get(subject, subject) for subject in listed}
            for name in names & set(cases):  # the others only speak of a brand, and to nobody
                if not self._may_wait(cases[name], asked.at):
                    self.found.wrong.append(f"{name} is on a list at {asked.at:%H:%M:%S}")
            if len(listed) < LISTED_MAX and not self._kills:
                late = {name for name, true in cases.items() if _is_late(true, asked.at)}
                missing = sorted(late - names)
                self.found.wrong += [f"{name} is not on a list at {asked.at:%H:%M:%S}" for name in missing]

    def _may_wait(self, true: TrueCase, at: datetime) -> bool:
        """Whether they wait, or did when the platform was last read."""
        since, blind = at - LISTED_BEHIND, False
        for outage in self._town.outages():
            if outage.platform is true.platform and outage.start <= at < outage.end + BLIND_FOR:
                since, blind = min(since, outage.start - LISTED_BEHIND), True
        if self._kills:
            since = min(since, at - self._within)
        if true.withdrawn_at is not None:  # that is seen by looking at it, before anything is said
            return blind or at < true.waits[0].warned_at[0] + self._within
        return any(w.started_at <= at and w.lasts_to(since) for w in true.waits)


def _is_late(true: TrueCase, at: datetime) -> bool:
    """Whether a promise to them was broken a while ago, and they still wait."""
    return not true.historic and any(
        w.due_at + LISTED_BEHIND < at and w.lasts_to(at + LISTED_BEHIND) for w in true.waits
    )


def _about(press: Press) -> tuple[str, Word]:
    assert press.plan is not None and press.deed is not None
    return press.plan.first.id, WORDS[press.deed]


def _answered_by(press: Press, later: Sequence[Press]) -> datetime | None:
    """By when it must have been kept: before its answer, or before somebody pressed the same again."""
    if press.answer is not None and not press.failed:
        return press.answer.at
    again = [p.at for p in later if (p.plan, p.deed) == (press.plan, press.deed)]
    return min(again, default=None)


def _stands(case: Case, true: TrueCase, press: Press, action: Action) -> bool:
    """Whether the case says what was pressed about its first wait."""
    clock, wait = case.clocks[0], true.waits[0]
    match press.deed:
        case Deed.TAKE:
            return len(case.clocks) > 1 or (case.acknowledged_at, case.acknowledged_by) == (
                action.at,
                action.who,
            )
        case Deed.SNOOZE:
            return case.snoozed_until == action.at + SNOOZED_FOR
        case Deed.NOT_COMPLAINT:
            return not case.complaint
        case _ if wait.closed is None:  # it was over already: answered
            return wait.stopped_at is None or clock.stopped_at == wait.stopped_at
        case _:
            return (clock.stopped_at, clock.stopped_by) == (wait.stopped_at, f"@{wait.closed.who}")


def _name(press: Press) -> str:
    customer = "?" if press.plan is None else press.plan.customer.handle
    return f'"{press.deed}" of @{press.who.handle} at {press.at:%H:%M:%S} about @{customer}'


def _reading(press: Press) -> re.Pattern[str]:
    assert press.deed is not None
    return re.compile(_READS[press.deed].format(who=press.who.handle), re.IGNORECASE)


def _plain(text: str) -> str:
    """As people see it."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _all_text(delivery: Delivery) -> str:
    """Everything that can be read on a message."""
    found = [_plain(delivery.text)]

    def read(part: Any) -> None:
        if isinstance(part, str):
            found[-1] += part
        elif isinstance(part, dict):
            read(part.get("text"))
            read(part.get("elements"))
        elif isinstance(part, list):
            for each in part:
                read(each)

    for block in delivery.blocks:
        found.append("")
        read(dict(block))
    return "\n".join(found)


# One alert's life.

_POSTED, _CHANGES = f"a message in {CHANNEL}", "it changes"
_WHOLE = tuple(map(re.compile, (r"\bleft: ", r"^\W*(Late now|.* late): ", "aken by @", "answered after")))
"""As what one message is to be read in its life: warned, broken, taken, answered."""


def _life_of_one(town: Town, kept: Sequence[tuple[Press, Action]]) -> list[Moment]:
    """All that happened to one message whose case was warned of, broken, taken and answered; the fullest."""
    lives = [
        _life(town, press)
        for press, _ in kept
        if press.deed is Deed.TAKE and press.plan is not None and press.plan.answered_at is not None
    ]
    whole = [life for life in lives if _is_whole(life)]
    return max(whole, key=len, default=[])


def _is_whole(life: Sequence[Moment]) -> bool:
    read = [each.text for each in life if each.what == _CHANGES or each.what == _POSTED]
    places = [next((n for n, text in enumerate(read) if reads.search(text)), -1) for reads in _WHOLE]
    return -1 not in places and places == sorted(places)


def _life(town: Town, press: Press) -> list[Moment]:
    plan, posts = press.plan, list(town.slack.posts)
    if plan is None or town.colleagues is None:
        return []
    root = next((p.thread_ts or p.ts for p in posts if p.ts == press.ts), press.ts)
    writes = f"@{plan.customer.handle} writes on {plan.way.platform.value}"
    life = [Moment(plan.first.created_at, writes, _cut(plan.first.text))]
    last = ""
    for delivery in list(town.slack.deliveries):
        if delivery.ts == root and delivery.text != last:
            what = _CHANGES if delivery.update else _POSTED
            last = delivery.text
            life.append(Moment(delivery.at, what, _cut(_plain(last))))
    life += [_reply(p) for p in posts if p.thread_ts == root]
    life += [
        Moment(p.at, f'@{p.who.handle} presses "{p.deed}"', f"(only to them) {_cut(_plain(p.answer.text))}")
        for p in town.colleagues.presses
        if p.plan is plan and p.answer is not None
    ]
    if plan.answered_at is not None:
        life.append(Moment(plan.answered_at, f"@{plan.answered_by} answers on the platform", ""))
    return sorted(life, key=lambda each: each.at)


def _reply(post: Post) -> Moment:
    what = "in its thread and the channel" if post.broadcast else "in its thread"
    return Moment(post.at, what, _cut(_plain(post.history[0] if post.history else post.text)))


def _cut(text: str) -> str:
    return inert(text, 110)
