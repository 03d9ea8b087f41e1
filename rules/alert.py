"""What people are told: the content of an alert, the same for every channel.

Facts only, no wording for a medium: `alerts.render` puts them into words and escapes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Stage(StrEnum):
    """A point on a clock's way where people are told."""

    WARNING = "warning"  # a share of the target has passed
    BREACH = "breach"  # the due time has passed; repeats carry a number
    CLEARED = "cleared"  # what was said is over: answered, withdrawn, resolved
    CORRECTED = "corrected"  # what was said proved false: an answer was seen late
    TROUBLE = "trouble"  # about ourselves: a connector cannot see, a credential expires
    TEST = "test"  # somebody tries the channel out


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What an alert says about a case. Texts are the customer's own words: attacker-controlled.

    `text` is None where it may not be shown (a DM, unless configured). `url` is where to reply.
    `reasons` say why we think that it is a complaint. `caveats` say what we could not see ("no reply
    seen through 12:03; @acme's posts not visible since"). `outcome` is None while the customer waits,
    else how it ended, in plain words ("answered after 12 min by @acmehelp").
    """

    case_id: str
    brand: str
    connector: str
    account: str
    public: bool
    customer: str
    followers: int | None
    reach: int | None
    text: str | None
    messages: int
    reasons: tuple[str, ...]
    complaint: bool
    priority: str
    waiting_since: datetime
    target_name: str
    target_seconds: float
    due_at: datetime
    url: str | None = None
    caveats: tuple[str, ...] = ()
    assignee: str | None = None
    acknowledged_by: str | None = None
    outcome: str | None = None
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """What an alert says about ourselves. `since` is when it began; `waiting` counts the cases that wait
    where we cannot see. `what_to_do` is an instruction to the operator."""

    title: str
    detail: str
    since: datetime
    waiting: int = 0
    what_to_do: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell one recipient over one channel.

    `key` is the outbox's unique key, at most 200 characters, ASCII, the same at every attempt: a channel
    that has an idempotency key uses it. `subject` is what belongs together (one case, one trouble): the
    same message is updated, the same thread continued. `repeat` counts repeats of a stage from 0.
    `at` is when it is being said. Exactly one of `case` and `trouble` is set.
    """

    key: str
    subject: str
    stage: Stage
    at: datetime
    repeat: int = 0
    case: CaseFacts | None = None
    trouble: Trouble | None = None
