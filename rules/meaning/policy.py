"""What one brand says about itself: its names, its limits, its own patterns.

May hold the settings that judging a message needs, already checked; reading a config file is not done here.
"""

from __future__ import annotations

from dataclasses import dataclass

from rules.meaning.patterns import Pattern

USER_PATTERNS_MAX = 500
_PHRASES_MAX = 500
_PHRASE_LENGTH_MAX = 200
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class MeaningPolicy:
    """How the messages to one brand are judged.

    `keywords` are the brand's names, matched as whole words or phrases in either case. `handles` are its
    accounts' handles and `account_ids` their platform ids; handles are kept lower case, without "@" or "u/".
    `exclusions` are phrases that show that a keyword means something else ("acme brick works"). `context`,
    where given, are words of which one must stand beside a keyword ("Delta" and "flight") for it to count.
    Neither touches a message that is addressed to the brand.

    `complaint_threshold` is the probability from which a message counts as a complaint. `patterns` are the
    user's own. A writer with `followers_high` followers, or a message with `reach_high` reach (views, or
    likes plus reposts), is one step more urgent; with `followers_urgent` or `reach_urgent`, two.

    Raises ValueError naming the key and what was expected.
    """

    keywords: tuple[str, ...] = ()
    handles: frozenset[str] = frozenset()
    account_ids: frozenset[str] = frozenset()
    exclusions: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    complaint_threshold: float = DEFAULT_THRESHOLD
    patterns: tuple[Pattern, ...] = ()
    followers_high: int = 10_000
    followers_urgent: int = 100_000
    reach_high: int = 1_000
    reach_urgent: int = 10_000

    def __post_init__(self) -> None:
        object.__setattr__(self, "handles", frozenset(bare_handle(handle) for handle in self.handles))
        for key, phrases in (
            ("keywords", self.keywords),
            ("exclusions", self.exclusions),
            ("context", self.context),
        ):
            if len(phrases) > _PHRASES_MAX:
                raise ValueError(f"{key}: expected at most {_PHRASES_MAX} phrases, not {len(phrases)}")
            for phrase in phrases:
                if not phrase.strip() or len(phrase) > _PHRASE_LENGTH_MAX:
                    raise ValueError(
                        f"{key}: expected phrases of 1 to {_PHRASE_LENGTH_MAX} characters, "
                        f"not {phrase[:80]!r}"
                    )
        if not 0 < self.complaint_threshold < 1:
            raise ValueError(
                f"complaint_threshold: expected a number between 0 and 1, not {self.complaint_threshold!r}"
            )
        if len(self.patterns) > USER_PATTERNS_MAX:
            raise ValueError(f"patterns: expected at most {USER_PATTERNS_MAX}, not {len(self.patterns)}")
        for low, high in (("followers_high", "followers_urgent"), ("reach_high", "reach_urgent")):
            if not 0 < getattr(self, low) <= getattr(self, high):
                raise ValueError(
                    f"{low}: expected a number from 1 to {high} ({getattr(self, high)}), "
                    f"not {getattr(self, low)}"
                )


def bare_handle(handle: str) -> str:
    """ "acme" for "@Acme", "u/Acme" or "Acme"."""
    return handle.strip().lower().removeprefix("@").removeprefix("/").removeprefix("u/")
