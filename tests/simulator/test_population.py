"""What the simulated world promises to whoever measures against it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from simulator import texts
from simulator.population import Outage, Script
from simulator.scenes import make_script
from simulator.truth import TrueCase, ground_truth
from simulator.world import FixedClock, Form, Platform, World, Writing

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
SEEDS = range(1, 21)


def day(seed: int) -> tuple[World, Script, list[TrueCase]]:
    world = World(FixedClock(START))
    script = make_script(world, seed=seed, start=START, seconds=3600)
    return world, script, [t for t in ground_truth(script, script.end) if not t.historic]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_day_has_some_of_everything(seed: int) -> None:
    """Whatever the seed, the demo tells the whole story."""
    world, _, truth = day(seed)
    writings = list(world.all())
    assert len(truth) >= 40
    assert sum(t.breached for t in truth) >= 10
    assert sum(t.warned and not t.breached and t.answered_at is not None for t in truth) >= 10
    assert sum(t.private for t in truth) >= 3
    assert sum(t.withdrawn_at is not None for t in truth) >= 3
    assert sum(t.answered_by == "acmehelp" for t in truth) >= 1
    assert any(w.client == "AcmeBot" for w in writings)
    assert any(w.edits for w in writings)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_truth_agrees_with_a_slow_reading_of_what_was_written(seed: int) -> None:
    """The truth is not just what the script meant: reading every writing gives the same answers."""
    world, script, truth = day(seed)
    for case in truth:
        writings = list(world.all(case.platform))
        assert case.answered_at == first_human_answer(writings, case, script.end)
        assert [(w.started_at, w.stopped_at if w.answered else None) for w in case.waits] == [
            wait for wait in waits_read_slowly(writings, case) if wait[0] <= script.end
        ]


def waits_read_slowly(writings: list[Writing], case: TrueCase) -> list[tuple[datetime, datetime | None]]:
    """Straight from the definition: who asks and is not being answered already begins to wait, until a person
    of the brand writes. Thanks ask for nothing."""
    waits: list[tuple[datetime, datetime | None]] = []
    for writing in sorted(writings, key=lambda w: w.created_at):
        if writing.author.id == case.customer_id:
            waits_already = bool(waits) and waits[-1][1] is None
            if not waits_already and writing.text not in texts.THANKS:
                waits.append((writing.created_at, None))
        by_a_person = writing.author.brand is not None and writing.client != "AcmeBot"
        to_them = by_a_person and asked_by(writings, writing) == case.customer_id
        if to_them and waits and waits[-1][1] is None:
            waits[-1] = (waits[-1][0], writing.created_at)
    return waits


def asked_by(writings: list[Writing], answer: Writing) -> str | None:
    """Whom a brand's writing answers: the customer to whom it leads back."""
    by_id = {w.id: w for w in writings}
    above = by_id.get(answer.parent or "")
    while above is not None and above.author.brand is not None:
        above = by_id.get(above.parent or "")
    return None if above is None else above.author.id


def first_human_answer(writings: list[Writing], case: TrueCase, end: datetime) -> datetime | None:
    """Straight from the definition: the brand's first writing that leads back to the customer's, typed by
    a person."""
    by_id = {w.id: w for w in writings}
    found = []
    for writing in writings:
        if writing.author.brand is None or writing.client == "AcmeBot" or writing.created_at > end:
            continue
        parent = by_id.get(writing.parent or "")
        while parent is not None and parent.author.brand is not None:
            parent = by_id.get(parent.parent or "")
        if parent is not None and parent.author.id == case.customer_id and parent.root == case.first.root:
            found.append(writing.created_at)
    return min(found, default=None)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_happens_at_the_moment_of_a_decision(seed: int) -> None:
    """The truth is crisp: no answer within seconds of a due time, no deletion within a minute of one."""
    _, _, truth = day(seed)
    for wait in (w for case in truth for w in case.waits):
        for moment in (*wait.warned_at, wait.due_at, wait.escalated_at):
            if wait.stopped_at is not None:
                clear = timedelta(seconds=5 if wait.answered else 60)
                assert abs(wait.stopped_at - moment) > clear


@pytest.mark.parametrize("seed", SEEDS)
def test_every_day_has_its_scenes(seed: int) -> None:
    """Whatever the seed: an office that closes, people whom an outage hides, a storm, further questions."""
    _, script, truth = day(seed)
    waits = [w for case in truth for w in case.waits]
    assert sum(w.interrupted for w in waits) >= 2
    assert sum(w.clock == "next_response" and w.answered for w in waits) >= 2
    assert sum(w.escalates and w.escalated_at < script.end for w in waits) >= 20
    hidden = [o for c in truth for o in hidden_around(script, c)]
    assert {"asked and answered", "answered", "unanswered"} <= set(hidden)
    (burst,) = script.bursts
    assert sum(c.brand == burst.brand and burst.start <= c.opened_at < burst.end for c in truth) >= 30
    due = [w.due_at for c in truth if c.brand == burst.brand for w in c.waits if w.breached]
    assert len(due) >= 20


def hidden_around(script: Script, case: TrueCase) -> list[str]:
    """What an outage hid of a case."""
    (outage,) = script.outages
    wait = case.waits[0]
    if case.platform is not outage.platform or wait.started_at >= outage.end:
        return []
    if not wait.answered:
        return ["unanswered"] if is_in(outage, wait.due_at) else []
    if wait.stopped_at is None or not is_in(outage, wait.stopped_at):
        return []
    return ["asked and answered"] if is_in(outage, wait.started_at) else ["answered"]


def is_in(outage: Outage, at: datetime) -> bool:
    return outage.start <= at < outage.end


def test_an_ordinary_hour_is_no_storm() -> None:
    """The storm stands out: no other three minutes have half as many who write."""
    for seed in SEEDS:
        _, script, truth = day(seed)
        (burst,) = script.bursts
        written = sorted(c.opened_at for c in truth if c.brand != burst.brand)
        most = max(sum(at <= later < at + timedelta(minutes=3) for later in written) for at in written)
        assert most < 16


def test_the_same_seed_gives_the_same_day() -> None:
    """A failure can be played again."""
    one, two = list(day(7)[0].all()), list(day(7)[0].all())
    assert one == two
    assert one != list(day(8)[0].all())


def test_times_are_as_exact_as_the_platforms_tell_them() -> None:
    """Milliseconds on X, seconds on Reddit: the truth can be met to the second."""
    for writing in day(1)[0].all():
        unit = 1_000_000 if writing.platform is Platform.REDDIT else 1000
        assert writing.created_at.microsecond % unit == 0


def test_chatter_does_not_speak_to_the_brand() -> None:
    """Whoever only mentions the name names no handle and answers nobody."""
    world, script, _ = day(1)
    speakers = {p.customer.id for p in script.plans}
    for writing in world.all():
        if writing.author.brand is None and writing.author.id not in speakers:
            assert writing.form is not Form.DM
            assert not writing.mentions and "u/acme_support" not in writing.text
