"""What the care team of the simulated world does in Slack, and what it means to do when.

What may live here: the words for it, as data. The population plans by them, the colleagues act on them, and
the truth reckons with them; what stands on the buttons is what people read there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Deed(StrEnum):
    """What can be pressed; the value is what stands on the button."""

    TAKE = "I take it"
    SNOOZE = "Snooze 15 min"
    ELSEWHERE = "Answered elsewhere"
    NO_REPLY = "No reply needed"
    NOT_COMPLAINT = "Not a complaint"
    RESOLVED = "Resolved"


CLOSING = frozenset({Deed.ELSEWHERE, Deed.NO_REPLY, Deed.RESOLVED})
"""After these nobody waits any more."""

SNOOZED_FOR = timedelta(minutes=15)


class When(StrEnum):
    """At which time of a wait somebody means to press."""

    WARNED = "warned"  # once people were warned of it
    LATE = "late"  # after the breach
    ANSWERED = "answered"  # right after the answer was written, while Slack still shows the button


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody (a handle) means to press, and when."""

    deed: Deed
    when: When
    who: str


@dataclass(frozen=True, slots=True)
class Said:
    """What was pressed about the customer whose first writing has that id, and counts since `at`."""

    first_id: str
    deed: Deed
    who: str
    at: datetime
