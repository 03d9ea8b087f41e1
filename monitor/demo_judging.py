"""Comparing what the daemon found and said with the ground truth of the simulated world."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from monitor.demo_pressing import judge_presses
from monitor.demo_result import Result
from monitor.store.store import Reader
from rules.case import Case, ClockName
from simulator.heard import CLAIMS, ENDS, Claim, Episode, read_blindness, read_claims, read_storms
from simulator.population import SETTLED_BEFORE_END, Outage
from simulator.scenes import WHOLE_DAY_SECONDS
from simulator.town import Heard, Town
from simulator.truth import FIRST, TrueCase, TrueWait, hidden_in

TOLD_WITHIN = timedelta(seconds=120)
"""A breach counts as alerted if a sink received it that soon after the due time (pretended)."""

TOLD_WITHIN_AFTER_KILL = timedelta(seconds=900)
"""While the daemon is down nobody is told; started again, it must still tell."""

SHOWN_WITHIN = timedelta(seconds=300)
"""A press shows on several messages, and Slack may say "later" or fail at each of them, again and again."""

PATIENCE = timedelta(seconds=60)
"""A claim waits so long at most for a fresh look: what falls due right before an outage ends may be seen."""

LOOKS_AGAIN_WITHIN = timedelta(seconds=375)
"""After an outage: the daemon asks a platform that fails every five minutes, give or take a quarter."""

SEEN_WITHIN = timedelta(seconds=120)
"""What was written so shortly before an outage may not have been seen before it."""

BACK_WITHIN = timedelta(seconds=300)
"""After a kill the daemon reads again so soon (pretended)."""

STORM_CASES, STORM_WITHIN_SECONDS, STORM_UPDATE_SECONDS = 20, 180.0, 60.0
"""The demo's settings of a storm: an ordinary hour has at most about 14 cases that reach a stage within so
long, the burst has 32."""


def compare(
    reader: Reader,
    town: Town,
    end: datetime,
    *,
    seed: int,
    killed: Sequence[datetime] = (),
    exit_code: int = 0,
) -> Result:
    """Hold the store and the sinks against the truth as of `end`. `killed`: when the daemon was."""
    kills = len(killed)
    seconds = 0.0 if town.script is None else town.script.seconds
    result = Result(
        seed, kills, exit_code, whole_day=seconds >= WHOLE_DAY_SECONDS, faults=town.faults_injected()
    )
    found = {(c.place.connector, c.first_message_id): c for c in _cases(reader)}
    within = TOLD_WITHIN_AFTER_KILL if kills else SHOWN_WITHIN
    result.pressing, said = judge_presses(reader, town, end, within, kills)
    truth = [t for t in town.truth(end, said) if t.addressed]
    heard = town.heard()
    _count_deliveries(result, heard)
    for true in truth:
        if not true.historic:
            case = found.get((true.platform.value, town.message_id(true)))
            if case is None and _never_shown(true, town.outages(), killed):
                result.cases_hidden += 1
                continue
            _compare_case(result, true, case, end)
            _compare_waits(result, true, case, end)
    _Telling(result, town, truth, heard, end).compare()
    return result


def _cases(reader: Reader) -> list[Case]:
    return [row.case for row in reader.cases.everything()]


def _never_shown(true: TrueCase, outages: Sequence[Outage], killed: Sequence[datetime]) -> bool:
    """Whether it was written and deleted while nobody could read the platform, or nobody was there to."""
    unread = [(o.start, o.end + LOOKS_AGAIN_WITHIN) for o in outages if o.platform is true.platform]
    unread += [(at, at + BACK_WITHIN) for at in killed]
    return true.withdrawn_at is not None and any(
        since - SEEN_WITHIN <= true.opened_at and true.withdrawn_at <= until for since, until in unread
    )


def _compare_case(result: Result, true: TrueCase, case: Case | None, end: datetime) -> None:
    result.cases += 1
    name = _name(true)
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


def _compare_waits(result: Result, true: TrueCase, case: Case | None, end: datetime) -> None:
    """Each wait's due time, and each further response; what is found beyond the truth is wrong too."""
    if case is None:
        return
    known = {(w.clock, w.cycle) for w in true.waits}
    result.next_missed += [
        f"{_name(true)}: {c.name} {c.cycle} is none"
        for c in case.clocks
        if c.started_at <= end and (c.name.value, c.cycle) not in known
    ]
    for wait in true.waits:
        clock = case.clock(ClockName(wait.clock), wait.cycle)
        if clock is None or clock.due_at is None:
            result.next_missed.append(f"{_name(true)}: {wait.clock} {wait.cycle} has no due time")
            continue
        result.due_errors.append(abs((clock.due_at - wait.due_at).total_seconds()))
        result.due_interrupted += wait.interrupted
        if wait.clock == FIRST or wait.seconds is None or wait.lasts_to(end):
            continue
        if clock.seconds is None:
            result.next_missed.append(f"{_name(true)}: answer {wait.cycle} was not found")
            continue
        result.next_response_errors.append(abs(clock.seconds - wait.seconds))


def _name(true: TrueCase) -> str:
    return f"{true.platform.value}/{true.customer_handle}/{true.first_message_id}"


def _count_deliveries(result: Result, heard: list[Heard]) -> None:
    copies = Counter((h.channel, h.key) for h in heard if not h.update)
    for (channel, key), count in copies.items():
        result.delivered[channel] += count
        result.duplicates += count - 1
        result.doubled[channel] += count - 1
        result.corrected += "/corrected/" in key
    for h in heard:
        # A message that only shows anew how its case stands keeps the key that it was posted with.
        if h.update and (h.channel, h.key) not in copies:
            result.delivered[h.channel] += 1
            result.corrected += "/corrected/" in h.key


class _Telling:
    """What people were told, against what was true when they were told it."""

    def __init__(
        self, result: Result, town: Town, truth: list[TrueCase], heard: list[Heard], end: datetime
    ) -> None:
        self.result = result
        self.town = town
        self.end = end
        self.settled = end - timedelta(seconds=SETTLED_BEFORE_END)
        self.within = TOLD_WITHIN_AFTER_KILL if result.kills else TOLD_WITHIN
        self.outages = town.outages()
        self.cases = {town.subject(t): t for t in truth}
        names = town.subjects(truth)
        self.claims = [replace(c, subject=names.get(c.subject, c.subject)) for c in read_claims(heard)]
        self.storms = read_storms(heard)
        self.blindness = read_blindness(heard)
        self.first: dict[tuple[str, str, int, str, int, str], Claim] = {}
        for c in self.claims:
            self.first.setdefault((*c.wait, c.stage, c.repeat, c.channel), c)

    def compare(self) -> None:
        """All of it."""
        for subject, true in self.cases.items():
            for wait in true.waits if not true.historic else ():
                self._compare_breach(subject, true, wait)
                self._compare_escalation(subject, true, wait)
        for claim in self.first.values():
            self._compare_claim(claim)
        self._compare_storms()
        self._compare_blindness()

    # What was to be told.

    def _compare_breach(self, subject: str, true: TrueCase, wait: TrueWait) -> None:
        if wait.due_at > self.end:
            return
        outage = hidden_in(self.outages, true.platform, wait.due_at)
        if not wait.breached and not self._seems_broken(wait, outage):
            return
        self.result.breaches += wait.breached
        told = [
            self._told(subject, true, wait, "breach", wait.due_at, channel)
            for channel in self.town.channels()
        ]
        if "missed" in told:
            self.result.missed.append(f"{subject} {wait.clock} {wait.cycle}")
        elif wait.breached:
            self.result.in_storm += "storm" in told
            self.result.unseen += "unseen" in told
            self.result.snoozed += "snoozed" in told and not {"storm", "unseen"} & set(told)
            self.result.alerted += set(told) == {"told"}

    def _compare_escalation(self, subject: str, true: TrueCase, wait: TrueWait) -> None:
        if not wait.escalates or wait.escalated_at > self.settled:
            return
        self.result.escalations += 1
        channel = self.town.lead_channel()
        told = self._told(subject, true, wait, "escalated", wait.escalated_at, channel)
        if told == "missed":
            self.result.escalations_missed.append(f"{subject} {wait.clock} {wait.cycle}")
        self.result.escalated += told == "told"
        self.result.escalated_in_storm += told == "storm"
        self.result.escalations_put_off += told in ("snoozed", "unseen", "taken")

    def _told(
        self, subject: str, true: TrueCase, wait: TrueWait, stage: str, moment: datetime, channel: str
    ) -> str:
        """How one channel heard: told, storm, unseen (it was over before anybody could tell), snoozed (it was
        over before the snooze was), taken (somebody took it before others were told), missed."""
        seen_at = self._seen_at(true.platform, wait)
        could_tell = max(wait.quiet_until(moment), seen_at)
        snoozed = could_tell > max(moment, seen_at)
        # Outside its hours nobody is told of a promise: what is too late for today is told tomorrow.
        deadline = wait.promise.after(could_tell, self.within.total_seconds())
        put_off = deadline > could_tell + self.within
        claim = self.first.get((subject, wait.clock, wait.cycle, stage, 0, channel))
        if claim is not None and claim.at <= deadline:
            return "told"
        storms = (s for s in self.storms if (s.where, s.channel) == (true.brand, channel))
        seconds = self.within.total_seconds() + STORM_UPDATE_SECONDS
        if any(s.covers(moment, seconds) for s in storms):
            return "storm"
        if snoozed and (not wait.lasts_to(deadline) or deadline > self.end):
            return "snoozed"
        if stage == "escalated" and wait.taken_by(deadline):
            return "taken"
        excused = bool(self.result.kills) or seen_at > moment or put_off
        return "unseen" if excused and not wait.lasts_to(deadline) else "missed"

    def _seen_at(self, platform: object, wait: TrueWait) -> datetime:
        """By when the customer's words must have been seen."""
        for outage in self.outages:
            if outage.platform is platform and outage.start - SEEN_WITHIN <= wait.started_at < outage.end:
                return outage.end + LOOKS_AGAIN_WITHIN
        return wait.started_at

    def _seems_broken(self, wait: TrueWait, outage: Outage | None) -> bool:
        """Whether the customer was seen before an outage, and the answer came where nobody could see it: that
        nobody knows must have been said."""
        return (
            outage is not None
            and wait.answered
            and wait.stopped_at is not None
            and wait.stopped_at >= outage.start
            and wait.started_at < outage.start - SEEN_WITHIN
            and wait.due_at < outage.end - PATIENCE
        )

    # What was told.

    def _compare_claim(self, claim: Claim) -> None:
        """Was it so? And did it admit what nobody could see?"""
        if claim.stage not in CLAIMS:
            return
        name = f"{claim.subject} {claim.clock} {claim.cycle} {claim.stage} {claim.repeat}"
        true = self.cases.get(claim.subject)
        if true is not None and true.historic:
            self.result.historic_alerts += 1
            return
        waits = () if true is None else true.waits
        wait = next((w for w in waits if (w.clock, w.cycle) == (claim.clock, claim.cycle)), None)
        moment = None if wait is None else wait.moment_of(claim.stage, claim.repeat)
        if true is None or wait is None or moment is None or not wait.promise.counts(claim.at, PATIENCE):
            self.result.false.append(name)
            return
        outage = self._outage_near(true, moment)
        admitted = claim.unknown and outage is not None
        # Started again after a kill, the daemon may have to warn before it could look, and then it says so.
        late_look = bool(self.result.kills) and claim.stage == "warning"
        if not wait.lasts_to(moment) and not admitted and not late_look:
            self.result.false.append(name)
        if claim.at < wait.quiet_until(moment):
            self.result.false.append(f"{name}: it was snoozed")
        in_storm = any(
            s.begun_at + PATIENCE < moment and (s.over_at is None or moment < s.over_at)
            for s in self.storms
            if (s.where, s.channel) == (true.brand, claim.channel)
        )
        if in_storm:
            self.result.singly_in_storm.append(name)
        if outage is None:
            return
        self.result.unknown += claim.unknown
        if not claim.unknown and moment < outage.end - PATIENCE and claim.at < outage.end:
            self.result.late_while_blind.append(name)
        if claim.unknown:
            self._compare_taking_back(claim, wait, outage, name)

    def _compare_taking_back(self, claim: Claim, wait: TrueWait, outage: Outage, name: str) -> None:
        """Whoever was told that nobody knows is told how it was, if it is over."""
        if wait.stopped_at is None or wait.stopped_at > self.settled:
            return
        deadline = max(wait.stopped_at, outage.end + LOOKS_AGAIN_WITHIN, claim.at) + self.within
        ends = [
            c
            for c in self.claims
            if (c.wait, c.channel) == (claim.wait, claim.channel)
            and c.stage in ENDS
            and claim.at <= c.at <= deadline
        ]
        if not ends and deadline <= self.end:
            self.result.unknown_left.append(f"{name} {claim.channel}")

    def _outage_near(self, true: TrueCase, moment: datetime) -> Outage | None:
        """The outage in which it fell due, or after which the daemon had not looked again yet."""
        return next(
            (
                o
                for o in self.outages
                if o.platform is true.platform and o.start <= moment < o.end + LOOKS_AGAIN_WITHIN
            ),
            None,
        )

    # Storms and blind spans.

    def _compare_storms(self) -> None:
        """Every channel hears of each storm's beginning and end, its number is right, and there was one."""
        for where, number in sorted({(s.where, s.number) for s in self.storms}):
            mine = [s for s in self.storms if (s.where, s.number) == (where, number)]
            self.result.storms += 1
            heard_end = all(s.over_at is not None for s in mine)
            self.result.storms_over += heard_end and {s.channel for s in mine} >= set(self.town.channels())
            self.result.storm_cases += max((s.count or 0 for s in mine), default=0)
            for storm in mine:
                self._compare_count(storm)

    def _compare_count(self, storm: Episode) -> None:
        since = min(s.begun_at for s in self.storms if (s.where, s.number) == (storm.where, storm.number))
        earliest = since - timedelta(seconds=STORM_WITHIN_SECONDS) - PATIENCE - self.within
        name = f"{storm.where} {storm.number} {storm.channel}"
        if self._reached(storm.where, earliest, since) <= STORM_CASES:
            self.result.storm_miscounted.append(f"{name}: there was no storm")
        if storm.over_at is None or storm.count is None:
            return
        at_least = self._reached(storm.where, since, storm.over_at - PATIENCE)
        at_most = self._reached(storm.where, earliest, storm.over_at)
        if not at_least <= storm.count <= at_most:
            said = f"{storm.count} said, {at_least} to {at_most} in truth"
            self.result.storm_miscounted.append(f"{name}: {said}")

    def _reached(self, brand: str, since: datetime, until: datetime) -> int:
        """How many cases of a brand truly reached a stage in that time."""
        return sum(
            any(since <= at <= until and wait.lasts_to(at) for wait in true.waits for at in wait.stages())
            for true in self.cases.values()
            if true.brand == brand and not true.historic
        )

    def _compare_blindness(self) -> None:
        """Every outage is told as blindness, in time and to everybody, and so is its end."""
        told: set[tuple[str, int]] = set()
        for outage in self.outages:
            mine = [
                b
                for b in self.blindness
                if b.where.split("/")[1] == outage.platform.value
                and b.begun_at < outage.end
                and (b.over_at is None or b.over_at > outage.start)
            ]
            told |= {(b.where, b.number) for b in mine}
            by = outage.start + self._blind_after(outage) + self.within
            back = outage.end + LOOKS_AGAIN_WITHIN + self.within
            missing = [
                channel
                for channel in self.town.channels()
                if not any(
                    b.channel == channel and b.begun_at <= by and b.over_at is not None and b.over_at <= back
                    for b in mine
                )
            ]
            self.result.blind += not missing
            self.result.blind_missed += [f"{outage.platform.value} on {channel}" for channel in missing]
        self.result.blind_elsewhere = len({(b.where, b.number) for b in self.blindness} - told)

    def _blind_after(self, outage: Outage) -> timedelta:
        """Half of the tightest promise there."""
        seconds = [
            s
            for true in self.cases.values()
            if true.platform is outage.platform
            for wait in true.waits
            for s in (wait.promise.first, wait.promise.again)
        ]
        return timedelta(seconds=min(seconds, default=0.0) / 2)
