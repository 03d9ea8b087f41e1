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
    MOVED = "moved"  # what was said has moved: taken, handed on, snoozed, called no complaint
    ESCALATED = "escalated"  # a step of an escalation, some time after one of the above
    STORM = "storm"  # many cases reached a stage at once: one message, updated, instead of many
    SPIKE = "spike"  # more complaints than usual at this hour, before any target is broken
    TROUBLE = "trouble"  # about ourselves: a connector cannot see, a credential expires
    TEST = "test"  # somebody tries the channel out


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What an alert says about a case. Texts are the customer's own words: attacker-controlled.

    `text` is None where it may not be shown (a DM, unless configured). `url` is where to reply.
    `reasons` say why we think that it is a complaint. `caveats` say what we could not see ("no reply
    seen through 12:03; @acme's posts not visible since"). `outcome` is None while the customer waits,
    else how it ended, in plain words ("answered after 12 min by @acmehelp"); `answered_at` is when.

    `clock` is the wait that it is about: "first_response", "next_response" or "resolution"; `waiting_since`,
    the target, `due_at`, `outcome` and `answered_at` are that clock's. `calendar` names the opening hours in
    which the target counts (None: around the clock). `unknown_since`: we have been blind since then, so that
    nobody knows whether it was answered (None: we see). `calls` are the Slack user ids, out of the config,
    of the people whom this concerns by name: who is on shift, where the channel asks for them, and whose it
    is. A channel that can mention calls them where the stage calls anybody.

    `moved` is the operator's latest word about the wait ("ack", "assign", "snooze", "not_complaint"), by
    `moved_by`; None: nobody spoke of it. `snoozed_until`: alerts about it are hidden until then.
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
    clock: str = "first_response"
    unknown_since: datetime | None = None
    calendar: str | None = None
    moved: str | None = None
    moved_by: str | None = None
    snoozed_until: datetime | None = None
    calls: tuple[str, ...] = ()


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
class StormCase:
    """One of the worst cases of a storm. `due_at` None: nothing is promised. `url` is where to reply."""

    case_id: str
    customer: str
    connector: str
    priority: str
    waiting_since: datetime
    due_at: datetime | None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Storm:
    """What an alert says about many cases at once.

    `reached` counts the cases that reached a stage since `since`; of them, `waiting` still wait and
    `answered` were answered (the rest ended otherwise). `worst` are at most five that wait, the worst first.
    `words` are (word, in how many cases), the most common first: customers' words, attacker-controlled.
    `over_at` is when it ended; None while it goes on. `held_since`: it is no storm, but what could not be
    said over this channel since then, said in one (None: it is a storm). `queue_command` shows all that
    wait. `calls` and `caveats` are as in `CaseFacts`.
    """

    brand: str
    connectors: tuple[str, ...]
    since: datetime
    reached: int
    waiting: int
    answered: int
    worst: tuple[StormCase, ...] = ()
    words: tuple[tuple[str, int], ...] = ()
    over_at: datetime | None = None
    queue_command: str = "response-monitor queue"
    calls: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    held_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Spike:
    """What an alert says about more complaints than usual: `count` in the `window_seconds` from `since` on,
    where `usual` are usual in as long a time at the same hour of past weeks."""

    brand: str
    count: int
    window_seconds: float
    usual: float
    since: datetime


@dataclass(frozen=True, slots=True)
class Addressee:
    """The one person whom an alert is for by name, out of the config. `slack` is their Slack user id.
    `handed_by` is who gave them the case (None: that is not what is told); their handle may be anything."""

    name: str
    slack: str | None = None
    email: str | None = None
    handed_by: str | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """How a channel reaches one person: by which `recipient`, which is the channel's own where it calls them
    in what everybody there reads. `hears_all`: what is said to all there reaches them by itself."""

    recipient: str
    hears_all: bool


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell one recipient over one channel.

    `key` is the outbox's unique key, at most 200 characters, ASCII, the same at every attempt: a channel
    that has an idempotency key uses it. `subject` is what belongs together (one case, storm or trouble): the
    same message is updated, the same thread continued. `repeat` counts repeats of a stage from 0; of a
    storm, its updates. `at` is when it is being said. `step` names the step of an escalation. Exactly one of
    `case`, `trouble`, `storm` and `spike` is set. `addressee`: it is for that person alone, whose case it is;
    only a channel that says how it reaches them is given such.
    """

    key: str
    subject: str
    stage: Stage
    at: datetime
    repeat: int = 0
    case: CaseFacts | None = None
    trouble: Trouble | None = None
    storm: Storm | None = None
    spike: Spike | None = None
    step: str | None = None
    addressee: Addressee | None = None
