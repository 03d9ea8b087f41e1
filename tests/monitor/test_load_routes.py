"""[[routes]], [[people]] and the fallback on their way in: what is refused, and what is warned of."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.load import policy_json
from monitor.who import RouteConfig, hidden_routes
from tests.monitor.test_load import SMALL, load, problems

ROUTED = SMALL.replace(
    "[channels.care]",
    """[calendars.office]
hours = { mon-fri = "09:00-17:00" }

[[people]]
name = "ana"
slack = "U012AB3CD"
shift = "office"

[[routes]]
name = "late"
stage = "breach"
brand = "acme"
channels = ["care"]

[[routes]]
name = "rest"
channels = []

[alerts]
fallback = ["care"]

[channels.care]""",
)


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        (
            'channels = ["care"]',
            'channels = ["caer"]',
            "24: routes[0].channels[0]: unknown channel 'caer'; did you mean 'care'?",
        ),
        (
            'stage = "breach"',
            'stage = "late"',
            '22: routes[0].stage: expected "warning", "breach", "storm", "spike"',
        ),
        (
            'stage = "breach"',
            'stag = "breach"',
            "22: routes[0].stag: unknown key 'stag'; did you mean 'stage'?",
        ),
        (
            'stage = "breach"',
            "continu = true",
            "22: routes[0].continu: unknown key 'continu'; did you mean 'continue'?",
        ),
        ('stage = "breach"', "goes_on = true", "22: routes[0].goes_on: unknown key 'goes_on'; known are"),
        (
            'brand = "acme"',
            'brand = "acne"',
            "23: routes[0].brand: unknown brand 'acne'; did you mean 'acme'?",
        ),
        (
            'brand = "acme"',
            'target = "al"',
            "23: routes[0].target[0]: unknown target 'al'; did you mean 'all'?",
        ),
        (
            'brand = "acme"',
            'fallback = ["mail"]',
            "23: routes[0].fallback[0]: unknown channel 'mail'; known are care",
        ),
        ('name = "rest"', 'name = "Late"', "27: routes[1].name: 'Late' is the name of another route"),
        (
            'fallback = ["care"]',
            'people_over = "ops"',
            "31: alerts.people_over: unknown channel 'ops'; known are care",
        ),
        (
            'fallback = ["care"]',
            'people_over = "care"',
            "31: alerts.people_over: 'care' is no channel of type \"smtp\"",
        ),
        (
            'fallback = ["care"]',
            'fallback = ["ops"]',
            "31: alerts.fallback[0]: unknown channel 'ops'; known are care",
        ),
        (
            'shift = "office"',
            'shift = "offce"',
            "18: people[0].shift: unknown calendar 'offce'; did you mean 'office'?",
        ),
        ('slack = "U012AB3CD"', 'slack = "@ana"', "17: people[0].slack: expected a text of the form"),
        (
            'stage = "breach"',
            'stage = "storm"\ncomplaint = true',
            "22: routes[0].stage: a storm, a spike and a trouble have no case; expected",
        ),
        ('[[routes]]\nname = "late"', '[routes]\nname = "late"', "26: is no TOML"),
    ],
)
def test_a_wrong_route_or_person_is_named_with_what_was_expected(
    tmp_path: Path, was: str, becomes: str, said: str
) -> None:
    """A channel that is misspelt would be silence: file, line, key, and what to write instead."""
    assert was in ROUTED
    (problem,) = problems(tmp_path, ROUTED.replace(was, becomes, 1))
    assert problem.removeprefix("monitor.toml:").startswith(said)


@pytest.mark.parametrize("name", ["routes", "people"])
def test_rows_are_tables(tmp_path: Path, name: str) -> None:
    """Whoever forgets the brackets is told how it is written."""
    said = f"monitor.toml:1: {name}: expected tables such as [[{name}]]"
    assert problems(tmp_path, f"{name} = 5\n{SMALL}") == [said]


def test_channels_that_are_no_tables_are_one_mistake(tmp_path: Path) -> None:
    """What is wrong above does not make the check itself fail."""
    text = SMALL.split("[channels.care]")[0] + '[alerts]\nfallback = ["care"]\n'
    assert problems(tmp_path, "channels = 5\n" + text) == [
        "monitor.toml:1: channels: expected tables such as [channels.NAME]",
        "monitor.toml:14: alerts.fallback[0]: unknown channel 'care'; known are none",
    ]


def test_a_person_is_not_there_twice(tmp_path: Path) -> None:
    """Two names for one Slack id would call the wrong one."""
    twice = ROUTED.replace("[[routes]]", '[[people]]\nname = "ben"\nslack = "U012AB3CD"\n\n[[routes]]', 1)
    assert problems(tmp_path, twice) == ["monitor.toml:22: people[1].slack: is that of another person"]


def test_routes_that_are_never_reached_or_leave_a_hole_are_warned_of(tmp_path: Path) -> None:
    """A route below one that takes all that is its own, a stage that no route takes as a whole, and a call
    for people who are not there."""
    assert load(tmp_path, ROUTED).warnings == ()
    below = ROUTED.replace(
        "[alerts]", '[[routes]]\nname = "never"\npublic = true\nchannels = ["care"]\n\n[alerts]'
    )
    (warned,) = load(tmp_path, below).warnings
    assert warned == "routes[2]: 'never' is never reached; 'rest' above takes what is for it"
    open_above = below.replace('name = "rest"', 'name = "rest"\ncontinue = true')
    assert load(tmp_path, open_above).warnings == ()
    hole = ROUTED.replace('name = "rest"', 'name = "rest"\npublic = true\naccount = "elsewhere"')
    assert load(tmp_path, hole).warnings == (
        "routes[1].account: no account has the label 'elsewhere'",
        "routes: not one is for every warning of acme; every spike of acme; every trouble of acme; "
        "the fallback is told of what none is for",
    )
    calling = ROUTED.replace('type = "slack"', 'type = "slack"\nmention = "@oncall"')
    assert load(tmp_path, calling).warnings == ()
    nobody = calling.replace('shift = "office"\n', "")
    assert load(tmp_path, nobody).warnings == (
        "channels.care.mention: nobody in [[people]] has both a shift and a Slack id",
    )


@pytest.mark.parametrize(
    ("above", "below", "hidden"),
    [
        ({}, {}, True),
        ({"continue": True}, {}, False),
        ({"stage": ["breach"]}, {}, False),
        ({"stage": ["warning", "breach"]}, {"stage": "breach"}, True),
        ({}, {"stage": "storm"}, False),  # a storm only where it is named
        ({"stage": ["storm", "breach"]}, {"stage": "storm"}, True),
        ({"brand": "acme"}, {}, False),
        ({}, {"brand": "acme"}, True),
        ({"target": ["a", "b"]}, {"target": "a", "stage": "breach"}, True),
        ({"target": "a"}, {}, False),
        ({"clock": "first_response"}, {"clock": "resolution"}, False),
        # Every priority is every case, but what has no case has none.
        ({"priority": ["low", "normal", "high", "urgent"]}, {"stage": "breach"}, True),
        ({"priority": ["low", "normal", "high", "urgent"]}, {}, False),
        ({"min_followers": 0}, {"min_followers": 5}, True),
    ],
)
def test_a_route_hides_another_only_if_it_takes_all_of_it(
    above: dict[str, object], below: dict[str, object], hidden: bool
) -> None:
    """The warning comes for each route that is never reached, and for no other."""
    rows = [
        RouteConfig.model_validate({"name": n, "channels": [], **keys})
        for n, keys in (("a", above), ("b", below))
    ]
    assert [number for number, _ in hidden_routes(rows)] == ([1] if hidden else [])


def test_who_is_told_is_no_part_of_the_policy_that_cases_are_folded_by(tmp_path: Path) -> None:
    """To change a route folds no case anew: the policy as it is kept stays the same text."""
    plain = policy_json(
        load(
            tmp_path,
            SMALL.replace(
                "[channels.care]",
                '[calendars.office]\nhours = { mon-fri = "09:00-17:00" }\n\n[channels.care]',
            ),
        )
    )
    assert policy_json(load(tmp_path, ROUTED)) == plain
