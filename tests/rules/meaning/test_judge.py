"""What a verdict promises: complaints found and explained, closings left alone, never slow."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.meaning.contract import Priority
from rules.meaning.judge import make_judge
from rules.meaning.patterns import Pattern
from rules.message import Author, Kind
from tests.rules.meaning.support import CUSTOMER, POLICY, english, heard, judge_of, message

COMPLAINTS = [
    "@acme three weeks and still no answer about my parcel. Unacceptable.",
    "@acme your app crashes every time I open it, please fix this",
    "@acme I was promised a refund last month and nobody has called me back",
    "@acme great, another cancelled delivery. Thanks for nothing",
    "@acme been on hold for 50 minutes and then you hung up on me",
    "@acme the blender you sent arrived damaged and the box was empty",
    "@acme never buying from you again, taking my business elsewhere",
    "Why does acme charge me twice for the same order?? This is a scam",
    "@acme how hard is it to answer an email?",
]
QUIET = [
    "@acme thank you!",
    "@acme thanks so much for your help, all sorted now",
    "@acme ok great, thanks",
    "@acme 👍😀",
    "@acme perfect, cheers!",
    "@acme I love the new colours, you are amazing!",
    "RT @somebody: @acme opens a shop in Leeds today",
]
QUESTIONS = [
    "@acme do you ship to Norway?",
    "@acme how do I change the colour of the lamp",
    "@acme what time does the shop open on Sunday?",
    "@acmehelp can you tell me which filter fits the kettle",
]


@pytest.mark.parametrize("text", COMPLAINTS)
def test_a_complaint_is_found_and_says_why(text: str) -> None:
    """A customer who complains is seen as such, is owed a reply, and the alert can say why."""
    verdict = judge_of().judge(message(text))
    assert verdict.is_complaint
    assert verdict.needs_reply
    assert verdict.reasons
    assert verdict.topics


@pytest.mark.parametrize("text", QUIET)
def test_nobody_is_alerted_for_thanks_praise_or_a_repost(text: str) -> None:
    """A message that asks for nothing starts no target and is no complaint."""
    verdict = judge_of().judge(message(text))
    assert not verdict.is_complaint
    assert not verdict.needs_reply
    assert verdict.priority is Priority.LOW
    assert verdict.reasons


@pytest.mark.parametrize("text", QUESTIONS)
def test_a_question_needs_a_reply_and_is_no_complaint(text: str) -> None:
    """Somebody who only asks is answered, but not reported as angry."""
    verdict = judge_of().judge(message(text))
    assert verdict.needs_reply
    assert not verdict.is_complaint


def test_an_unclear_message_to_us_needs_a_reply_and_chatter_about_us_does_not() -> None:
    """When in doubt, who speaks to the brand is answered; who only names it among friends is left alone."""
    words = "my order number is 4711"
    assert judge_of().judge(message(f"@acme {words}")).needs_reply
    chatter = judge_of().judge(message("walked past the Acme building with my sister"))
    assert chatter.relevant
    assert not chatter.needs_reply


@pytest.mark.parametrize(
    "text",
    ["@acme no answer", "@acme no reply", "@acme no help, great", "@acme have you done it", "@acme ??"],
)
def test_a_short_cry_is_not_taken_for_a_goodbye(text: str) -> None:
    """Somebody who says little because nobody answers is not dropped as one who takes leave."""
    assert judge_of().judge(message(text)).needs_reply


def test_a_private_message_needs_a_reply_unless_it_closes() -> None:
    """Nobody who writes in private is overlooked, and a private thanks does not start a clock."""
    judge = judge_of()
    assert judge.judge(message("Martin Miller, 12 Mill Lane", kind=Kind.DM, public=False)).needs_reply
    assert judge.judge(message("", kind=Kind.DM, public=False)).needs_reply
    assert not judge.judge(message("Thanks, have a nice day!", kind=Kind.DM, public=False)).needs_reply


def test_the_reasons_of_a_private_message_quote_nothing() -> None:
    """An alert that may not show a DM's text does not leak it through its reasons."""
    text = "still no answer, this is pathetic, you lied to me"
    public = judge_of().judge(message(f"@acme {text}"))
    private = judge_of().judge(message(text, kind=Kind.DM, public=False))
    assert any("pathetic" in reason for reason in public.reasons)
    assert private.is_complaint
    assert not any(word in " ".join(private.reasons) for word in ("pathetic", '"', "lied"))


def test_reach_raises_the_priority_and_says_so() -> None:
    """A complaint that many may see is looked at first, and the reason shows the numbers."""
    judge = judge_of()
    text = "@acme my kettle is broken and you ignore me"
    ranks = [
        judge.judge(message(text, author=replace(CUSTOMER, followers=followers))).priority
        for followers in (10, 20_000, 200_000)
    ]
    assert ranks == [Priority.NORMAL, Priority.HIGH, Priority.URGENT]
    seen = judge.judge(message(text, reach=15_000))
    assert seen.priority is Priority.URGENT
    assert any("15,000" in reason for reason in seen.reasons)
    assert judge.judge(message("@acme thanks!", reach=15_000)).priority is Priority.LOW


def test_danger_is_more_urgent_than_annoyance() -> None:
    """A product that hurts somebody is not queued with the slow deliveries."""
    judge = judge_of()
    assert judge.judge(message("@acme your heater caught fire, why no recall?")).priority is Priority.HIGH
    assert judge.judge(message("@acme your heater is broken, why?")).priority is Priority.NORMAL


def test_stars_count_whatever_the_words() -> None:
    """A one-star review without words is a complaint, a five-star one is not."""
    judge = judge_of()
    bad = judge.judge(message("", kind=Kind.REVIEW, rating=1.0))
    assert bad.is_complaint
    assert any("1 of 5 stars" in reason for reason in bad.reasons)
    assert not judge.judge(message("It arrived.", kind=Kind.REVIEW, rating=5.0)).is_complaint


def test_the_brand_and_bots_are_owed_nothing() -> None:
    """What the brand itself or a bot wrote never waits for a reply."""
    judge = judge_of()
    ours = message("we are sorry that it is broken, @acme", author=Author(id="900", brand=True))
    assert not judge.judge(ours).needs_reply
    bot = message("@acme automatic greeting", author=Author(id="b", automated=True))
    assert not judge.judge(bot).needs_reply


def test_another_language_is_not_read_as_english() -> None:
    """German "die" is an article and no disaster, and the verdict says that it could not read the words."""
    verdict = judge_of().judge(message("@acme die die die Lampe und die Leuchte", language="de"))
    assert not verdict.is_complaint
    assert verdict.needs_reply
    assert any("'de'" in reason for reason in verdict.reasons)


def test_the_users_own_pattern_decides_and_is_named() -> None:
    """A pattern from the config makes a complaint of what the pack does not know, with its own reason."""
    text = "@acme the flux is wobbling"
    mine = Pattern("flux", ("flux.{0,20}wobbl",), "speaks of the flux defect", complaint=5.0, topic="flux")
    assert not judge_of().judge(message(text)).is_complaint
    verdict = judge_of(replace(POLICY, patterns=(mine,))).judge(message(text))
    assert verdict.is_complaint
    assert "flux" in verdict.topics
    assert verdict.reasons[0] == 'speaks of the flux defect: "flux is wobbl"'


def test_a_verdict_says_which_judge_gave_it() -> None:
    """Stored verdicts can be told from today's once a pack or the brand's settings change."""
    one = judge_of().version
    assert one == make_judge(POLICY, [english()], heard()).version
    assert one != judge_of(replace(POLICY, complaint_threshold=0.7)).version
    assert one != make_judge(POLICY, [replace(english(), digest="0" * 12)], heard()).version
    assert judge_of().judge(message("@acme hello")).judged_by == one


def test_a_verdict_is_the_same_in_every_process() -> None:
    """A restart does not change what was said: no verdict hangs on the order of a hash."""
    program = (
        "from tests.rules.meaning.support import judge_of, message\n"
        "print(judge_of().version, judge_of().judge(message('@acme @acmehelp why still broken? #fail')))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


@settings(max_examples=150, deadline=None)
@given(
    text=st.one_of(
        st.text(max_size=200),
        st.text(alphabet=st.characters(), max_size=100),  # lone surrogates and NUL among them
        st.lists(
            st.sampled_from(["still", "no", "thanks", "?", "@acme", "😀", "worst", "&#0;", "RT @a"])
        ).map(" ".join),
    ),
    language=st.one_of(st.none(), st.sampled_from(["en", "de", "und", "", "x-y"])),
    followers=st.one_of(st.none(), st.integers(-1, 10**12)),
)
def test_no_text_makes_the_judge_fail(text: str, language: str | None, followers: int | None) -> None:
    """Whatever strangers write, there is a verdict with a reason, and always the same one."""
    said = message(text, language=language, author=Author(id="c", followers=followers))
    verdict = judge_of().judge(said)
    assert 0 <= verdict.complaint <= 1
    assert verdict.reasons
    assert all(reason.isprintable() or not reason.isascii() for reason in verdict.reasons)
    assert "\n" not in "".join(verdict.reasons)
    assert verdict == judge_of().judge(said)
    "".join(verdict.reasons).encode("utf-8")


@pytest.mark.parametrize(
    "piece",
    ["😀", "but good bad ", "why ", "@a", "http://", "&amp;", "still no ", "x", "a'", "u/", "\U00010ffff "],
)
def test_no_text_makes_the_judge_slow(piece: str) -> None:
    """A troll's post of a hundred thousand characters costs milliseconds, not minutes."""
    hostile = message(piece * (100_000 // len(piece)))
    judge = judge_of()
    start = process_time()
    judge.judge(hostile)
    assert process_time() - start < 0.5


def test_a_threshold_below_everything_still_gives_a_reason() -> None:
    """Even where a setting makes a complaint of every message, the alert says why."""
    verdict = judge_of(replace(POLICY, complaint_threshold=0.001)).judge(message("@acme the door is blue"))
    assert verdict.is_complaint
    assert "threshold" in verdict.reasons[0]
