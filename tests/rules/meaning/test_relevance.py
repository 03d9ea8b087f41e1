"""What relevance promises: what is addressed to us is ours, and what merely shares our name is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rules.meaning.policy import MeaningPolicy
from rules.meaning.relevance import addresses_brand
from rules.message import Kind
from tests.rules.meaning.support import POLICY, judge_of, message


@pytest.mark.parametrize(
    ("text", "relevant"),
    [
        ("my Acme toaster", True),
        ("#acme toaster", True),
        ("flew ACME   Air today", True),
        ("the acmeist poets", False),
        ("nothing of yours here", False),
        ("the Acme Brick Works in Ohio", False),
        ("see http://example.com/acme", False),
    ],
)
def test_a_keyword_counts_as_whole_words_only(text: str, relevant: bool) -> None:
    """A brand sees the posts that name it, and not those about its namesakes."""
    verdict = judge_of().judge(message(text))
    assert verdict.relevant is relevant
    assert verdict.reasons


def test_names_in_any_script_are_whole_words_too() -> None:
    """A brand with letters beyond ASCII is found, and not inside longer words."""
    judge = judge_of(MeaningPolicy(keywords=("Ökö",)))
    assert judge.judge(message("mein ÖKÖ Laden")).relevant
    assert not judge.judge(message("mein ökötest Laden")).relevant


def test_a_keyword_with_two_meanings_needs_its_context() -> None:
    """A river that shares the brand's name is not answered."""
    judge = judge_of(MeaningPolicy(keywords=("delta",), context=("flight", "airport")))
    assert judge.judge(message("my delta flight")).relevant
    assert not judge.judge(message("the delta of the river")).relevant


def test_what_is_addressed_to_us_is_ours_whatever_it_names() -> None:
    """Neither an exclusion nor a missing keyword hides a message that speaks to the brand."""
    assert judge_of().judge(message("@acme is it you or the acme brick works?")).relevant
    assert judge_of().judge(message("hello?", kind=Kind.DM, public=False)).relevant


@pytest.mark.parametrize(
    ("changes", "addressed"),
    [
        ({"handles": ("acmehelp",)}, True),
        ({"handles": ("acmefan",)}, False),
        ({"text": "hey @ACME, hello"}, True),
        ({"text": "ask u/acme."}, True),
        ({"text": "mail me at joe@acme.example"}, False),
        ({"text": "@acme_fan says hi"}, False),
        ({"to": ("900",)}, True),
        ({"to": ("901",)}, False),
        ({"kind": Kind.DM}, True),
        ({"kind": Kind.REVIEW}, True),
        ({"kind": Kind.EMAIL}, True),
    ],
)
def test_who_speaks_to_the_brand(changes: dict[str, object], addressed: bool) -> None:
    """Speaking to the brand is told from speaking of it."""
    assert addresses_brand(replace(message("hello"), **changes), POLICY) is addressed  # type: ignore[arg-type]


def test_an_answer_to_us_is_addressed_to_us() -> None:
    """A customer who answers the brand's post without naming it is heard."""
    assert addresses_brand(message("and now?"), POLICY, parent_is_ours=True)
    assert not addresses_brand(message("and now?"), POLICY)


def test_settings_that_make_no_sense_are_refused_by_name() -> None:
    """A wrong number or an empty phrase is told before the daemon starts."""
    with pytest.raises(ValueError, match="complaint_threshold"):
        MeaningPolicy(complaint_threshold=1.5)
    with pytest.raises(ValueError, match="keywords"):
        MeaningPolicy(keywords=(" ",))
    with pytest.raises(ValueError, match="followers_high"):
        MeaningPolicy(followers_high=10, followers_urgent=5)
