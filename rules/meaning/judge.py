"""All evidence into one Verdict, and the judge of a brand, who holds the rules that give it.

May hold the combination of evidence and nothing that reads a text: each kind of evidence is a module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import exp
from operator import attrgetter

from rules.meaning.complaint import RatingRule, make_pattern_rule
from rules.meaning.contract import Claim, Evidence, Priority, Rule, Verdict
from rules.meaning.needs_reply import ReplyRule
from rules.meaning.pack import Pack, digest_of
from rules.meaning.policy import MeaningPolicy
from rules.meaning.priority import ReachRule, priority_of
from rules.meaning.reading import read
from rules.meaning.relevance import make_relevance
from rules.meaning.sentiment import Sentiment, SentimentRule, vader
from rules.message import Message

JUDGE_VERSION = 1
"""Goes up when the same rules and packs would judge a message differently."""

_COMPLAINT_NEEDS_REPLY = 4.0
_REASONS_MAX = 8
_REASONS_A_CLAIM_MAX = 4
_LOGIT_MAX = 30.0
_DEFAULT_BIAS = -1.0
_CLAIMS = tuple(Claim)
_by_score = attrgetter("score")
_SAID_FROM = 0.25  # log-odds: weaker evidence counts, but is not worth a care agent's time


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """What the combination needs beside the evidence.

    `bias` is the log-odds of a complaint with no evidence; `threshold` the probability from which it is one;
    `languages` those for which there is a pack; `version` what verdicts are marked with.
    """

    bias: float
    threshold: float
    languages: frozenset[str]
    version: str


@dataclass(frozen=True, slots=True)
class Judge:
    """The judge of one brand. Build with `make_judge`; immutable, so threads may share it."""

    rules: tuple[Rule, ...]
    settings: JudgeSettings

    def judge(self, message: Message) -> Verdict:
        """What a message means, and why. Never raises, whatever the text is; the same message always gets the
        same verdict."""
        return judge(message, self.rules, self.settings)

    @property
    def version(self) -> str:
        """What its verdicts carry as `judged_by`."""
        return self.settings.version


def make_judge(policy: MeaningPolicy, packs: Sequence[Pack], sentiment: Sentiment | None = None) -> Judge:
    """Compile the rules of one brand.

    `sentiment` may be shared between judges (`rules.meaning.sentiment.vader()` reads its lexicons anew each
    time, about 50 ms); one is made where it is missing. Raises ValueError naming the pattern or key that is
    wrong.
    """
    rules: list[Rule] = [
        make_relevance(policy),
        ReplyRule(
            frozenset(word for pack in packs for word in pack.closing_core),
            frozenset(word for pack in packs for word in pack.closing_filler),
            frozenset(word for pack in packs for word in pack.closing_openers),
        ),
        RatingRule(),
        ReachRule(policy),
    ]
    for pack in packs:
        languages = frozenset({pack.language})
        rules.append(make_pattern_rule(pack.patterns, languages))
        if pack.language == "en":
            rules.append(SentimentRule(sentiment or vader(), languages, pack.negative, pack.positive))
    if policy.patterns:
        rules.append(make_pattern_rule(policy.patterns))
    biases = [pack.bias for pack in packs]
    return Judge(
        tuple(rules),
        JudgeSettings(
            bias=sum(biases) / len(biases) if biases else _DEFAULT_BIAS,
            threshold=policy.complaint_threshold,
            languages=frozenset(pack.language for pack in packs),
            version=_version(policy, packs),
        ),
    )


def _version(policy: MeaningPolicy, packs: Sequence[Pack]) -> str:
    names = [f"judge-{JUDGE_VERSION}"]
    names += [f"{pack.language}-{pack.version}-{pack.digest}" for pack in packs]
    settings = {
        key: sorted(value) if isinstance(value, frozenset) else value for key, value in asdict(policy).items()
    }
    return "/".join([*names, f"policy-{digest_of(settings)}"])


def judge(message: Message, rules: Iterable[Rule], settings: JudgeSettings) -> Verdict:
    """Weigh a message by all rules and combine what they found. Pure."""
    if not message.inbound:
        return Verdict(
            complaint=0.0,
            is_complaint=False,
            needs_reply=False,
            relevant=True,
            priority=Priority.LOW,
            language=message.language,
            reasons=("the brand wrote it",),
            judged_by=settings.version,
        )
    reading = read(message.text, message.language)
    found: dict[Claim, list[Evidence]] = {claim: [] for claim in _CLAIMS}
    for rule in rules:
        for evidence in rule.weigh(message, reading):
            found[evidence.claim].append(evidence)

    complaint = _probability(settings.bias + _sum(found[Claim.COMPLAINT]))
    relevant = _sum(found[Claim.RELEVANT]) > 0
    is_complaint = relevant and complaint >= settings.threshold
    reply = _sum(found[Claim.NEEDS_REPLY]) + (_COMPLAINT_NEEDS_REPLY if is_complaint else 0.0)
    needs_reply = relevant and reply > 0
    speaks_for = [evidence for evidence in found[Claim.COMPLAINT] if evidence.score > 0]
    priority, why = priority_of(
        complaint=is_complaint,
        severe=any(evidence.severe for evidence in speaks_for),
        reach_steps=int(max((evidence.score for evidence in found[Claim.REACH]), default=0.0)),
        needs_reply=needs_reply,
    )
    reasons = _reasons(message, found, is_complaint, needs_reply, relevant)
    if is_complaint and not speaks_for:
        reasons.insert(0, f"the complaint threshold of {settings.threshold:g} is below what any message gets")
    if reading.language is not None and reading.language not in settings.languages:
        reasons.append(f"written in {reading.language!r}, whose words are not known: judged by its form only")
    if why:
        reasons.append(why)
    return Verdict(
        complaint=complaint,
        is_complaint=is_complaint,
        needs_reply=needs_reply,
        relevant=relevant,
        priority=priority,
        topics=_topics(speaks_for) if is_complaint else (),
        language=message.language,
        reasons=tuple(dict.fromkeys(reasons)),
        judged_by=settings.version,
    )


def _sum(evidence: Iterable[Evidence]) -> float:
    return sum([piece.score for piece in evidence])


def _probability(log_odds: float) -> float:
    bounded = max(-_LOGIT_MAX, min(_LOGIT_MAX, log_odds))
    return round(1 / (1 + exp(-bounded)), 4)


def _topics(speaks_for: list[Evidence]) -> tuple[str, ...]:
    ordered = sorted(speaks_for, key=_by_score, reverse=True)
    return tuple(dict.fromkeys(evidence.topic for evidence in ordered if evidence.topic))


def _reasons(
    message: Message,
    found: dict[Claim, list[Evidence]],
    is_complaint: bool,
    needs_reply: bool,
    relevant: bool,
) -> list[str]:
    """Why, the strongest first: of each claim what speaks for the side that it was decided on."""
    if not relevant:
        return _said(found[Claim.RELEVANT], -1, message)
    said: list[str] = []
    if is_complaint:
        said += _said(found[Claim.COMPLAINT], 1, message)
    said += _said(found[Claim.NEEDS_REPLY], 1 if needs_reply else -1, message)
    if not is_complaint:
        said += _said(found[Claim.COMPLAINT], -1, message)
    if not said:
        said += _said(found[Claim.RELEVANT], 1, message)
    said = list(dict.fromkeys(said))[:_REASONS_MAX]
    return said + _said(found[Claim.REACH], 1, message)


def _said(evidence: Iterable[Evidence], sign: int, message: Message) -> list[str]:
    """The reasons on one side, in words. Those of a private message quote nothing: an alert may show reasons
    where it may not show the text."""
    ordered = [piece for piece in evidence if piece.score * sign >= _SAID_FROM]
    ordered.sort(key=_by_score, reverse=sign > 0)
    quotes = message.public
    return [
        f'{piece.reason}: "{piece.words[0]}"' if quotes and piece.words else piece.reason
        for piece in ordered[:_REASONS_A_CLAIM_MAX]
    ]
