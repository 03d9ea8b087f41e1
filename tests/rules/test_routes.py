"""Who is told: the rows of [[routes]], the channels' own keys, and the fallback; and who is on shift."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.alert import Reach, Stage
from rules.case import ClockName
from rules.hours import Calendar, Opening
from rules.match import Match, Traits
from rules.meaning.contract import Priority
from rules.message import Kind
from rules.routes import News, Route, Row, find_own, find_routes, find_told, last_resort
from rules.targets import PRIORITY_ORDER
from rules.team import Person, find_person, on_shift, signed_by

ALL = frozenset(Stage)
CARE, LEGAL, MAIL = (
    Route(name, f"#{name}", ALL - {Stage.STORM, Stage.ESCALATED, Stage.TEST})
    for name in ("care", "legal", "mail")
)
TRAITS = Traits("acme", "x", "acme", True, Kind.POST, True, True, True, Priority.NORMAL, 12)
BREACH = News(
    Stage.BREACH, "acme", "x", Priority.NORMAL, ClockName.FIRST_RESPONSE, "public complaint", TRAITS
)
TROUBLE = News(Stage.TROUBLE, "acme", "x")


def names(answer: Any) -> list[str]:
    return [h.route.channel for h in answer.heard]


def some(values: Any) -> Any:
    return st.none() | st.frozensets(st.sampled_from(list(values)), min_size=1)


STAGES = st.sampled_from([Stage.WARNING, Stage.BREACH, Stage.STORM, Stage.SPIKE, Stage.TROUBLE])
BRANDS = st.sampled_from(["acme", "beta", ""])
CHANNELS = ("care", "legal", "mail", "night")
ROUTES = st.lists(
    st.builds(
        Route,
        channel=st.sampled_from(CHANNELS),
        recipient=st.just("#somewhere"),
        stages=st.frozensets(st.sampled_from(list(Stage))),
        brands=some(["acme", "beta"]),
        min_priority=st.sampled_from(list(Priority)),
    ),
    unique_by=lambda r: r.channel,
    max_size=4,
)
MATCHES = st.builds(
    Match,
    brand=st.sampled_from([None, None, "acme", "beta"]),
    connector=st.sampled_from([None, None, "x", "reddit"]),
    complaint=st.sampled_from([None, None, True, False]),
    priorities=some(Priority),
    min_followers=st.sampled_from([None, 10, 1000]),
)
ROWS = st.lists(
    st.builds(
        Row,
        name=st.sampled_from(["a", "b", "c", "d"]),
        channels=st.lists(st.sampled_from(CHANNELS), max_size=3).map(tuple),
        match=MATCHES,
        goes_on=st.booleans(),
        stages=some([Stage.WARNING, Stage.BREACH, Stage.STORM, Stage.SPIKE, Stage.TROUBLE]),
        clocks=some(ClockName),
        targets=some(["t1", "t2"]),
    ),
    unique_by=lambda r: r.name,
    max_size=4,
)


@st.composite
def news(draw: st.DrawFn) -> News:
    """Something to be said: of a case, or, at the stages that have none, of no case."""
    stage, brand = draw(STAGES), draw(BRANDS)
    if stage not in (Stage.WARNING, Stage.BREACH):
        return News(stage, brand, draw(st.sampled_from([None, "x"])))
    priority = draw(st.sampled_from(list(Priority)))
    traits = replace(
        TRAITS,
        brand=brand,
        priority=priority,
        complaint=draw(st.booleans()),
        followers=draw(st.sampled_from([None, 5, 5000])),
    )
    return News(
        stage,
        brand,
        "x",
        priority,
        draw(st.sampled_from(ClockName)),
        draw(st.sampled_from(["t1", "t2"])),
        traits,
    )


@given(ROUTES, ROWS, news(), st.lists(st.sampled_from(CHANNELS), max_size=2), st.integers(0, 3))
def test_going_on_never_tells_fewer(
    routes: list[Route], rows: list[Row], said: News, fallback: list[str], number: int
) -> None:
    """Whoever writes `continue = true` into a route takes nobody away."""
    before = {h.route.channel for h in find_routes(routes, rows, said, fallback).heard}
    more = [replace(row, goes_on=row.goes_on or n == number) for n, row in enumerate(rows)]
    assert before <= {h.route.channel for h in find_routes(routes, more, said, fallback).heard}


@given(ROUTES, news(), st.lists(st.sampled_from(CHANNELS), max_size=2))
def test_without_routes_each_channel_goes_by_its_own_keys(
    routes: list[Route], said: News, fallback: list[str]
) -> None:
    """A config without [[routes]] tells whom it always told, whatever its fallback."""
    expected = [
        r.channel
        for r in routes
        if said.stage is not Stage.STORM
        and said.stage in r.stages
        and (r.brands is None or said.brand in r.brands)
        and PRIORITY_ORDER[said.priority] >= PRIORITY_ORDER[r.min_priority]
    ]
    assert names(find_routes(routes, [], said, fallback)) == expected


@given(ROUTES, ROWS, news(), st.lists(st.sampled_from(CHANNELS), max_size=2))
def test_somebody_is_told_or_it_is_explained(
    routes: list[Route], rows: list[Row], said: News, fallback: list[str]
) -> None:
    """Nobody is told twice; where nobody is, a reason stands for each channel and each route; and what no
    route is for reaches the fallback."""
    answer = find_routes(routes, rows, said, fallback)
    assert len(names(answer)) == len(set(names(answer)))
    matched = [row for row in rows if row.mismatch(said) is None]
    if not answer.heard:
        left_out = sum(reason.startswith("  ") for reason in answer.reasons)
        known = [c for row in matched[:1] for c in row.channels if c in {r.channel for r in routes}]
        assert len(answer.reasons) >= len(rows[: rows.index(matched[0])] if matched else rows)
        assert left_out >= len(known)
    if rows and not matched and said.stage is not Stage.STORM:
        assert {h.route for h in answer.heard} == set(last_resort(routes, fallback, said.brand))


def test_the_first_route_that_matches_is_the_last_that_is_asked() -> None:
    """Top to bottom, as with targets; with `continue` the next ones are asked too, and nobody hears twice."""
    rows = [
        Row("refunds", ("legal",), Match(topics=frozenset({"refund"}))),
        Row("complaints", ("care", "legal"), Match(complaint=True)),
        Row("rest", ("mail", "care")),
    ]
    answer = find_routes([CARE, LEGAL, MAIL], rows, BREACH)
    assert names(answer) == ["care", "legal"]
    assert answer.reasons == (
        "refunds: no, topic is none, not refund",
        "complaints: yes, told: care, legal",
    )
    rows[1] = replace(rows[1], goes_on=True)
    answer = find_routes([CARE, LEGAL, MAIL], rows, BREACH)
    assert [(h.route.channel, h.rows) for h in answer.heard] == [
        ("care", ("complaints", "rest")),
        ("legal", ("complaints",)),
        ("mail", ("rest",)),
    ]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"stages": frozenset({Stage.WARNING})}, "stage is breach, not warning"),
        ({"clocks": frozenset({ClockName.RESOLUTION})}, "clock is first_response, not resolution"),
        ({"targets": frozenset({"dm", "email"})}, "target is public complaint, not dm or email"),
        ({"match": Match(public=False)}, "public is true, not false"),
        ({"match": Match(min_followers=1000)}, "12 followers, fewer than 1000"),
        ({"match": Match(brand="beta")}, "brand is acme, not beta"),
    ],
)
def test_a_route_says_why_it_is_not_for_a_case(row: dict[str, Any], why: str) -> None:
    """Whoever wonders reads the key that did it."""
    assert Row("r", ("care",), **row).mismatch(BREACH) == why


def test_a_channels_own_keys_still_filter() -> None:
    """A route to a channel that says no warnings does not make it say them."""
    quiet = replace(CARE, stages=frozenset({Stage.BREACH}))
    strict = replace(LEGAL, min_priority=Priority.HIGH)
    rows = [Row("all", ("care", "legal"))]
    warning = replace(BREACH, stage=Stage.WARNING)
    answer = find_routes([quiet, strict, MAIL], rows, warning, fallback=["mail"])
    assert answer.heard == ()
    assert answer.reasons[1:] == (
        "  care: left out, it does not say warning",
        "  legal: left out, priority is normal, below high",
    )


def test_a_route_to_nobody_is_silence_on_purpose() -> None:
    """What a team decided not to hear does not come back over the fallback."""
    assert find_routes([CARE, MAIL], [Row("hush", ())], BREACH, fallback=["mail"]).heard == ()


def test_what_has_no_case_goes_by_brand_connector_and_stage() -> None:
    """A trouble is not told to those who asked for followers, and is told to whoever stands below."""
    rows = [
        Row("vip", ("legal",), Match(min_followers=10_000)),
        Row("reddit", ("legal",), Match(connector="reddit")),
        Row("x", ("care",), Match(brand="acme", connector="x")),
    ]
    assert names(find_routes([CARE, LEGAL], rows, TROUBLE)) == ["care"]
    spike = News(Stage.SPIKE, "acme")
    assert find_routes([CARE, LEGAL], rows, spike).heard == ()
    assert "spike has no case" in (rows[0].mismatch(spike) or "")


def test_a_storm_is_added_only_where_a_route_names_it() -> None:
    """A storm follows its cases; a route that names storms is told besides."""
    storm = News(Stage.STORM, "acme")
    assert find_routes([CARE, MAIL], [Row("all", ("care",))], storm, fallback=["mail"]).heard == ()
    rows = [Row("all", ("care",)), Row("storms", ("mail",), stages=frozenset({Stage.STORM}))]
    assert names(find_routes([CARE, MAIL], rows, storm)) == ["mail"]


def test_the_fallback_is_told_whatever_it_says_otherwise_and_keeps_to_its_brands() -> None:
    """The last resort hears what it never asked for, but nothing of another brand."""
    mail = Route("mail", "ops@acme.example", frozenset({Stage.TROUBLE}), frozenset({"acme"}), Priority.URGENT)
    rows = [Row("beta", ("care",), Match(brand="beta"))]
    answer = find_routes([CARE, mail], rows, BREACH, fallback=["mail"])
    assert [(h.route.channel, h.fallback) for h in answer.heard] == [("mail", True)]
    assert answer.reasons[-1] == "no route is for it: the fallback mail is told"
    assert find_routes([CARE, mail], [], BREACH, fallback=["mail"]).heard[0].route == CARE
    assert last_resort([mail], ["mail"], "beta") == ()


def test_what_is_over_is_told_to_those_who_were_told() -> None:
    """Nobody hears "answered" of what they never heard; the fallback does, even if it says no such things."""
    mail = replace(MAIL, stages=frozenset({Stage.TROUBLE}))
    told = {(r.channel, r.recipient) for r in (CARE, mail)}
    assert [h.route for h in find_told([CARE, LEGAL, mail], told)] == [CARE]
    assert [h.route for h in find_told([CARE, LEGAL, mail], told, {("mail", "#mail")})] == [CARE, mail]


OFFICE = Calendar("office", "Europe/Berlin", tuple(Opening(day, 9 * 60, 17 * 60) for day in range(5)))
NIGHT = Calendar("night", "Europe/Berlin", tuple(Opening(day, 22 * 60, 30 * 60) for day in range(7)))
ANA = Person("Ana", "U0ANA", "ana@acme.example", "^AN", "office")
BEN = Person("ben", "U0BEN", signature="^BAN", shift="night")
CLEO = Person("cleo", "U0CLEO", shift="always")
DAN = Person("dan", "U0DAN")
HOURS = {"office": OFFICE, "night": NIGHT, "always": None}


@pytest.mark.parametrize(
    ("day", "hour", "minute", "expected"),
    [
        (4, 7, 59, ["cleo"]),
        (4, 8, 0, ["Ana", "cleo"]),  # nine o'clock in Berlin
        (4, 15, 59, ["Ana", "cleo"]),
        (4, 16, 0, ["cleo"]),
        (4, 21, 0, ["ben", "cleo"]),
        (5, 4, 59, ["ben", "cleo"]),  # past midnight
        (7, 12, 0, ["cleo"]),  # a Saturday
    ],
)
def test_whoever_is_on_shift_is_on_shift_to_the_minute(
    day: int, hour: int, minute: int, expected: list[str]
) -> None:
    """Nobody is called before their shift, after it, or without one."""
    then = datetime(2026, 3, day, hour, minute, tzinfo=UTC)
    assert [p.name for p in on_shift([ANA, BEN, CLEO, DAN], HOURS, then)] == expected


def test_a_shift_without_hours_calls_nobody() -> None:
    """A calendar that is gone is no reason to call somebody at night."""
    assert on_shift([ANA], {}, datetime(2026, 3, 4, 12, tzinfo=UTC)) == ()


@pytest.mark.parametrize("word", ["ana", "ANA", "@Ana", " u0ana ", "Ana@Acme.example"])
def test_a_person_is_known_by_name_id_or_address(word: str) -> None:
    """Whatever a tool calls somebody, the case is theirs."""
    assert find_person([BEN, ANA], word) == ANA


def test_a_stranger_is_nobody() -> None:
    """No case goes to somebody because of an empty word."""
    assert find_person([ANA, DAN], "zoe") is None
    assert find_person([ANA, DAN], "") is None
    assert find_person([ANA], None) is None


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("We look into it ^AN", ANA),
        ("We look into it ^AN \n", ANA),
        ("We look into it ^BAN", BEN),
        ("^AN wrote before", None),
        ("", None),
    ],
)
def test_a_reply_is_by_whoever_signed_it(text: str, who: Person | None) -> None:
    """The all-clear names the colleague, and nobody who did not sign."""
    assert signed_by([ANA, BEN, CLEO], text) == who


def test_a_signature_is_a_word_of_its_own() -> None:
    """ "Norman" is not signed by "an"."""
    assert signed_by([Person("ana", signature="an")], "Yours, Norman") is None
    assert signed_by([Person("ana", signature="an")], "Yours, an") is not None


CALLED = Reach(CARE.recipient, hears_all=True)
ALONE = Reach("ana@acme.example", hears_all=False)
AMONG = Reach("ana@acme.example", hears_all=True)


@pytest.mark.parametrize(
    ("heard", "reaches", "otherwise", "theirs", "late"),
    [
        ((CARE, MAIL), {"care": CALLED, "mail": ALONE}, None, ("care", "#care"), None),
        ((MAIL, CARE), {"care": CALLED, "mail": ALONE}, None, ("care", "#care"), None),
        ((CARE, MAIL), {"mail": ALONE}, None, ("mail", "ana@acme.example"), ("mail", "ana@acme.example")),
        ((CARE, MAIL), {"mail": AMONG}, None, ("mail", "ana@acme.example"), None),
        ((CARE,), {"mail": ALONE}, None, None, None),
        ((CARE,), {"mail": ALONE}, "mail", ("mail", "ana@acme.example"), ("mail", "ana@acme.example")),
        ((CARE,), {"care": CALLED, "mail": ALONE}, "mail", ("care", "#care"), None),
        ((), {}, "mail", None, None),
    ],
    ids=[
        "called in Slack, and no mail",
        "called in Slack, whatever stands first",
        "no id in Slack: by mail",
        "reads the team's mails: told that it is theirs, not again that it is late",
        "over no channel of the routes, and no other",
        "over the other channel",
        "the other only where it must be",
        "nobody knows how",
    ],
)
def test_one_person_is_told_over_one_channel(
    heard: tuple[Route, ...],
    reaches: dict[str, Reach],
    otherwise: str | None,
    theirs: tuple[str, str] | None,
    late: tuple[str, str] | None,
) -> None:
    """Whose a case is hears so once, where they notice it, and never twice of the same."""
    found = [
        find_own((CARE, LEGAL, MAIL), heard, reaches, otherwise, "acme", late=is_late)
        for is_late in (False, True)
    ]
    assert [None if r is None else (r.channel, r.recipient) for r in found] == [theirs, late]


def test_the_channel_of_people_keeps_to_its_brands() -> None:
    """What is said of a brand is for its own people."""
    other = replace(MAIL, brands=frozenset({"other"}))
    assert find_own((other,), (), {"mail": ALONE}, "mail", "acme", late=False) is None
    mine = find_own((other,), (), {"mail": ALONE}, "mail", "other", late=False)
    assert mine is not None and not mine.updates
