"""What is owed to whom waits: which stage is to be said now, and when to look again.

`decide` is level-triggered: each look works out anew what a case is owed, from the case, what was said of
it already and how far the brand's own posts were read. Nothing is remembered here, so a restart is harmless,
and the outbox's unique key keeps a stage from being said twice. Silence has a reason too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rules.alert import Stage
from rules.case import Case, Status

PATIENCE_SECONDS_MAX = 60.0
PATIENCE_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that the outbox holds about a case. `moment` is the time that the claim was about.

    `told`: somebody may have read it (delivered, or sent with no answer). `pending`: not sent yet. Neither:
    superseded, or dead.
    """

    stage: Stage
    cycle: int
    repeat: int
    moment: datetime
    told: bool
    pending: bool


@dataclass(frozen=True, slots=True)
class Sight:
    """How far we can see where an answer would be.

    `through`: the brand's own posts were read up to then; None: never yet. `gates`: False where no
    configured and allowed stream could show an answer. `accounts`: whose posts are read. `hidden`: those
    whose posts cannot be seen at all, which every alert admits. `checked_at`: when the platform last
    confirmed that the customer's message still stands; None: never. `checks`: whether it can be asked.
    """

    through: datetime | None = None
    gates: bool = True
    accounts: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    checked_at: datetime | None = None
    checks: bool = False

    def fresh(self, moment: datetime) -> bool:
        """Whether an answer, or a withdrawal, before that moment would have been seen."""
        answers = not self.gates or (self.through is not None and self.through >= moment)
        standing = not self.checks or (self.checked_at is not None and self.checked_at >= moment)
        return answers and standing


@dataclass(frozen=True, slots=True)
class Owed:
    """A stage that is to be said now, of the `moment` when it was reached."""

    stage: Stage
    cycle: int
    repeat: int
    moment: datetime
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What is owed (None: nothing), when to look again (None: only when something changes), and why.

    `wants_look`: the claim waits for a fresh look at the platform, which should be asked for now.
    """

    owed: Owed | None
    look_again_at: datetime | None
    reason: str
    wants_look: bool = False


def decide(
    case: Case, said: Sequence[Said], sight: Sight, now: datetime, muted: str | None = None
) -> Decision:
    """What this case is owed now. `muted` is why its author or words are muted, if they are."""
    if case.status is not Status.WAITING:
        return _over(case, said)
    if case.quiet:
        return Decision(None, None, "it began before the first run: the past is quiet")
    if case.due_at is None:
        return Decision(None, None, "no target is for it")
    if muted is not None:
        return Decision(None, None, f"muted: {muted}")
    passed, ahead = _stages(case, now)
    following = ahead[0].moment if ahead else None
    already = {(s.stage, s.repeat) for s in said if s.cycle == case.cycle}
    owed = _latest(passed, already)
    if owed is None:
        return Decision(None, following, "nothing is due" if not passed else "the stage reached was said")
    if case.snoozed_until is not None and now < case.snoozed_until:
        return Decision(None, case.snoozed_until, f"snoozed until {case.snoozed_until:%H:%M} UTC")
    if sight.fresh(owed.moment):
        return Decision(_with(owed, _hidden(sight)), following, f"{owed.stage} reached")
    patience_ends = owed.moment + timedelta(seconds=patience_seconds(case))
    if now < patience_ends:
        return Decision(None, patience_ends, "waits for a fresh look at the platform", wants_look=True)
    return Decision(
        _with(owed, _caveats(sight, owed.moment)), following, f"{owed.stage} reached, not fully seen", True
    )


def patience_seconds(case: Case) -> float:
    """How long a claim waits for a fresh look: a tenth of the target, a minute at most."""
    return min(PATIENCE_SECONDS_MAX, PATIENCE_SHARE * (case.target_seconds or 0.0))


def superseded(case: Case | None, row: Said, told_before: bool, now: datetime) -> str | None:
    """Why a stage that waits in the outbox should not be sent any more; None where it should.

    Asked right before sending. `told_before`: whether this recipient was told anything of this case, so
    that there is something to clear.
    """
    if case is None:
        return "its case is no more: another message joined it"
    if row.stage in (Stage.CLEARED, Stage.CORRECTED):
        if not told_before:
            return "nothing had been said that it could clear"
        return "the customer waits again" if case.status is Status.WAITING else None
    if case.status is not Status.WAITING:
        return f"the case is {case.status.replace('_', ' ')}"
    if row.cycle != case.cycle:
        return "it was about an earlier wait"
    if case.due_at is None or row.moment > now:
        return "its due time has moved"
    if row.stage is Stage.WARNING and now >= case.due_at:
        return "the target is past already: the breach is said instead"
    if row.stage is Stage.BREACH and now < case.due_at:
        return "its due time has moved"
    if row.repeat and row.stage is Stage.BREACH and case.acknowledged_at is not None:
        return f"{case.acknowledged_by} has taken it"
    return None


def _stages(case: Case, now: datetime) -> tuple[list[Owed], list[Owed]]:
    """The stages of the case's clock, ascending: those reached, and those ahead."""
    if case.due_at is None:
        return [], []
    stages = [Owed(Stage.WARNING, case.cycle, n, at) for n, (_, at) in enumerate(case.warnings)]
    stages.append(Owed(Stage.BREACH, case.cycle, 0, case.due_at))
    if case.repeat_seconds and case.acknowledged_at is None:
        stages += [
            Owed(Stage.BREACH, case.cycle, n, case.due_at + timedelta(seconds=n * case.repeat_seconds))
            for n in range(1, case.repeat_max + 1)
        ]
    return [s for s in stages if s.moment <= now], [s for s in stages if s.moment > now]


def _latest(passed: Sequence[Owed], already: set[tuple[Stage, int]]) -> Owed | None:
    """The one stage to say of those reached: the breach before its repeats, else the latest. What lies
    before it is not said any more: "80 % of the target" is no news after the breach."""
    breach = next((s for s in passed if s.stage is Stage.BREACH), None)
    if breach is not None and (Stage.BREACH, 0) not in already:
        return breach
    latest = passed[-1] if passed else None
    if latest is None or (latest.stage, latest.repeat) in already:
        return None
    return latest


def _with(owed: Owed, caveats: tuple[str, ...]) -> Owed:
    return Owed(owed.stage, owed.cycle, owed.repeat, owed.moment, caveats)


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


def _over(case: Case, said: Sequence[Said]) -> Decision:
    """What is owed when the wait is over: to clear what was said, or to correct it if it was false."""
    claims = [
        s
        for s in said
        if s.stage in (Stage.WARNING, Stage.BREACH) and (s.told or s.pending) and s.cycle <= case.cycle
    ]
    if not claims:
        return Decision(None, None, f"{case.status.replace('_', ' ')}, and nothing had been said")
    cycle = max(s.cycle for s in claims)
    if any(s.stage in (Stage.CLEARED, Stage.CORRECTED) and s.cycle == cycle for s in said):
        return Decision(None, None, f"{case.status.replace('_', ' ')}, and that was said")
    false = case.status is Status.ANSWERED and any(
        s.told and case.stopped_at is not None and s.moment > case.stopped_at for s in claims
    )
    stage = Stage.CORRECTED if false else Stage.CLEARED
    moment = case.stopped_at or case.last_message_at
    return Decision(Owed(stage, cycle, 0, moment), None, case.status.replace("_", " "))


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
            return Decision(Owed(Stage.CLEARED, health.episode, 0, now), None, "we see again")
        return Decision(None, None, "all is well")
    if health.told:
        return Decision(None, None, "it was said")
    if health.refused is not None:
        return Decision(Owed(Stage.TROUBLE, health.episode, 0, now), None, health.refused)
    alarm_at = health.blind_since + timedelta(seconds=blind_after_seconds)
    if now < alarm_at:
        return Decision(None, alarm_at, "blind, but not for long")
    return Decision(Owed(Stage.TROUBLE, health.episode, 0, alarm_at), None, "blind for too long")
