"""The words of an alert: what a care lead reads at a glance, for each stage."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from alerts.render import HEADLINE_LENGTH_MAX, QUOTE_LENGTH_MAX, Rendered, render
from rules.alert import Alert, Stage, Trouble
from tests.alerts.build import BERLIN, NOON, alert


def said(stage: Stage, minutes: float = 0, repeat: int = 0, **changes: Any) -> Rendered:
    """What is said so many minutes after noon; @ann_b's 15 minutes end at 12:08 UTC, 13:08 in Berlin."""
    return render(alert(stage, at=NOON + timedelta(minutes=minutes), repeat=repeat, **changes), BERLIN)


def test_a_warning_says_who_waits_where_since_when_and_how_long_is_left() -> None:
    """One look at a warning is enough to decide who answers, and by when."""
    found = said(Stage.WARNING, assignee="Bo", acknowledged_by="Cleo")
    assert found.headline == "8 min left: @ann_b has waited 7 min on X"
    assert dict(found.facts) == {
        "Who": "@ann_b (1,234 followers)",
        "Where": "X, public, to @acmehelp (acme)",
        "Waiting since": "Mon 02 Nov 12:53 CET, 7 min ago",
        "Target": "8 min left of 15 min (public), due Mon 02 Nov 13:08 CET",
        "Priority": "high",
        "Reach": "5,600 (views, or likes and reposts)",
        "Messages": "2 from this customer so far",
        "Assigned to": "Bo",
        "Taken by": "Cleo",
    }
    assert found.quote == "My order never came.\nStill no answer?"
    assert found.reasons == ('says that it still waits: "still no"', "negative wording")
    assert found.link == "https://x.example/ann_b/status/17"
    assert found.link_text == "Open on X and reply"
    for part in (found.headline, found.quote.replace("\n", "\n> "), found.link, *found.reasons):
        assert part in found.text


@pytest.mark.parametrize(
    ("minutes", "repeat", "headline"),
    [
        (8, 0, "Late now: @ann_b has waited 15 min on X"),
        (13, 0, "5 min late: @ann_b has waited 20 min on X"),
        (23, 1, "Still no answer, 15 min late: @ann_b has waited 30 min on X (reminder 1)"),
    ],
)
def test_a_breach_says_how_late_it_is(minutes: float, repeat: int, headline: str) -> None:
    """A breach begins with how long the promise has been broken, and a reminder says that it is one."""
    found = said(Stage.BREACH, minutes, repeat)
    assert found.headline == headline
    assert "was due Mon 02 Nov 13:08 CET" in dict(found.facts)["Target"]


def test_an_all_clear_says_how_it_ended() -> None:
    """Who sees the all-clear knows who answered, after how long, and whether the promise was kept."""
    found = said(Stage.CLEARED, 5)
    assert found.headline == "@ann_b on X: answered after 12 min by @acmehelp"
    assert dict(found.facts)["Answered"] == "Mon 02 Nov 13:05 CET, within the target of 15 min"
    late = said(Stage.CLEARED, 20, answered_at=NOON + timedelta(minutes=20))
    assert dict(late.facts)["Answered"] == "Mon 02 Nov 13:20 CET, 12 min after the target of 15 min"
    assert not found.reasons


def test_a_correction_says_what_was_wrong_and_what_is_true() -> None:
    """A false alert is taken back in so many words."""
    found = said(Stage.CORRECTED, 20)
    assert found.headline == "Correction: @ann_b on X had an answer: answered after 12 min by @acmehelp"
    assert dict(found.facts)["We said"] == "that nobody had answered; we saw the answer late"
    assert dict(found.facts)["In truth"] == "answered after 12 min by @acmehelp"


@pytest.mark.parametrize("stage", [Stage.WARNING, Stage.BREACH, Stage.CLEARED, Stage.CORRECTED])
def test_a_private_text_is_not_shown_unless_allowed(stage: Stage) -> None:
    """A DM's alert says that there is a text and that it is not shown."""
    found = said(stage, public=False, text=None)
    assert found.quote is None
    assert dict(found.facts)["They wrote"] == "private message, text not shown"
    assert "X, DM, to @acmehelp" in found.text
    assert "Reach" not in dict(found.facts)


def test_what_could_not_be_seen_is_admitted() -> None:
    """An alert that goes out half blind says so."""
    caveat = "no reply seen through 12:03; posts of @acme not visible since"
    assert f"Note: {caveat}" in said(Stage.BREACH, 13, caveats=(caveat,)).text


def test_no_reason_for_a_complaint_is_given_where_there_is_none() -> None:
    """A mere question is not called a complaint."""
    assert "complaint" not in said(Stage.WARNING, complaint=False).text


def test_a_trouble_says_since_when_how_many_wait_and_what_to_do() -> None:
    """An alert about ourselves is an instruction, not a riddle."""
    found = said(Stage.TROUBLE)
    assert found.headline == "@acme on x refuses us"
    assert dict(found.facts) == {
        "Since": "Mon 02 Nov 12:55 CET, 5 min ago",
        "What": "mentions: 403",
        "Waiting there": "3 cases",
        "What to do": "Give the permission",
    }


def test_an_alert_about_nothing_is_refused() -> None:
    """A broken alert is an error, not an empty mail."""
    with pytest.raises(ValueError, match="about nothing"):
        render(Alert("k", "s", Stage.BREACH, NOON), BERLIN)


def test_a_flood_of_words_stays_readable() -> None:
    """Ten thousand letters or lines of a customer leave the link and the target in sight."""
    for text in ("A" * 10_000, "a\n" * 5_000, "\n" * 10_000, "💥" * 10_000):
        found = said(Stage.BREACH, 13, text=text, customer=text, reasons=(text,) * 50, caveats=(text,) * 50)
        assert len(found.headline) <= HEADLINE_LENGTH_MAX
        assert found.quote is not None and len(found.quote) <= QUOTE_LENGTH_MAX
        assert found.text.count("\n") < 80
        assert "5 min late" in found.headline


def test_a_line_of_strangers_cannot_pose_as_ours() -> None:
    """A customer whose words contain line ends cannot add facts, quotes or notes to an alert."""
    trick = "hi\nTarget: 2 h left\n\nNote: nothing to do"
    found = said(Stage.WARNING, customer=trick, text=trick)
    ours = [line for line in found.text.split("\n") if line.startswith(("Target:", "Note:"))]
    assert ours == ["Target: 8 min left of 15 min (public), due Mon 02 Nov 13:08 CET"]


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "https://x.example/a b", 'https://x.example/"onclick="x', "ftp://x.example", ""],
)
def test_only_plain_links_of_the_web_are_shown(url: str) -> None:
    """A link in an alert can be pressed without fear."""
    assert said(Stage.WARNING, url=url).link is None


def test_the_thread_of_a_case_keeps_its_title() -> None:
    """Mail programs that thread by subject keep a case's alerts together."""
    titles = {said(stage).thread_title for stage in (Stage.WARNING, Stage.BREACH, Stage.CLEARED)}
    assert titles == {"@ann_b waits for an answer on X (acme)"}


def test_a_test_says_that_nothing_is_wrong() -> None:
    """Nobody runs because somebody tried a channel."""
    trouble = Trouble("This is a test", "check --send was called. Nothing is wrong.", NOON)
    found = render(Alert("test", "test care", Stage.TEST, NOON, trouble=trouble), BERLIN)
    assert found.headline == "This is a test"
    assert [label for label, _ in found.facts] == ["What"]
