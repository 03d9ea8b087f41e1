"""Alerts are read as they were received: by their keys and words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from simulator.heard import read_blindness, read_claims, read_storms
from simulator.town import Heard

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def heard(key: str, minutes: float, headline: str = "", channel: str = "care-slack") -> Heard:
    return Heard(channel, f"{key}/{channel}/0123456789ab", START + timedelta(minutes=minutes), headline)


def test_a_claim_tells_of_which_wait_it_is() -> None:
    """The case, the clock, its cycle without the round, the stage without its step."""
    (one, two) = read_claims(
        [
            heard("acme/x/17/next_response/2.1/escalated:care_lead/0", 1),
            heard("acme/reddit/t1_a/first_response/0/breach/1", 2, "\u2753 Unknown whether answered (blind)"),
        ]
    )
    assert one.wait == ("acme/x/17", "next_response", 2)
    assert (one.stage, one.repeat, one.unknown) == ("escalated", 0, False)
    assert (two.stage, two.repeat, two.unknown) == ("breach", 1, True)


def test_a_storm_is_heard_from_its_beginning_to_its_end() -> None:
    """Each channel hears it for itself; the last word counts its cases."""
    said = [
        heard("globex_storm_1/first_response/0/storm/0", 10, "Storm at Globex: 26 cases waiting too long"),
        heard("globex_storm_1/first_response/0/storm/0", 10.5, channel="care-mail"),
        heard("globex_storm_1/first_response/0/storm/1", 11, "Storm at Globex: 40 cases waiting too long"),
        heard("globex_storm_1/first_response/0/cleared/0", 30, "The storm at Globex is over: 1,040 cases, 9"),
    ]
    slack, mail = read_storms(said)
    assert (slack.where, slack.begun_at, slack.count) == ("globex", START + timedelta(minutes=10), 1040)
    assert (mail.over_at, mail.count) == (None, None)
    assert slack.covers(START + timedelta(minutes=9), 60) and slack.covers(START + timedelta(minutes=20), 60)
    assert not slack.covers(START + timedelta(minutes=8), 60)
    assert not slack.covers(START + timedelta(minutes=31), 60)
    assert read_claims(said) == []


def test_a_blind_span_is_heard_likewise() -> None:
    """By brand, platform and account; a trouble of another kind is none."""
    said = [
        heard("acme/reddit/acme_support_blind_3/first_response/3/trouble/0", 1),
        heard("channel_care-mail_dead_2026-01-05/first_response/0/trouble/0", 2),
        heard("acme/reddit/acme_support_blind_3/first_response/3/cleared/0", 9),
    ]
    (episode,) = read_blindness(said)
    assert (episode.where, episode.number) == ("acme/reddit/acme_support", 3)
    assert episode.over_at == START + timedelta(minutes=9)
