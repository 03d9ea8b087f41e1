"""The words of an alert: what a care lead reads at a glance, for each stage."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from alerts.render import HEADLINE_LENGTH_MAX, QUOTE_LENGTH_MAX, Rendered, awaits
from rules.alert import Alert, Stage, Trouble
from tests.alerts.build import BERLIN, NOON, alert, render


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
    assert found.headline == "@acme on x refuses us; 3 cases were waiting"
    assert dict(found.facts) == {
        "Since": "Mon 02 Nov 12:55 CET, 5 min ago",
        "What": "mentions: 403",
        "Waiting there": "3 cases",
        "What to do": "Give the permission",
    }


def test_that_we_are_blind_is_said_with_how_many_wait_there() -> None:
    """Who reads that we cannot see knows at once since when and how much hangs on it, and when it is over."""
    for waiting, words in ((7, "; 7 cases were waiting"), (1, "; 1 case was waiting"), (0, "")):
        trouble = Trouble("We are blind on @acme on x since 12:03 UTC", "time-outs", NOON, waiting)
        found = render(Alert("k", "blind", Stage.TROUBLE, NOON, trouble=trouble), BERLIN)
        assert found.headline == f"We are blind on @acme on x since 12:03 UTC{words}"
        assert found.thread_title == "We are blind on @acme on x since 12:03 UTC"
    trouble = Trouble("We see @acme on x again", "", NOON, 7)
    over = render(Alert("k", "blind", Stage.CLEARED, NOON, trouble=trouble), BERLIN)
    assert over.headline == "We see @acme on x again"
    long = Trouble("A" * 300, "", NOON, 7)
    flooded = render(Alert("k", "blind", Stage.TROUBLE, NOON, trouble=long), BERLIN)
    assert flooded.headline.endswith("; 7 cases were waiting")
    assert len(flooded.headline) == HEADLINE_LENGTH_MAX


def test_a_wait_for_the_next_answer_is_told_as_one() -> None:
    """Who had an answer and asked again is not told of as if nobody had ever answered."""
    clock: dict[str, Any] = {"clock": "next_response"}
    assert (
        said(Stage.WARNING, **clock).headline
        == "8 min left: @ann_b has waited 7 min for the next answer on X"
    )
    late = said(Stage.BREACH, 13, **clock)
    assert late.headline == "5 min late: @ann_b has waited 20 min for the next answer on X"
    assert dict(late.facts)["Waiting again since"] == "Mon 02 Nov 12:53 CET, 20 min ago"


RESOLUTION: dict[str, Any] = {
    "clock": "resolution",
    "target_seconds": 2 * 86400.0,
    "target_name": "email",
    "waiting_since": NOON - timedelta(days=2, minutes=5),
    "due_at": NOON - timedelta(minutes=5),
}


def test_a_case_that_is_not_resolved_is_told_as_that() -> None:
    """A case that was answered and is still open does not claim that nobody answered."""
    found = said(Stage.BREACH, **RESOLUTION)
    assert found.headline == "5 min late: @ann_b on X, not resolved for 2 d"
    assert dict(found.facts)["Open since"] == "Sat 31 Oct 12:55 CET, 2 d ago"
    assert dict(found.facts)["Target"].startswith("5 min late, target 2 d (email), was due Mon 02 Nov 12:55")
    again = said(Stage.BREACH, 10, 1, **RESOLUTION)
    assert again.headline == "Still not resolved, 15 min late: @ann_b on X, not resolved for 2 d (reminder 1)"
    assert "answer" not in f"{found.text} {again.text} {found.thread_title}".replace("no answer?", "")
    over: dict[str, Any] = {"outcome": "resolved by olga", "answered_at": NOON}
    cleared = said(Stage.CLEARED, **RESOLUTION, **over)
    assert cleared.headline == "@ann_b on X: resolved by olga"
    assert dict(cleared.facts)["Resolved"] == "Mon 02 Nov 13:00 CET, 5 min after the target of 2 d"
    corrected = said(Stage.CORRECTED, **RESOLUTION, **over)
    assert corrected.headline == "Correction: @ann_b on X: resolved by olga"
    assert dict(corrected.facts)["We said"] == "that it was not resolved; we saw late that it was over"


@pytest.mark.parametrize("clock", ["first_response", "next_response", "resolution"])
@pytest.mark.parametrize(
    ("stage", "repeat", "headline"),
    [
        (Stage.WARNING, 0, "Unknown whether answered (blind since 13:03): @ann_b wrote on X 20 min ago"),
        (Stage.BREACH, 0, "Unknown whether answered (blind since 13:03): @ann_b wrote on X 20 min ago"),
        (
            Stage.BREACH,
            2,
            "Unknown whether answered (blind since 13:03): @ann_b wrote on X 20 min ago (reminder 2)",
        ),
        (
            Stage.ESCALATED,
            0,
            "Escalated to the lead, unknown whether answered (blind since 13:03): "
            "@ann_b wrote on X 20 min ago",
        ),
    ],
)
def test_what_is_unknown_is_called_unknown(stage: Stage, repeat: int, headline: str, clock: str) -> None:
    """While we are blind no alert claims that somebody waits, or that nobody answered: it says since when
    we cannot know, and where to look."""
    blind = NOON + timedelta(minutes=3)
    found = said(stage, 13, repeat, unknown_since=blind, clock=clock, text="My order never came.")
    assert found.headline == headline
    facts = dict(found.facts)
    assert facts["Answered?"] == (
        "unknown: we have been blind since Mon 02 Nov 13:03 CET; look at the platform itself"
    )
    assert facts["Target"] == "15 min (public), was due Mon 02 Nov 13:08 CET"
    assert facts["Asked"] == "Mon 02 Nov 12:53 CET, 20 min ago"
    assert (found.mark, found.link_text) == ("❓", "Open on X and look")
    for claim in ("has waited", "no answer", " late", "waits for", "Waiting since", "not resolved"):
        assert claim not in f"{found.text} {found.thread_title}"


def test_taking_back_what_was_unknown_says_what_had_been_said() -> None:
    """A correction does not confess to a claim that was never made."""
    found = said(Stage.CORRECTED, 20, unknown_since=NOON)
    assert dict(found.facts)["We said"] == "that we did not know whether anybody had answered"


def test_an_escalation_says_to_whom_it_has_come() -> None:
    """Who is called at last sees why it came to them and how late it is; a repeat says that it is one."""
    found = said(Stage.ESCALATED, 13)
    assert found.headline == "Escalated to the lead, 5 min late: @ann_b has waited 20 min on X"
    assert found.facts[2] == ("Escalated to", "the lead")
    assert said(Stage.ESCALATED, 13, 1).headline.endswith(" has waited 20 min on X (reminder 1)")
    early = said(Stage.ESCALATED, clock="next_response")
    assert early.headline == (
        "Escalated to the lead, 8 min left: @ann_b has waited 7 min for the next answer on X"
    )
    nameless = replace(alert(Stage.ESCALATED), step=None)
    assert render(nameless, BERLIN).headline.startswith("Escalated, 8 min left: ")
    tricky = replace(alert(Stage.ESCALATED), step="a\nTarget: none " + "b" * 300)
    assert len(render(tricky, BERLIN).headline) <= HEADLINE_LENGTH_MAX
    assert "@ann_b has waited" in render(tricky, BERLIN).headline


@pytest.mark.parametrize(
    ("calendar", "words"),
    [
        ("office", " in office hours"),
        ("office_hours", " in office hours"),
        ("weekdays", " in weekdays hours"),
        ("always", ""),
        (None, ""),
    ],
)
def test_a_target_in_opening_hours_says_so(calendar: str | None, words: str) -> None:
    """Nobody wonders why two hours have lasted over the night."""
    hours: dict[str, Any] = {
        "calendar": calendar,
        "target_seconds": 7200.0,
        "target_name": "email",
        "due_at": NOON + timedelta(hours=1),
    }
    due = "due Mon 02 Nov 14:00 CET"
    assert dict(said(Stage.WARNING, **hours).facts)["Target"] == f"1 h left of 2 h{words} (email), {due}"
    late = dict(said(Stage.BREACH, 65, **hours).facts)["Target"]
    assert late == f"5 min late, target 2 h{words} (email), was {due}"
    ended = dict(said(Stage.CLEARED, **hours).facts)["Answered"]
    assert ended == f"Mon 02 Nov 13:05 CET, within the target of 2 h{words}"


def test_closed_hours_ahead_are_not_told_as_time_left() -> None:
    """On Friday evening nobody reads "64 h left" of half an hour: the alert says when it is due."""
    found = said(
        Stage.WARNING, calendar="office", target_seconds=1800.0, due_at=NOON + timedelta(hours=20, minutes=15)
    )
    assert found.headline == "Due Tue 09:15: @ann_b has waited 7 min on X"
    assert dict(found.facts)["Target"] == "30 min in office hours (public), due Tue 03 Nov 09:15 CET"


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


@pytest.mark.parametrize(
    ("changes", "headline", "line"),
    [
        ({}, "Taken by @ana: @ann_b has waited 20 min on X", "13:13 taken by @ana"),
        (
            {"moved": "snooze", "snoozed_until": NOON + timedelta(minutes=28)},
            "Snoozed until 13:28 by @ana: @ann_b has waited 20 min on X",
            "13:13 snoozed until 13:28 by @ana",
        ),
        (
            {"moved": "assign", "assignee": "Bo"},
            "Given to Bo by @ana: @ann_b has waited 20 min on X",
            "13:13 given to Bo by @ana",
        ),
        (
            {"moved": "not_complaint"},
            "No complaint, says @ana: @ann_b has waited 20 min on X",
            "13:13 no complaint, says @ana",
        ),
        (
            {"moved_by": "<!channel>\nBcc: x"},
            "Taken by <!channel> ⏎ Bcc: x: @ann_b has waited 20 min on X",
            "13:13 taken by <!channel> ⏎ Bcc: x",
        ),
        ({"unknown_since": NOON}, "Taken by @ana: @ann_b wrote on X 20 min ago", "13:13 taken by @ana"),
    ],
)
def test_what_people_did_is_said_first(changes: dict[str, Any], headline: str, line: str) -> None:
    """One look tells who has it, or until when it rests; the story has the same words, with the time."""
    given = alert(Stage.MOVED, at=NOON + timedelta(minutes=13), **changes)
    assert render(given, BERLIN).headline == headline
    assert render(given, BERLIN).story == line


def test_who_waits_is_who_something_can_be_done_for() -> None:
    """Buttons stand where a customer waits, and nowhere else."""
    stages = {stage for stage in Stage if awaits(alert(stage))}
    assert stages == {Stage.WARNING, Stage.BREACH, Stage.ESCALATED, Stage.MOVED}
    assert not awaits(alert(Stage.MOVED, outcome="resolved by @ana"))
