"""The commands of `alerts`, as somebody types them: who would be told, what became of it, and trying
again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from monitor.cli import app
from monitor.load import load_config, load_packs, policy_json
from monitor.policy import Policy, make_policy
from monitor.store.store import open_store
from tests.alerts.build import PASSWORD, mail_bench
from tests.monitor.build import House, Sink, brand, customer
from tests.monitor.test_cli import NOW
from tests.monitor.test_routes import send_all
from wire.errors import EdgeError, Refused

CONFIG = """
[brands.acme]
keywords = ["acme"]

[brands.acme.x]
handle = "acme"
bearer_token = { env = "ACME_X_BEARER" }

[calendars.waking]
time_zone = "UTC"
hours = { daily = "07:00-12:00" }

[[targets]]
name = "all"
first_response = "15m"
needs_reply = "any"
repeat = "30m"
repeat_max = 1

[[people]]
name = "ana"
slack = "U012AB3CD"
email = "ana@acme.example"
shift = "always"

[[routes]]
name = "vip"
min_followers = 100000
channels = ["mail"]

[[routes]]
name = "late"
stage = "breach"
channels = ["care", "phone", "mail"]

[[routes]]
name = "rest"
channels = ["care"]

[alerts]
fallback = ["mail"]

[channels.care]
type = "slack"
webhook_url = { env = "CARE_HOOK" }
mention = "@oncall"

[channels.phone]
type = "slack"
webhook_url = { env = "CARE_HOOK" }
hours = "waking"

[channels.mail]
type = "smtp"
host = "127.0.0.1"
port = 9
security = "none"
sender = "monitor@acme.example"
recipients = ["ops@acme.example"]
stages = ["trouble"]
"""


def run(*words: str, config: Path) -> Result:
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, ["alerts", *words, "-c", str(config), *NOW])


def as_json(*words: str, config: Path) -> Any:
    done = run(*words, "--json", config=config)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def home(tmp_path: Path) -> House:
    """Ana's breach was delivered; Ben's and a hostile one's were refused for good; Cleo's still waits."""
    path = tmp_path / "monitor.toml"
    path.write_text(CONFIG, "utf-8")
    (tmp_path / "state").mkdir()
    recipients = {name: f"webhook of {name}" for name in ("care", "phone")} | {"mail": "ops@acme.example"}
    loaded = load_config(path)
    policy: Policy = make_policy(loaded, load_packs(), recipients, policy_json(loaded))
    policy = replace(policy, rows=policy.rows[2:], fallback=(), hours={}, sees_all=True)
    store = open_store(tmp_path / "state" / "monitor.db")
    made = House(store, policy, path)
    made.take(0, customer("1", 0), customer("2", 0.1, who="ben"))
    made.take(
        1, customer("3", 0.2, who="eve", text="@acme \x1b[31mred\x1b[0m [bold]b[/bold] \u202eevil late!")
    )
    made.watch(16)
    refused: list[EdgeError] = [Refused("no_service \x1b[31m"), Refused("no_service \x1b[31m")]
    send_all(made, "care", First(refused), 16)
    made.take(17, customer("4", 1, who="cleo"))
    made.watch(17)
    return made


class First(Sink):
    """A channel that takes the first alert and refuses the next ones."""

    def __init__(self, refusals: list[EdgeError]) -> None:
        super().__init__()
        self.refusals = refusals

    def send(self, alert: Any, previous: Any, time_limit: float) -> Any:
        if self.sent and self.refusals:
            raise self.refusals.pop(0)
        return super().send(alert, previous, time_limit)


def test_route_tells_who_when_and_why(home: House) -> None:
    """Each stage with its time; the channel that sleeps, with the end of its night; the one whose own keys
    left it out; whom it calls; and what the fallback is."""
    found = as_json("route", "acme/x/1", config=home.path)
    stages = {(s["stage"], s["repeat"]): s for s in found["stages"]}
    assert list(stages) == [("warning", 0), ("warning", 1), ("breach", 0), ("breach", 1)]
    assert [t["channel"] for t in stages["warning", 0]["told"]] == ["care"]
    breach = stages["breach", 0]
    assert breach["due_at"] == "2026-03-04T12:15:00Z"
    told = {t["channel"]: t for t in breach["told"]}
    assert list(told) == ["care", "phone"] and told["care"]["routes"] == ["late"]
    assert told["care"]["at"] == "2026-03-04T12:15:00Z" and told["care"]["calls"] == ["U012AB3CD"]
    assert told["phone"]["quiet_hours"] and told["phone"]["at"] == "2026-03-05T07:00:00Z"
    assert breach["reasons"] == [
        "vip: no, 10 followers, fewer than 100000",
        "late: yes, told: care, phone, mail",
        "  mail: left out, it does not say breach",
    ]
    assert found["fallback"] == ["mail"] and found["notes"] == []
    shown = run("route", "1", config=home.path).output
    assert "calls U012AB3CD" in shown and "after its quiet hours" in shown
    assert "if none of them can be told within 10 min: mail" in shown


def test_route_says_what_keeps_everybody_quiet(home: House) -> None:
    """A muted author, a case that somebody took, one that was answered: the routes are not all."""
    cli = CliRunner()
    for words in (("mute", "--author", "ben"), ("ack", "2", "--by", "olga")):
        assert cli.invoke(app, [*words, "-c", str(home.path), *NOW]).exit_code == 0
    notes = as_json("route", "2", config=home.path)["notes"]
    assert notes[0].startswith("muted: the author") and "olga has taken it" in notes[1]
    home.take(18, brand("9", 17.5, "1"))
    assert as_json("route", "1", config=home.path)["notes"] == ["it is answered: this is how it was"]


def test_route_shows_an_invented_complaint(home: House) -> None:
    """Before the first case, the routes can be tried, and what has no case too; nothing is left of it."""
    before = home.store.connection.execute("SELECT count(*) FROM messages").fetchone()
    found = as_json("route", "--example", config=home.path)
    kinds = [s["stage"] for s in found["stages"]]
    assert kinds == ["warning", "warning", "breach", "breach", "storm", "spike", "trouble"]
    assert {s["stage"]: [t["channel"] for t in s["told"]] for s in found["stages"]}["trouble"] == ["care"]
    assert "whoever would have been told of its cases" in run("route", "--example", config=home.path).output
    assert home.store.connection.execute("SELECT count(*) FROM messages").fetchone() == before
    for wrong in (("route",), ("route", "1", "--example"), ("preview", "care")):
        assert run(*wrong, config=home.path).exit_code == 2
    assert run("route", "nobody", config=home.path).exit_code == 1


def test_list_shows_the_latest_first_and_only_what_is_asked_for(home: House) -> None:
    """By state, by channel, by case, and not more than the limit."""
    rows = as_json("list", config=home.path)
    assert [row["number"] for row in rows] == sorted((row["number"] for row in rows), reverse=True)
    states = {row["about"]: row["state"] for row in rows if row["channel"] == "care"}
    assert states == {
        "acme/x/1": "delivered",
        "acme/x/2": "dead",
        "acme/x/3": "dead",
        "acme/x/4": "pending",
    }
    pending = as_json("list", "--state", "pending", "--channel", "care", config=home.path)
    assert [r["about"] for r in pending] == ["acme/x/4"]
    assert len(as_json("list", "--state", "dead", "--limit", "1", config=home.path)) == 1
    assert [r["stage"] for r in as_json("list", "--channel", "mail", config=home.path)] == ["trouble"]
    assert [r["about"] for r in as_json("list", "--case", "2", config=home.path)] == ["acme/x/2"]
    for wrong in (("--state", "lost"), ("--channel", "slak")):
        assert run("list", *wrong, config=home.path).exit_code == 2


def test_show_tells_each_attempt_by_number_or_key(home: House) -> None:
    """What the other side said, and by which route it went; hostile words are inert on the terminal."""
    (row,) = as_json("list", "--case", "2", config=home.path)
    found = as_json("show", str(row["number"]), config=home.path)
    assert found["by_routes"] == ["rest"] and [t["outcome"] for t in found["tries"]] == ["dead"]
    assert as_json("show", found["key"], config=home.path) == found
    shown = run("show", str(row["number"]), config=home.path).output
    assert "no_service" in shown and "\x1b" not in shown
    assert run("show", "999", config=home.path).exit_code == 1


def test_retry_puts_back_dead_letters_and_nothing_else(home: House) -> None:
    """One by its number, all of a channel, all; what is not dead is refused, and so is a vague wish."""
    by_case = {row["about"]: str(row["number"]) for row in as_json("list", config=home.path)}
    done = as_json("retry", by_case["acme/x/2"], "--by", "olga", config=home.path)
    assert done == {"retried": [int(by_case["acme/x/2"])]}
    again = run("retry", by_case["acme/x/2"], config=home.path)
    assert again.exit_code == 1 and "is pending, and only dead letters" in again.output
    delivered = run("retry", by_case["acme/x/1"], config=home.path)
    assert delivered.exit_code == 1 and "is delivered" in delivered.output
    assert as_json("retry", "--channel", "phone", config=home.path) == {"retried": []}
    assert as_json("retry", "--dead", config=home.path) == {"retried": [int(by_case["acme/x/3"])]}
    assert as_json("list", "--state", "dead", config=home.path) == []
    tries = as_json("show", by_case["acme/x/2"], config=home.path)["tries"]
    assert [(t["outcome"], t["detail"]) for t in tries][1:] == [("again", "asked for by olga")]
    for wrong in ((), ("1", "--dead"), ("--channel", "slak")):
        assert run("retry", *wrong, config=home.path).exit_code == 2
    assert run("retry", "999", config=home.path).exit_code == 1


def test_a_retried_alert_wakes_its_channel_and_goes_out(home: House) -> None:
    """The daemon notices what another process put back, and sends only what is still true."""
    home.take(18, brand("9", 17.5, "3"))
    assert run("retry", "--dead", config=home.path).exit_code == 0
    assert "care" in home.watch(21).channels
    sink = Sink()
    send_all(home, "care", sink, 21)
    assert sorted(alert.subject for alert, _ in sink.sent) == ["acme/x/2", "acme/x/4"]


def test_status_shows_the_dead_letters_of_each_channel(home: House) -> None:
    """How many, and the last reason, made inert."""
    cli = CliRunner(env={"COLUMNS": "300"})
    found = json.loads(cli.invoke(app, ["status", "--json", "-c", str(home.path), *NOW]).stdout)
    (dead,) = found["dead_by_channel"]
    assert (found["dead_letters"], dead["channel"], dead["dead"]) == (2, "care", 2)
    assert dead["why"].startswith("no_service")
    shown = cli.invoke(app, ["status", "-c", str(home.path), *NOW]).output
    assert "alerts retry --dead" in shown and "no_service" in shown and "\x1b" not in shown


def test_preview_shows_how_it_reads_and_sends_nothing(home: House, tmp_path: Path) -> None:
    """As text on the terminal; into a file as the channel would send it."""
    text = run("preview", "care", "--case", "3", config=home.path).output
    assert "@eve" in text and "\x1b" not in text and "\u202e" not in text
    out = tmp_path / "a.json"
    assert run("preview", "care", "--example", "--out", str(out), config=home.path).exit_code == 0
    blocks = json.loads(out.read_text("utf-8"))["blocks"]
    assert blocks[1]["text"]["text"] == "<@U012AB3CD>" and out.stat().st_mode & 0o077 == 0
    html = tmp_path / "a.html"
    words = ("preview", "mail", "--example", "--stage", "cleared", "--out", str(html))
    assert run(*words, config=home.path).exit_code == 0
    assert "answered after 12 min by @acme" in html.read_text("utf-8") and "<html" in html.read_text("utf-8")
    plain = tmp_path / "a.txt"
    assert run("preview", "mail", "--case", "1", "--out", str(plain), config=home.path).exit_code == 0
    assert "@ana" in plain.read_text("utf-8") and "<html" not in plain.read_text("utf-8")


def test_a_teams_own_templates_are_shown_and_used(home: House, tmp_path: Path) -> None:
    """Whose words each channel has, the built-in ones to begin with, and what they make, as Slack gets it."""

    def templates(*words: str) -> Result:
        """The command, which asks no clock."""
        env = {"COLUMNS": "300"}
        return CliRunner(env=env).invoke(app, ["alerts", "templates", *words, "-c", str(home.path)])

    built_in = templates("case.j2").stdout
    assert built_in.startswith("{#") and "{% block headline %}" in built_in
    path = tmp_path / "templates" / "care" / "case.j2"
    path.parent.mkdir(parents=True)
    path.write_text('{% extends "builtin/case.j2" %}{% block footer %}Call 110{% endblock %}', "utf-8")
    config = home.path.read_text("utf-8")
    home.path.write_text(config.replace("[alerts]\n", '[alerts]\ntemplates = "templates"\n'), "utf-8")
    listed = templates().stdout
    assert "care/case.j2" in listed and "built-in" in listed
    assert "Call 110" in templates("case.j2", "--channel", "care").stdout
    assert "Call 110" in run("preview", "care", "--example", config=home.path).stdout
    blocks = json.loads(run("preview", "care", "--example", "--raw", config=home.path).stdout)["blocks"]
    assert "Call 110" in json.dumps(blocks)
    assert "Call 110" not in run("preview", "mail", "--example", config=home.path).stdout
    path.write_text("{{", "utf-8")
    wrong = run("preview", "care", "--example", config=home.path)
    assert wrong.exit_code != 0 and "template care/case.j2, line 1: " in wrong.output
    assert templates("kase.j2").exit_code == 2


def test_preview_says_what_cannot_be_shown(home: House) -> None:
    """A stage that the case does not have, a word that is none, a channel that is none."""
    cleared = run("preview", "care", "--case", "1", "--stage", "cleared", config=home.path)
    assert cleared.exit_code == 1 and "still waits" in cleared.output
    escalated = run("preview", "care", "--example", "--stage", "escalated", config=home.path)
    assert escalated.exit_code == 1 and "no stage 'escalated'" in escalated.output
    for wrong in (("care", "--example", "--stage", "loud"), ("slak", "--example")):
        assert run("preview", *wrong, config=home.path).exit_code == 2


def test_a_case_is_assigned_to_the_person_that_is_meant(home: House) -> None:
    """By name, id or address; a name that the config does not have works, with a warning."""
    cli = CliRunner()
    for word, kept, warned in (("U012AB3CD", "ana", False), ("zoe\x1b[31m", "zoe\x1b[31m", True)):
        done = cli.invoke(app, ["assign", "1", word, "-c", str(home.path), *NOW])
        assert done.exit_code == 0 and ("warning: nobody in [[people]]" in done.output) is warned
        assert "\x1b" not in done.output
        assert home.cases()[0].assignee == kept


def test_route_tells_who_hears_that_theirs_is_late(home: House) -> None:
    """Ben has an address only: the breach would be mailed to him, over the channel that is set for that."""
    text = CONFIG.replace(
        "[[routes]]", '[[people]]\nname = "ben"\nemail = "ben@acme.example"\n\n[[routes]]', 1
    )
    text = text.replace("[alerts]\n", '[alerts]\npeople_over = "mail"\n', 1)
    home.path.write_text(text, "utf-8")
    done = CliRunner().invoke(app, ["assign", "1", "ben", "-c", str(home.path), *NOW])
    assert done.exit_code == 0 and "warning" not in done.output
    stages = {(s["stage"], s["repeat"]): s for s in as_json("route", "acme/x/1", config=home.path)["stages"]}
    late = stages["breach", 0]["told"][-1]
    assert (late["channel"], late["recipient"]) == ("mail", "ben@acme.example")
    assert late["notes"] == ["for ben alone, whose it is"]
    assert all(t["recipient"] != "ben@acme.example" for t in stages["warning", 0]["told"])


def test_the_fallback_over_a_real_mail_server_names_the_channel_that_failed(home: House) -> None:
    """What care refused arrives by mail from the daemon's own step, with its reason."""
    from tests.monitor.test_routes import PUBLIC

    with mail_bench() as post:
        mail = post.make()
        policy = replace(home.policy, rows=(PUBLIC,), fallback=("mail",))
        home.policy = replace(
            policy,
            routes=tuple(
                replace(r, recipient=mail.recipient) if r.channel == "mail" else r for r in policy.routes
            ),
        )
        send_all(home, "care", Sink(failures=[Refused("gone")]), 18)
        send_all(home, "mail", mail, 18)
        bodies = [received.texts[1] for received in post.received()]
    assert any("could not be said over care" in body and "@cleo" in body for body in bodies)
    assert not any(PASSWORD in body for body in bodies)
