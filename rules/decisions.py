"""What is owed to whom waits: which stage is to be said now, and when to look again.

`decide` is level-triggered: each look works out anew what a case is owed, from the case, what was said of
it already and how far the brand's own posts were read. Nothing is remembered here, so a restart is harmless,
and the outbox's unique key keeps a stage from being said twice. Silence has a reason too.

Each clock that runs has tracks: its own (warnings, the breach, reminders), and one for each step of an
escalation. Of each track only the latest stage that was reached is owed: "80 % of the target" is no news
after the breach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from rules.alert import Stage
from rules.case import Case, Clock, ClockName, Status
from rules.escalation import Step, find_step
from rules.hours import Calendar
from rules.targets import add_time
from rules.team import Person, find_person

PATIENCE_SECONDS_MAX = 60.0
PATIENCE_SHARE = 0.1
HANDED_NEWS = timedelta(hours=24)
"""That a case was handed on longer ago is no news: nothing is tried for longer either."""

CLAIMS = (Stage.WARNING, Stage.BREACH, Stage.ESCALATED)
"""The stages that say that somebody waits."""

ENDS = (Stage.CLEARED, Stage.CORRECTED)
"""The stages that say that it is over."""


@dataclass(frozen=True, slots=True)
class Owed:
    """A stage that is to be said now, of the `moment` when it was reached.

    `cycle` is that of the clock then (of a trouble: its episode); `wait_at` is when that wait began, by which
    it is found again whatever we learn of later (None: it was said by a version that went by the cycle).
    `round` counts how often it was said before
    that this wait is over: what was said of an earlier round says nothing of this one. `repeat` numbers
    what is said again. `step` is that of an escalation. `caveats` are what the alert must admit;
    `unknown_since`: we have been blind since then, so that nobody knows whether it was answered.
    `subject`: only where it was said under that subject (None: wherever else it may concern). `to`: only to
    the person of that name, whose case it is.
    """

    stage: Stage
    cycle: int
    repeat: int
    moment: datetime
    clock: ClockName = ClockName.FIRST_RESPONSE
    round: int = 0
    step: str | None = None
    caveats: tuple[str, ...] = ()
    unknown_since: datetime | None = None
    wait_at: datetime | None = None
    subject: str | None = None
    to: str | None = None

    @property
    def says_waiting(self) -> bool:
        """Whether it tells somebody that a customer waits, so that they hear it too when that is over."""
        return self.stage in CLAIMS or (self.stage is Stage.MOVED and self.to is not None)


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that the outbox holds about a case, put there `at` that time (None: at its moment).

    `told`: somebody may have read it (delivered, or sent with no answer). `pending`: not sent yet. Neither:
    superseded, or dead. `subject` is what it was said under: a case that was joined from several has what
    was said of each, and each has its own message, or incident, to be kept up to date and ended.
    """

    owed: Owed
    told: bool
    pending: bool
    at: datetime | None = None
    subject: str = ""

    @property
    def stage(self) -> Stage:
        return self.owed.stage


@dataclass(frozen=True, slots=True)
class Sight:
    """How far we can see where an answer would be.

    `through`: the brand's own posts were read up to then; None: never yet. `gates`: False where no
    configured and allowed stream could show an answer. `accounts`: whose posts are read. `hidden`: those
    whose posts cannot be seen at all, which every alert admits. `checked_at`: when the platform last
    confirmed that the customer's message still stands; None: never. `checks`: whether it can be asked.
    `blind_since`: since when we cannot see there at all; None: we can. `watching_since`: when the daemon
    started; what fell due before it did has not been looked for yet.
    """

    through: datetime | None = None
    gates: bool = True
    accounts: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    checked_at: datetime | None = None
    checks: bool = False
    blind_since: datetime | None = None
    watching_since: datetime | None = None

    def fresh(self, moment: datetime) -> bool:
        """Whether an answer, or a withdrawal, before that moment would have been seen."""
        answers = not self.gates or (self.through is not None and self.through >= moment)
        standing = not self.checks or (self.checked_at is not None and self.checked_at >= moment)
        return answers and standing


@dataclass(frozen=True, slots=True)
class Manner:
    """How the house tells: the steps of its escalations, the calendar that a case keeps by its name, and the
    people whom it can tell by name."""

    steps: tuple[Step, ...] = ()
    calendar: Callable[[Case, str | None], Calendar | None] = lambda _case, _name: None
    people: tuple[Person, ...] = ()


PLAIN = Manner()
"""No escalation, and always open."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is owed (empty: nothing), when to look again (None: only when something changes), and why.

    `wants_look`: a claim waits for a fresh look at the platform, or was made without one, so one should be
    asked for. `known_late`: the clocks, as (name, cycle), that were seen to be overdue.
    """

    owed: tuple[Owed, ...]
    look_again_at: datetime | None
    reason: str
    wants_look: bool = False
    known_late: tuple[tuple[ClockName, int], ...] = ()


def decide(
    case: Case,
    said: Sequence[Said],
    sight: Sight,
    now: datetime,
    manner: Manner = PLAIN,
    muted: str | None = None,
) -> Decision:
    """What this case is owed now. `muted` is why its author or words are muted, if they are."""
    over = (
        *_ended(case, said, now),
        *_moved(case, said, now),
        *_handed(case, said, now, manner.people),
    )
    running = [c for c in running_clocks(case, now) if c.due_at is not None]
    why_not = _why_silent(case, running, muted, said)
    if why_not is not None:
        return Decision(over, None, why_not)
    looks = [_decide_clock(case, clock, said, sight, now, manner) for clock in running]
    again = [look.look_again_at for look in looks] + [case.closes_at]
    return Decision(
        over + tuple(o for look in looks for o in look.owed),
        min((at for at in again if at is not None), default=None),
        "; ".join(look.reason for look in looks),
        any(look.wants_look for look in looks),
        tuple(late for look in looks for late in look.known_late),
    )


def clock_of(case: Case, owed: Owed) -> Clock | None:
    """The clock that something was said of; None: there is no such any more."""
    if owed.clock is ClockName.RESOLUTION:
        return case.resolution
    if owed.wait_at is None:
        return case.clock(owed.clock, owed.cycle)
    return case.wait_at(owed.wait_at)


def running_clocks(case: Case, now: datetime) -> list[Clock]:
    """The clocks that can still breach: a case that silence has ended has none."""
    clocks = [] if case.wait is None else [case.wait]
    silent = case.closes_at is not None and now >= case.closes_at
    if case.resolution is not None and case.resolution.runs and not silent:
        clocks.append(case.resolution)
    return clocks


def _why_silent(case: Case, running: Sequence[Clock], muted: str | None, said: Sequence[Said]) -> str | None:
    """Why nothing is claimed of a case at all; None where something may be."""
    if case.quiet:
        return "it began before the first run: the past is quiet"
    if running:
        return None if muted is None else f"muted: {muted}"
    if case.status is Status.WAITING:
        return "no target is for it"
    claimed = any(s.stage in CLAIMS and (s.told or s.pending) for s in said)
    return f"{case.status.replace('_', ' ')}, and {'that was said' if claimed else 'nothing had been said'}"


def _decide_clock(
    case: Case, clock: Clock, said: Sequence[Said], sight: Sight, now: datetime, manner: Manner
) -> Decision:
    """What is owed of one clock that runs."""
    earlier = [s for s in said if clock_of(case, s.owed) == clock]
    round = _round(earlier)
    heard = [s for s in earlier if s.owed.round == round]
    calendar = manner.calendar(case, clock.calendar)
    stages = [
        replace(o, round=round, wait_at=clock.started_at)
        for o in stages_of(case, clock, calendar, manner.steps)
    ]
    ahead = min((o.moment for o in stages if o.moment > now), default=None)
    owed = list(_latest([o for o in stages if o.moment <= now], heard))
    late = clock.due_at is not None and now >= clock.due_at and sight.fresh(clock.due_at)
    known = ((clock.name, clock.cycle),) if late else ()
    unsure = clock.due_at is not None and now >= clock.due_at and not late
    if not owed:
        reason = "nothing is due" if ahead is not None else "the stage reached was said"
        return Decision((), ahead, reason, wants_look=unsure, known_late=known)
    if case.snoozed_until is not None and now < case.snoozed_until:
        reason = f"snoozed until {case.snoozed_until:%H:%M} UTC"
        return Decision((), case.snoozed_until, reason, known_late=known)
    opens_at = None if calendar is None else calendar.next_open(now)
    if opens_at is not None and opens_at > now:  # what could not be said in time is not said at midnight
        return Decision((), opens_at, "its hours are over: said when they begin again", known_late=known)
    names = ", ".join(o.stage for o in owed)
    moment = max(o.moment for o in owed)
    if sight.fresh(moment):
        hidden = _hidden(sight)
        said_now = tuple(replace(o, caveats=hidden) for o in owed)
        return Decision(said_now, ahead, f"{names} reached", wants_look=unsure, known_late=known)
    looking_since = max(moment, sight.watching_since or moment)
    patience_ends = looking_since + timedelta(seconds=patience_seconds(clock))
    if now < patience_ends:
        why = "waits for a fresh look at the platform"
        return Decision((), patience_ends, why, wants_look=True, known_late=known)
    caveats = _caveats(sight, moment)
    said_now = tuple(replace(o, caveats=caveats, unknown_since=sight.blind_since) for o in owed)
    return Decision(said_now, ahead, f"{names} reached, not fully seen", True, known)


def patience_seconds(clock: Clock) -> float:
    """How long a claim waits for a fresh look: a tenth of the target, a minute at most."""
    return min(PATIENCE_SECONDS_MAX, PATIENCE_SHARE * (clock.target_seconds or 0.0))


def put_off_until(case: Case | None, row: Said, now: datetime, manner: Manner) -> datetime | None:
    """When a stage that waits in the outbox may be said, where the hours of its target are over now; None:
    now. Asked right before sending."""
    clock = None if case is None else clock_of(case, row.owed)
    if case is None or clock is None or row.stage not in CLAIMS:
        return None
    calendar = manner.calendar(case, clock.calendar)
    opens_at = None if calendar is None else calendar.next_open(now)
    return opens_at if opens_at is not None and opens_at > now else None


def superseded(
    case: Case | None, row: Said, told_before: bool, now: datetime, manner: Manner = PLAIN
) -> str | None:
    """Why a stage that waits in the outbox should not be sent any more; None where it should.

    Asked right before sending. `told_before`: whether this recipient was told anything of this wait, so
    that there is something to clear.
    """
    if case is None:
        return "its case is no more: another message joined it"
    owed = row.owed
    clock = clock_of(case, owed)
    runs = clock is not None and clock in running_clocks(case, now)
    if owed.to is not None and owed.stage not in ENDS:
        owner = find_person(manner.people, case.assignee)
        if owner is None or owner.name != owed.to:
            return f"it is not {owed.to}'s any more"
    if owed.stage is Stage.MOVED:
        if not runs:
            return f"the case is {case.status.replace('_', ' ')}"
        return None if told_before or owed.to is not None else "nothing had been said that has moved"
    if owed.stage in ENDS:
        if not told_before:
            return "nothing had been said that it could clear"
        return "the customer waits again" if runs else None
    if clock is None:
        return "its wait is no more"
    if not runs:
        return f"the case is {case.status.replace('_', ' ')}"
    if clock.due_at is None or owed.moment > now:
        return "its due time has moved"
    if owed.stage is Stage.WARNING and now >= clock.due_at:
        return "the target is past already: the breach is said instead"
    if owed.stage is Stage.BREACH and now < clock.due_at:
        return "its due time has moved"
    if case.acknowledged_at is not None and (owed.repeat or owed.stage is Stage.ESCALATED):
        return f"{case.acknowledged_by} has taken it"
    if owed.stage is Stage.ESCALATED and find_step(manner.steps, owed.step) is None:
        return "the config has no such step any more"
    return None


def stages_of(case: Case, clock: Clock, calendar: Calendar | None, steps: Sequence[Step]) -> list[Owed]:
    """All the stages of a clock, those that have passed too, each track ascending."""
    if clock.due_at is None:
        return []
    about = (clock.cycle, clock.name)
    stages = [Owed(Stage.WARNING, about[0], n, at, about[1]) for n, (_, at) in enumerate(clock.warnings)]
    stages.append(Owed(Stage.BREACH, clock.cycle, 0, clock.due_at, clock.name))
    if case.acknowledged_at is not None:  # somebody has taken it
        return stages
    if clock.repeat_seconds:
        for n in range(1, clock.repeat_max + 1):
            moment = add_time(calendar, clock.due_at, n * clock.repeat_seconds)
            stages.append(Owed(Stage.BREACH, clock.cycle, n, moment, clock.name))
    for step in steps:
        if step.is_for(case, clock):
            stages += [
                Owed(Stage.ESCALATED, clock.cycle, n, moment, clock.name, step=step.name)
                for n, moment in enumerate(step.moments(clock, calendar))
            ]
    return stages


def _latest(passed: Sequence[Owed], heard: Sequence[Said]) -> Iterable[Owed]:
    """Of each track the one stage to say of those reached: the breach before its reminders, else the latest.
    What came before something that was said already is no news: a reminder that was slept through does not
    follow the breach at once."""
    for step, track in groupby(passed, key=lambda o: o.step):
        reached = list(track)
        before = [s for s in heard if s.owed.step == step]
        breach = next((o for o in reached if o.stage is Stage.BREACH), None)
        if breach is not None and not any(s.stage is Stage.BREACH for s in before):
            yield breach
            continue
        latest = reached[-1]
        said = any((s.stage, s.owed.repeat) == (latest.stage, latest.repeat) for s in before)
        told_at = [s.at or s.owed.moment for s in before if s.stage is latest.stage]
        if not said and all(latest.moment > at for at in told_at):
            yield latest


def _round(said: Sequence[Said]) -> int:
    """How often people were told that this wait is over: what comes next is news again."""
    return max((s.owed.round + 1 for s in said if s.stage in ENDS and s.told), default=0)


def _hidden(sight: Sight) -> tuple[str, ...]:
    return (f"replies of {', '.join(sight.hidden)} cannot be seen",) if sight.hidden else ()


def _caveats(sight: Sight, moment: datetime) -> tuple[str, ...]:
    """What an alert must admit that goes out unseen."""
    who = ", ".join(sight.accounts) or "the brand"
    if sight.gates and sight.through is None:
        said = f"no reply seen, but the posts of {who} could not be read yet"
    elif sight.gates and sight.through is not None and sight.through < moment:
        said = f"no reply seen through {sight.through:%H:%M} UTC; posts of {who} not visible since"
    else:
        said = "could not check whether the post still stands"
    return (said, *_hidden(sight))


def _ended(case: Case, said: Sequence[Said], now: datetime) -> Iterable[Owed]:
    """What is owed of the waits that are over: to clear what was said of them, or to correct what was false.

    A wait that is no more (its messages belong to another now) is cleared when nobody waits.
    """
    claims = [s for s in said if s.owed.says_waiting and (s.told or s.pending)]
    if not claims:
        return
    running = running_clocks(case, now)
    clocks: list[Clock | None] = []
    for claim in claims:
        clock = clock_of(case, claim.owed)
        if clock not in clocks:
            clocks.append(clock)
    for clock in clocks:
        if clock in running or (clock is None and case.status is Status.WAITING):
            continue
        mine = [s for s in claims if clock_of(case, s.owed) == clock]
        over = [s for s in said if s.stage in ENDS and clock_of(case, s.owed) == clock]
        for subject in dict.fromkeys(s.subject for s in mine):
            here = [s for s in mine if s.subject == subject]
            last = max(s.owed.round for s in here)
            ends = [s for s in over if s.subject == subject and s.owed.round == last]
            if not any(s.told or s.pending for s in ends):
                yield replace(_end(case, clock, here, ends), subject=subject)


def _end(case: Case, clock: Clock | None, claims: Sequence[Said], ends: Sequence[Said]) -> Owed:
    """The end of a wait of which these claims were made, and these ends that reached nobody."""
    latest = claims[-1].owed
    stopped_at = None if clock is None else clock.stopped_at
    false = (
        clock is not None
        and clock.ending is Status.ANSWERED
        and stopped_at is not None
        and any(s.told and s.owed.unknown_since is None and s.owed.moment > stopped_at for s in claims)
    )
    return Owed(
        Stage.CORRECTED if false else Stage.CLEARED,
        latest.cycle if clock is None else clock.cycle,
        max((s.owed.repeat + 1 for s in ends), default=0),
        stopped_at or case.last_message_at,
        latest.clock if clock is None else clock.name,
        max(s.owed.round for s in claims),
        wait_at=latest.wait_at if clock is None else clock.started_at,
    )


def _moved(case: Case, said: Sequence[Said], now: datetime) -> Iterable[Owed]:
    """What is owed to those who were told of a wait, when an operator spoke of it since: how it stands."""
    move = case.moved
    if move is None:
        return
    for clock in running_clocks(case, now):
        about = [s for s in said if clock_of(case, s.owed) == clock]
        for subject in dict.fromkeys(s.subject for s in about):
            mine = [s for s in about if s.subject == subject]
            told = [s for s in mine if s.owed.says_waiting and s.told and (s.at or s.owed.moment) <= move.at]
            before = [s for s in mine if s.stage is Stage.MOVED]
            if told and not any(s.owed.moment >= move.at for s in before if s.owed.to is None):
                yield Owed(
                    Stage.MOVED,
                    clock.cycle,
                    max((s.owed.repeat + 1 for s in before), default=0),
                    move.at,
                    clock.name,
                    told[-1].owed.round,
                    wait_at=clock.started_at,
                    subject=subject,
                )


def handed_to(case: Case, people: Sequence[Person]) -> Person | None:
    """Whom somebody else gave the case; None: nobody, nobody whom the config knows, or they took it
    themselves."""
    word = case.assigned
    person = None if word is None else find_person(people, word.note)
    if word is None or person is None or find_person(people, word.who) == person:
        return None
    return person


def _handed(case: Case, said: Sequence[Said], now: datetime, people: Sequence[Person]) -> Iterable[Owed]:
    """What is owed to whom the case was given: to be told, once for each time, while a customer waits."""
    word, person = case.assigned, handed_to(case, people)
    if word is None or person is None or now - word.at > HANDED_NEWS:
        return
    if any(s.owed.to == person.name and s.stage is Stage.MOVED and s.owed.moment >= word.at for s in said):
        return
    for clock in running_clocks(case, now)[:1]:
        mine = [s for s in said if clock_of(case, s.owed) == clock]
        yield Owed(
            Stage.MOVED,
            clock.cycle,
            max((s.owed.repeat + 1 for s in mine if s.stage is Stage.MOVED), default=0),
            word.at,
            clock.name,
            _round(mine),
            wait_at=clock.started_at,
            to=person.name,
        )


@dataclass(frozen=True, slots=True)
class Health:
    """How one account of ours stands with its platform. `episode` counts its troubles so far.

    `blind_since`: what was written since then may not have been seen. `refused`: why the platform will not
    serve us until a person acts. `told`: whether this episode was said.
    """

    episode: int
    blind_since: datetime | None
    refused: str | None
    told: bool


def decide_trouble(health: Health, blind_after_seconds: float, now: datetime) -> Decision:
    """Whether people are told that we cannot see, or that we can again."""
    if health.blind_since is None:
        if health.told:
            return Decision((Owed(Stage.CLEARED, health.episode, 0, now),), None, "we see again")
        return Decision((), None, "all is well")
    if health.told:
        return Decision((), None, "it was said")
    if health.refused is not None:
        return Decision((Owed(Stage.TROUBLE, health.episode, 0, now),), None, health.refused)
    alarm_at = health.blind_since + timedelta(seconds=blind_after_seconds)
    if now < alarm_at:
        return Decision((), alarm_at, "blind, but not for long")
    return Decision((Owed(Stage.TROUBLE, health.episode, 0, alarm_at),), None, "blind for too long")
