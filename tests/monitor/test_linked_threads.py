"""A public case that goes on in private messages: one case, found by any of its messages, told of once."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

from monitor.act import find_case
from monitor.dispatch import dispatch_once
from monitor.store.codec import case_to_json
from rules.alert import Stage
from rules.case import ClockName, Status
from rules.message import Kind, Message
from tests.monitor.build import Sink, at, brand, customer, house


def dm(id: str, minute: float, text: str = "my order number is 12, and it is still not here!") -> Message:
    """Ana writes privately."""
    more = {"conversation": "dm-ana", "kind": Kind.DM, "public": False, "handles": ()}
    return customer(id, minute, text, **more)


def brand_dm(id: str, minute: float) -> Message:
    """The brand writes to Ana privately."""
    return brand(id, minute, None, conversation="dm-ana", kind=Kind.DM, public=False, to=("ana",))


STORY = [
    customer("1", 0),
    brand("2", 5, "1", text="sorry to hear that, please send us a DM"),
    dm("d1", 8),
    brand_dm("d2", 20),
    dm("d3", 30, "thanks!"),
]


def test_please_dm_us_stays_one_case_in_any_order(tmp_path: Path) -> None:
    """The public answer is the first response; what she asks by DM is the next one, and no new case."""
    made = set()
    for number, order in enumerate(itertools.islice(itertools.permutations(STORY), 0, 120, 11)):
        home = house(tmp_path / str(number))
        for message in order:
            home.take(40, replace(message, seen_at=at(40)))
        made.add("\n".join(map(case_to_json, home.cases())))
        (case,) = home.cases()
        assert [(c.name, c.seconds, c.message_id) for c in case.clocks] == [
            (ClockName.FIRST_RESPONSE, 300.0, "1"),
            (ClockName.NEXT_RESPONSE, 720.0, "d1"),
        ]
        assert {find_case(home.store, id).case.id for id in ("1", "d1", "d3")} == {"acme/x/1"}
        home.store.close()
    assert len(made) == 1


def test_the_brand_may_answer_a_public_complaint_privately(tmp_path: Path) -> None:
    """A DM of the brand to somebody who waits in public is the answer, though nothing public was written."""
    home = house(tmp_path)
    home.take(10, customer("1", 0), brand_dm("b", 9))
    (case,) = home.cases()
    assert (case.status, case.first_response_seconds) == (Status.ANSWERED, 540.0)


def test_a_private_message_of_its_own_is_a_case_of_its_own(tmp_path: Path) -> None:
    """Nothing public was open: the DM is a case; so is one that comes a day after the public one ended."""
    home = house(tmp_path)
    home.take(1, dm("d1", 0))
    assert [c.id for c in home.cases()] == ["acme/x/d1"]
    later = house(tmp_path / "later")
    later.take(9, customer("1", 0), brand("2", 5, "1"))
    later.take(1500, dm("d1", 5 + 24 * 60))
    assert [c.id for c in later.cases()] == ["acme/x/1", "acme/x/d1"]


def test_of_two_public_cases_the_one_last_spoken_in_goes_on(tmp_path: Path) -> None:
    """She complained twice; her DM belongs to what was spoken of last."""
    home = house(tmp_path)
    home.take(9, customer("1", 0), customer("2", 3), brand("3", 5, "1"), brand("4", 7, "2"))
    home.take(10, dm("d1", 9))
    assert find_case(home.store, "d1").case.id == "acme/x/2"


def test_what_was_said_of_the_dm_counts_for_the_case_that_it_joins(tmp_path: Path) -> None:
    """The public post comes in late: nothing is said twice, and who was told hears when she is answered."""
    home, sink = house(tmp_path), Sink()

    def live(minute: float) -> None:
        home.watch(minute)
        dispatch_once(home.store, home.policy, "care", sink, at(minute))

    home.take(8, dm("d1", 8))
    live(24)
    home.take(24.5, customer("1", 0), brand("2", 5, "1"))
    for minute in (25, 26, 40):
        live(minute)
    assert [case.id for case in home.cases()] == ["acme/x/1"]
    assert [(a.stage, a.subject) for a, _ in sink.sent] == [(Stage.BREACH, "acme/x/d1")]
    home.take(45, brand_dm("d2", 44))
    live(45)
    assert [(a.stage, a.subject) for a, _ in sink.sent[1:]] == [(Stage.CLEARED, "acme/x/d1")]


def test_a_private_question_waits_for_the_private_streams_only(tmp_path: Path) -> None:
    """Once she asks by DM, an answer would show among the DMs of that account."""
    home = house(tmp_path)
    home.take(9, *STORY[:3])
    (case,) = home.cases()
    assert (case.public, case.asked_privately, case.waiting_message_id) == (True, "acme", "d1")
