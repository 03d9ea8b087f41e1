"""Templates of a team's own: what they change, what they cannot do, and how their mistakes are told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from alerts.render import HEADLINE_LENGTH_MAX
from alerts.slack.blocks import build_blocks
from alerts.trial import invented_alerts
from alerts.words import EMAIL, NAMES, TEMPLATE_BYTES_MAX, BadTemplate, Templates, Words
from rules.alert import Alert, Stage, Trouble
from tests.alerts.build import BERLIN, NOON, alert, render, storm_alert

EXTENDS = '{% extends "builtin/case.j2" %}\n'


def own(folder: Path, **texts: str) -> Templates:
    """Templates with these files: name without its end → text; "care__case" is care/case.j2."""
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.j2"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    return Templates(folder, layers=("care", "slack"))


def test_what_is_replaced_changes_and_the_rest_stays(tmp_path: Path) -> None:
    """A hotline and a runbook in each alert, without copying the built-in words."""
    text = EXTENDS + (
        "{% block facts %}{{ super() }}\nHotline: 030 1\n{% endblock %}"
        '{% block links %}{{ super() }}\n{{ link("https://wiki.example/x", "What to do") }}{% endblock %}'
    )
    said = own(tmp_path, case=text).words().render(alert(Stage.BREACH), BERLIN)
    usual = render(alert(Stage.BREACH), BERLIN)
    assert said.facts == (*usual.facts, ("Hotline", "030 1"))
    assert said.link == usual.link
    assert [(each.link_text, each.link) for each in said.more_links] == [
        ("What to do", "https://wiki.example/x")
    ]
    assert "What to do: https://wiki.example/x" in said.text
    assert replace(said, facts=usual.facts, more_links=()) == usual
    shown = json.dumps(build_blocks(alert(Stage.BREACH), said, None))
    assert "https://wiki.example/x" in shown and "Hotline" in shown


def test_the_closest_template_wins(tmp_path: Path) -> None:
    """One channel's words are not another's; what a channel has none for is said as in all others."""
    headlines = {
        name: EXTENDS + f"{{% block headline %}}{name}{{% endblock %}}"
        for name in ("case", "slack__case", "care__case")
    }
    templates = own(tmp_path, **headlines)

    def headline(words: Words) -> str:
        return words.render(alert(Stage.BREACH), BERLIN).headline

    assert headline(templates.words("care", "slack")) == "care__case"
    assert headline(templates.words("other", "slack")) == "slack__case"
    assert headline(templates.words("mail", "smtp")) == "case"
    assert templates.own == ["care/case.j2", "case.j2", "slack/case.j2"]
    storm = templates.words("care", "slack").render(storm_alert(), BERLIN)
    assert storm == render(storm_alert(), BERLIN)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "case",
            EXTENDS + "{% block headline %}\n{{ nobody }}{% endblock %}",
            r"case.j2, line 3: 'nobody' is",
        ),
        (
            "case",
            EXTENDS + "{% block headline %}{{ who | shout }}{% endblock %}",
            "case.j2, line 2: No filter named 'shout'",
        ),
        ("case", "{% if %}", "case.j2, line 1: "),
        ("case", "Hello {{ who }}", 'expected a template that begins with {% extends "builtin/case.j2" %}'),
        ("case", EXTENDS + "{% block headline %}{% endblock %}", "the block headline says nothing"),
        ("case", EXTENDS + "{% block facts %}so be it{% endblock %}", 'expected lines such as "Who: …"'),
        ("case", EXTENDS + "{% block mark %}{{ ''.__class__ }}{% endblock %}", "is unsafe"),
        ("case", '{% extends "case.j2" %}', "template case.j2"),
        ("case", '{% extends "../../etc/passwd" %}', "template case.j2"),
        ("case", "\x01", "no control letters"),
        ("case", "x" * (TEMPLATE_BYTES_MAX + 1), "at most 64 KiB"),
        ("kase", "", "template kase.j2: expected a file named case.j2, storm.j2"),
        (
            "cair__case",
            EXTENDS,
            "template folder cair: no channel has that name or type; known are care, slack",
        ),
        ("email.html", "{{ said.nothing }}", "template email.html.j2, line 1: "),
    ],
)
def test_a_mistake_is_told_before_an_alert_is_needed(tmp_path: Path, name: str, text: str, said: str) -> None:
    """Which file, which line, and what was expected: at the start, not at night."""
    with pytest.raises(BadTemplate) as caught:
        own(tmp_path, **{name: text})
    assert said in str(caught.value)


def test_a_template_that_fails_costs_no_alert(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is said in the built-in words at once, and people are told that something is wrong with theirs."""
    text = (
        EXTENDS + '{% block headline %}{{ "x" if case.priority != "urgent" else case.nothing }}{% endblock %}'
    )
    mail = '{{ "x" if said.headline != "8 min left: @ann_b has waited 7 min on X" else said.nothing }}'
    words = own(tmp_path, case=text, **{"email.html": mail}).words()
    urgent = alert(Stage.BREACH, priority="urgent")
    said = words.render(urgent, BERLIN)
    usual = render(urgent, BERLIN)
    assert replace(said, caveats=()) == usual
    assert "template case.j2, line 2: " in said.caveats[-1] and "nothing" in said.caveats[-1]
    assert (
        "<h1" in words.html(urgent, said, "")
        and words.html(alert(Stage.CLEARED), words.render(alert(Stage.CLEARED), BERLIN), "") == "x"
    )
    assert len(caplog.records) == 2


def test_strangers_words_cannot_be_a_template_or_a_part() -> None:
    """What is in a post is shown as it is: no expression is worked out, no line and no part is forged."""
    evil = "{{ 7 * 7 }}\x01\x02https://evil.example\x03press\nWho: the boss"
    said = render(alert(Stage.BREACH, customer=evil, text=evil, reasons=(evil,), assignee=evil), BERLIN)
    assert [label for label, _ in said.facts].count("Who") == 1
    assert said.link == "https://x.example/ann_b/status/17" and said.more_links == ()
    assert said.quote == "{{ 7 * 7 }}https://evil.examplepress\nWho: the boss"
    assert said.reasons == ("{{ 7 * 7 }}https://evil.examplepress ⏎ Who: the boss",)


def test_a_mails_looks_can_be_ones_own_and_stay_escaped(tmp_path: Path) -> None:
    """A logo above, a legal line below; what strangers wrote is no HTML there either."""
    text = (
        '{% extends "builtin/email.html.j2" %}{% block above %}<img alt="{{ said.headline }}">{% endblock %}'
    )
    words = own(tmp_path, **{"email.html": text}).words()
    evil = alert(Stage.BREACH, customer='"><script>')
    html = words.html(evil, words.render(evil, BERLIN), "")
    assert '<img alt="8 min left: &#34;&gt;&lt;script&gt; has' in html and "<script" not in html
    assert html.startswith("<!doctype html>") and '<html lang="en">' in html


def test_the_built_in_templates_can_say_whatever_there_is() -> None:
    """Each invented alert has a headline, lines with labels, and nothing that is left open."""
    for given in invented_alerts():
        said = render(given, BERLIN)
        assert 0 < len(said.headline) <= HEADLINE_LENGTH_MAX and said.mark
        assert all(label and value for label, value in said.facts)
        assert not any(word in said.text for word in ("None", "{{", "<", "  ", " ,", " :", "\x01", "\x02"))
        assert bool(said.story) == (given.stage is Stage.MOVED)
    assert {f"{kind}.j2" for kind in ("case", "storm", "spike", "trouble")} | {EMAIL} == set(NAMES)


@pytest.mark.parametrize(
    ("language", "when", "wait", "reach"),
    [
        ("en", "Mon 02 Nov 12:53 CET, 7 min ago", "8 min left", "5,600 "),
        ("en-US", "Mon, Nov 2 12:53 PM CET, 7 min ago", "8 min left", "5,600 "),
        ("de", "Mo., 2. Nov. 12:53 MEZ, 7 Min. ago", "8 Min. left", "5.600 "),
        ("pt_BR", "seg., 2 de nov. 12:53 CET, 7 min ago", "8 min left", "5.600 "),
    ],
)
def test_dates_waits_and_numbers_are_in_the_teams_language(
    language: str, when: str, wait: str, reach: str
) -> None:
    """As the team writes them, in its own time zone."""
    said = Templates(language=language).words().render(alert(Stage.WARNING), BERLIN)
    facts = dict(said.facts)
    assert facts["Waiting since"] == when
    assert said.headline.startswith(wait) and facts["Reach"].startswith(reach)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(40, "40 Sek."), (720, "12 Min."), (7500, "2 Std. 5 Min."), (7200, "2 Std."), (273600, "3 Tg. 4 Std.")],
)
def test_a_wait_is_in_two_units_at_most_in_any_language(seconds: float, said: str) -> None:
    """As exact as a person wants it, as in English."""
    trouble = Trouble("blind", "", NOON, 0, "")
    later = Alert("k", "s", Stage.TROUBLE, NOON.fromtimestamp(NOON.timestamp() + seconds, ZoneInfo("UTC")))
    words = Templates(language="de").words()
    told = words.render(replace(later, trouble=trouble), BERLIN)
    assert dict(told.facts)["Since"].endswith(f", {said} ago")


def test_an_unknown_language_is_refused() -> None:
    """With an example of what one looks like."""
    for tag in ("tlh", "../x", "", "german"):
        with pytest.raises(ValueError, match='such as "en", "en-US", "de"'):
            Templates(language=tag)
